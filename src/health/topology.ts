import type { RouteAction, RouteSpec, ServicePolicy, TextMatch } from '../core/route.ts'
import type { Instance, RegistryState } from '../core/types.ts'
import type {
  GatewayState,
  InstanceView,
  RegistryView,
  RouteView,
  ServiceView,
  TopologyView,
} from '../core/views.ts'
import { unroutedService } from '../routing/services.ts'
import type { Service, Table } from '../routing/table.ts'
import { canariesOf } from './canaries.ts'

/** What the live side knows of one instance; ms. */
export interface LiveInstance {
  readonly instance: Instance
  readonly inFlight: number
  /** ms since the epoch, like the next. */
  readonly since?: number
  readonly lastRequestAt?: number | undefined
  readonly ejectedForMs: number
  /** Why it is out of rotation, in words; undefined = it is not. */
  readonly ejected?: string | undefined
  /** Why its zone keeps it out, in words; undefined = it does not. */
  readonly outOfZone?: string | undefined
  readonly failures: number
  readonly requests: number
  readonly pool: { readonly connected: number; readonly free: number; readonly queued: number }
}

/** What the live side knows of one service. */
export interface LiveService {
  readonly service: string
  readonly inFlight: number
  readonly retries: number
  readonly retryOverflows: number
  readonly breakerRefusals: number
  readonly breaker: 'closed' | 'open' | 'half-open' | undefined
  readonly isPanic: boolean
}

export interface TopologyInput {
  readonly table: Table | undefined
  readonly instances: readonly LiveInstance[]
  readonly services: readonly LiveService[]
  readonly registries: readonly RegistryView[]
  /** As of now: checks and sources change without a new table. */
  readonly registry: RegistryState
  /** Policy of services that only a registry knows; absent = they are left out. */
  readonly unrouted?: ServicePolicy
  /** Keys of instances that flap. Default: none. */
  readonly flapping?: ReadonlySet<string>
  readonly problems: readonly string[]
  readonly state: GatewayState
  readonly version: string
  readonly startedAt: number
  readonly now: number
}

const NO_SOCKETS = { connected: 0, free: 0, queued: 0 }
const NOT_LIVE: Partial<LiveInstance> = {}

/** Why an instance is ejected and for how long; undefined = it is not. */
export function ejectionText(live: LiveInstance | undefined): string | undefined {
  if (live?.ejected === undefined) return undefined
  const { ejected, ejectedForMs } = live
  return ejectedForMs > 0
    ? `${ejected}; back in ${Math.ceil(ejectedForMs / 1000)} s`
    : `${ejected}; back when its check passes`
}

/** What the gateway makes of an instance, and why. */
export type Use = Pick<InstanceView, 'use' | 'reason'>

function useOf(instance: Instance, service: Service, live: LiveInstance | undefined): Use {
  if (instance.drained !== undefined) {
    const reason = `drained through this gateway${instance.drained === '' ? '' : `: ${instance.drained}`}`
    return { use: 'out', reason }
  }
  if (instance.held !== undefined) {
    const reason = `held: ${instance.held}`
    return { use: service.eligible.length === 0 ? 'rotation' : 'reserve', reason }
  }
  if (instance.state === 'draining' && service.eligible.length === 0) {
    return { use: 'reserve', reason: 'draining; taken only because nobody else is left' }
  }
  const tier = service.standby.findIndex((each) => each.includes(instance))
  if (tier >= 0) return { use: 'reserve', reason: standbyText(instance, service) }
  if (!service.eligible.includes(instance)) {
    return { use: 'out', reason: `the registry says ${instance.state}` }
  }
  if (live?.outOfZone !== undefined) return { use: 'out', reason: live.outOfZone }
  const reason = ejectionText(live)
  if (reason !== undefined) return { use: 'ejected', reason }
  return { use: 'rotation' }
}

function standbyText({ key, priority = 0 }: Instance, { lead }: Service): string {
  const registry = key.slice(0, key.indexOf('/'))
  if (lead === undefined || lead.registry === registry) {
    return `priority ${priority}: used when nobody with a better one is left`
  }
  const back = lead.returning?.registry === registry ? '; back in the lead if it stays usable' : ''
  return `registry ${lead.registry} has the lead${back}`
}

/** What is known of one instance beside what the registry says. */
export interface Seen {
  readonly use: Use
  readonly live?: LiveInstance | undefined
  /** As the registry has it now; checks change without a new table. */
  readonly latest?: Instance | undefined
  readonly isFlapping: boolean
  readonly now: number
}

/** The view of one instance. Written field by field: spreads of what may be absent cost twice as much, and there are thousands. */
export function instanceView(instance: Instance, { use, live, latest, isFlapping, now }: Seen): InstanceView {
  const { key, id, address, port, scheme, state, weight, tags, version, zone, node, datacentre } = instance
  const { connected, free, queued } = live?.pool ?? NO_SOCKETS
  const { reason } = use
  const {
    inFlight = 0,
    requests = 0,
    failures = 0,
    ejectedForMs = 0,
    since,
    lastRequestAt,
  } = live ?? NOT_LIVE
  const view: { -readonly [key in keyof InstanceView]: InstanceView[key] } = {
    key,
    id,
    address: `${address.includes(':') ? `[${address}]` : address}:${port}`,
    scheme,
    state,
    use: use.use,
    weight,
    tags,
    checks: (latest ?? instance).checks ?? [],
    inFlight,
    requests,
    failures,
    ejectedForMs,
    sockets: { connected, free, queued },
  }
  if (reason !== undefined) view.reason = reason
  if (version !== undefined) view.version = version
  if (zone !== undefined) view.zone = zone
  if (node !== undefined) view.node = node
  if (datacentre !== undefined) view.datacentre = datacentre
  if (since !== undefined) view.since = since
  if (lastRequestAt !== undefined) view.lastRequestAt = lastRequestAt
  if (ejectedForMs > 0) view.ejectedUntil = Math.round(now + ejectedForMs)
  if (isFlapping) view.flapping = true
  return view
}

const routeNames = new WeakMap<Table, ReadonlyMap<string, readonly string[]>>()

/** Made once for each table: this is asked for a single instance, too. */
function routesByService(table: Table): ReadonlyMap<string, readonly string[]> {
  const known = routeNames.get(table)
  if (known !== undefined) return known
  const names = new Map<string, string[]>()
  routeNames.set(table, names)
  for (const { spec } of table.routes.values()) {
    for (const service of servicesOf(spec.action)) {
      const list = names.get(service)
      if (list === undefined) names.set(service, [spec.name])
      else list.push(spec.name)
    }
  }
  return names
}

type ServicesInput = Pick<
  TopologyInput,
  'table' | 'instances' | 'services' | 'registry' | 'unrouted' | 'flapping' | 'now'
> & {
  /** Only the service of this name. */
  readonly only?: string
}

/** The one of this name: as the table has it, else, if that is wanted, as the registry does. */
function serviceNamed(only: string, { table, registry, unrouted }: ServicesInput): Service[] {
  const service = table?.services.get(only)
  if (service !== undefined) return [service]
  const state = registry.services.get(only)
  return state === undefined || unrouted === undefined ? [] : [unroutedService(only, state, unrouted)]
}

/** Those of the table, and if they are wanted those that only a registry knows; by name. */
function servicesBy(input: ServicesInput): Service[] {
  const { table, registry, unrouted, only } = input
  if (only !== undefined) return serviceNamed(only, input)
  const services = [...(table?.services.values() ?? [])]
  if (unrouted !== undefined) {
    const known = new Set(services.map(({ policy }) => policy.registryName))
    for (const [name, state] of registry.services) {
      if (known.has(name) || table?.services.has(name) === true) continue
      services.push(unroutedService(name, state, unrouted))
    }
  }
  return services.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Services with all their instances, by name. */
export function viewServices(input: ServicesInput): ServiceView[] {
  const { table, instances, services, registry, flapping, now } = input
  if (table === undefined) return []
  const live = new Map(instances.map((one) => [one.instance.key, one]))
  const loads = new Map(services.map((one) => [one.service, one]))
  const routes = routesByService(table)
  return servicesBy(input).map((service) => {
    const latest =
      service.source === 'static' ? undefined : registry.services.get(service.policy.registryName)
    const checked = new Map(latest?.instances.map((one) => [one.key, one]))
    const list = service.instances.map((one) =>
      instanceView(one, {
        use: useOf(one, service, live.get(one.key)),
        live: live.get(one.key),
        latest: checked.get(one.key),
        isFlapping: flapping?.has(one.key) === true,
        now,
      }),
    )
    const load = loads.get(service.name)
    const reason = latest === undefined ? service.reason : latest.reason
    return {
      name: service.name,
      isInTable: table.services.has(service.name),
      source: latest?.source ?? service.source,
      ...(reason === undefined ? {} : { reason }),
      routes: routes.get(service.name) ?? [],
      balance: service.policy.balance.kind,
      inFlight: load?.inFlight ?? 0,
      retries: load?.retries ?? 0,
      retryOverflows: load?.retryOverflows ?? 0,
      isPanic: load?.isPanic ?? false,
      ...(load?.breaker === undefined ? {} : { breaker: load.breaker }),
      breakerRefusals: load?.breakerRefusals ?? 0,
      available: list.filter(({ use }) => use === 'rotation').length,
      instances: list,
    }
  })
}

/** Everything at one moment: registries, services, instances, what is wrong. Pure. */
export function viewTopology(input: TopologyInput): TopologyView {
  const { table, version, state, startedAt } = input
  return {
    at: input.now,
    gateway: { version, state, startedAt, table: table?.version, routes: table?.routes.size ?? 0 },
    registries: input.registries,
    services: viewServices(input),
    problems: input.problems,
  }
}

/** Names of the services that it may send to. */
export function servicesOf(action: RouteAction): readonly string[] {
  return action.kind === 'proxy' ? action.targets.map(({ service }) => service) : []
}

function conditionText(kind: string, name: string, match: TextMatch): string {
  return match.kind === 'present' || match.kind === 'absent'
    ? `${kind} ${name} ${match.kind}`
    : `${kind} ${name} ${match.kind} "${match.value}"`
}

function targetText(action: RouteAction): string {
  if (action.kind === 'respond') return String(action.status)
  if (action.kind === 'redirect') {
    const port = action.port === undefined ? '' : `:${action.port}`
    const parts = [action.scheme, action.host === undefined ? undefined : action.host + port, action.path]
    return [action.status, ...parts.filter((part) => part !== undefined)].join(' ')
  }
  const [only, ...others] = action.targets
  if (only !== undefined && others.length === 0) return only.service
  return action.targets.map(({ service, weight }) => `${service} ${weight}`).join(', ')
}

/** One route for people and tools; `table`: for the canary rules that look at it. */
export function viewRoute(spec: RouteSpec, table?: Table): RouteView {
  const { match, action } = spec
  return {
    name: spec.name,
    source: spec.source,
    priority: spec.priority,
    ...(spec.class === undefined ? {} : { class: spec.class }),
    hosts: match.hosts,
    path: match.path,
    methods: match.methods,
    conditions: [
      ...match.headers.map((field) => conditionText('header', field.name, field.match)),
      ...match.query.map((field) => conditionText('query', field.name, field.match)),
      ...match.cookies.map((field) => conditionText('cookie', field.name, field.match)),
      ...match.clientNetworks.map((network) => `client in ${network}`),
    ],
    action: action.kind,
    target: targetText(action),
    services: servicesOf(action),
    filters: spec.filters.map(({ name, type }) => (name === type ? name : `${name} (${type})`)),
    labels: spec.labels,
    canaries: table === undefined ? [] : canariesOf(table, spec.name, servicesOf(action)),
  }
}
