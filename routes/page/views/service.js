// @ts-check
import { useCell } from '../lib/cell.js'
import { useNow } from '../lib/clock.js'
import { useTraffic } from '../lib/data.js'
import { ago, count, plural, rate, span } from '../lib/format.js'
import {
  byTone,
  byVersion,
  countTones,
  instanceTone,
  serviceTone,
  serviceTrouble,
  stateTone,
  USE_TEXT,
  versionText,
} from '../lib/health.js'
import { cx, html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { href, place } from '../lib/router.js'
import { HistoryList } from '../parts/history.js'
import { Facts, Panel } from '../parts/panel.js'
import { Dot, HealthBar, Pill } from '../parts/pill.js'
import { Answer, Note } from '../parts/states.js'
import { Table } from '../parts/table.js'
import { ErrorRatio, TrafficCharts } from '../parts/traffic-charts.js'
import { Instance } from './instance.js'

/** @typedef {import('../lib/health.js').ServiceView} ServiceView */
/** @typedef {import('../lib/health.js').InstanceView} InstanceView */
/** @typedef {import('../lib/contract.js').TrafficView} TrafficView */
/** @typedef {{ one: InstanceView, service: string, traffic: import('../lib/contract.js').InstanceTraffic | undefined }} Row */

const text = (/** @type {string | undefined} */ value) => value ?? ''
/** @param {(row: Row) => string} of @returns {(a: Row, b: Row) => number} */
const byText = (of) => (a, b) => of(a).localeCompare(of(b), 'en', { numeric: true })
/** @param {(row: Row) => number | null | undefined} of @returns {(a: Row, b: Row) => number} */
const byFigure = (of) => (a, b) => (of(a) ?? -1) - (of(b) ?? -1)

/** @param {{ since: number | undefined }} props */
function Since({ since }) {
  const now = useNow(10_000)
  return since === undefined ? '–' : span(Math.max(0, now - since))
}

/** @type {readonly import('../parts/table.js').Column<Row>[]} */
const COLUMNS = [
  {
    id: 'address',
    title: 'Instance',
    width: 'minmax(150px, 1.4fr)',
    cell: ({ one, service }) =>
      html`<a class="row-link" href=${href('services', [service], { instance: one.key })}><${Dot} tone=${instanceTone(one)} label=${USE_TEXT[one.use]} /><span class="cut">${one.address}</span></a>`,
    compare: byText(({ one }) => one.address),
  },
  {
    id: 'use',
    title: 'Use',
    width: 'minmax(92px, 1.4fr)',
    cell: ({ one }) =>
      html`<span title=${text(one.reason)}><span class="text-tone tone-${instanceTone(one)}">${USE_TEXT[one.use]}</span>${one.reason && html`<span class="muted"> ${one.reason}</span>`}</span>`,
    compare: (a, b) => byTone(instanceTone(a.one), instanceTone(b.one)),
  },
  {
    id: 'state',
    title: 'Registry says',
    width: '92px',
    from: 560,
    cell: ({ one }) => html`<span class="text-tone tone-${stateTone(one.state)}">${one.state}</span>`,
  },
  {
    id: 'version',
    title: 'Version',
    width: 'minmax(64px, .7fr)',
    from: 440,
    cell: ({ one }) => one.version ?? '–',
    compare: byText(({ one }) => text(one.version)),
  },
  {
    id: 'zone',
    title: 'Zone',
    width: 'minmax(56px, .5fr)',
    from: 900,
    cell: ({ one }) => one.zone ?? '–',
    compare: byText(({ one }) => text(one.zone)),
  },
  {
    id: 'node',
    title: 'Node',
    width: 'minmax(64px, .7fr)',
    from: 980,
    cell: ({ one }) => one.node ?? '–',
    compare: byText(({ one }) => text(one.node)),
  },
  {
    id: 'weight',
    title: 'Weight',
    width: '56px',
    isFigure: true,
    from: 1060,
    cell: ({ one }) => one.weight,
    compare: byFigure(({ one }) => one.weight),
  },
  {
    id: 'inFlight',
    title: 'In flight',
    width: '64px',
    isFigure: true,
    from: 700,
    cell: ({ one }) => count(one.inFlight),
    compare: byFigure(({ one }) => one.inFlight),
  },
  {
    id: 'rps',
    title: 'Rate',
    width: '64px',
    isFigure: true,
    from: 620,
    cell: ({ traffic }) => (traffic ? `${rate(traffic.rps)}/s` : '–'),
    compare: byFigure(({ traffic }) => traffic?.rps),
  },
  {
    id: 'errors',
    title: 'Errors',
    width: '60px',
    isFigure: true,
    from: 780,
    cell: ({ traffic }) => html`<${ErrorRatio} ratio=${traffic?.errorRatio} />`,
    compare: byFigure(({ traffic }) => traffic?.errorRatio),
  },
  {
    id: 'since',
    title: 'Since',
    width: '84px',
    isFigure: true,
    from: 840,
    cell: ({ one }) => html`<${Since} since=${one.since} />`,
    compare: byFigure(({ one }) => one.since),
  },
]

/** @param {{ service: ServiceView, traffic: TrafficView | undefined }} props */
function Summary({ service, traffic }) {
  const { instances, routes, balance, breaker, breakerRefusals, retries, retryOverflows, source } = service
  const trouble = serviceTrouble(service)
  const rps = traffic?.services[service.name]?.rps
  return html`
    <section class="panel summary" aria-label="State">
      <p class="summary-state"><${Dot} tone=${serviceTone(service)} /><b>${trouble === '' ? 'Well' : trouble}</b></p>
      <div class="summary-bar"><${HealthBar} ...${countTones(instances)} /></div>
      <${Facts} items=${[
        ['In rotation', `${count(service.available)} of ${count(instances.length)}`],
        ['In flight', count(service.inFlight)],
        ['Rate', rps === undefined ? '–' : `${rate(rps)}/s`],
        [
          'Versions',
          byVersion(instances)
            .map(([version, list]) => `${versionText(version || undefined)} × ${list.length}`)
            .join(', ') || '–',
        ],
        [
          'Routes',
          routes.length === 0
            ? 'none sends here'
            : html`<span class="links">${routes.map((route) => html`<a key=${route} href=${href('routes', [route])}>${route}</a>`)}</span>`,
        ],
        ['Balanced by', balance],
        ['Retries', `${count(retries)}${retryOverflows > 0 ? `, ${count(retryOverflows)} over budget` : ''}`],
        breaker !== undefined && [
          'Breaker',
          `${breaker}${breakerRefusals > 0 ? `, ${count(breakerRefusals)} refused` : ''}`,
        ],
        ['Registry', source],
      ]} />
    </section>
  `
}

/** @param {{ name: string }} props */
function History({ name }) {
  /** @type {import('../lib/resource.js').Known<import('../lib/contract.js').HistoryView>} */
  const known = useResource(`/api/history?service=${encodeURIComponent(name)}&limit=200`, {
    everyMs: 15_000,
    on: ['instance', 'ejection'],
  })
  const now = useNow(10_000)
  const flapping = known.data?.flapping.filter(({ service }) => service === name) ?? []
  return html`
    <${Panel} title="History" aside=${known.data?.from && `known since ${ago(known.data.from, now)}`}>
      ${flapping.map(
        ({ key, address, changes, since }) =>
          html`<p class="flapping" key=${key}><${Pill} tone="warn">flapping<//> ${address}: ${plural(changes, 'change')} in ${span(Math.max(0, now - since))}</p>`,
      )}
      <${Answer} of=${known} name="History">${(
        /** @type {import('../lib/contract.js').HistoryView} */ { entries },
      ) => html`<${HistoryList} entries=${entries} isOfOne=${false} />`}<//>
    <//>
  `
}

/** One service: how it is, who sends to it, what it does, and its instances. @param {{ name: string, service: ServiceView | undefined }} props */
export function Service({ name, service }) {
  const traffic = useTraffic()
  const chosenKey = useCell(place).query['instance']
  if (service === undefined) {
    return html`<${Note} icon="warning" title="No service of this name">The table in force and the registries know no “${name}”. It may have left: <a href=${href('events', [], { q: name })}>see its events</a>.<//>`
  }
  const chosen = service.instances.find(({ key }) => key === chosenKey)
  const rows = service.instances.map((one) => ({
    one,
    service: name,
    traffic: traffic.data?.instances[one.key],
  }))
  return html`
    <div class=${cx('service', chosenKey && 'has-chosen')}>
      <div class="service-main">
        <${Summary} service=${service} traffic=${traffic.data} />
        <${Panel} title="Traffic" aside="last 5 minutes">
          <${Answer} of=${traffic} name="Traffic" rows=${5}>${(/** @type {TrafficView} */ data) => {
            const own = data.services[name]
            return own === undefined
              ? html`<${Note} title="No requests yet" />`
              : html`<${TrafficCharts} traffic=${own} bucketMs=${data.bucketMs} />`
          }}<//>
        <//>
        <${Panel} title="Instances" aside=${count(rows.length)} isFlush>
          ${
            rows.length === 0
              ? html`<${Note} title="No instances">${service.reason ?? 'No registry has one.'}<//>`
              : html`<${Table} label="Instances" columns=${COLUMNS} rows=${rows} rowKey=${(/** @type {Row} */ { one }) => one.key}
                  sort=${{ by: 'use', isDown: false }} isChosen=${(/** @type {Row} */ { one }) => one.key === chosenKey} />`
          }
        <//>
        <${History} name=${name} />
      </div>
      ${chosenKey && html`<${Instance} key=${chosenKey} id=${chosenKey} service=${name} instance=${chosen} traffic=${traffic.data?.instances[chosenKey]} />`}
    </div>
  `
}
