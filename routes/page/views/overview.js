// @ts-check
import { useNow } from '../lib/clock.js'
import { useAlerts, useCanaries, useFleet, useTables, useTopology, useTraffic } from '../lib/data.js'
import { ago, count, fullTime, millis, percent, plural, rate, span } from '../lib/format.js'
import {
  byTone,
  countTones,
  errorTone,
  registryTone,
  releaseTone,
  serviceTone,
  serviceTrouble,
  severityTone,
} from '../lib/health.js'
import { html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { Panel } from '../parts/panel.js'
import { Dot, HealthBar, Pill } from '../parts/pill.js'
import { Spark } from '../parts/spark.js'
import { Answer, Note } from '../parts/states.js'
import { Table } from '../parts/table.js'
import { ErrorRatio, TrafficCharts } from '../parts/traffic-charts.js'

/** @typedef {import('../lib/contract.js').TrafficView} TrafficView */
/** @typedef {import('../lib/contract.js').TopologyView} TopologyView */
/** @typedef {import('../lib/health.js').Tone} Tone */

/** @param {{ label: string, value: any, tone?: Tone, children?: any }} props */
const Tile = ({ label, value, tone, children }) => html`
  <div class="tile panel"><h2>${label}</h2><p class=${tone ? `tile-value text-tone tone-${tone}` : 'tile-value'}>${value}</p><div class="tile-note muted">${children}</div></div>
`

/** @param {{ topology: TopologyView | undefined, traffic: TrafficView | undefined }} props */
function Tiles({ topology, traffic }) {
  const total = traffic?.total
  const services = topology?.services ?? []
  const instances = services.flatMap((service) => service.instances)
  const inRotation = services.reduce((sum, { available }) => sum + available, 0)
  const inFlight = services.reduce((sum, service) => sum + service.inFlight, 0)
  const tones = services.map(serviceTone)
  const bad = tones.filter((tone) => tone === 'bad').length
  const warn = tones.filter((tone) => tone === 'warn').length
  return html`
    <div class="tiles">
      <${Tile} label="Requests" value=${html`${rate(total?.rps)}<small>/s</small>`}>${topology && `${count(inFlight)} in flight`}<//>
      <${Tile} label="Errors" value=${percent(total?.errorRatio)} tone=${total && errorTone(total.errorRatio)}>of the last 10 s<//>
      <${Tile} label="p50" value=${millis(total?.p50)}>of the last 10 s<//>
      <${Tile} label="p99" value=${millis(total?.p99)}>of the last 10 s<//>
      <${Tile} label="Services" value=${topology ? count(services.length) : '–'} tone=${bad > 0 ? 'bad' : warn > 0 ? 'warn' : undefined}>
        ${topology && (bad + warn === 0 ? 'all well' : [bad > 0 && `${bad} down`, warn > 0 && `${warn} impaired`].filter(Boolean).join(', '))}
      <//>
      <${Tile} label="Instances" value=${topology ? html`${count(inRotation)}<small> of ${count(instances.length)}</small>` : '–'}>
        ${topology && html`in rotation<${HealthBar} ...${countTones(instances)} />`}
      <//>
    </div>
  `
}

/** @typedef {{ service: import('../lib/health.js').ServiceView, tone: Tone, traffic: import('../lib/contract.js').Traffic | undefined }} Busy */

/** @type {readonly import('../parts/table.js').Column<Busy>[]} */
const BUSY_COLUMNS = [
  {
    id: 'name',
    title: 'Service',
    width: 'minmax(120px, 2fr)',
    cell: ({ service, tone }) =>
      html`<a class="row-link" href=${href('services', [service.name])}><${Dot} tone=${tone} label=${serviceTrouble(service) || 'well'} /><span class="cut">${service.name}</span></a>`,
  },
  {
    id: 'instances',
    title: 'Instances',
    width: '74px',
    isFigure: true,
    from: 420,
    cell: ({ service }) => `${service.available} / ${service.instances.length}`,
  },
  {
    id: 'spark',
    title: 'Requests',
    width: 'minmax(80px, 1.4fr)',
    from: 560,
    cell: ({ traffic }) =>
      traffic && html`<${Spark} values=${traffic.series.requests} errors=${traffic.series.errors} />`,
  },
  {
    id: 'rps',
    title: 'Rate',
    width: '64px',
    isFigure: true,
    cell: ({ traffic }) => (traffic ? `${rate(traffic.rps)}/s` : '–'),
  },
  {
    id: 'errors',
    title: 'Errors',
    width: '60px',
    isFigure: true,
    cell: ({ traffic }) => (traffic ? html`<${ErrorRatio} ratio=${traffic.errorRatio} />` : '–'),
  },
  {
    id: 'p50',
    title: 'p50',
    width: '64px',
    isFigure: true,
    from: 640,
    cell: ({ traffic }) => millis(traffic?.p50),
  },
  {
    id: 'p99',
    title: 'p99',
    width: '64px',
    isFigure: true,
    from: 480,
    cell: ({ traffic }) => millis(traffic?.p99),
  },
]
const BUSY_SHOWN = 12

/** Those that are not well, then the busiest. @param {{ topology: TopologyView, traffic: TrafficView | undefined }} props */
function Busiest({ topology: { services }, traffic }) {
  const rows = services
    .map((service) => ({ service, tone: serviceTone(service), traffic: traffic?.services[service.name] }))
    .sort(
      (a, b) =>
        byTone(a.tone, b.tone) ||
        (b.traffic?.rps ?? 0) - (a.traffic?.rps ?? 0) ||
        a.service.name.localeCompare(b.service.name),
    )
  if (rows.length === 0)
    return html`<${Note} title="No services yet">None is in a registry or in the configuration.<//>`
  return html`
    <${Table} label="Services" columns=${BUSY_COLUMNS} rows=${rows.slice(0, BUSY_SHOWN)} rowKey=${(/** @type {Busy} */ row) => row.service.name} />
    ${rows.length > BUSY_SHOWN && html`<a class="more" href=${href('services')}>All ${count(rows.length)} services</a>`}
  `
}

function Alerts() {
  const known = useAlerts()
  const now = useNow()
  const firing = known.data?.alerts.filter(({ state }) => state === 'firing') ?? []
  return html`<${Panel} title="Alerts" aside=${firing.length > 0 && html`<${Pill} tone="bad">${firing.length} firing<//>`}>
    <${Answer} of=${known} name="Alerts" rows=${2}>${() =>
      firing.length === 0
        ? html`<p class="all-well"><${Dot} tone="good" /> Nothing fires.</p>`
        : html`<ul class="list">${firing.map(
            (
              alert,
            ) => html`<li key=${alert.id}><${Dot} tone=${severityTone(alert.severity)} label=${alert.severity} />
              <div>${alert.service === '' ? html`<b>${alert.registry}</b>` : html`<a href=${href('services', [alert.service], { instance: alert.instance })}>${alert.service}</a>`} <span class="muted">${alert.rule} · for ${span(Math.max(0, now - alert.since))}</span><p>${alert.summary}</p></div></li>`,
          )}</ul>`}<//>
  <//>`
}

function Registries() {
  const known = useTopology()
  const now = useNow()
  return html`<${Panel} title="Registries">
    <${Answer} of=${known} name="Registries" rows=${2}>${(/** @type {TopologyView} */ { registries }) =>
      registries.length === 0
        ? html`<p class="muted">None: services come from the configuration.</p>`
        : html`<ul class="list">${registries.map(
            (
              registry,
            ) => html`<li key=${registry.name}><${Dot} tone=${registryTone(registry)} label=${registry.status.state} />
              <div><b>${registry.name}</b> <span class="muted">${registry.type} · ${registry.status.state} · answered ${ago(registry.status.lastSuccess, now)}</span>
              ${registry.status.state !== 'live' && registry.status.lastError && html`<p class="text-tone tone-bad">${registry.status.lastError.message}</p>`}</div></li>`,
          )}</ul>`}<//>
  <//>`
}

function Releases() {
  const known = useCanaries()
  return html`<${Panel} title="Releases">
    <${Answer} of=${known} name="Releases" rows=${2}>${(
      /** @type {{ canaries: readonly import('../lib/contract.js').CanaryView[] }} */ { canaries },
    ) =>
      canaries.length === 0
        ? html`<p class="muted">No canary rules and no lanes.</p>`
        : html`<ul class="list">${canaries.map(
            ({
              name,
              kind,
              services,
              percent: share,
              release,
              state,
            }) => html`<li key=${name}><${Dot} tone=${release ? releaseTone(release.status) : 'idle'} />
              <div><b>${name}</b> <span class="muted">${kind} of ${services.join(', ')}</span>
              <p>${release ? `${release.status}, step ${release.step} of ${release.steps}` : state} · ${share} %</p></div></li>`,
          )}</ul>`}<//>
  <//>`
}

/** The other gateways, where this one hears of them. */
function Gateways() {
  const { data } = useFleet()
  const now = useNow()
  if (data === undefined || (data.gateways.length < 2 && data.problem === undefined)) return null
  return html`<${Panel} title="Gateways" aside=${data.gateways.length}>
    ${data.problem && html`<p class="text-tone tone-warn">${data.problem}</p>`}
    <ul class="list">${data.gateways.map(
      ({ id, name, version, role, state, table, seenAt, isSelf, isStale }) =>
        html`<li key=${id}><${Dot} tone=${isStale ? 'bad' : state === 'ready' ? 'good' : 'warn'} label=${isStale ? 'silent' : state} />
          <div><b>${name}</b> <span class="muted">${isSelf ? 'this one' : role} · ${isStale ? `last heard of ${ago(seenAt, now)}` : state}</span>
          <p>${version}${table && ` · table ${table.version} (${table.id})`}</p></div></li>`,
    )}</ul>
  <//>`
}

function TableVersion() {
  const known = useTables()
  const now = useNow(10_000)
  return html`<${Panel} title="Table">
    <${Answer} of=${known} name="Tables" rows=${2}>${(
      /** @type {import('../lib/contract.js').TablesView} */ { current, versions, rejection, warnings },
    ) => {
      const version = versions.find((one) => one.version === current)
      return html`<ul class="list">
        <li><${Dot} tone=${version ? 'good' : 'warn'} /><div>${
          version === undefined
            ? 'None yet.'
            : html`<b>Version ${version.version}</b> <span class="muted" title=${fullTime(version.createdAt)}>in force for ${span(Math.max(0, now - version.createdAt))}</span><p>${plural(version.routes, 'route')}, ${plural(version.services, 'service')}, ${plural(version.instances, 'instance')}</p>`
        }</div></li>
        ${rejection && html`<li><${Dot} tone="bad" /><div><b>A newer one was rejected</b> <span class="muted">${ago(rejection.at, now)}</span><p>${rejection.message}</p></div></li>`}
        ${warnings.map((text) => html`<li key=${text}><${Dot} tone="warn" /><div>${text}</div></li>`)}
      </ul>`
    }}<//>
  <//>`
}

/** What somebody must know at once: is it well, how much is it doing, and since when. */
function Overview() {
  const topology = useTopology()
  const traffic = useTraffic()
  const problems = topology.data?.problems ?? []
  return html`
    <div class="overview">
      <${Tiles} topology=${topology.data} traffic=${traffic.data} />
      <div class="overview-main">
        <${Panel} title="Traffic" aside="last 5 minutes"><${Answer} of=${traffic} name="Traffic" rows=${6}>${(/** @type {TrafficView} */ data) => html`<${TrafficCharts} traffic=${data.total} bucketMs=${data.bucketMs} />`}<//><//>
        <${Panel} title="Services" aside="those in trouble first, then the busiest" isFlush><${Answer} of=${topology} name="Services" rows=${6}>${(/** @type {TopologyView} */ data) => html`<${Busiest} topology=${data} traffic=${traffic.data} />`}<//><//>
      </div>
      <div class="overview-side">
        <${Alerts} /><${Registries} /><${Gateways} /><${Releases} /><${TableVersion} />
        ${problems.length > 0 && html`<${Panel} title="Problems" aside=${problems.length}><ul class="list">${problems.map((text) => html`<li key=${text}><${Dot} tone="warn" /><div>${text}</div></li>`)}</ul><//>`}
      </div>
    </div>
  `
}

function AlertBadge() {
  const { data } = useAlerts()
  const amount = data?.alerts.filter(({ state }) => state === 'firing').length ?? 0
  return amount > 0 ? html`<${Pill} tone="bad">${amount}<span class="hidden"> alerts</span><//>` : null
}

/** @type {import('./index.js').ViewEntry} */
export const overview = {
  id: 'overview',
  title: 'Overview',
  group: 'Observe',
  icon: 'overview',
  View: Overview,
  Badge: AlertBadge,
}
