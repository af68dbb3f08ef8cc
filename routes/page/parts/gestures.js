// @ts-check
import { zoomed } from '../lib/camera.js'

/** Farther than this a press is a move, not a click. px. */
const SLOP = 4

/**
 * Moves and zooms with pointers and wheel: one finger or the mouse moves, two fingers and Ctrl with the wheel zoom.
 * @param {SVGSVGElement} element
 * @param {() => import('../lib/camera.js').Camera} get
 * @param {(camera: import('../lib/camera.js').Camera) => void} set
 * @returns Ends it.
 */
export function listenGestures(element, get, set) {
  /** @type {Map<number, { x: number, y: number }>} */
  const pointers = new Map()
  let moved = 0
  const local = (/** @type {MouseEvent} */ event) => {
    const box = element.getBoundingClientRect()
    return { x: event.clientX - box.left, y: event.clientY - box.top }
  }
  const distance = () => {
    const [a, b] = [...pointers.values()]
    return a && b ? Math.hypot(a.x - b.x, a.y - b.y) : 0
  }
  const down = (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return
    pointers.set(event.pointerId, local(event))
    if (pointers.size === 1) moved = 0
  }
  const move = (/** @type {PointerEvent} */ event) => {
    const before = pointers.get(event.pointerId)
    if (before === undefined) return
    const at = local(event)
    const [dx, dy, apart] = [at.x - before.x, at.y - before.y, distance()]
    moved += Math.abs(dx) + Math.abs(dy)
    if (moved > SLOP) element.setPointerCapture(event.pointerId)
    pointers.set(event.pointerId, at)
    const camera = get()
    const share = pointers.size
    const shifted = {
      ...camera,
      x: camera.x - dx / camera.scale / share,
      y: camera.y - dy / camera.scale / share,
    }
    set(apart > 0 ? zoomed(shifted, distance() / apart, at) : shifted)
  }
  const up = (/** @type {PointerEvent} */ event) => pointers.delete(event.pointerId)
  const wheel = (/** @type {WheelEvent} */ event) => {
    event.preventDefault()
    const camera = get()
    const unit = event.deltaMode === 1 ? 16 : 1
    if (event.ctrlKey || event.metaKey)
      set(zoomed(camera, Math.exp(-event.deltaY * unit * 0.004), local(event)))
    else {
      const [dx, dy] = event.shiftKey ? [event.deltaY, event.deltaX] : [event.deltaX, event.deltaY]
      set({ ...camera, x: camera.x + (dx * unit) / camera.scale, y: camera.y + (dy * unit) / camera.scale })
    }
  }
  // After a move the click that the browser sends is none.
  const click = (/** @type {MouseEvent} */ event) => moved > SLOP && event.stopPropagation()
  const abort = new AbortController()
  const { signal } = abort
  element.addEventListener('pointerdown', down, { signal })
  element.addEventListener('pointermove', move, { signal })
  element.addEventListener('pointerup', up, { signal })
  element.addEventListener('pointercancel', up, { signal })
  element.addEventListener('wheel', wheel, { signal, passive: false })
  element.addEventListener('click', click, { signal, capture: true })
  return () => abort.abort()
}
