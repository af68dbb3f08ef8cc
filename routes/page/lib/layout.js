// @ts-check
import { ApiProblem } from './api.js'

/** @typedef {import('./graph.js').Component} Component */
/** @typedef {import('./graph.js').GraphNode} GraphNode */
/** @typedef {import('./graph.js').Kind} Kind */
/** @typedef {import('./layout-worker.js').Shape} Shape */
/** @typedef {import('./layout-worker.js').Placed} Placed */

/** Where each kind of node stands and how large it is. px at scale 1. @type {Readonly<Record<Kind, { x: number, width: number, height: number, rank: number }>>} */
export const SHAPES = {
  route: { x: 92, width: 208, height: 42, rank: 1 },
  service: { x: 370, width: 208, height: 50, rank: 2 },
  version: { x: 648, width: 112, height: 30, rank: 3 },
  instance: { x: 830, width: 190, height: 30, rank: 4 },
  bundle: { x: 830, width: 190, height: 40, rank: 4 },
}
/** Between sets of nodes that hang together. */
const GAP = 22
export const GATEWAY_WIDTH = 26

/**
 * @typedef {object} Layout
 * @property {number} width
 * @property {number} height
 * @property {ReadonlyMap<string, number>} y Middle of each node.
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

/** Places all nodes; throws ApiProblem. @param {readonly Component[]} components @returns {Promise<Layout>} */
export async function layOut(components) {
  const jobs = components.map(shapeOf)
  const unknown = new Map(jobs.filter(({ key }) => !known.has(key)).map(({ key, shape }) => [key, shape]))
  if (unknown.size > 0) {
    const placed = await askWorker([...unknown.values()])
    let index = 0
    for (const key of unknown.keys()) known.set(key, /** @type {Placed} */ (placed[index++]))
  }
  /** @type {Map<string, number>} */
  const y = new Map()
  let top = 0
  let width = 0
  for (const { key, nodes } of jobs) {
    const placed = /** @type {Placed} */ (known.get(key))
    nodes.forEach(({ id, kind }, index) => {
      y.set(id, top + (placed.y[index] ?? 0))
      width = Math.max(width, SHAPES[kind].x + SHAPES[kind].width)
    })
    top += placed.height + GAP
  }
  return { width, height: Math.max(0, top - GAP), y }
}
