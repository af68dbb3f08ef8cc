// @ts-check
import { SHAPES } from './layout.js'

/** @typedef {import('./graph.js').Component} Component */
/** @typedef {import('./graph.js').GraphNode} GraphNode */

/** Who hangs on whom in a picture, for the keyboard and for what is stressed. @param {readonly Component[]} components @param {import('./layout.js').Layout} layout */
export function createWalk(components, { at }) {
  const nodes = new Map(components.flatMap((one) => one.nodes.map((node) => [node.id, node])))
  /** @type {Map<string, string[]>} */
  const children = new Map()
  /** @type {Map<string, string[]>} */
  const parents = new Map()
  /** @param {Map<string, string[]>} map @param {string} from @param {string} to */
  const put = (map, from, to) => {
    const list = map.get(from)
    if (list === undefined) map.set(from, [to])
    else list.push(to)
  }
  for (const { edges } of components) {
    for (const { from, to } of edges) {
      put(children, from, to)
      put(parents, to, from)
    }
  }
  const placeOf = (/** @type {string} */ id) => at.get(id) ?? { x: 0, y: 0 }
  /** @type {Map<number, string[]>} */
  const columns = new Map()
  for (const { id, kind } of nodes.values()) {
    const x = SHAPES[kind].x
    const column = columns.get(x)
    if (column === undefined) columns.set(x, [id])
    else column.push(id)
  }
  for (const column of columns.values())
    column.sort((a, b) => placeOf(a).x - placeOf(b).x || placeOf(a).y - placeOf(b).y)

  const distance = (/** @type {string} */ a, /** @type {string} */ b) => Math.abs(placeOf(a).y - placeOf(b).y)

  /** @param {readonly string[] | undefined} ids @param {string} to */
  const nearest = (ids = [], to) => [...ids].sort((a, b) => distance(a, to) - distance(b, to))[0]

  /** @param {string} id @param {number} steps Up or down among those of its kind. */
  const inColumn = (id, steps) => {
    const column = columns.get(SHAPES[nodes.get(id)?.kind ?? 'route'].x) ?? []
    return column[Math.min(Math.max(column.indexOf(id) + steps, 0), column.length - 1)]
  }

  /** @param {Map<string, string[]>} map @param {string} id @param {Set<string>} into */
  const spread = (map, id, into) => {
    for (const next of map.get(id) ?? []) {
      if (into.has(next)) continue
      into.add(next)
      spread(map, next, into)
    }
  }

  return {
    nodes,
    /** The node at a place of the graph; empty = none. @param {number} left @param {number} top */
    hit(left, top) {
      for (const { id, kind } of nodes.values()) {
        const { x, y } = placeOf(id)
        if (left >= x && left <= x + SHAPES[kind].width && Math.abs(top - y) <= SHAPES[kind].height / 2)
          return id
      }
      return ''
    },
    first: () => components[0]?.nodes[0]?.id,
    /** The node that a key leads to; undefined = the key does not move. @param {string} id @param {string} key */
    step(id, key) {
      if (key === 'ArrowRight') return nearest(children.get(id), id)
      if (key === 'ArrowLeft') return nearest(parents.get(id), id)
      if (key === 'ArrowUp') return inColumn(id, -1)
      if (key === 'ArrowDown') return inColumn(id, 1)
      if (key === 'PageUp') return inColumn(id, -10)
      if (key === 'PageDown') return inColumn(id, 10)
      if (key === 'Home') return inColumn(id, Number.NEGATIVE_INFINITY)
      return key === 'End' ? inColumn(id, Number.POSITIVE_INFINITY) : undefined
    },
    /** What leads to a node and what it leads to, itself included. @param {string} id */
    lineOf(id) {
      const line = new Set([id])
      spread(children, id, line)
      const up = new Set([id])
      spread(parents, id, up)
      for (const one of up) line.add(one)
      return line
    },
  }
}
