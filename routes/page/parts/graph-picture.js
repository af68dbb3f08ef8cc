// @ts-check
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { bounded, fitted, opening, showing, zoomed } from '../lib/camera.js'
import { createWalk } from '../lib/graph-walk.js'
import { cx, html } from '../lib/html.js'
import { SHAPES } from '../lib/layout.js'
import { listenGestures } from './gestures.js'
import { FarMarks, Marks } from './graph-layers.js'
import { domId, GatewayMark } from './graph-marks.js'
import { Icon } from './icons.js'
import { MiniMap } from './mini-map.js'

/** @typedef {import('../lib/camera.js').Camera} Camera */
/** @typedef {import('../lib/graph.js').Component} Component */
/** @typedef {import('../lib/layout.js').Layout} Layout */
/** @typedef {import('./graph-layers.js').Drawn} Drawn */

/** Below this nobody can read; texts are left out. */
const FAR_BELOW = 0.5
/**
 * What is drawn beyond the window, as a share of it: at once, and when there is time. Moving within that draws nothing; when
 * less than `least` is left, more is drawn in the next idle moment.
 */
const BEYOND = { atOnce: 0.03, inTime: 0.45, least: 0.2 }
/** How long that may wait. ms. */
const IDLE_MS = 300

// Not every browser has idle moments.
const whenIdle = globalThis.requestIdleCallback ?? ((/** @type {() => void} */ run) => setTimeout(run, 60))
const cancelIdle = globalThis.cancelIdleCallback ?? clearTimeout
const STEP = { in: 1.25, out: 0.8 }

/** The inner size of an element. @param {import('preact').RefObject<Element>} ref */
function useSize(ref) {
  const [size, setSize] = useState({ width: 0, height: 0 })
  useEffect(() => {
    const look = new ResizeObserver(([entry]) => {
      const { width = 0, height = 0 } = entry?.contentRect ?? {}
      setSize({ width, height })
    })
    look.observe(/** @type {Element} */ (ref.current))
    return () => look.disconnect()
  }, [ref])
  return size
}

/** The names of the gates stay in sight. @param {Element} world @param {number} middle */
function placeLabels(world, middle) {
  for (const label of world.querySelectorAll('[data-height]')) {
    const height = Number(label.getAttribute('data-height'))
    const y = Math.min(Math.max(middle, 40), Math.max(height - 40, height / 2))
    label.setAttribute('transform', `translate(${label.getAttribute('data-x')} ${y}) rotate(-90)`)
  }
}

/** @typedef {{ x: number, y: number, width: number, height: number, isFar: boolean }} Seen What of the graph is in sight. */

/** @param {Seen} seen @param {number} share @returns {Drawn} */
const around = ({ x, y, width, height, isFar }, share) => ({
  left: x - share * width,
  right: x + (1 + share) * width,
  top: y - share * height,
  bottom: y + (1 + share) * height,
  isFar,
})

/** Is what is in sight drawn, with `share` of it to spare? From afar all is drawn. @param {Seen} seen @param {Drawn | undefined} drawn @param {number} share */
function isWithin(seen, drawn, share) {
  if (drawn === undefined || drawn.isFar !== seen.isFar) return false
  const wanted = around(seen, share)
  return (
    seen.isFar ||
    (wanted.left >= drawn.left &&
      wanted.right <= drawn.right &&
      wanted.top >= drawn.top &&
      wanted.bottom <= drawn.bottom)
  )
}

/**
 * Where the picture is looked at from. Moving it touches a few attributes; the marks are drawn again only when others come in
 * sight.
 * @param {Layout} layout
 */
function useCamera(layout) {
  const svg = useRef(/** @type {any} */ (null))
  const world = useRef(/** @type {any} */ (null))
  const map = useRef(/** @type {any} */ (null))
  const size = useSize(svg)
  const camera = useRef(/** @type {Camera | undefined} */ (undefined))
  const [drawn, setDrawn] = useState(/** @type {Drawn | undefined} */ (undefined))
  const idle = useRef(0)
  const state = useRef({ layout, size, drawn })
  state.current = { layout, size, drawn }

  const show = useMemo(
    () => (/** @type {Camera} */ wanted) => {
      const { layout: graph, size: view, drawn: before } = state.current
      if (view.width === 0) return
      const now = bounded(wanted, view, graph)
      camera.current = now
      const [width, height] = [view.width / now.scale, view.height / now.scale]
      world.current?.setAttribute('transform', `scale(${now.scale}) translate(${-now.x} ${-now.y})`)
      placeLabels(world.current, now.y + height / 2)
      map.current?.show({ x: now.x, y: now.y, width, height })
      const isFar = now.scale < FAR_BELOW
      const seen = { ...now, width, height, isFar }
      if (!isWithin(seen, before, 0)) setDrawn(around(seen, BEYOND.atOnce))
      else if (isWithin(seen, before, BEYOND.least)) return
      cancelIdle(idle.current)
      idle.current = whenIdle(() => setDrawn(around(seen, BEYOND.inTime)), { timeout: IDLE_MS })
    },
    [],
  )
  useLayoutEffect(() => {
    if (size.width > 0) show(camera.current ?? opening(size, layout))
  }, [size, layout, show])
  useEffect(() => () => cancelIdle(idle.current), [])
  useEffect(() => listenGestures(svg.current, () => camera.current ?? { x: 0, y: 0, scale: 1 }, show), [show])
  return { refs: { svg, world, map }, size, camera, drawn, show }
}

/**
 * The landscape as a picture. One stop for the Tab key: arrows go from node to node, Enter chooses, Space opens and closes,
 * + − 0 zoom, with Shift the arrows move the picture.
 * @param {object} props
 * @param {readonly Component[]} props.components
 * @param {Layout} props.layout
 * @param {string} props.chosen Id of a node; empty = none.
 * @param {(id: string) => void} props.onChoose
 * @param {(id: string) => void} props.onToggle
 */
export function GraphPicture({ components, layout, chosen, onChoose, onToggle }) {
  const { refs, size, camera, drawn, show } = useCamera(layout)
  const [active, setActive] = useState('')
  const walk = useMemo(() => createWalk(components, layout), [components, layout])
  const line = useMemo(() => (walk.nodes.has(chosen) ? walk.lineOf(chosen) : undefined), [walk, chosen])
  // What was opened stays where it is, and its surroundings make room.
  const anchor = useRef({ id: '', x: 0, y: 0 })
  useLayoutEffect(() => {
    const { id, x, y } = anchor.current
    const now = layout.at.get(id)
    anchor.current = { id: '', x: 0, y: 0 }
    if (now === undefined || camera.current === undefined) return
    show({ ...camera.current, x: camera.current.x + now.x - x, y: camera.current.y + now.y - y })
  }, [layout, camera, show])

  const at = () => camera.current ?? { x: 0, y: 0, scale: 1 }
  const zoom = (/** @type {number} */ factor) =>
    show(zoomed(at(), factor, { x: size.width / 2, y: size.height / 2 }))
  const centre = (/** @type {number} */ x, /** @type {number} */ y) => {
    const { scale } = at()
    show({ scale, x: x - size.width / scale / 2, y: y - size.height / scale / 2 })
  }
  const toggle = (/** @type {string} */ id) => {
    if (walk.nodes.get(id)?.isOpen === undefined) return
    anchor.current = { id, ...(layout.at.get(id) ?? { x: 0, y: 0 }) }
    onToggle(id)
  }
  const activate = (/** @type {string | undefined} */ id) => {
    const node = id === undefined ? undefined : walk.nodes.get(id)
    if (node === undefined) return
    const { width, height } = SHAPES[node.kind]
    const { x, y } = layout.at.get(node.id) ?? { x: 0, y: 0 }
    setActive(node.id)
    show(showing(at(), size, { x, y: y - height / 2, width, height }))
  }
  const pan = (/** @type {string} */ key) => {
    const dx = key === 'ArrowLeft' ? -120 : key === 'ArrowRight' ? 120 : 0
    const dy = key === 'ArrowUp' ? -120 : key === 'ArrowDown' ? 120 : 0
    show({ ...at(), x: at().x + dx / at().scale, y: at().y + dy / at().scale })
  }
  const keyDown = (/** @type {KeyboardEvent} */ event) => {
    const { key, shiftKey } = event
    if (event.ctrlKey || event.metaKey || event.altKey || key === 'Tab') return
    if (key === '+' || key === '=') zoom(STEP.in)
    else if (key === '-') zoom(STEP.out)
    else if (key === '0') show(fitted(size, layout))
    else if (key === 'Escape') onChoose('')
    else if (shiftKey && key.startsWith('Arrow')) pan(key)
    else if (key === 'Enter') onChoose(active)
    else if (key === ' ') toggle(active)
    else if (walk.nodes.has(active)) activate(walk.step(active, key))
    else activate(walk.first())
    event.preventDefault()
  }
  // From afar the nodes are no elements of their own.
  const nodeAt = (/** @type {MouseEvent} */ event) => {
    const box = refs.svg.current.getBoundingClientRect()
    const { x, y, scale } = at()
    return walk.hit(x + (event.clientX - box.left) / scale, y + (event.clientY - box.top) / scale)
  }
  const click = (/** @type {MouseEvent} */ event) => {
    const target = /** @type {Element} */ (event.target)
    const opener = target.closest('[data-toggle]')?.getAttribute('data-toggle')
    const id = target.closest('[data-id]')?.getAttribute('data-id') ?? (drawn?.isFar ? nodeAt(event) : '')
    setActive(id)
    if (opener) toggle(opener)
    else onChoose(id === chosen ? '' : id)
  }
  const activeId = walk.nodes.has(active) ? active : ''
  return html`
    <div class="picture">
      <svg ref=${refs.svg} tabindex="0" role="application" aria-label="Topology" aria-describedby="picture-help" aria-activedescendant=${activeId ? domId(activeId) : undefined}
        class=${cx('graph', drawn?.isFar && 'is-far')} onKeyDown=${keyDown} onClick=${click}>
        <g ref=${refs.world}>
          ${drawn && html`<${drawn.isFar ? FarMarks : Marks} components=${components} layout=${layout} drawn=${drawn} line=${line} chosen=${chosen} active=${activeId} />`}
          ${layout.gates.map((gate) => html`<${GatewayMark} key=${gate.x} ...${gate} />`)}
        </g>
      </svg>
      <p class="hidden" id="picture-help">Arrow keys go from node to node, Enter chooses, Space opens and closes a service, plus and minus zoom, 0 shows all, Shift with arrows moves the picture. The list shows the same as a table.</p>
      <div class="picture-tools">
        <button type="button" class="icon-button" aria-label="Zoom in" onClick=${() => zoom(STEP.in)}><${Icon} name="plus" /></button>
        <button type="button" class="icon-button" aria-label="Zoom out" onClick=${() => zoom(STEP.out)}><${Icon} name="minus" /></button>
        <button type="button" class="icon-button" aria-label="Show all" onClick=${() => show(fitted(size, layout))}><${Icon} name="fit" /></button>
      </div>
      <${MiniMap} api=${refs.map} components=${components} layout=${layout} onMove=${centre} />
    </div>
  `
}
