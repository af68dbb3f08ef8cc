// @ts-check
import { ApiProblem } from './api.js'

/** @typedef {import('./graph.js').Component} Component */
/** @typedef {import('./graph.js').GraphNode} GraphNode */
/** @typedef {import('./graph.js').Kind} Kind */
/** @typedef {import('./layout-worker.js').Shape} Shape */
/** @typedef {import('./layout-worker.js').Placed} Placed */

/** Where each kind of node stands in its column and how large it is. px at scale 1. @type {Readonly<Record<Kind, { x: number, width: number, height: number, rank: number }>>} */
export const SHAPES = {
  route: { x: 92, width: 208, height: 42, rank: 1 },
  service: { x: 370, width: 208, height: 50, rank: 2 },
  version: { x: 648, width: 112, height: 30, rank: 3 },
  instance: { x: 830, width: 190, height: 30, rank: 4 },
  bundle: { x: 830, width: 190, height: 40, rank: 4 },
}
/** Between sets of nodes that hang together, and between columns of them. */
const GAP = 22
const COLUMN_GAP = 90
/** Width by height that a picture of many services should have. */
const ASPECT = 1.7
export const GATEWAY_WIDTH = 26
/** Of the widest column. */
export const COLUMN_WIDTH = SHAPES.instance.x + SHAPES.instance.width

/**
 * @typedef {object} Layout
 * @property {number} width
 * @property {number} height
 * @property {ReadonlyMap<string, { x: number, y: number }>} at Left edge and middle of each node.
 * @property {readonly { x: number, height: number }[]} gates The gateway, before each column.
 */

/** Answers of the worker by shape. @type {Map<string, Placed>} */
const known = new Map()
/** @type {Worker | undefined} */
let worker
let lastId = 0
/** @type {Map<number, { resolve: (placed: readonly Placed[]) => void, reject: (problem: unknown) => void }>} */
const waiting = new Map()

/** @param {string} text */
function fail(text) {
  for (const { reject } of waiting.values()) reject(new ApiProblem(0, text))
  waiting.clear()
  worker?.terminate()
  worker = undefined
}

function startWorker() {
  const one = new Worker('/page/lib/layout-worker.js', { type: 'module' })
  one.addEventListener('message', ({ data: { id, placed } }) => {
    waiting.get(id)?.resolve(placed)
    waiting.delete(id)
  })
  one.addEventListener('error', ({ message }) =>
    fail(`the picture cannot be laid out: ${message || 'no worker'}`),
  )
  return one
}

/** @param {readonly Shape[]} shapes @returns {Promise<readonly Placed[]>} */
function askWorker(shapes) {
  worker ??= startWorker()
  lastId += 1
  const id = lastId
  worker.postMessage({ id, shapes })
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }))
}

/** What there is to place, without names: hundreds of services have a handful of shapes. @param {Component} component */
function shapeOf({ nodes, edges }) {
  const place = new Map(nodes.map(({ id }, index) => [id, index]))
  const boxes = nodes.map(({ kind }) => ({ height: SHAPES[kind].height, rank: SHAPES[kind].rank }))
  const pairs = edges.map(({ from, to }) => /** @type {const} */ ([place.get(from) ?? 0, place.get(to) ?? 0]))
  const shape = { boxes, edges: pairs }
  return { key: JSON.stringify(shape), shape, nodes }
}

/** Names the form of a picture: the same for two that differ in figures and colours only. @param {readonly Component[]} components */
export const formOf = (components) =>
  components.map(({ nodes, edges }) => [...nodes, ...edges].map(({ id }) => id).join(' ')).join('\n')

/** Into how many columns, one after the other. @param {readonly { height: number, width: number }[]} boxes */
function columnsFor(boxes) {
  const height = boxes.reduce((sum, box) => sum + box.height + GAP, 0)
  const width = Math.max(1, ...boxes.map((box) => box.width)) + COLUMN_GAP
  return Math.max(1, Math.round(Math.sqrt((ASPECT * height) / width)))
}

/** @param {readonly GraphNode[]} nodes */
const widthOf = (nodes) => Math.max(0, ...nodes.map(({ kind }) => SHAPES[kind].x + SHAPES[kind].width))

/**
 * Places all nodes; throws ApiProblem.
 * @param {readonly Component[]} components
 * @param {boolean} isMany In several columns, so that the whole of it is no endless list.
 * @returns {Promise<Layout>}
 */
export async function layOut(components, isMany) {
  const jobs = components.map(shapeOf)
  const unknown = new Map(jobs.filter(({ key }) => !known.has(key)).map(({ key, shape }) => [key, shape]))
  if (unknown.size > 0) {
    const placed = await askWorker([...unknown.values()])
    let index = 0
    for (const key of unknown.keys()) known.set(key, /** @type {Placed} */ (placed[index++]))
  }
  const parts = jobs.map(({ key, nodes }) => {
    const placed = /** @type {Placed} */ (known.get(key))
    return { nodes, y: placed.y, height: placed.height, width: widthOf(nodes) }
  })
  return stack(parts, isMany ? columnsFor(parts) : 1)
}

/** @param {readonly { nodes: readonly GraphNode[], y: readonly number[], height: number, width: number }[]} parts @param {number} columns @returns {Layout} */
function stack(parts, columns) {
  const most = parts.reduce((sum, { height }) => sum + height + GAP, 0) / columns
  /** @type {Map<string, { x: number, y: number }>} */
  const at = new Map()
  const gates = []
  let [left, top, wide, tall] = [0, 0, 0, 0]
  for (const { nodes, y, height, width } of parts) {
    // One more than its share is nearer than one less.
    if (top > 0 && top + height / 2 > most) {
      gates.push({ x: left, height: top - GAP })
      ;[left, top, wide] = [left + wide + COLUMN_GAP, 0, 0]
    }
    nodes.forEach(({ id, kind }, index) => {
      at.set(id, { x: left + SHAPES[kind].x, y: top + (y[index] ?? 0) })
    })
    top += height + GAP
    wide = Math.max(wide, width)
    tall = Math.max(tall, top - GAP)
  }
  gates.push({ x: left, height: Math.max(0, top - GAP) })
  return { width: left + wide, height: tall, at, gates }
}
