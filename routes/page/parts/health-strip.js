// @ts-check
import { useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { useCell } from '../lib/cell.js'
import { html } from '../lib/html.js'
import { theme } from '../lib/theme.js'

/** Pictures of which less than this is in sight get a strip. */
const WORTH_BELOW = 0.6
const WIDTH = 14

/**
 * The whole picture as a strip at its side: where the trouble is, and what part is in sight. For pointers; the keyboard has
 * its own ways.
 * @param {object} props
 * @param {import('preact').RefObject<{ show: (from: number, share: number) => void }>} props.api
 * @param {readonly import('../lib/graph.js').Component[]} props.components
 * @param {import('../lib/layout.js').Layout} props.layout
 * @param {(share: number) => void} props.onMove 0 = top, 1 = bottom.
 */
export function HealthStrip({ api, components, layout, onMove }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null))
  const frame = useRef(/** @type {HTMLElement | null} */ (null))
  const [isWorth, setWorth] = useState(false)
  const colours = useCell(theme)
  const part = useRef({ from: 0, share: 1 })
  const place = () => {
    if (frame.current === null) return
    frame.current.style.top = `${Math.max(0, part.current.from) * 100}%`
    frame.current.style.height = `${Math.min(1, part.current.share) * 100}%`
  }
  useImperativeHandle(api, () => ({
    show(from, share) {
      part.current = { from, share }
      setWorth(share < WORTH_BELOW)
      place()
    },
  }))
  useLayoutEffect(place, [isWorth])
  useEffect(() => {
    const context = canvas.current?.getContext('2d')
    if (!context || canvas.current === null) return
    const { height } = canvas.current.getBoundingClientRect()
    canvas.current.width = WIDTH
    canvas.current.height = height
    const style = getComputedStyle(canvas.current)
    for (const tone of ['good', 'idle', 'warn', 'bad']) {
      context.fillStyle = style.getPropertyValue(`--${tone}-fill`)
      for (const { nodes } of components) {
        for (const node of nodes) {
          if (node.tone !== tone || node.kind !== 'service') continue
          const y = ((layout.y.get(node.id) ?? 0) / layout.height) * height
          context.fillRect(3, y - 1, WIDTH - 6, tone === 'good' ? 1 : 2)
        }
      }
    }
  }, [components, layout, isWorth, colours])
  const move = (/** @type {PointerEvent} */ event) => {
    if (event.buttons !== 1) return
    const target = /** @type {Element} */ (event.currentTarget)
    const box = target.getBoundingClientRect()
    onMove((event.clientY - box.top) / box.height)
  }
  if (!isWorth) return null
  return html`<div class="health-strip" aria-hidden="true" onPointerDown=${move} onPointerMove=${move}>
    <canvas ref=${canvas} width=${WIDTH}></canvas><i ref=${frame}></i>
  </div>`
}
