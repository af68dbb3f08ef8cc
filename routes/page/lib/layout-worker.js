// @ts-check
/** Places graphs, away from the thread that draws: with hundreds of services it takes longer than a frame. */

// Import maps do not reach workers.
const VENDOR = '/vendor/dagre.js'
const loading = /** @type {Promise<typeof import('@dagrejs/dagre')>} */ (import(VENDOR))

/** Names of nodes here are their places in `boxes`; this one stands before all and gives ranks to those without parents. */
const ROOT = '#'
/** Larger graphs take dagre seconds to minutes; a simpler way will do. */
const DAGRE_MAX = 250
const GAP = 12

/** @typedef {{ height: number, rank: number }} Box `rank`: 1 = route, 2 = service … */
/** @typedef {{ boxes: readonly Box[], edges: readonly (readonly [number, number])[] }} Shape Edges name boxes by place. */
/** Middles of the boxes; the topmost edge is at 0. @typedef {{ height: number, y: readonly number[] }} Placed */

/** @param {Shape} shape @param {readonly number[]} middles @returns {Placed} */
function fromTop({ boxes }, middles) {
  const top = Math.min(...boxes.map(({ height }, index) => (middles[index] ?? 0) - height / 2))
  const bottom = Math.max(...boxes.map(({ height }, index) => (middles[index] ?? 0) + height / 2))
  return { height: bottom - top, y: middles.map((y) => y - top) }
}

/** @param {typeof import('@dagrejs/dagre')} dagre @param {Shape} shape @returns {Placed} */
function placeByDagre({ Graph, layout }, shape) {
  const { boxes, edges } = shape
  const graph = new Graph()
  graph.setGraph({ rankdir: 'LR', nodesep: GAP, ranksep: 20 })
  graph.setDefaultEdgeLabel(() => ({}))
  graph.setNode(ROOT, { width: 1, height: 1 })
  boxes.forEach(({ height }, index) => {
    graph.setNode(String(index), { width: 10, height })
  })
  const hasParent = new Set(edges.map(([, to]) => to))
  boxes.forEach(({ rank }, index) => {
    if (!hasParent.has(index)) graph.setEdge(ROOT, String(index), { minlen: rank, weight: 0 })
  })
  for (const [from, to] of edges) graph.setEdge(String(from), String(to), { weight: 2 })
  layout(graph)
  return fromTop(
    shape,
    upright(
      shape,
      boxes.map((_, index) => Number(graph.node(String(index)).y)),
    ),
  )
}

/** Upside down where that is nearer to the order of the boxes: the first version comes first. @param {Shape} shape @param {readonly number[]} middles */
function upright({ boxes }, middles) {
  let votes = 0
  for (const rank of [1, 2, 3, 4]) {
    const column = middles.filter((_, index) => boxes[index]?.rank === rank)
    column.forEach((y, index) => {
      votes += Math.sign(y - (column[index - 1] ?? y))
    })
  }
  return votes < 0 ? middles.map((y) => -y) : middles
}

/** Rank by rank, each box as near to the middle of its parents as those above allow. @param {Shape} shape @returns {Placed} */
function placeByRank(shape) {
  const { boxes, edges } = shape
  /** @type {number[]} */
  const middles = boxes.map(() => 0)
  for (const rank of [1, 2, 3, 4]) {
    const wanted = boxes.flatMap((box, index) => {
      if (box.rank !== rank) return []
      const parents = edges.filter(([, to]) => to === index).map(([from]) => middles[from] ?? 0)
      return [{ index, box, y: parents.reduce((sum, y) => sum + y, 0) / Math.max(1, parents.length) }]
    })
    let bottom = 0
    for (const { index, box } of wanted.sort((a, b) => a.y - b.y)) {
      middles[index] = bottom + box.height / 2
      bottom += box.height + GAP
    }
  }
  return fromTop(shape, middles)
}

addEventListener(
  'message',
  async (/** @type {MessageEvent<{ id: number, shapes: readonly Shape[] }>} */ { data }) => {
    const dagre = await loading
    const placed = data.shapes.map((shape) =>
      shape.boxes.length > DAGRE_MAX ? placeByRank(shape) : placeByDagre(dagre, shape),
    )
    postMessage({ id: data.id, placed })
  },
)

export {}
