// @ts-check
import { rate } from '../lib/format.js'
import { cx, html, memo } from '../lib/html.js'
import { GATEWAY_WIDTH, SHAPES } from '../lib/layout.js'

/** @typedef {import('../lib/graph.js').GraphNode} GraphNode */
/** @typedef {import('../lib/graph.js').GraphEdge} GraphEdge */

/** The id of a node in the document. @param {string} id */
export const domId = (id) => `node-${encodeURIComponent(id)}`

const KIND_TEXT = {
  route: 'route',
  service: 'service',
  version: 'version',
  instance: 'instance',
  bundle: 'group of instances',
}
const TONES = /** @type {const} */ (['good', 'warn', 'bad', 'idle'])
const TONE_TEXT = { good: 'well', warn: 'impaired', bad: 'in trouble', idle: 'not in use' }

/** @param {GraphNode} node */
export function nodeInWords({ kind, label, sub, tone, rps, isOpen }) {
  const traffic = rps === undefined ? '' : `, ${rate(rps)} requests per second`
  const open = isOpen === undefined ? '' : isOpen ? ', opened' : ', closed'
  return `${KIND_TEXT[kind]} ${label}${sub ? `, ${sub}` : ''}, ${TONE_TEXT[tone]}${traffic}${open}`
}

/** SVG has no ellipsis: so many letters have room. @param {string} text @param {number} width px. @param {number} perLetter px. */
function cut(text, width, perLetter) {
  const most = Math.max(1, Math.floor(width / perLetter))
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`
}

/** 1 px without traffic, and one more for each time that it doubles beyond one request in two seconds. @param {number | undefined} rps */
export const strokeOf = (rps) =>
  rps === undefined || rps <= 0 ? 1 : Math.min(9, 1.4 + Math.log2(1 + 2 * rps) * 0.62)

/** How many are how well. No component of its own: there are hundreds. @param {NonNullable<GraphNode['counts']>} counts @param {number} x @param {number} y @param {number} width */
function countBar(counts, x, y, width) {
  const total = counts.good + counts.warn + counts.bad + counts.idle
  if (total === 0) return html`<rect class="count-bar tone-idle" x=${x} y=${y} width=${width} height="4" />`
  let at = x
  return TONES.map((tone) => {
    const part = (counts[tone] / total) * width
    at += part
    return (
      part > 0 && html`<rect class="count-bar tone-${tone}" x=${at - part} y=${y} width=${part} height="4" />`
    )
  })
}

/** @param {GraphNode} node @param {number} x @param {number} top @param {number} room */
function texts({ kind, label, sub, rps, counts }, x, top, room) {
  const { height } = SHAPES[kind]
  const left = x + 12
  const isTwoLines = kind === 'route' || kind === 'service'
  const first = top + (isTwoLines ? 18 : kind === 'bundle' ? 17 : height / 2 + 4.5)
  const figure = rps !== undefined && rps > 0 ? `${rate(rps)}/s` : ''
  const end = x + room - 10
  const width = isTwoLines ? room - 16 : room - 24 - figure.length * 6.5
  return html`
    <text class="name" x=${left} y=${first}>${cut(label, width, kind === 'service' ? 7.6 : 7.1)}</text>
    ${isTwoLines && html`<text class="sub" x=${left} y=${top + 34}>${cut(sub, room - 28 - figure.length * 7, 6.3)}</text>`}
    ${kind === 'instance' && sub && html`<text class="sub" x=${end} y=${first} text-anchor="end">${sub}</text>`}
    ${kind === 'bundle' && html`<text class="sub" x=${end} y=${first} text-anchor="end">${sub}</text>`}
    ${figure && kind !== 'bundle' && !(kind === 'instance' && sub) && html`<text class="sub" x=${isTwoLines ? x + SHAPES[kind].width - 10 : end} y=${isTwoLines ? top + 34 : first} text-anchor="end">${figure}</text>`}
    ${counts && countBar(counts, left, top + height - 9, SHAPES[kind].width - 24)}
  `
}

/**
 * @type {import('preact').ComponentClass<{ node: GraphNode, x: number, y: number, isChosen: boolean, isActive: boolean, isDim: boolean }>}
 */
export const NodeMark = memo(({ node, x, y, isChosen, isActive, isDim }) => {
  const { id, kind, tone, isOpen } = node
  const { width, height } = SHAPES[kind]
  const top = y - height / 2
  const canOpen = isOpen !== undefined
  return html`
    <g id=${domId(id)} data-id=${id} role="img" aria-label=${nodeInWords(node)}
      class=${cx('mark', `is-${kind}`, `tone-${tone}`, isChosen && 'is-chosen', isActive && 'is-active', isDim && 'is-dim')}>
      <title>${node.label}${node.sub ? ` · ${node.sub}` : ''}</title>
      <rect class="box" x=${x} y=${top} width=${width} height=${height} rx="7" />
      <path class="edge-mark" d="M${x + 3.5} ${top + 7}V${top + height - 7}" />
      ${texts(node, x, top, width - (canOpen ? 24 : 0))}
      ${
        canOpen &&
        html`<g class="opener" data-toggle=${id}><rect x=${x + width - 26} y=${top + 2} width="24" height="24" rx="5" />
          <path d=${isOpen ? `M${x + width - 18} ${top + 12}l4 4 4-4` : `M${x + width - 16} ${top + 10}l4 4-4 4`} /></g>`
      }
    </g>
  `
})

/**
 * @type {import('preact').ComponentClass<{ edge: GraphEdge, x1: number, y1: number, x2: number, y2: number, isDim: boolean }>}
 */
export const EdgeMark = memo(({ edge: { rps, tone }, x1, y1, x2, y2, isDim }) => {
  const middle = (x1 + x2) / 2
  const isQuiet = rps === undefined || rps <= 0
  return html`<path class=${cx('wire', `tone-${tone}`, isQuiet && 'is-quiet', isDim && 'is-dim')}
    d="M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}" stroke-width=${strokeOf(rps)} />`
})

/** The gate that all requests come through. @param {{ x: number, height: number }} props */
export const GatewayMark = ({ x, height }) => html`
  <g class="gateway-mark" role="img" aria-label="gateway">
    <rect x=${x} y="-10" width=${GATEWAY_WIDTH} height=${height + 20} rx="8" />
    <text text-anchor="middle" data-x=${x + 17} data-height=${height}>Gateway</text>
  </g>
`
