// @ts-check
import { rate } from '../lib/format.js'
import { byVersion, countTones, serviceTone, serviceTrouble, versionText } from '../lib/health.js'
import { html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { Dot, HealthBar } from '../parts/pill.js'
import { Table } from '../parts/table.js'

/** @typedef {import('../lib/health.js').ServiceView} ServiceView */
/** @typedef {import('../lib/graph.js').RouteView} RouteView */
/** @typedef {{ key: string, route: string, service: ServiceView | undefined, name: string, version: string, list: ServiceView['instances'], rps: number | undefined }} Row */

/** @type {readonly import('../parts/table.js').Column<Row>[]} */
const COLUMNS = [
  {
    id: 'route',
    title: 'Route',
    width: 'minmax(90px, 1fr)',
    cell: ({ route }) => route || html`<span class="muted">none</span>`,
    compare: (a, b) => a.route.localeCompare(b.route),
  },
  {
    id: 'service',
    title: 'Service',
    width: 'minmax(90px, 1.2fr)',
    cell: ({ service, name }) =>
      service === undefined
        ? html`<span class="muted">${name || 'answers itself'}</span>`
        : html`<a class="row-link" href=${href('services', [service.name])}><${Dot} tone=${serviceTone(service)} label=${serviceTrouble(service) || 'well'} /><span class="cut">${service.name}</span></a>`,
    compare: (a, b) => a.name.localeCompare(b.name),
  },
  {
    id: 'version',
    title: 'Version',
    width: 'minmax(70px, .7fr)',
    cell: ({ service, version }) => (service ? versionText(version || undefined) : ''),
  },
  {
    id: 'instances',
    title: 'Instances',
    width: '120px',
    from: 520,
    cell: ({ list }) =>
      list.length > 0 &&
      html`<span class="instances-cell"><${HealthBar} ...${countTones(list)} /><span>${list.filter(({ use }) => use === 'rotation').length} / ${list.length}</span></span>`,
  },
  {
    id: 'rps',
    title: 'Rate',
    width: '76px',
    isFigure: true,
    from: 400,
    cell: ({ rps }) => (rps === undefined ? '–' : `${rate(rps)}/s`),
    compare: (a, b) => (a.rps ?? -1) - (b.rps ?? -1),
  },
]

/** The picture as a table: a row for each route, service and version. @param {{ services: readonly ServiceView[], routes: readonly RouteView[], traffic: import('../lib/contract.js').TrafficView | undefined }} props */
export function TopologyList({ services, routes, traffic }) {
  const known = new Map(services.map((service) => [service.name, service]))
  /** @param {string} route @param {string} name @returns {Row[]} */
  const rowsOf = (route, name) => {
    const service = known.get(name)
    const base = { key: `${route}/${name}`, route, service, name, version: '', list: [] }
    if (service === undefined || service.instances.length === 0) return [{ ...base, rps: undefined }]
    return byVersion(service.instances).map(([version, list]) => {
      const rates = list.map(({ key }) => traffic?.instances[key]?.rps)
      const rps = rates.every((value) => value === undefined)
        ? undefined
        : rates.reduce((sum = 0, value = 0) => sum + value, 0)
      return { ...base, key: `${base.key}/${version}`, version, list, rps }
    })
  }
  const rows = [
    ...routes.flatMap((route) =>
      route.services.length === 0
        ? rowsOf(route.name, '')
        : route.services.flatMap((name) => rowsOf(route.name, name)),
    ),
    ...services.filter((service) => service.routes.length === 0).flatMap(({ name }) => rowsOf('', name)),
  ]
  return html`<section class="panel is-flush" aria-label="List"><${Table} label="Topology" columns=${COLUMNS} rows=${rows} rowKey=${(/** @type {Row} */ { key }) => key} /></section>`
}
