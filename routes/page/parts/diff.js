// @ts-check
import { useState } from 'preact/hooks'
import { plural } from '../lib/format.js'
import { html } from '../lib/html.js'

const TONES = /** @type {Readonly<Record<string, string>>} */ ({ '+': 'good', '-': 'bad', '~': 'warn' })
const WORDS = /** @type {Readonly<Record<string, string>>} */ ({
  '+': 'added',
  '-': 'removed',
  '~': 'changed',
})
const SHOWN = 12

/** How many lines of each kind, in words. @param {readonly string[]} changes */
export function changeCounts(changes) {
  return Object.entries(WORDS)
    .map(([sign, word]) => [changes.filter((line) => line.startsWith(sign)).length, word])
    .filter(([amount]) => amount !== 0)
    .map(([amount, word]) => `${amount} ${word}`)
    .join(', ')
}

/** Lines `+ route x`, `- instance y`, `~ route z (match)`. @param {{ changes: readonly string[] }} props */
export function Diff({ changes }) {
  const [isAll, setAll] = useState(false)
  const shown = isAll || changes.length <= SHOWN + 3 ? changes : changes.slice(0, SHOWN)
  return html`
    <ul class="diff">
      ${shown.map((line) => {
        const sign = line.slice(0, 1)
        const tone = TONES[sign]
        return tone === undefined
          ? html`<li key=${line}>${line}</li>`
          : html`<li class="tone-${tone}" key=${line}><b aria-hidden="true">${sign}</b><span class="hidden">${WORDS[sign]}: </span>${line.slice(2)}</li>`
      })}
    </ul>
    ${shown.length < changes.length && html`<button type="button" class="button is-small" onClick=${() => setAll(true)}>${plural(changes.length - shown.length, 'more line')}</button>`}
  `
}
