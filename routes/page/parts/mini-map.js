// @ts-check
import { useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { useCell } from '../lib/cell.js'
import { html } from '../lib/html.js'
import { SHAPES } from '../lib/layout.js'
import { theme } from '../lib/theme.js'

/** As large as it may become. px. */
const MOST = { width: 190, height: 120 }
/** Pictures of which less than this is in sight get a map. */
const WORTH_BELOW = 0.45
const TONES = /** @type {const} */ (['good', 'idle', 'warn', 'bad'])

/** @typedef {{ x: number, y: number, width: number, height: number }} Box Of the graph. */

/**
 * The whole picture in small: where the trouble is, and what part is in sight. For pointers; the keyboard has its own ways.
 * @param {object} props
 * @param {import('preact').RefObject<{ show: (seen: Box) => void }>} props.api
 * @param {readonly import('../lib/graph.js').Component[]} props.components
 * @param {import('../lib/layout.js').Layout} props.layout
 * @param {(x: number, y: number) => void} props.onMove To this place of the graph.
 */
export function MiniMap({ api, components, layout, onMove }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null))
  const frame = useRef(/** @type {HTMLElement | null} */ (null))
  const seen = useRef(/** @type {Box} */ ({ x: 0, y: 0, width: 1, height: 1 }))
  const [isWorth, setWorth] = useState(false)
  const colours = useCell(theme)
  const scale = Math.min(MOST.width / layout.width, MOST.height / layout.height)
  const size = { width: Math.max(16, layout.width * scale), height: Math.max(16, layout.height * scale) }
  const placeFrame = () => {
    if (frame.current === null) return
    const { x, y, width, height } = seen.current
    const [left, top] = [Math.max(0, x * scale), Math.max(0, y * scale)]
    frame.current.style.left = `${left}px`
    frame.current.style.top = `${top}px`
    frame.current.style.width = `${Math.min(size.width, (x + width) * scale) - left}px`
    frame.current.style.height = `${Math.min(size.height, (y + height) * scale) - top}px`
  }
  useImperativeHandle(api, () => ({
    show(box) {
      seen.current = box
      const share = Math.min(1, box.width / layout.width) * Math.min(1, box.height / layout.height)
      setWorth(share < WORTH_BELOW)
      placeFrame()
    },
  }))
  useLayoutEffect(placeFrame, [isWorth, layout])
  useEffect(() => {
    const context = canvas.current?.getContext('2d')
    if (!context || canvas.current === null) return
    canvas.current.width = size.width
    canvas.current.height = size.height
    const style = getComputedStyle(canvas.current)
    const { width, height } = SHAPES.service
    for (const tone of TONES) {
      context.fillStyle = style.getPropertyValue(`--${tone}-fill`)
      for (const node of components.flatMap(({ nodes }) => nodes)) {
        const at = layout.at.get(node.id)
        if (node.tone !== tone || node.kind !== 'service' || at === undefined) continue
        context.fillRect(
          at.x * scale,
          (at.y - height / 2) * scale,
          Math.max(4, width * scale),
          Math.max(1, height * scale),
        )
      }
    }
  }, [components, layout, isWorth, colours])
  const move = (/** @type {PointerEvent} */ event) => {
    if (event.buttons !== 1) return
    const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect()
    onMove((event.clientX - box.left) / scale, (event.clientY - box.top) / scale)
  }
  if (!isWorth) return null
  return html`<div class="mini-map" aria-hidden="true">
    <div onPointerDown=${move} onPointerMove=${move}><canvas ref=${canvas}></canvas><i ref=${frame}></i></div>
  </div>`
}
