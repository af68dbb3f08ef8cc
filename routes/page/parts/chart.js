// @ts-check
import { useState } from 'preact/hooks'
import { timeOfDay } from '../lib/format.js'
import { cx, html } from '../lib/html.js'
import { useWidth } from './size.js'
import { linePath } from './spark.js'

const HEIGHT = 132
const PAD = { left: 46, right: 8, top: 8, bottom: 18 }

/**
 * @typedef {object} ChartSeries
 * @property {string} label
 * @property {readonly (number | null)[]} values
 * @property {string} tone Class of its colour: `line-1`, `line-2`, `line-bad`.
 * @property {boolean} [isArea]
 * @property {boolean} [isSparse] No line where the value is 0.
 */

/** A round number at or above: 1, 2 or 5 times a power of ten. @param {number} value */
export function roundUp(value) {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return (value <= power ? 1 : value <= 2 * power ? 2 : value <= 5 * power ? 5 : 10) * power
}

/** @param {ChartSeries} series @param {(value: number) => string} format */
function inWords({ label, values }, format) {
  const known = values.filter((value) => value != null)
  if (known.length === 0) return `${label}: none`
  return `${label}: now ${format(known.at(-1) ?? 0)}, highest ${format(Math.max(...known))}`
}

/**
 * Lines over time with an axis. The pointer shows the figures of one moment.
 * @param {object} props
 * @param {string} props.label What it shows, in words.
 * @param {readonly ChartSeries[]} props.series
 * @param {number} props.from Begin of the first bucket, ms since the epoch.
 * @param {number} props.bucketMs
 * @param {(value: number | null | undefined) => string} props.format
 */
export function Chart({ label, series, from, bucketMs, format }) {
  const [ref, width] = useWidth()
  const [at, setAt] = useState(-1)
  const length = Math.max(...series.map(({ values }) => values.length))
  const top = roundUp(Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))))
  const [innerWidth, innerHeight] = [Math.max(1, width - PAD.left - PAD.right), HEIGHT - PAD.top - PAD.bottom]
  const x = (/** @type {number} */ index) => PAD.left + (index / Math.max(1, length - 1)) * innerWidth
  const y = (/** @type {number} */ value) => PAD.top + innerHeight - (value / top) * innerHeight
  const shown = at >= 0 && at < length ? at : length - 1
  const move = (/** @type {PointerEvent & { currentTarget: Element }} */ event) => {
    const left = event.clientX - event.currentTarget.getBoundingClientRect().left
    setAt(Math.max(0, Math.min(length - 1, Math.round(((left - PAD.left) / innerWidth) * (length - 1)))))
  }
  return html`
    <figure class="chart" ref=${ref}>
      <figcaption class="chart-legend">
        ${series.map(({ label: name, values, tone }) => html`<span class=${tone}><i></i>${name} <b>${format(values[shown])}</b></span>`)}
        <span class="muted chart-time">${at >= 0 ? timeOfDay(from + (shown + 1) * bucketMs) : ''}</span>
      </figcaption>
      ${
        width > 0 &&
        html`<svg width=${width} height=${HEIGHT} role="img" aria-label="${label}. ${series.map((one) => inWords(one, format)).join('; ')}" onPointerMove=${move} onPointerLeave=${() => setAt(-1)}>
          ${[0, 0.5, 1].map(
            (part) =>
              html`<g class="grid"><path d="M${PAD.left} ${y(part * top)}H${width - PAD.right}" /><text x=${PAD.left - 6} y=${y(part * top) + 4} text-anchor="end">${format(part * top)}</text></g>`,
          )}
          <g class="grid">${[0, 0.5, 1].map((part) => {
            const index = Math.round(part * (length - 1))
            return html`<text x=${x(index)} y=${HEIGHT - 3} text-anchor=${part === 0 ? 'start' : part === 1 ? 'end' : 'middle'}>${timeOfDay(from + (index + 1) * bucketMs)}</text>`
          })}</g>
          ${series.map(({ values, tone, isArea, isSparse }) => {
            const line = linePath(isSparse ? values.map((value) => value || null) : values, x, y)
            return html`<g class=${cx('chart-line', tone)}>
              ${
                isArea &&
                html`<path class="area" d="${linePath(
                  values.map((value) => value ?? 0),
                  x,
                  y,
                )}L${x(values.length - 1)} ${y(0)}L${x(0)} ${y(0)}z" />`
              }
              <path class="line" d=${line} />
            </g>`
          })}
          ${at >= 0 && html`<path class="cross" d="M${x(shown)} ${PAD.top}V${PAD.top + innerHeight}" />`}
        </svg>`
      }
    </figure>
  `
}
