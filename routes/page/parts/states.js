// @ts-check
import { html } from '../lib/html.js'
import { Icon } from './icons.js'

/** @typedef {import('../lib/html.js').Children} Children */

/** @param {{ rows?: number }} props */
export const Loading = ({ rows = 3 }) => html`
  <div class="skeleton" role="status">
    <span class="hidden">Loading…</span>
    ${Array.from({ length: rows }, () => html`<i></i>`)}
  </div>
`

/**
 * Nothing to show, and why.
 * @param {{ title: string, icon?: import('./icons.js').IconName, children?: Children }} props
 */
export const Note = ({ title, icon, children }) => html`
  <div class="note">
    ${icon && html`<${Icon} name=${icon} />`}
    <p><b>${title}</b></p>
    ${children && html`<p class="muted">${children}</p>`}
  </div>
`

/**
 * The states an answer of the API can be in; `children` draws it once there is one, also when the last attempt failed: old
 * figures are worth more than none, and the shell says how old they are.
 * @param {object} props
 * @param {import('../lib/resource.js').Known<any>} props.of
 * @param {string} props.name In words: `Traffic`.
 * @param {(data: any) => Children} props.children
 * @param {number} [props.rows] Of the placeholder.
 */
export function Answer({ of: { state, data, problem }, name, children, rows = 3 }) {
  if (data !== undefined) return children(data)
  if (state === 'missing') {
    return html`<${Note} title="Not available">${name}: this gateway does not offer it.<//>`
  }
  if (state === 'failed') {
    return html`<${Note} icon="warning" title="${name}: no answer">${problem}. Trying again.<//>`
  }
  return html`<${Loading} rows=${rows} />`
}
