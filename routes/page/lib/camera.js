// @ts-check
/** Where a picture is looked at from: `x`, `y` of the graph are at the top left of the view. */

/** @typedef {{ x: number, y: number, scale: number }} Camera */
/** @typedef {{ width: number, height: number }} Size */

export const MIN_SCALE = 0.06
export const MAX_SCALE = 2.5
/** A picture does not begin smaller than this. */
const READABLE = 0.72
/** Around the picture. px. */
const MARGIN = 28

/** @param {number} value @param {number} low @param {number} high */
const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high))

/** At least a part of the picture stays in sight. @param {Camera} camera @param {Size} view @param {Size} graph @returns {Camera} */
export function bounded({ x, y, scale }, view, graph) {
  const [width, height] = [view.width / scale, view.height / scale]
  return {
    scale,
    x: clamp(x, Math.min(-MARGIN, -width / 2), graph.width - width / 2),
    y: clamp(y, Math.min(-MARGIN, -height / 2), graph.height - height / 2),
  }
}

/** Everything in sight, however small. @param {Size} view @param {Size} graph @returns {Camera} */
export function fitted(view, graph) {
  const wide = view.width / (graph.width + 2 * MARGIN)
  const high = view.height / (graph.height + 2 * MARGIN)
  return centred(view, graph, Math.min(wide, high, 1.25))
}

/** How a picture begins: all of it where that can be read, else its top in full width. @param {Size} view @param {Size} graph @returns {Camera} */
export function opening(view, graph) {
  const wide = view.width / (graph.width + 2 * MARGIN)
  const high = view.height / (graph.height + 2 * MARGIN)
  const all = Math.min(wide, high, 1.25)
  return centred(view, graph, all >= READABLE ? all : clamp(wide, READABLE, 1))
}

/** In the middle where it fits, else from its beginning. @param {Size} view @param {Size} graph @param {number} wanted @returns {Camera} */
function centred(view, graph, wanted) {
  const scale = clamp(wanted, MIN_SCALE, MAX_SCALE)
  const [width, height] = [view.width / scale, view.height / scale]
  return {
    scale,
    x: graph.width + 2 * MARGIN > width ? -MARGIN : (graph.width - width) / 2,
    y: graph.height + 2 * MARGIN > height ? -MARGIN : (graph.height - height) / 2,
  }
}

/** Nearer (`factor` > 1) or farther; the point `at` of the view stays where it is. @param {Camera} camera @param {number} factor @param {{ x: number, y: number }} at @returns {Camera} */
export function zoomed(camera, factor, at) {
  const scale = clamp(camera.scale * factor, MIN_SCALE, MAX_SCALE)
  return {
    scale,
    x: camera.x + at.x / camera.scale - at.x / scale,
    y: camera.y + at.y / camera.scale - at.y / scale,
  }
}

/** Moves as little as needed for a box to be in sight. @param {Camera} camera @param {Size} view @param {{ x: number, y: number, width: number, height: number }} box @returns {Camera} */
export function showing({ x, y, scale }, view, box) {
  const [width, height] = [view.width / scale, view.height / scale]
  return {
    scale,
    x: clamp(x, box.x + box.width + MARGIN - width, box.x - MARGIN),
    y: clamp(y, box.y + box.height + MARGIN - height, box.y - MARGIN),
  }
}
