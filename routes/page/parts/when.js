// @ts-check
import { useNow } from '../lib/clock.js'
import { ago, fullTime } from '../lib/format.js'
import { html } from '../lib/html.js'

/** How long ago; the whole time on demand. @param {{ at: number }} props ms since the epoch. */
export function When({ at }) {
  const now = useNow(1000)
  return html`<time class="when" dateTime=${new Date(at).toISOString()} title=${fullTime(at)}>${ago(at, now)}</time>`
}
