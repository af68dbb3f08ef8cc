// @ts-check
import { useCell } from '../lib/cell.js'
import { useTraffic } from '../lib/data.js'
import { count, plural, rate } from '../lib/format.js'
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { goQuery, href, place } from '../lib/router.js'
import { hostText, pathText, wordsOf } from '../lib/routes.js'
import { byFigure, byText, distinct } from '../lib/rows.js'
import { Search } from '../parts/field.js'
import { Panel } from '../parts/panel.js'
import { Pill } from '../parts/pill.js'
import { Select } from '../parts/select.js'
import { Answer, Note } from '../parts/states.js'
import { Table } from '../parts/table.js'
import { ErrorRatio } from '../parts/traffic-charts.js'
import { RouteDetail } from './route-detail.js'

/** @typedef {import('../lib/shapes.js').RouteView} RouteView */
/** @typedef {{ route: RouteView, traffic: { rps: number, errorRatio: number } | undefined }} Row */

/** @param {string} first @param {any} second */
const twoLines = (first, second) =>
  html`<div class="two-lines"><span class="cut">${first}</span><span class="cut muted">${second}</span></div>`

/** @type {readonly import('../parts/table.js').Column<Row>[]} */
const COLUMNS = [
  {
    id: 'name',
    title: 'Route',
    width: 'minmax(150px, 2fr)',
    cell: ({ route }) => html`<div class="two-lines">
      <a class="row-link" href=${href('routes', [route.name])}><span class="cut">${route.name}</span></a>
      <span class="cut muted mono">${route.methods.join(' ')} ${hostText(route)}${pathText(route)}</span></div>`,
    compare: byText(({ route }) => route.name),
  },
  {
    id: 'target',
    title: 'Goes to',
    width: 'minmax(96px, 1fr)',
    cell: ({ route: { action, target, canaries } }) =>
      twoLines(
        target,
        canaries.length > 0
          ? html`<span class="canaries">${canaries.join(', ')}</span>`
          : action === 'proxy'
            ? ''
            : action,
      ),
    compare: byText(({ route }) => route.target),
  },
  {
    id: 'conditions',
    title: 'Only if',
    width: 'minmax(100px, 1.2fr)',
    from: 860,
    cell: ({ route: { conditions } }) =>
      conditions.length === 0
        ? html`<span class="muted">–</span>`
        : html`<span title=${conditions.join('\n')}>${conditions[0]}${conditions.length > 1 && html`<span class="muted"> and ${conditions.length - 1} more</span>`}</span>`,
  },
  {
    id: 'filters',
    title: 'Filters',
    width: 'minmax(100px, 1.3fr)',
    from: 700,
    cell: ({ route: { filters } }) =>
      filters.length === 0
        ? html`<span class="muted">–</span>`
        : html`<span title=${filters.join(' → ')}>${filters.map((text) => text.replace(/ \(.*$/, '')).join(' → ')}</span>`,
    compare: byFigure(({ route }) => route.filters.length),
  },
  {
    id: 'class',
    title: 'Class',
    width: '104px',
    from: 980,
    cell: ({ route }) => route.class ?? html`<span class="muted">by request</span>`,
    compare: byText(({ route }) => route.class ?? ''),
  },
  {
    id: 'rps',
    title: 'Rate',
    width: '64px',
    isFigure: true,
    from: 420,
    cell: ({ traffic }) => (traffic ? `${rate(traffic.rps)}/s` : '–'),
    compare: byFigure(({ traffic }) => traffic?.rps),
  },
  {
    id: 'errors',
    title: 'Errors',
    width: '60px',
    isFigure: true,
    from: 560,
    cell: ({ traffic }) => html`<${ErrorRatio} ratio=${traffic?.errorRatio} />`,
    compare: byFigure(({ traffic }) => traffic?.errorRatio),
  },
]

/** @param {{ routes: readonly RouteView[] }} props */
function List({ routes }) {
  const { q = '', service = '' } = useCell(place).query
  const { data: traffic } = useTraffic()
  const wanted = q.toLowerCase()
  const rows = routes
    .filter(
      (route) =>
        (service === '' || route.services.includes(service)) &&
        (wanted === '' || wordsOf(route).includes(wanted)),
    )
    .map((route) => ({ route, traffic: traffic?.routes[route.name] }))
  return html`
    <div class="toolbar">
      <${Search} label="Search routes" value=${q} onInput=${(/** @type {string} */ text) => goQuery({ q: text })} />
      <${Select} label="Service" options=${distinct(routes.flatMap(({ services }) => services))} value=${service} onChange=${(/** @type {string} */ name) => goQuery({ service: name })} />
      <span class="muted end" role="status">${rows.length === routes.length ? plural(routes.length, 'route') : `${count(rows.length)} of ${plural(routes.length, 'route')}`}</span>
    </div>
    <${Panel} title="Routes" aside="in the order of their declaration" isFlush>
      ${
        rows.length === 0
          ? routes.length === 0
            ? html`<${Note} icon="routes" title="No routes yet">Declare one below <code>routes</code>, in <code>routes.d</code>, or by tags of a service in a registry.<//>`
            : html`<${Note} icon="search" title="No route matches">Another word, or <a href=${href('routes')}>all routes</a>.<//>`
          : html`<${Table} label="Routes" columns=${COLUMNS} rows=${rows} rowHeight=${54} rowKey=${(/** @type {Row} */ { route }) => route.name} />`
      }
    <//>
  `
}

/** @param {{ rest: readonly string[] }} props */
function Routes({ rest: [name] }) {
  /** @type {import('../lib/resource.js').Known<{ routes: readonly RouteView[] }>} */
  const known = useResource('/api/routes', { everyMs: 15_000, on: ['table'] })
  return html`<${Answer} of=${known} name="Routes" rows=${8}>${(
    /** @type {{ routes: readonly RouteView[] }} */ { routes },
  ) => {
    if (name === undefined) return html`<${List} routes=${routes} />`
    return html`<${RouteDetail} name=${name} route=${routes.find((route) => route.name === name)} />`
  }}<//>`
}

function CountBadge() {
  const { data } = useResource('/api/topology', { everyMs: 3000 })
  const amount = /** @type {import('../lib/contract.js').TopologyView | undefined} */ (data)?.gateway.routes
  return amount === undefined ? null : html`<${Pill}>${count(amount)}<span class="hidden"> routes</span><//>`
}

/** @type {import('./index.js').ViewEntry} */
export const routes = {
  id: 'routes',
  title: 'Routes',
  group: 'Traffic',
  icon: 'routes',
  View: Routes,
  Badge: CountBadge,
}
