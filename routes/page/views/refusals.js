// @ts-check
import { useCell } from '../lib/cell.js'
import { count, plural } from '../lib/format.js'
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { goQuery, href, place } from '../lib/router.js'
import { byFigure, byText, distinct } from '../lib/rows.js'
import { Search } from '../parts/field.js'
import { Panel } from '../parts/panel.js'
import { Pill } from '../parts/pill.js'
import { Select } from '../parts/select.js'
import { Answer, Note } from '../parts/states.js'
import { Table } from '../parts/table.js'
import { When } from '../parts/when.js'

/** @typedef {import('../lib/shapes.js').RefusalsView} RefusalsView */
/** @typedef {import('../lib/shapes.js').RefusalView} RefusalView */
/** @typedef {import('../lib/shapes.js').RefusalCount} RefusalCount */
/** @typedef {Readonly<Record<string, string>>} Query */

const LIMIT = 500
/** Answers of the gateway in its own words have no code. */
const codeText = (/** @type {string} */ code) => code || 'own answer'
/** @param {number} status */
const statusTone = (status) => (status === 429 || status === 503 ? 'warn' : status >= 500 ? 'bad' : 'idle')

/** @param {{ route: string, filter: string, code: string }} row @param {Query} query */
const isOf = (row, { route = '', filter = '', code = '' }) =>
  (route === '' || row.route === route) &&
  (filter === '' || row.filter === filter) &&
  (code === '' || codeText(row.code) === code)

/** @param {RefusalView} row @param {string} wanted */
const hasText = ({ requestId, route, filter, type, code, client, reason, status }, wanted) =>
  wanted === '' ||
  [requestId, route, filter, type, code, client, reason, status].join('\n').toLowerCase().includes(wanted)

/** @type {readonly import('../parts/table.js').Column<RefusalCount>[]} */
const COUNT_COLUMNS = [
  {
    id: 'filter',
    title: 'Refused by',
    width: 'minmax(110px, 1.2fr)',
    cell: ({ route, filter, code }) => html`<div class="two-lines">
      <a class="row-link" href=${href('refusals', [], { route, filter, code: codeText(code) })}><span class="cut">${filter}</span></a>
      <span class="cut muted">${codeText(code)}</span></div>`,
    compare: byText(({ filter }) => filter),
  },
  {
    id: 'route',
    title: 'Route',
    width: 'minmax(90px, 1fr)',
    from: 480,
    cell: ({ route }) => route || html`<span class="muted">none took it</span>`,
    compare: byText(({ route }) => route),
  },
  {
    id: 'minute',
    title: 'Last minute',
    width: '84px',
    isFigure: true,
    cell: ({ lastMinute }) => (lastMinute === 0 ? html`<span class="muted">0</span>` : count(lastMinute)),
    compare: byFigure(({ lastMinute }) => lastMinute),
  },
  {
    id: 'total',
    title: 'In all',
    width: '64px',
    isFigure: true,
    from: 420,
    cell: ({ total }) => count(total),
    compare: byFigure(({ total }) => total),
  },
]

/** @type {readonly import('../parts/table.js').Column<RefusalView>[]} */
const COLUMNS = [
  {
    id: 'why',
    title: 'Why',
    width: 'minmax(170px, 3fr)',
    cell: ({ reason, filter, code }) =>
      html`<div class="two-lines"><span class="cut" title=${reason}>${reason || codeText(code)}</span><span class="cut muted">${filter} · ${codeText(code)}</span></div>`,
  },
  {
    id: 'status',
    title: 'Status',
    width: '56px',
    cell: ({ status }) => html`<${Pill} tone=${statusTone(status)}>${status}<//>`,
  },
  {
    id: 'route',
    title: 'Route',
    width: 'minmax(80px, 1fr)',
    from: 620,
    cell: ({ route }) =>
      route === ''
        ? html`<span class="muted">–</span>`
        : html`<a href=${href('routes', [route])}>${route}</a>`,
  },
  {
    id: 'client',
    title: 'Client',
    width: 'minmax(100px, 1fr)',
    from: 760,
    cell: ({ client }) =>
      html`<a class="mono" href=${href('refusals', [], { q: client })} title="All of this client">${client}</a>`,
  },
  {
    id: 'request',
    title: 'Request',
    width: 'minmax(100px, 1.2fr)',
    from: 900,
    cell: ({ requestId }) =>
      html`<a class="mono" href=${href('requests', [requestId])} title=${requestId}>${requestId}</a>`,
  },
  {
    id: 'at',
    title: 'When',
    width: '84px',
    isFigure: true,
    from: 400,
    cell: ({ at }) => html`<${When} at=${at} />`,
  },
]

/** @param {{ data: RefusalsView }} props */
function Body({ data: { refusals, counts } }) {
  const { query } = useCell(place)
  const { q = '', filter = '', code = '', route = '' } = query
  const rows = refusals.filter((row) => isOf(row, query) && hasText(row, q.trim().toLowerCase()))
  const sums = counts.filter((row) => isOf(row, query))
  const isNarrow = filter !== '' || code !== '' || route !== '' || q !== ''
  if (counts.length === 0) {
    return html`<div class="panel"><${Note} icon="shield" title="Nothing was refused">Since its start the gateway let every request through: no limit, firewall, identity filter or overload had a reason.<//></div>`
  }
  const all = (/** @type {(row: RefusalCount) => string} */ of) => distinct(counts.map(of))
  return html`
    <div class="toolbar">
      <${Search} label="Request id, client, reason" value=${q} onInput=${(/** @type {string} */ text) => goQuery({ q: text })} />
      <${Select} label="Filter" options=${all((row) => row.filter)} value=${filter} onChange=${(/** @type {string} */ value) => goQuery({ filter: value })} />
      <${Select} label="Code" options=${all((row) => codeText(row.code))} value=${code} onChange=${(/** @type {string} */ value) => goQuery({ code: value })} />
      <${Select} label="Route" options=${all((row) => row.route)} value=${route} onChange=${(/** @type {string} */ value) => goQuery({ route: value })} />
      ${isNarrow && html`<a class="button is-small" href=${href('refusals')}>Show all</a>`}
    </div>
    <div class="stack">
      <${Panel} title="By filter and code" aside=${`${count(sums.reduce((sum, { lastMinute }) => sum + lastMinute, 0))} in the last minute`} isFlush>
        ${sums.length === 0 ? html`<${Note} title="None of these" />` : html`<${Table} label="Counts" columns=${COUNT_COLUMNS} rows=${sums} rowHeight=${54} sort=${{ by: 'total', isDown: true }} rowKey=${(/** @type {RefusalCount} */ row) => `${row.route}/${row.filter}/${row.code}`} />`}
      <//>
      <${Panel} title="The last ones" aside=${html`<span role="status">${isNarrow ? `${count(rows.length)} of ${plural(refusals.length, 'request')}` : plural(refusals.length, 'request')}</span>`} isFlush>
        ${
          rows.length === 0
            ? html`<${Note} icon="search" title="None of the last ${refusals.length} matches">Only these are remembered one by one; the counts above know all since the start.<//>`
            : html`<${Table} label="Refused requests" columns=${COLUMNS} rows=${rows} rowHeight=${54} rowKey=${(/** @type {RefusalView} */ row) => `${row.at}/${row.requestId}/${row.filter}`} />`
        }
      <//>
    </div>
  `
}

/** What limits, the firewall, identity filters and overload did not let through. */
function Refusals() {
  /** @type {import('../lib/resource.js').Known<RefusalsView>} */
  const known = useResource(`/api/refusals?limit=${LIMIT}`, { everyMs: 3000, on: ['overload', 'breaker'] })
  return html`<${Answer} of=${known} name="Refusals" rows=${8}>${(/** @type {RefusalsView} */ data) => html`<${Body} data=${data} />`}<//>`
}

/** @type {import('./index.js').ViewEntry} */
export const refusals = {
  id: 'refusals',
  title: 'Limits & WAF',
  group: 'Traffic',
  icon: 'shield',
  View: Refusals,
}
