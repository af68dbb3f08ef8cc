// @ts-check
import { useState } from 'preact/hooks'
import { useNow } from '../lib/clock.js'
import { ago, fullTime, plural } from '../lib/format.js'
import { stateTone } from '../lib/health.js'
import { html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { Dot } from './pill.js'

/** @typedef {import('../lib/contract.js').HistoryEntry} HistoryEntry */

/** More on demand: a history may be long. */
const STEP = 20

/** @param {Pick<HistoryEntry, 'what' | 'from' | 'to'>} entry */
export function changeInWords({ what, from, to }) {
  if (what === 'appeared') return `appeared, ${to}`
  if (what === 'changed') return from === undefined ? to : `${from} → ${to}`
  if (what === 'left') return 'left the registry'
  return what === 'returned' ? 'back in rotation' : what
}

/** @param {HistoryEntry} entry */
const toneOf = ({ what, to }) => stateTone(what === 'changed' ? to : what)

/** What became of instances, newest first. @param {{ entries: readonly HistoryEntry[], isOfOne: boolean }} props */
export function HistoryList({ entries, isOfOne }) {
  const now = useNow(10_000)
  const [shown, setShown] = useState(STEP)
  if (entries.length === 0) return html`<p class="muted">Nothing has changed, as far back as it is known.</p>`
  return html`
    <ol class="history">
      ${entries.slice(0, shown).map(
        (entry) => html`<li key=${`${entry.at}/${entry.key}/${entry.what}`}>
          <${Dot} tone=${toneOf(entry)} />
          <time dateTime=${new Date(entry.at).toISOString()} title=${fullTime(entry.at)}>${ago(entry.at, now)}</time>
          <div>
            ${!isOfOne && html`<a href=${href('services', [entry.service], { instance: entry.key })}>${entry.address}</a> `}
            <b>${changeInWords(entry)}</b>${entry.version && html`<span class="muted"> ${entry.version}</span>`}
            ${entry.reason && html`<p class="muted">${entry.reason}</p>`}
            ${entry.away && html`<p class="muted">found when the gateway started: it happened while it was down</p>`}
          </div>
        </li>`,
      )}
    </ol>
    ${entries.length > shown && html`<button type="button" class="button is-small" onClick=${() => setShown(shown + 5 * STEP)}>${plural(entries.length - shown, 'older one')}</button>`}
  `
}
