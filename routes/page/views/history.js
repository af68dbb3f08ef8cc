// @ts-check
import { useState } from 'preact/hooks'
import { useCell } from '../lib/cell.js'
import { useNow } from '../lib/clock.js'
import { useTopology } from '../lib/data.js'
import { ago, dayOf, fullTime, plural, timeOfDay } from '../lib/format.js'
import { stateTone } from '../lib/health.js'
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { goQuery, href, place } from '../lib/router.js'
import { distinct } from '../lib/rows.js'
import { Search } from '../parts/field.js'
import { changeInWords } from '../parts/history.js'
import { Panel } from '../parts/panel.js'
import { Dot, Pill } from '../parts/pill.js'
import { Select } from '../parts/select.js'
import { Answer, Note } from '../parts/states.js'

/** @typedef {import('../lib/contract.js').HistoryEntry & { away?: boolean }} HistoryEntry */
/** @typedef {{ at: number, registry: string, from?: string, to: string, reason?: string }} RegistryEntry */
/** @typedef {{ entries: readonly HistoryEntry[], registries?: readonly RegistryEntry[], from?: number }} HistoryView */

const LIMIT = 500
const STEP = 100
const WHAT = ['appeared', 'changed', 'left', 'ejected', 'returned']

/** @typedef {{ at: number, key: string, tone: import('../lib/health.js').Tone, subject: any, words: string, note: string | undefined, version: string | undefined, isAway: boolean }} Line */

/** @param {HistoryEntry} entry @returns {Line} */
const instanceLine = (entry) => ({
  at: entry.at,
  key: `${entry.at}/${entry.key}/${entry.what}`,
  tone: stateTone(entry.what === 'changed' || entry.what === 'appeared' ? entry.to : entry.what),
  subject: html`<a href=${href('services', [entry.service])}>${entry.service}</a> <a class="mono" href=${href('services', [entry.service], { instance: entry.key })}>${entry.address}</a>`,
  words: changeInWords(entry),
  note: entry.reason,
  version: entry.version,
  isAway: entry.away === true,
})

/** @param {RegistryEntry} entry @returns {Line} */
const registryLine = ({ at, registry, from, to, reason }) => ({
  at,
  key: `${at}/registry ${registry}`,
  tone: to === 'live' ? 'good' : to === 'failed' ? 'bad' : 'warn',
  subject: html`registry <b>${registry}</b>`,
  words: from === undefined ? to : `${from} → ${to}`,
  note: reason,
  version: undefined,
  isAway: false,
})

/** Lines under the day that they are of. @param {{ lines: readonly Line[] }} props */
function Days({ lines }) {
  let day = ''
  return html`<ol class="past">${lines.map(({ at, key, tone, subject, words, note, version, isAway }) => {
    const own = dayOf(at)
    const isNew = own !== day
    day = own
    return html`
      ${isNew && html`<li class="past-day" key=${own}>${own}</li>`}
      <li class="past-line" key=${key}>
        <time dateTime=${new Date(at).toISOString()} title=${fullTime(at)}>${timeOfDay(at)}</time><${Dot} tone=${tone} />
        <div><p>${subject} <b>${words}</b>${version && html` <span class="muted">${version}</span>`}${isAway && html` <${Pill} title="It happened while the gateway was down; this is when that was found">while it was down<//>`}</p>${note && html`<p class="muted">${note}</p>`}</div>
      </li>`
  })}</ol>`
}

/** @param {{ data: HistoryView }} props */
function Body({ data: { entries, registries = [], from } }) {
  const { q = '', what = '', service = '', instance = '' } = useCell(place).query
  const [shown, setShown] = useState(STEP)
  const now = useNow(10_000)
  const wanted = q.trim().toLowerCase()
  const has = (/** @type {object} */ entry) =>
    wanted === '' || Object.values(entry).join('\n').toLowerCase().includes(wanted)
  const isOfAll = what === '' && service === '' && instance === ''
  const lines = [
    ...entries.filter((entry) => (what === '' || entry.what === what) && has(entry)).map(instanceLine),
    ...(isOfAll ? registries.filter(has).map(registryLine) : []),
  ].sort((a, b) => b.at - a.at)
  return html`
    <${Panel} title="What happened" aside=${html`<span role="status">${plural(lines.length, 'entry', 'entries')}</span>${from !== undefined && html`<span title=${fullTime(from)}>known since ${ago(from, now)}</span>`}`}>
      ${
        lines.length === 0
          ? html`<${Note} icon="history" title=${entries.length === 0 ? 'Nothing has changed' : 'No entry matches'}>${entries.length === 0 ? 'As far back as it is known, every instance is as it was.' : html`Another word, or <a href=${href('history')}>all of it</a>.`}<//>`
          : html`<${Days} lines=${lines.slice(0, shown)} />
            ${lines.length > shown && html`<button type="button" class="button is-small" onClick=${() => setShown(shown + 2 * STEP)}>${plural(lines.length - shown, 'older one')}</button>`}`
      }
    <//>
  `
}

/** Each change of state of each instance and registry; it outlives restarts. */
function History() {
  const { q = '', what = '', service = '', instance = '' } = useCell(place).query
  const { data: topology } = useTopology()
  const query = new URLSearchParams({
    ...(service && { service }),
    ...(instance && { instance }),
    limit: String(LIMIT),
  })
  /** @type {import('../lib/resource.js').Known<HistoryView>} */
  const known = useResource(`/api/history?${query}`, {
    everyMs: 10_000,
    on: ['instance', 'ejection', 'registry'],
  })
  return html`
    <div class="toolbar">
      <${Search} label="Address, version, reason" value=${q} onInput=${(/** @type {string} */ text) => goQuery({ q: text })} />
      <${Select} label="Service" options=${distinct(topology?.services.map(({ name }) => name) ?? [])} value=${service} onChange=${(/** @type {string} */ value) => goQuery({ service: value, instance: '' })} />
      <${Select} label="What" options=${WHAT} value=${what} onChange=${(/** @type {string} */ value) => goQuery({ what: value })} />
      ${instance && html`<button type="button" class="button is-small" onClick=${() => goQuery({ instance: '' })}>only ${instance} ×</button>`}
    </div>
    <${Answer} of=${known} name="History" rows=${8}>${(/** @type {HistoryView} */ data) => html`<${Body} data=${data} />`}<//>
  `
}

/** @type {import('./index.js').ViewEntry} */
export const history = { id: 'history', title: 'History', group: 'Observe', icon: 'history', View: History }
