// @ts-check
import { useCell } from '../lib/cell.js'
import { count, fullTime, plural } from '../lib/format.js'
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { goQuery, href, place } from '../lib/router.js'
import { distinct } from '../lib/rows.js'
import { Diff } from '../parts/diff.js'
import { Search } from '../parts/field.js'
import { Panel } from '../parts/panel.js'
import { Pill } from '../parts/pill.js'
import { Select } from '../parts/select.js'
import { Answer, Note } from '../parts/states.js'
import { When } from '../parts/when.js'

/** @typedef {import('../lib/shapes.js').AuditEntry} AuditEntry */

const LIMIT = 300
/** @type {Readonly<Record<string, import('../lib/health.js').Tone>>} */
const OUTCOME_TONE = { done: 'good', rejected: 'warn', refused: 'bad', failed: 'bad' }

/** @param {AuditEntry} entry A link to what it was done to, where there is a view of it. */
function targetOf({ action, target }) {
  if (target === '') return null
  if (action.startsWith('canary')) return html`<a href=${href('releases', [target])}>${target}</a>`
  if (action === 'rollback') return html`<a href=${href('tables')}>${target}</a>`
  if (action === 'forget contract') return html`<a href=${href('contracts')}>${target}</a>`
  if (action === 'reset mirror') return html`<a href=${href('mirror')}>${target}</a>`
  return html`<span class="mono">${target}</span>`
}

/** @param {{ entry: AuditEntry }} props */
const Entry = ({ entry }) => html`
  <li class="audit-entry">
    <span class="audit-when" title=${fullTime(entry.at)}><${When} at=${entry.at} /></span>
    <div>
      <p><b>${entry.action}</b> ${targetOf(entry)} <${Pill} tone=${OUTCOME_TONE[entry.outcome] ?? 'idle'}>${entry.outcome}<//></p>
      ${entry.detail && html`<p>${entry.detail}</p>`}
      <p class="muted">by <b>${entry.who}</b> from <span class="mono">${entry.address}</span></p>
      ${entry.diff && entry.diff.length > 0 && html`<details><summary>${plural(entry.diff.length, 'change')} of the table</summary><${Diff} changes=${entry.diff} /></details>`}
    </div>
  </li>
`

/** @param {{ entries: readonly AuditEntry[] }} props */
function Body({ entries }) {
  const { q = '', who = '', action = '' } = useCell(place).query
  const wanted = q.trim().toLowerCase()
  const rows = entries.filter(
    (entry) =>
      (who === '' || entry.who === who) &&
      (action === '' || entry.action === action) &&
      (wanted === '' ||
        [entry.who, entry.address, entry.action, entry.target, entry.detail]
          .join('\n')
          .toLowerCase()
          .includes(wanted)),
  )
  if (entries.length === 0) {
    return html`<div class="panel"><${Note} icon="audit" title="Nothing was changed">Every change through the admin API stands here: who, from where, what, and what came of it.<//></div>`
  }
  return html`
    <div class="toolbar">
      <${Search} label="Target, detail, address" value=${q} onInput=${(/** @type {string} */ text) => goQuery({ q: text })} />
      <${Select} label="Who" options=${distinct(entries.map((entry) => entry.who))} value=${who} onChange=${(/** @type {string} */ value) => goQuery({ who: value })} />
      <${Select} label="Action" options=${distinct(entries.map((entry) => entry.action))} value=${action} onChange=${(/** @type {string} */ value) => goQuery({ action: value })} />
    </div>
    <${Panel} title="Changes" aside=${html`<span role="status">${rows.length === entries.length ? `the last ${count(entries.length)}` : `${count(rows.length)} of ${count(entries.length)}`}</span>`}>
      ${rows.length === 0 ? html`<${Note} icon="search" title="No entry matches" />` : html`<ol class="audit">${rows.map((entry, index) => html`<${Entry} key=${`${entry.at}/${entries.length - index}`} entry=${entry} />`)}</ol>`}
    <//>
  `
}

/** Who changed what. */
function Audit() {
  /** @type {import('../lib/resource.js').Known<{ entries: readonly AuditEntry[] }>} */
  const known = useResource(`/api/audit?limit=${LIMIT}`, {
    everyMs: 5000,
    on: ['table', 'canary', 'rejected'],
  })
  return html`<${Answer} of=${known} name="The audit" rows=${6}>${(/** @type {{ entries: readonly AuditEntry[] }} */ { entries }) => html`<${Body} entries=${entries} />`}<//>`
}

/** @type {import('./index.js').ViewEntry} */
export const audit = { id: 'audit', title: 'Audit', group: 'Gateway', icon: 'audit', View: Audit }
