// @ts-check
import { cx, html } from '../lib/html.js'

/** @typedef {import('../lib/health.js').Tone} Tone */
/** @typedef {import('../lib/html.js').Children} Children */

/** A state in a word or two. @param {{ tone?: Tone | 'info', title?: string, children?: Children }} props */
export const Pill = ({ tone = 'idle', title, children }) =>
  html`<span class=${cx('pill', `tone-${tone}`)} title=${title}>${children}</span>`

/**
 * A state as a coloured mark; `label` for those who do not see the colour. Shapes differ, too.
 * @param {{ tone: Tone, label?: string }} props
 */
export const Dot = ({ tone, label }) => html`
  <svg class=${cx('dot', `tone-${tone}`)} viewBox="0 0 10 10" role=${label ? 'img' : undefined} aria-label=${label} aria-hidden=${label ? undefined : 'true'}>
    ${tone === 'bad' ? html`<path d="M5 .5 9.500 5 5 9.500.500 5z" />` : tone === 'warn' ? html`<path d="M5 1 9.600 9H.400z" />` : html`<circle cx="5" cy="5" r=${tone === 'idle' ? 3 : 4} />`}
  </svg>
`

/**
 * How many of a group are how well, as a bar and as a figure.
 * @param {{ good: number, warn?: number, bad?: number, idle?: number }} props
 */
export function HealthBar({ good, warn = 0, bad = 0, idle = 0 }) {
  const total = good + warn + bad + idle
  const parts = /** @type {const} */ ([
    ['good', good],
    ['warn', warn],
    ['bad', bad],
    ['idle', idle],
  ])
  let x = 0
  return html`
    <svg class="health-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      <rect class="rest" x="0" y="0" width="100" height="6" />
      ${parts.map(([tone, amount]) => {
        if (amount === 0) return null
        const width = (amount / total) * 100
        x += width
        return html`<rect class=${`tone-${tone}`} x=${x - width} y="0" width=${width} height="6" />`
      })}
    </svg>
  `
}
