// @ts-check
import { millis, percent, rate } from '../lib/format.js'
import { errorTone } from '../lib/health.js'
import { html } from '../lib/html.js'
import { Chart } from './chart.js'

/** Requests, errors and latency of the last minutes. @param {{ traffic: import('../lib/contract.js').Traffic, bucketMs: number }} props */
export function TrafficCharts({ traffic: { series }, bucketMs }) {
  const perSecond = (/** @type {readonly number[]} */ values) =>
    values.map((value) => (value * 1000) / bucketMs)
  return html`
    <div class="charts">
      <${Chart} label="Requests per second" from=${series.from} bucketMs=${bucketMs} format=${rate} series=${[
        { label: 'requests/s', values: perSecond(series.requests), tone: 'line-1', isArea: true },
        {
          label: 'errors/s',
          values: perSecond(series.errors),
          tone: 'line-bad',
          isArea: true,
          isSparse: true,
        },
      ]} />
      <${Chart} label="Latency" from=${series.from} bucketMs=${bucketMs} format=${millis} series=${[
        { label: 'p50', values: series.p50, tone: 'line-1' },
        { label: 'p99', values: series.p99, tone: 'line-2' },
      ]} />
    </div>
  `
}

/** @param {{ ratio: number | undefined }} props */
export function ErrorRatio({ ratio }) {
  const tone = ratio === undefined ? undefined : errorTone(ratio)
  return tone === undefined
    ? percent(ratio)
    : html`<span class="text-tone tone-${tone}">${percent(ratio)}</span>`
}
