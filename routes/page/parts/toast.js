// @ts-check
import { cell, useCell } from '../lib/cell.js'
import { cx, html } from '../lib/html.js'
import { Icon } from './icons.js'

/** @typedef {{ id: number, tone: 'good' | 'bad' | 'warn' | 'info', text: string }} Toast */

/** Good news goes by itself; bad news stays until it is closed. ms. */
const SHOWN_MS = 6000
const toasts = cell(/** @type {readonly Toast[]} */ ([]))
let lastId = 0

/** @param {number} id */
const close = (id) => toasts.set(toasts.get().filter((toast) => toast.id !== id))

/** Tells the outcome of what somebody did, in sight and aloud. @param {Toast['tone']} tone @param {string} text */
export function tell(tone, text) {
  lastId += 1
  const id = lastId
  toasts.set([...toasts.get().slice(-3), { id, tone, text }])
  if (tone !== 'bad') setTimeout(close, SHOWN_MS, id)
}

export function Toasts() {
  const list = useCell(toasts)
  return html`
    <div class="toasts" role="status" aria-live="polite">
      ${list.map(
        ({ id, tone, text }) => html`<div class=${cx('toast', `tone-${tone}`)} key=${id}>
          <p>${text}</p>
          <button type="button" class="icon-button" aria-label="Close message" onClick=${() => close(id)}><${Icon} name="close" /></button>
        </div>`,
      )}
    </div>
  `
}
