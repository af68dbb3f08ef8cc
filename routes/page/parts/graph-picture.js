// @ts-check
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { bounded, fitted, opening, showing, zoomed } from '../lib/camera.js'
import { createWalk } from '../lib/graph-walk.js'
import { cx, html } from '../lib/html.js'
import { SHAPES } from '../lib/layout.js'
import { listenGestures } from './gestures.js'
import { FarMarks, Marks } from './graph-layers.js'
import { domId, GatewayMark } from './graph-marks.js'
import { HealthStrip } from './health-strip.js'
import { Icon } from './icons.js'

/** @typedef {import('../lib/camera.js').Camera} Camera */
/** @typedef {import('../lib/graph.js').Component} Component */
/** @typedef {import('../lib/layout.js').Layout} Layout */
/** @typedef {import('./graph-layers.js').Drawn} Drawn */

/** Below this nobody can read; texts are left out. */
const FAR_BELOW = 0.38
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

/**
 * Where the picture is looked at from. Moving it touches one attribute; the marks are drawn again only when others come in
 * sight.
 * @param {Layout} layout
 */
function useCamera(layout) {
  const svg = useRef(/** @type {any} */ (null))
  const world = useRef(/** @type {any} */ (null))
  const label = useRef(/** @type {any} */ (null))
  const strip = useRef(/** @type {any} */ (null))
  const size = useSize(svg)
  const camera = useRef(/** @type {Camera | undefined} */ (undefined))
  const [drawn, setDrawn] = useState(/** @type {Drawn | undefined} */ (undefined))
  const state = useRef({ layout, size, drawn })
  state.current = { layout, size, drawn }

  const show = useMemo(
    () => (/** @type {Camera} */ wanted) => {
      const { layout: graph, size: view, drawn: before } = state.current
      if (view.width === 0) return
      const now = bounded(wanted, view, graph)
      camera.current = now
      const height = view.height / now.scale
      const middle = Math.min(Math.max(now.y + height / 2, 40), Math.max(40, graph.height - 40))
      world.current?.setAttribute('transform', `scale(${now.scale}) translate(${-now.x} ${-now.y})`)
      label.current?.setAttribute('transform', `translate(17 ${middle}) rotate(-90)`)
      strip.current?.show(now.y / graph.height, height / graph.height)
      const isFar = now.scale < FAR_BELOW
      const isIn = before && before.isFar === isFar && now.y >= before.top && now.y + height <= before.bottom
      if (!isIn) setDrawn({ top: now.y - height, bottom: now.y + 2 * height, isFar })
    },
    [],
  )
  useLayoutEffect(() => {
    if (size.width > 0) show(camera.current ?? opening(size, layout))
  }, [size, layout, show])
  useEffect(() => listenGestures(svg.current, () => camera.current ?? { x: 0, y: 0, scale: 1 }, show), [show])
  return { refs: { svg, world, label, strip }, size, camera, drawn, show }
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
  const walk = useMemo(() => createWalk(components, layout.y), [components, layout])
  const line = useMemo(() => (walk.nodes.has(chosen) ? walk.lineOf(chosen) : undefined), [walk, chosen])
  // What was opened stays where it is, and its surroundings make room.
  const anchor = useRef({ id: '', y: 0 })
  useLayoutEffect(() => {
    const { id, y } = anchor.current
    const now = layout.y.get(id)
    anchor.current = { id: '', y: 0 }
    if (now !== undefined && camera.current) show({ ...camera.current, y: camera.current.y + now - y })
  }, [layout, camera, show])

  const at = () => camera.current ?? { x: 0, y: 0, scale: 1 }
  const zoom = (/** @type {number} */ factor) =>
    show(zoomed(at(), factor, { x: size.width / 2, y: size.height / 2 }))
  const toggle = (/** @type {string} */ id) => {
    if (walk.nodes.get(id)?.isOpen === undefined) return
    anchor.current = { id, y: layout.y.get(id) ?? 0 }
    onToggle(id)
  }
  const activate = (/** @type {string | undefined} */ id) => {
    const node = id === undefined ? undefined : walk.nodes.get(id)
    if (node === undefined) return
    const { x, width, height } = SHAPES[node.kind]
    setActive(node.id)
    show(showing(at(), size, { x, y: (layout.y.get(node.id) ?? 0) - height / 2, width, height }))
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
    return walk.at(x + (event.clientX - box.left) / scale, y + (event.clientY - box.top) / scale)
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
          <${GatewayMark} height=${layout.height} labelRef=${refs.label} />
        </g>
      </svg>
      <p class="hidden" id="picture-help">Arrow keys go from node to node, Enter chooses, Space opens and closes a service, plus and minus zoom, 0 shows all, Shift with arrows moves the picture. The list shows the same as a table.</p>
      <div class="picture-tools">
        <button type="button" class="icon-button" aria-label="Zoom in" onClick=${() => zoom(STEP.in)}><${Icon} name="plus" /></button>
        <button type="button" class="icon-button" aria-label="Zoom out" onClick=${() => zoom(STEP.out)}><${Icon} name="minus" /></button>
        <button type="button" class="icon-button" aria-label="Show all" onClick=${() => show(fitted(size, layout))}><${Icon} name="fit" /></button>
      </div>
      <${HealthStrip} api=${refs.strip} components=${components} layout=${layout} onMove=${(/** @type {number} */ share) => show({ ...at(), y: share * layout.height - size.height / at().scale / 2 })} />
    </div>
  `
}
