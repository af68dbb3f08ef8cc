// @ts-check
import { cx, html } from '../lib/html.js'
import { Icon } from './icons.js'

/** @param {{ label: string, value: string, onInput: (value: string) => void, class?: string }} props */
export const Search = ({ label, value, onInput, class: name }) => html`
  <label class=${cx('search', name)}>
    <${Icon} name="search" />
    <span class="hidden">${label}</span>
    <input type="search" placeholder=${label} value=${value} autocomplete="off" spellcheck=${false}
      onInput=${(/** @type {any} */ event) => onInput(event.currentTarget.value)} />
  </label>
`

/**
 * One of a few, as a row of buttons.
 * @param {{ label: string, options: readonly (readonly [string, string])[], value: string, onChange: (value: string) => void }} props
 */
export const Choice = ({ label, options, value, onChange }) => html`
  <div class="choice" role="group" aria-label=${label}>
    ${options.map(
      ([id, text]) =>
        html`<button type="button" key=${id} aria-pressed=${id === value ? 'true' : 'false'} onClick=${() => onChange(id)}>${text}</button>`,
    )}
  </div>
`
