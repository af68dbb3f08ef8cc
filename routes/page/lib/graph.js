// @ts-check
import { byVersion, countTones, instanceTone, serviceTone, USE_TEXT, versionText } from './health.js'

/** @typedef {import('./health.js').Tone} Tone */
/** @typedef {import('./health.js').ServiceView} ServiceView */
/** @typedef {import('./health.js').InstanceView} InstanceView */
/** @typedef {import('../../../src/core/views.ts').RouteView} RouteView */
/** @typedef {import('./contract.js').TrafficView} TrafficView */
/** @typedef {'route' | 'service' | 'version' | 'instance' | 'bundle'} Kind */

/**
 * @typedef {object} GraphNode
 * @property {string} id
 * @property {Kind} kind
 * @property {string} label
 * @property {string} sub
 * @property {Tone} tone
 * @property {number | undefined} rps undefined = not known.
 * @property {string} service Empty for routes.
 * @property {string} instance Key; empty for all others.
 * @property {{ good: number, warn: number, bad: number, idle: number } | undefined} counts
 * @property {boolean | undefined} isOpen undefined = there is nothing to open.
 */
/** @typedef {{ id: string, from: string, to: string, rps: number | undefined, tone: Tone }} GraphEdge */
/** Nodes that hang together; without an edge to another one. @typedef {{ id: string, nodes: GraphNode[], edges: GraphEdge[] }} Component */

/** How much is shown of each service unless somebody opens or closes it. @typedef {'services' | 'versions' | 'instances'} Depth */

/** From so many on the instances of a version are drawn as one. */
const BUNDLE_FROM = { instances: Number.POSITIVE_INFINITY, versions: 2, services: 9 }

/** So that a picture of many services stays one. @param {number} services @param {number} instances @returns {Depth} */
export function depthFor(services, instances) {
  if (instances <= 60) return 'instances'
  return services <= 60 ? 'versions' : 'services'
}

/** @param {RouteView} route */
function routeText({ hosts, path: { kind, value }, methods }) {
  const path = kind === 'regex' ? `~${value}` : kind === 'prefix' ? `${value.replace(/\/$/, '')}/*` : value
  // The path first: it is what tells routes apart when the text is cut.
  return [[methods.join(','), path].filter(Boolean).join(' '), hosts.join(', ')].filter(Boolean).join(' · ')
}

/** @param {number | undefined} sum @param {number | undefined} value */
const add = (sum, value) => (value === undefined ? sum : (sum ?? 0) + value)

/** The worst of a version's instances, and `warn` while some are well. @param {readonly InstanceView[]} list @returns {Tone} */
function groupTone(list) {
  const { good, warn, bad, idle } = countTones(list)
  if (bad + warn + idle === 0) return 'good'
  if (good === 0) return bad > 0 ? 'bad' : warn > 0 ? 'warn' : 'idle'
  return bad + warn > 0 ? 'warn' : 'good'
}

/**
 * @param {ServiceView} service
 * @param {string} version Empty = none.
 * @param {readonly InstanceView[]} list
 * @param {TrafficView | undefined} traffic
 * @param {number} bundleFrom
 * @param {Component} into
 */
function addVersion({ name }, version, list, traffic, bundleFrom, into) {
  const id = `version/${name}/${version}`
  let rps = /** @type {number | undefined} */ (undefined)
  for (const { key } of list) rps = add(rps, traffic?.instances[key]?.rps)
  const tone = groupTone(list)
  const base = { service: name, instance: '', counts: undefined, isOpen: undefined }
  into.nodes.push({
    ...base,
    id,
    kind: 'version',
    label: versionText(version || undefined),
    sub: '',
    tone,
    rps,
  })
  into.edges.push({ id: `${name}>${version}`, from: `service/${name}`, to: id, rps, tone })
  if (list.length >= bundleFrom) {
    const bundle = `bundle/${name}/${version}`
    const well = list.filter((one) => instanceTone(one) === 'good').length
    into.nodes.push({
      ...base,
      id: bundle,
      kind: 'bundle',
      label: `${list.length} instances`,
      sub: `${well} well`,
      tone,
      rps,
      counts: countTones(list),
      isOpen: false,
    })
    into.edges.push({ id: `${id}>`, from: id, to: bundle, rps, tone })
    return
  }
  for (const one of list) {
    const own = traffic?.instances[one.key]?.rps
    const to = `instance/${one.key}`
    into.nodes.push({
      ...base,
      id: to,
      kind: 'instance',
      label: one.address,
      sub: one.use === 'rotation' ? '' : USE_TEXT[one.use],
      tone: instanceTone(one),
      rps: own,
      instance: one.key,
    })
    into.edges.push({ id: `${id}>${one.key}`, from: id, to, rps: own, tone: instanceTone(one) })
  }
}

/**
 * @param {ServiceView} service
 * @param {GraphInput} input
 * @param {Component} into
 */
function addService(service, { traffic, depth, toggled }, into) {
  const { name, instances, available } = service
  const id = `service/${name}`
  const isOpen = (depth !== 'services') !== toggled.has(id)
  into.nodes.push({
    id,
    kind: 'service',
    label: name,
    sub: `${available} of ${instances.length}`,
    tone: serviceTone(service),
    rps: traffic?.services[name]?.rps,
    service: name,
    instance: '',
    counts: countTones(instances),
    isOpen: instances.length === 0 ? undefined : isOpen,
  })
  if (!isOpen) return
  for (const [version, list] of byVersion(instances)) {
    const isWide = toggled.has(`bundle/${name}/${version}`)
    addVersion(service, version, list, traffic, isWide ? Number.POSITIVE_INFINITY : BUNDLE_FROM[depth], into)
  }
}

/** Which routes and services hang together. @param {readonly RouteView[]} routes @returns The name of their set, for a node. */
function groups(routes) {
  /** @type {Map<string, string>} */
  const parents = new Map()
  /** @param {string} id @returns {string} */
  const root = (id) => {
    const parent = parents.get(id) ?? id
    if (parent === id) return id
    const top = root(parent)
    parents.set(id, top)
    return top
  }
  for (const { name, services } of routes) {
    for (const service of services) parents.set(root(`service/${service}`), root(`route/${name}`))
  }
  return root
}

/**
 * @typedef {object} GraphInput
 * @property {readonly ServiceView[]} services
 * @property {readonly RouteView[]} routes
 * @property {TrafficView | undefined} traffic
 * @property {Depth} depth
 * @property {ReadonlySet<string>} toggled Ids of nodes that are otherwise than `depth` says.
 */

/**
 * What there is to draw, from the routes to the instances, in sets that hang together: each is laid out by itself, so that
 * opening one service moves nothing but its own.
 * @param {GraphInput} input
 * @returns {Component[]}
 */
export function buildGraph(input) {
  const { services, routes, traffic } = input
  const known = new Map(services.map((service) => [service.name, service]))
  const setOf = groups(routes)
  /** @type {Map<string, Component>} */
  const components = new Map()
  const component = (/** @type {string} */ id) => {
    let one = components.get(id)
    if (one === undefined) {
      one = { id, nodes: [], edges: [] }
      components.set(id, one)
    }
    return one
  }
  for (const route of routes) {
    const into = component(setOf(`route/${route.name}`))
    const own = traffic?.routes[route.name]
    const tones = route.services.map((name) => known.get(name)).map((one) => (one ? serviceTone(one) : 'bad'))
    const tone = tones.includes('bad')
      ? 'bad'
      : tones.includes('warn')
        ? 'warn'
        : tones.length === 0
          ? 'idle'
          : 'good'
    const id = `route/${route.name}`
    into.nodes.push({
      id,
      kind: 'route',
      label: route.name,
      sub: routeText(route),
      tone,
      rps: own?.rps,
      service: '',
      instance: '',
      counts: undefined,
      isOpen: undefined,
    })
    for (const name of route.services) {
      const service = known.get(name)
      if (service === undefined) continue
      into.edges.push({
        id: `${id}>${name}`,
        from: id,
        to: `service/${name}`,
        rps: own?.services[name],
        tone: serviceTone(service),
      })
    }
  }
  for (const service of services) addService(service, input, component(setOf(`service/${service.name}`)))
  return [...components.values()]
}
