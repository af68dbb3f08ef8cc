// @ts-check
import { html, memo } from '../lib/html.js'
import { COLUMN_WIDTH, GATEWAY_WIDTH, SHAPES } from '../lib/layout.js'
import { EdgeMark, NodeMark } from './graph-marks.js'

/** @typedef {import('../lib/graph.js').Component} Component */
/** @typedef {import('../lib/graph.js').GraphEdge} GraphEdge */
/** @typedef {import('../lib/layout.js').Layout} Layout */
/** @typedef {{ left: number, right: number, top: number, bottom: number, isFar: boolean }} Drawn What of the graph is in the document. */
/**
 * @typedef {object} LayerProps
 * @property {readonly Component[]} components
 * @property {Layout} layout
 * @property {Drawn} drawn
 * @property {ReadonlySet<string> | undefined} line What is stressed; undefined = nothing is.
 * @property {string} chosen
 * @property {string} active
 */
/** @typedef {{ edge: GraphEdge, x1: number, y1: number, x2: number, y2: number }} Wire */

/** Where the edges of a component run, that from the gateway included. @param {Component} component @param {Layout['at']} at @returns {Wire[]} */
function wiresOf({ nodes, edges }, at) {
  const widths = new Map(nodes.map(({ id, kind }) => [id, SHAPES[kind].width]))
  const wires = []
  for (const { id, kind, rps, tone } of nodes) {
    const own = at.get(id)
    if (kind !== 'route' || own === undefined) continue
    const edge = { id: `>${id}`, from: id, to: id, rps, tone }
    wires.push({ edge, x1: own.x - SHAPES.route.x + GATEWAY_WIDTH, y1: own.y, x2: own.x, y2: own.y })
  }
  for (const edge of edges) {
    const [from, to] = [at.get(edge.from), at.get(edge.to)]
    if (!from || !to) continue
    wires.push({ edge, x1: from.x + (widths.get(edge.from) ?? 0), y1: from.y, x2: to.x, y2: to.y })
  }
  return wires
}

/** Room for what sticks out of its place. px. */
const EDGE = 60

/** The part that is near the window, each node and edge for itself. @param {LayerProps} props */
export function Marks({ components, layout: { at }, drawn, line, chosen, active }) {
  const { left, right, top, bottom } = drawn
  const isDim = (/** @type {string} */ id) => line !== undefined && !line.has(id)
  const wires = []
  const marks = []
  for (const component of components) {
    const first = at.get(component.nodes[0]?.id ?? '')
    // A component is no wider than a column.
    if (first === undefined || first.x > right + EDGE || first.x + COLUMN_WIDTH < left) continue
    for (const wire of wiresOf(component, at)) {
      if (Math.max(wire.y1, wire.y2) < top || Math.min(wire.y1, wire.y2) > bottom) continue
      const { id, from, to } = wire.edge
      wires.push(html`<${EdgeMark} key=${id} ...${wire} isDim=${isDim(from) || isDim(to)} />`)
    }
    for (const node of component.nodes) {
      const own = at.get(node.id)
      if (own === undefined || own.y < top - EDGE || own.y > bottom + EDGE) continue
      marks.push(
        html`<${NodeMark} key=${node.id} node=${node} x=${own.x} y=${own.y} isChosen=${node.id === chosen} isActive=${node.id === active} isDim=${isDim(node.id)} />`,
      )
    }
  }
  return html`<g>${wires}</g><g>${marks}</g>`
}

const TONES = /** @type {const} */ (['good', 'idle', 'warn', 'bad'])

/** @param {Record<string, string>} paths By tone. @param {string} name */
const tonePaths = (paths, name) =>
  TONES.map((tone) => paths[tone] && html`<path key=${tone} class="${name} tone-${tone}" d=${paths[tone]} />`)

/** All boxes and edges as a few shapes: thousands of elements would take longer than a frame, and nobody could read them. @type {import('preact').ComponentClass<{ components: readonly Component[], layout: Layout }>} */
const FarShapes = memo(({ components, layout: { at } }) => {
  /** @type {Record<string, string>} */
  const wires = {}
  /** @type {Record<string, string>} */
  const boxes = {}
  for (const component of components) {
    for (const { edge, x1, y1, x2, y2 } of wiresOf(component, at)) {
      wires[edge.tone] = `${wires[edge.tone] ?? ''}M${x1} ${y1}L${x2} ${y2}`
    }
    for (const { id, kind, tone } of component.nodes) {
      const { width, height } = SHAPES[kind]
      const { x, y } = at.get(id) ?? { x: 0, y: 0 }
      boxes[tone] = `${boxes[tone] ?? ''}M${x} ${y - height / 2}h${width}v${height}h${-width}z`
    }
  }
  return html`<g>${tonePaths(wires, 'wire')}</g><g>${tonePaths(boxes, 'far-box')}</g>`
})

/** Everything, from afar; in full only what is chosen or where the keyboard is. @param {LayerProps} props */
export function FarMarks({ components, layout, line, chosen, active }) {
  const shown = components.flatMap(({ nodes }) =>
    nodes.filter(({ id }) => id === active || id === chosen || line?.has(id)),
  )
  return html`
    <g class=${line === undefined ? '' : 'is-dim'}><${FarShapes} components=${components} layout=${layout} /></g>
    <g>${shown.map(
      (node) =>
        html`<${NodeMark} key=${node.id} node=${node} ...${layout.at.get(node.id)} isChosen=${node.id === chosen} isActive=${node.id === active} isDim=${false} />`,
    )}</g>
  `
}
