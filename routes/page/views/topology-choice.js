// @ts-check
import { count, millis, percent, rate } from '../lib/format.js'
import { byVersion, instanceTone, serviceTone, serviceTrouble, USE_TEXT, versionText } from '../lib/health.js'
import { html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { Icon } from '../parts/icons.js'
import { Facts } from '../parts/panel.js'
import { Dot } from '../parts/pill.js'

/** @typedef {import('../lib/contract.js').TopologyView} TopologyView */
/** @typedef {import('../lib/contract.js').TrafficView} TrafficView */
/** @typedef {import('../lib/graph.js').RouteView} RouteView */
/** @typedef {{ title: string, tone: import('../lib/health.js').Tone, text: string, facts: readonly (readonly [string, any])[], link: string, linkText: string }} Told */

/** @param {{ rps: number, errorRatio: number } | undefined} traffic @returns {(readonly [string, any])[]} */
const figures = (traffic) =>
  traffic === undefined
    ? []
    : [
        ['Rate', `${rate(traffic.rps)}/s`],
        ['Errors', percent(traffic.errorRatio)],
      ]

/** @param {RouteView} route @param {TrafficView | undefined} traffic @returns {Told} */
const tellRoute = (route, traffic) => ({
  title: route.name,
  tone: 'idle',
  text: '',
  facts: [
    ['Hosts', route.hosts.join(', ') || 'any'],
    ['Path', `${route.path.kind} ${route.path.value}`],
    ['Goes to', route.target],
    ['Filters', route.filters.join(', ') || 'none'],
    ...figures(traffic?.routes[route.name]),
  ],
  link: href('routes', [route.name]),
  linkText: 'Open route',
})

/** @param {import('../lib/health.js').ServiceView} service @param {TrafficView | undefined} traffic @returns {Told} */
const tellService = (service, traffic) => ({
  title: service.name,
  tone: serviceTone(service),
  text: serviceTrouble(service) || 'Well',
  facts: [
    ['In rotation', `${service.available} of ${service.instances.length}`],
    ['In flight', count(service.inFlight)],
    [
      'Versions',
      byVersion(service.instances)
        .map(([version]) => versionText(version || undefined))
        .join(', '),
    ],
    ...figures(traffic?.services[service.name]),
    ['p99', millis(traffic?.services[service.name]?.p99)],
  ],
  link: href('services', [service.name]),
  linkText: 'Open service',
})

/** @param {string} service @param {import('../lib/health.js').InstanceView} instance @param {TrafficView | undefined} traffic @returns {Told} */
const tellInstance = (service, instance, traffic) => ({
  title: instance.address,
  tone: instanceTone(instance),
  text: instance.reason ?? USE_TEXT[instance.use],
  facts: [
    ['Service', service],
    ['Version', instance.version ?? '–'],
    ['Registry says', instance.state],
    ['In flight', count(instance.inFlight)],
    ...figures(traffic?.instances[instance.key]),
  ],
  link: href('services', [service], { instance: instance.key }),
  linkText: 'Open instance',
})

/** @param {string} id @param {TopologyView} topology @param {readonly RouteView[]} routes @param {TrafficView | undefined} traffic @returns {Told | undefined} */
function tellNode(id, { services }, routes, traffic) {
  const [kind = '', ...rest] = id.split('/')
  const name = rest.join('/')
  if (kind === 'route') {
    const route = routes.find((one) => one.name === name)
    return route && tellRoute(route, traffic)
  }
  if (kind === 'instance') {
    for (const service of services) {
      const instance = service.instances.find(({ key }) => key === name)
      if (instance) return tellInstance(service.name, instance, traffic)
    }
    return undefined
  }
  const service = services.find(
    (one) => one.name === name || (kind !== 'service' && name.startsWith(`${one.name}/`)),
  )
  return service && tellService(service, traffic)
}

/** What there is to say of the chosen node, over the picture. @param {{ id: string, topology: TopologyView, routes: readonly RouteView[], traffic: TrafficView | undefined, onClose: () => void }} props */
export function TopologyChoice({ id, topology, routes, traffic, onClose }) {
  const told = tellNode(id, topology, routes, traffic)
  return html`
    <aside class="topology-choice" aria-label="Chosen" aria-live="polite">
      <header><h2>${told ? html`<${Dot} tone=${told.tone} /> ${told.title}` : 'It has left'}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button></header>
      ${
        told &&
        html`
        ${told.text && html`<p class="text-tone tone-${told.tone}">${told.text}</p>`}
        <${Facts} items=${told.facts} />
        <a class="button" href=${told.link}>${told.linkText}</a>`
      }
    </aside>
  `
}
