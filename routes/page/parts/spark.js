// @ts-check
import { html, memo } from '../lib/html.js'

const WIDTH = 120
const HEIGHT = 28

/** @typedef {readonly (number | null)[]} Values */

/**
 * A line through values; gaps where there are none.
 * @param {Values} values
 * @param {(index: number) => number} x
 * @param {(value: number) => number} y
 */
export function linePath(values, x, y) {
  let path = ''
  let isDown = false
  values.forEach((value, index) => {
    if (value == null) {
      isDown = false
      return
    }
    path += `${isDown ? 'L' : 'M'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`
    // A lone point would be a line of no length, which shows nothing.
    if (!isDown && values[index + 1] == null) path += 'h.1'
    isDown = true
  })
  return path
}

/**
 * A small line without axes, for rows: `errors` in red over `values`. It is decoration; the figures beside it say the same.
 * @type {import('preact').ComponentClass<{ values: Values, errors?: Values, max?: number }>}
 */
export const Spark = memo(({ values, errors, max }) => {
  const top = Math.max(max ?? 0, 1e-9, ...values.map((value) => value ?? 0))
  const x = (/** @type {number} */ index) => (index / Math.max(1, values.length - 1)) * WIDTH
  const y = (/** @type {number} */ value) => HEIGHT - 2 - (value / top) * (HEIGHT - 4)
  const line = linePath(values, x, y)
  // A line along the floor would say "errors" where there are none.
  const bad = errors?.map((value) => (value ? value : null)) ?? []
  return html`
    <svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
      ${
        line &&
        html`<path class="area" d="${linePath(
          values.map((value) => value ?? 0),
          x,
          y,
        )}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}z" />`
      }
      <path class="line" d=${line} />
      ${bad.some(Boolean) && html`<path class="line is-bad" d=${linePath(bad, x, y)} />`}
    </svg>
  `
})
