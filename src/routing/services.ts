import { hash } from 'node:crypto'
import type { DynamicConfig, ServicePolicy } from '../core/route.ts'
import type { Instance, Scheme, ServiceState } from '../core/types.ts'
import { chooseLead, type Lead, registryOf, tiersOf } from './lead.ts'
import type { Slicer } from './sliced.ts'
import type { Route, Service } from './table.ts'

const ELIGIBLE = new Set(['passing', 'warning', 'unknown'])
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, h2c: 80 }

/** Reason by instance key: what was drained through this gateway. */
type Drains = ReadonlyMap<string, string>
const NO_DRAINS: Drains = new Map()

/** `http://10.0.0.1:80` as an instance without a registry. */
function staticInstance(service: string, url: string): Instance {
  const [, scheme = 'http', host = '', port] = /^(\w+):\/\/(\[[^\]]+\]|[^:/]+)(?::(\d+))?/.exec(url) ?? []
  return {
    key: `static/${service}/${url}`,
    id: url,
    service,
    address: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? (DEFAULT_PORTS[scheme] ?? 80) : Number(port),
    scheme: scheme as Scheme,
    state: 'unknown',
    weight: 1,
    tags: [],
    meta: {},
  }
}

function instancesOf(
  policy: ServicePolicy,
  state: ServiceState | undefined,
  drains: Drains,
): readonly Instance[] {
  const all = listedOf(policy, state)
  if (drains.size === 0 || !all.some(({ key }) => drains.has(key))) return all
  return all.map((instance) => {
    const drained = drains.get(instance.key)
    if (drained === undefined || instance.state === 'maintenance') return instance
    return { ...instance, state: 'draining', drained }
  })
}

function listedOf(policy: ServicePolicy, state: ServiceState | undefined): readonly Instance[] {
  if (policy.upstreams.length > 0) return policy.upstreams.map((url) => staticInstance(policy.name, url))
  if (state === undefined) return []
  const { registries, scheme } = policy
  const known =
    registries === undefined
      ? state.instances
      : state.instances.filter((instance) => registries.includes(registryOf(instance)))
  if (scheme === undefined) return known
  return known.map((instance) => (instance.scheme === 'http' ? { ...instance, scheme } : instance))
}

/** Only what has an effect on requests: check outputs come and go. */
function instanceId(instance: Instance): string {
  const { key, address, port, scheme, state, weight, priority, version, zone, tags, meta, held, drained } =
    instance
  return JSON.stringify([
    key,
    address,
    port,
    scheme,
    state,
    weight,
    priority,
    version,
    zone,
    tags,
    meta,
    held !== undefined,
    drained,
  ])
}

interface Made {
  readonly policy: ServicePolicy
  readonly state: ServiceState | undefined
  readonly drains: Drains
}

/** From what a service was made, to know whether it is still the same. */
const madeFrom = new WeakMap<Service, Made>()
const policyIds = new WeakMap<ServicePolicy, string>()

function policyId(policy: ServicePolicy): string {
  let id = policyIds.get(policy)
  if (id === undefined) {
    id = hash('sha1', JSON.stringify({ ...policy, source: '' }), 'base64url')
    policyIds.set(policy, id)
  }
  return id
}

/** What was known when the service was made the last time, and the time. */
interface Before {
  readonly lead: Lead | undefined
  /** ms since the epoch. */
  readonly now: number
}

function createService(
  policy: ServicePolicy,
  state: ServiceState | undefined,
  drains: Drains,
  before: Before,
): Service {
  const instances = instancesOf(policy, state, drains)
  const usable = instances.filter(({ state, held }) => ELIGIBLE.has(state) && held === undefined)
  const { failover } = policy
  const lead =
    failover === undefined || policy.upstreams.length > 0
      ? undefined
      : chooseLead(failover, new Set(usable.map(registryOf)), before.lead, before.now)
  const [eligible = [], ...standby] = tiersOf(usable, failover?.order, lead)
  const isStatic = policy.upstreams.length > 0
  return {
    name: policy.name,
    policy,
    instances,
    eligible,
    standby,
    ...(lead === undefined ? {} : { lead }),
    // Held ones may be alive; draining ones are, for a little longer: better than no answer when nobody else is left.
    reserve: [
      ...standby.flat(),
      ...instances.filter(({ held, state }) => held !== undefined || state === 'draining'),
    ],
    source: isStatic ? 'static' : (state?.source ?? 'absent'),
    ...(state?.reason === undefined || isStatic ? {} : { reason: state.reason }),
    contentId: hash(
      'sha1',
      [policyId(policy), lead?.registry, ...instances.map(instanceId)].join('\n'),
      'base64url',
    ),
  }
}

const UNKNOWN: Before = { lead: undefined, now: 0 }
const unrouted = new WeakMap<ServiceState, Service>()

/** A service of a registry that no route and no setting names, as it would be if one did. */
export function unroutedService(name: string, state: ServiceState, policy: ServicePolicy): Service {
  let service = unrouted.get(state)
  if (service === undefined) {
    service = createService({ ...policy, name, registryName: name }, state, NO_DRAINS, UNKNOWN)
    unrouted.set(state, service)
  }
  return service
}

/** Whether these drains mean the same for the service. */
const isSameFor = (service: Service, a: Drains, b: Drains) =>
  a === b || service.instances.every(({ key }) => a.get(key) === b.get(key))

/**
 * The services of a table: those of the configuration and those which routes name. Unchanged ones are the
 * previous objects. `now`: ms since the epoch.
 */
export async function compileServices(
  config: DynamicConfig,
  routes: Iterable<Route>,
  registry: { readonly services: ReadonlyMap<string, ServiceState> },
  previous: ReadonlyMap<string, Service> | undefined,
  slicer: Slicer,
  drains: Drains = NO_DRAINS,
  now = 0,
): Promise<Map<string, Service>> {
  const policies = new Map(config.services.map((policy) => [policy.name, policy]))
  const add = (service: string) => {
    if (policies.has(service)) return
    const old = previous?.get(service)?.policy
    const fresh = { ...config.defaultPolicy, name: service, registryName: service }
    policies.set(service, old !== undefined && policyId(old) === policyId(fresh) ? old : fresh)
  }
  for (const route of routes) {
    const turn = slicer.pause()
    if (turn !== undefined) await turn
    const { action, mirror } = route.spec
    if (action.kind !== 'proxy') continue
    for (const { service } of action.targets) add(service)
    if (mirror?.service !== undefined) add(mirror.service)
  }
  for (const { mirror } of config.services) if (mirror?.service !== undefined) add(mirror.service)
  const services = new Map<string, Service>()
  for (const [name, policy] of policies) {
    const turn = slicer.pause()
    if (turn !== undefined) await turn
    const state = policy.upstreams.length > 0 ? undefined : registry.services.get(policy.registryName)
    const old = previous?.get(name)
    const made = old === undefined ? undefined : madeFrom.get(old)
    let service = old
    if (
      service === undefined ||
      made === undefined ||
      made.state !== state ||
      !isSameFor(service, made.drains, drains) ||
      policyId(made.policy) !== policyId(policy) ||
      (service.lead?.dueAt ?? Number.POSITIVE_INFINITY) <= now
    ) {
      service = createService(policy, state, drains, { lead: old?.lead, now })
      madeFrom.set(service, { policy, state, drains })
    }
    services.set(name, service)
  }
  return services
}
