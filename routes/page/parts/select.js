// @ts-check
import { html } from '../lib/html.js'

/**
 * One of many, for toolbars. The label is the first choice: all of them.
 * @param {{ label: string, options: readonly string[], value: string, onChange: (value: string) => void }} props
 */
export const Select = ({ label, options, value, onChange }) => html`
  <label class="select"><span class="hidden">${label}</span>
    <select value=${value} onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}>
      <option value="">${label}: all</option>
      ${options.map((text) => html`<option key=${text} value=${text}>${text}</option>`)}
      ${value !== '' && !options.includes(value) && html`<option value=${value}>${value}</option>`}
    </select>
  </label>
`
