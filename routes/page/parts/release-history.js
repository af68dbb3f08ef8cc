// @ts-check
import { useNow } from '../lib/clock.js'
import { ago, count, fullTime, percent, timeOfDay } from '../lib/format.js'
import { releaseTone } from '../lib/health.js'
import { html } from '../lib/html.js'
import { roundUp } from './chart.js'
import { Dot } from './pill.js'
import { useWidth } from './size.js'

/** @typedef {import('../lib/shapes.js').ReleaseView} ReleaseView */
/** @typedef {ReleaseView['history'][number]} Entry */

const HEIGHT = 96
const PAD = { left: 44, right: 8, top: 8, bottom: 18 }

/** The share over time, once it has changed. @param {{ history: readonly Entry[] }} props */
export const Stairs = ({ history: [first, ...rest] }) =>
  first !== undefined && rest.length > 0
    ? html`<${StairChart} history=${[first, ...rest]} from=${first.at} />`
    : null

/** @param {{ history: readonly Entry[], from: number }} props */
function StairChart({ history, from }) {
  const [ref, width] = useWidth()
  const now = useNow(5000)
  const to = Math.max(now, history.at(-1)?.at ?? 0, from + 1)
  const x = (/** @type {number} */ at) =>
    PAD.left + ((at - from) / (to - from)) * Math.max(1, width - PAD.left - PAD.right)
  const top = Math.min(100, roundUp(Math.max(...history.map(({ percent: share }) => share))))
  const y = (/** @type {number} */ share) =>
    HEIGHT - PAD.bottom - (share / top) * (HEIGHT - PAD.top - PAD.bottom)
  const line = history
    .map(({ at, percent: share }, index) => (index === 0 ? `M${x(at)} ${y(share)}` : `H${x(at)}V${y(share)}`))
    .join('')
  return html`
    <div class="stairs" ref=${ref}>
      ${
        width > 0 &&
        html`<svg width=${width} height=${HEIGHT} role="img" aria-label="Share over time: ${history.map(({ percent: share }) => `${share} %`).join(', ')}">
          ${[0, top / 2, top].map((share) => html`<g class="grid"><path d="M${PAD.left} ${y(share)}H${width - PAD.right}" /><text x=${PAD.left - 6} y=${y(share) + 4} text-anchor="end">${share} %</text></g>`)}
          <path class="area" d="${line}H${x(to)}V${y(0)}H${PAD.left}z" /><path class="line" d="${line}H${x(to)}" />
          ${history.map(({ at, percent: share, status }) => html`<circle class="tone-${releaseTone(status)}" cx=${x(at)} cy=${y(share)} r="3.5" />`)}
          <text x=${PAD.left} y=${HEIGHT - 3}>${timeOfDay(from)}</text><text x=${width - PAD.right} y=${HEIGHT - 3} text-anchor="end">now</text>
        </svg>`
      }
    </div>
  `
}

/** @param {Entry['counts']} counts */
function countsText({ canary, stable }) {
  if (canary.total + stable.total === 0) return ''
  const side = (/** @type {{ total: number, bad: number }} */ { total, bad }) =>
    `${count(bad)} of ${count(total)} bad${total > 0 ? ` (${percent(bad / total)})` : ''}`
  return `canary ${side(canary)}, stable ${side(stable)}`
}

/** What happened to a release, newest first. @param {{ history: readonly Entry[] }} props */
export function History({ history }) {
  const now = useNow(10_000)
  if (history.length === 0) return html`<p class="muted">Nothing yet.</p>`
  return html`
    <ol class="release-history">
      ${[...history].reverse().map(
        (entry) => html`<li key=${`${entry.at}/${entry.status}`}>
          <${Dot} tone=${releaseTone(entry.status)} />
          <time dateTime=${new Date(entry.at).toISOString()} title=${fullTime(entry.at)}>${ago(entry.at, now)}</time>
          <div><b>${entry.status}, ${entry.percent} %</b> <span class="muted">by ${entry.by}</span>
            <p>${entry.reason}</p>
            ${countsText(entry.counts) && html`<p class="muted">${countsText(entry.counts)}</p>`}
          </div>
        </li>`,
      )}
    </ol>
  `
}
