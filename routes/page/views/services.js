// @ts-check
import { useCell } from '../lib/cell.js'
import { useTopology, useTraffic } from '../lib/data.js'
import { count, millis, plural, rate } from '../lib/format.js'
import {
  byTone,
  byVersion,
  countTones,
  isTrouble,
  serviceTone,
  serviceTrouble,
  versionText,
} from '../lib/health.js'
import { html } from '../lib/html.js'
import { goQuery, href, place } from '../lib/router.js'
import { Choice, Search } from '../parts/field.js'
import { Dot, HealthBar } from '../parts/pill.js'
import { Spark } from '../parts/spark.js'
import { Answer, Note } from '../parts/states.js'
import { Table } from '../parts/table.js'
import { ErrorRatio } from '../parts/traffic-charts.js'
import { Service } from './service.js'

/** @typedef {import('../lib/health.js').ServiceView} ServiceView */
/** @typedef {import('../lib/contract.js').Traffic} Traffic */
/** @typedef {{ service: ServiceView, tone: import('../lib/health.js').Tone, traffic: Traffic | undefined }} Row */

const byName = (/** @type {Row} */ a, /** @type {Row} */ b) => a.service.name.localeCompare(b.service.name)
/** @param {(row: Row) => number | null | undefined} figure @returns {(a: Row, b: Row) => number} */
const by = (figure) => (a, b) => (figure(a) ?? -1) - (figure(b) ?? -1)

/** @param {Row} row */
const NameCell = ({ service, tone }) => html`
  <a class="row-link" href=${href('services', [service.name])}><${Dot} tone=${tone} label=${serviceTrouble(service) || 'well'} /><span class="cut">${service.name}</span></a>
`

/** @param {Row} row */
const InstancesCell = ({ service }) => html`
  <span class="instances-cell"><${HealthBar} ...${countTones(service.instances)} /><span>${service.available} / ${service.instances.length}</span></span>
`

/** @param {Row} row */
const versionsOf = ({ service }) =>
  byVersion(service.instances)
    .map(([version]) => versionText(version || undefined))
    .join(', ')

/** @type {readonly import('../parts/table.js').Column<Row>[]} */
const COLUMNS = [
  { id: 'name', title: 'Service', width: 'minmax(110px, 1.6fr)', cell: NameCell, compare: byName },
  {
    id: 'health',
    title: 'Instances',
    width: '118px',
    from: 520,
    cell: InstancesCell,
    compare: (a, b) => byTone(a.tone, b.tone) || byName(a, b),
  },
  {
    id: 'trouble',
    title: 'State',
    width: 'minmax(120px, 1.6fr)',
    from: 1080,
    cell: ({ service, tone }) =>
      serviceTrouble(service) === ''
        ? html`<span class="muted">well</span>`
        : html`<span class="text-tone tone-${tone}">${serviceTrouble(service)}</span>`,
  },
  { id: 'versions', title: 'Versions', width: 'minmax(80px, 1fr)', from: 900, cell: versionsOf },
  {
    id: 'spark',
    title: 'Requests',
    width: 'minmax(80px, 1.2fr)',
    from: 740,
    cell: ({ traffic }) =>
      traffic && html`<${Spark} values=${traffic.series.requests} errors=${traffic.series.errors} />`,
  },
  {
    id: 'rps',
    title: 'Rate',
    width: '72px',
    isFigure: true,
    cell: ({ traffic }) => (traffic ? `${rate(traffic.rps)}/s` : '–'),
    compare: by(({ traffic }) => traffic?.rps),
  },
  {
    id: 'errors',
    title: 'Errors',
    width: '66px',
    isFigure: true,
    cell: ({ traffic }) => html`<${ErrorRatio} ratio=${traffic?.errorRatio} />`,
    compare: by(({ traffic }) => traffic?.errorRatio),
  },
  {
    id: 'p50',
    title: 'p50',
    width: '68px',
    isFigure: true,
    from: 820,
    cell: ({ traffic }) => millis(traffic?.p50),
    compare: by(({ traffic }) => traffic?.p50),
  },
  {
    id: 'p99',
    title: 'p99',
    width: '68px',
    isFigure: true,
    from: 600,
    cell: ({ traffic }) => millis(traffic?.p99),
    compare: by(({ traffic }) => traffic?.p99),
  },
  {
    id: 'inFlight',
    title: 'In flight',
    width: '72px',
    isFigure: true,
    from: 860,
    cell: ({ service }) => count(service.inFlight),
    compare: by(({ service }) => service.inFlight),
  },
]

/** @param {ServiceView} service @param {string} text Lower case. */
const matches = ({ name, routes, instances }, text) =>
  name.toLowerCase().includes(text) ||
  routes.some((route) => route.toLowerCase().includes(text)) ||
  instances.some(({ version, address, node }) =>
    [version, address, node].some((value) => value?.toLowerCase().includes(text)),
  )

/** @param {{ services: readonly ServiceView[] }} props */
function List({ services }) {
  const traffic = useTraffic()
  const { q = '', show = 'all' } = useCell(place).query
  const all = services.map((service) => ({
    service,
    tone: serviceTone(service),
    traffic: traffic.data?.services[service.name],
  }))
  const troubled = all.filter(({ tone }) => isTrouble(tone))
  const text = q.trim().toLowerCase()
  const rows = (show === 'trouble' ? troubled : all).filter(
    ({ service }) => text === '' || matches(service, text),
  )
  return html`
    <div class="toolbar">
      <${Search} label="Name, route, version, address" value=${q} onInput=${(/** @type {string} */ value) => goQuery({ q: value })} />
      <${Choice} label="Which services" value=${show} onChange=${(/** @type {string} */ value) => goQuery({ show: value === 'all' ? '' : value })}
        options=${[
          ['all', `All ${count(all.length)}`],
          ['trouble', `In trouble ${count(troubled.length)}`],
        ]} />
      <span class="end muted" role="status">${plural(rows.length, 'service')} shown</span>
    </div>
    <section class="panel is-flush" aria-label="Services">
      ${
        rows.length === 0
          ? all.length === 0
            ? html`<${Note} title="No services yet">None is in a registry or in the configuration.<//>`
            : html`<${Note} title=${text === '' ? 'All services are well' : 'No service matches'} />`
          : html`<${Table} label="Services" columns=${COLUMNS} rows=${rows} rowKey=${(/** @type {Row} */ row) => row.service.name} sort=${{ by: 'name', isDown: false }} />`
      }
    </section>
  `
}

/** @param {{ rest: readonly string[] }} props */
function Services({ rest }) {
  const topology = useTopology()
  const name = rest[0]
  return html`<${Answer} of=${topology} name="Services" rows=${8}>${(
    /** @type {import('../lib/contract.js').TopologyView} */ { services },
  ) =>
    name === undefined
      ? html`<${List} services=${services} />`
      : html`<${Service} key=${name} name=${name} service=${services.find((one) => one.name === name)} />`}<//>`
}

/** @type {import('./index.js').ViewEntry} */
export const services = {
  id: 'services',
  title: 'Services',
  group: 'Observe',
  icon: 'services',
  View: Services,
}
