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
  readonly problems: readonly string[]
  readonly state: GatewayState
  readonly version: string
  readonly startedAt: number
  readonly now: number
}

const NO_SOCKETS = { connected: 0, free: 0, queued: 0 }

/** Why an instance is ejected and for how long; undefined = it is not. */
export function ejectionText(live: LiveInstance | undefined): string | undefined {
  if (live?.ejected === undefined) return undefined
  const { ejected, ejectedForMs } = live
  return ejectedForMs > 0
    ? `${ejected}; back in ${Math.ceil(ejectedForMs / 1000)} s`
    : `${ejected}; back when its check passes`
}

function useOf(instance: Instance, service: Service, live: LiveInstance | undefined) {
  if (instance.drained !== undefined) {
    const reason = `drained through this gateway${instance.drained === '' ? '' : `: ${instance.drained}`}`
    return { use: 'out', reason } as const
  }
  if (instance.held !== undefined) {
    const reason = `held: ${instance.held}`
    return service.eligible.length === 0
      ? ({ use: 'rotation', reason } as const)
      : ({ use: 'reserve', reason } as const)
  }
  if (instance.state === 'draining' && service.eligible.length === 0) {
    return { use: 'reserve', reason: 'draining; taken only because nobody else is left' } as const
  }
  if (!service.eligible.includes(instance)) {
    return { use: 'out', reason: `the registry says ${instance.state}` } as const
  }
  if (live?.outOfZone !== undefined) return { use: 'out', reason: live.outOfZone } as const
  const reason = ejectionText(live)
  if (reason !== undefined) return { use: 'ejected', reason } as const
  return { use: 'rotation' } as const
}

function instanceView(
  instance: Instance,
  service: Service,
  live: LiveInstance | undefined,
  latest: Instance | undefined,
  now: number,
): InstanceView {
  const { key, id, address, port, scheme, state, weight, tags, version, zone, node, datacentre } = instance
  const { connected, free, queued } = live?.pool ?? NO_SOCKETS
  return {
    key,
    id,
    address: `${address.includes(':') ? `[${address}]` : address}:${port}`,
    scheme,
    state,
    ...useOf(instance, service, live),
    weight,
    ...(version === undefined ? {} : { version }),
    ...(zone === undefined ? {} : { zone }),
    ...(node === undefined ? {} : { node }),
    ...(datacentre === undefined ? {} : { datacentre }),
    tags,
    checks: (latest ?? instance).checks ?? [],
    inFlight: live?.inFlight ?? 0,
    ...(live?.since === undefined ? {} : { since: live.since }),
    ...(live?.lastRequestAt === undefined ? {} : { lastRequestAt: live.lastRequestAt }),
    requests: live?.requests ?? 0,
    failures: live?.failures ?? 0,
    ejectedForMs: live?.ejectedForMs ?? 0,
    ...(live !== undefined && live.ejectedForMs > 0
      ? { ejectedUntil: Math.round(now + live.ejectedForMs) }
      : {}),
    sockets: { connected, free, queued },
  }
}

function routesByService(table: Table): Map<string, string[]> {
  const names = new Map<string, string[]>()
  for (const { spec } of table.routes.values()) {
    for (const service of servicesOf(spec.action)) {
      const list = names.get(service)
      if (list === undefined) names.set(service, [spec.name])
      else list.push(spec.name)
    }
  }
  return names
}

/** Those of the table, and if they are wanted those that only a registry knows; by name. */
function servicesBy({
  table,
  registry,
  unrouted,
}: Pick<TopologyInput, 'table' | 'registry' | 'unrouted'>): Service[] {
  const services = [...(table?.services.values() ?? [])]
  if (unrouted !== undefined) {
    const known = new Set(services.map(({ policy }) => policy.registryName))
    for (const [name, state] of registry.services) {
      if (!known.has(name) && table?.services.has(name) !== true)
        services.push(unroutedService(name, state, unrouted))
    }
  }
  return services.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Services with all their instances, by name. */
export function viewServices({
  table,
  instances,
  services,
  registry,
  unrouted,
  now,
}: Pick<TopologyInput, 'table' | 'instances' | 'services' | 'registry' | 'unrouted' | 'now'>): ServiceView[] {
  if (table === undefined) return []
  const live = new Map(instances.map((one) => [one.instance.key, one]))
  const loads = new Map(services.map((one) => [one.service, one]))
  const routes = routesByService(table)
  return servicesBy({ table, registry, ...(unrouted === undefined ? {} : { unrouted }) }).map((service) => {
    const latest =
      service.source === 'static' ? undefined : registry.services.get(service.policy.registryName)
    const checked = new Map(latest?.instances.map((one) => [one.key, one]))
    const list = service.instances.map((one) =>
      instanceView(one, service, live.get(one.key), checked.get(one.key), now),
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
