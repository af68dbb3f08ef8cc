import type { Clock } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { Check, Instance, InstanceState, ServiceInstances } from '../core/types.ts'
import { DRAIN_MARK, isDrainReason } from './drain-mark.ts'
import { type Registration, registration } from './embedded-registration.ts'
import type { RegistryProvider, RegistrySink } from './provider.ts'

/** Consul raises shorter times to this. ms. */
const MIN_DEREGISTER_MS = 60_000
const MAX_INSTANCES = 10_000
const MAX_OUTPUT = 512

interface TtlCheck {
  readonly id: string
  readonly name: string
  readonly ttlMs: number
  readonly deregisterAfterMs: number
  state: InstanceState
  output: string
  expired: boolean
  criticalSince: number | undefined
  timer: NodeJS.Timeout | undefined
}

interface Registered {
  readonly id: string
  readonly spec: Registration
  readonly checks: Map<string, TtlCheck>
  maintenance: string | undefined
  reaper: NodeJS.Timeout | undefined
}

/** What the admin side answers for an agent call: status and body as Consul's agent has them. */
export interface AgentAnswer {
  readonly status: number
  readonly body: string
}

const OK: AgentAnswer = { status: 200, body: '' }

/**
 * A registry in this process that speaks Consul's agent protocol: for one machine, a demo, tests. It is no
 * cluster: it forgets everything with the process, and services register again with their next beat.
 */
export class EmbeddedRegistry implements RegistryProvider {
  readonly name: string
  readonly #clock: Clock
  readonly #services = new Map<string, Registered>()
  #known = new Map<string, ServiceInstances>()
  #sink: RegistrySink | undefined
  #revision = 0

  constructor(name: string, deps: { clock: Clock }) {
    this.name = name
    this.#clock = deps.clock
  }

  watch(sink: RegistrySink, signal: AbortSignal): Promise<void> {
    this.#sink = sink
    this.#publish()
    return new Promise((resolve) => {
      const stop = () => {
        this.#sink = undefined
        for (const registered of this.#services.values()) clearTimers(registered)
        resolve()
      }
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
  }

  /**
   * `PUT /v1/agent/service/register`. Registering again keeps the state of its checks and its maintenance, as Consul
   * does; with `?replace-existing-checks` it begins anew.
   */
  register(body: unknown, isReplacing = false): AgentAnswer {
    const result = registration.safeParse(body)
    if (!result.success) {
      const [issue] = result.error.issues
      return { status: 400, body: `${issue?.path.map(String).join('.')}: ${issue?.message}` }
    }
    const spec = result.data
    const id = spec.ID ?? spec.Name
    const checks = [...(spec.Check == null ? [] : [spec.Check]), ...(spec.Checks ?? [])]
    if (checks.some(({ TTL }) => TTL === undefined)) {
      return {
        status: 400,
        body: 'the embedded registry has TTL checks only; use Consul for HTTP or TCP checks',
      }
    }
    const found = this.#services.get(id)
    const old = isReplacing ? undefined : found
    if (found === undefined && this.#services.size >= MAX_INSTANCES) {
      return { status: 500, body: `the embedded registry holds at most ${MAX_INSTANCES} instances` }
    }
    if (found !== undefined) clearTimers(found)
    const registered: Registered = {
      id,
      spec,
      checks: new Map(),
      maintenance: old?.maintenance,
      reaper: undefined,
    }
    checks.forEach((given, i) => {
      const checkId = given.CheckID ?? `service:${id}${checks.length > 1 ? `:${i + 1}` : ''}`
      const before = old?.checks.get(checkId)
      const ttl: TtlCheck = {
        id: checkId,
        name: given.Name ?? `Service '${spec.Name}' check`,
        ttlMs: given.TTL ?? 0,
        deregisterAfterMs: reapAfter(given.DeregisterCriticalServiceAfter),
        state: before?.state ?? given.Status,
        output: before?.output ?? '',
        expired: before?.expired ?? false,
        criticalSince: before?.criticalSince,
        timer: undefined,
      }
      registered.checks.set(checkId, ttl)
      this.#arm(registered, ttl)
    })
    this.#services.set(id, registered)
    this.#publish()
    return OK
  }

  /** `PUT /v1/agent/service/deregister/:id`. */
  deregister(id: string): AgentAnswer {
    const registered = this.#services.get(id)
    if (registered === undefined) {
      return {
        status: 404,
        body: `Unknown service ID "${id}". Ensure that the service ID is passed, not the service name.`,
      }
    }
    clearTimers(registered)
    // First draining, then gone: nobody must take a goodbye for a fault of the registry.
    registered.maintenance = DRAIN_MARK
    this.#publish()
    this.#services.delete(id)
    this.#publish()
    return OK
  }

  /** `PUT /v1/agent/service/maintenance/:id?enable=…&reason=…`. */
  maintenance(id: string, reason: string | undefined): AgentAnswer {
    const registered = this.#services.get(id)
    if (registered === undefined) return { status: 404, body: `Unknown service ID "${id}"` }
    registered.maintenance = reason
    this.#publish()
    return OK
  }

  /** `PUT /v1/agent/check/pass|warn|fail/:checkId` and `…/update/:checkId`. */
  report(checkId: string, state: 'passing' | 'warning' | 'critical', output: string): AgentAnswer {
    for (const registered of this.#services.values()) {
      const found = registered.checks.get(checkId)
      if (found === undefined) continue
      const hasChanged = found.state !== state
      found.state = state
      found.output = output.slice(0, MAX_OUTPUT)
      found.expired = false
      this.#arm(registered, found)
      if (hasChanged) this.#publish()
      return OK
    }
    return {
      status: 404,
      body: `Unknown check ID "${checkId}". Ensure that the check ID is passed, not the check name.`,
    }
  }

  /** `GET /v1/agent/services`. */
  services(): Record<string, unknown> {
    const all: Record<string, unknown> = {}
    for (const { id, spec } of this.#services.values()) {
      all[id] = {
        ID: id,
        Service: spec.Name,
        Tags: spec.Tags ?? [],
        Meta: spec.Meta ?? {},
        Port: spec.Port,
        Address: spec.Address,
        Weights: spec.Weights ?? { Passing: 1, Warning: 1 },
      }
    }
    return all
  }

  /** `GET /v1/agent/checks`. */
  checks(): Record<string, unknown> {
    const all: Record<string, unknown> = {}
    for (const { id, spec, checks } of this.#services.values()) {
      for (const one of checks.values()) {
        all[one.id] = {
          CheckID: one.id,
          Name: one.name,
          Status: one.state,
          Output: one.output,
          ServiceID: id,
          ServiceName: spec.Name,
          Type: 'ttl',
        }
      }
    }
    return all
  }

  #arm(registered: Registered, one: TtlCheck): void {
    clearTimeout(one.timer)
    if (one.state === 'critical') {
      one.criticalSince ??= this.#clock.now()
      if (one.deregisterAfterMs > 0 && registered.reaper === undefined) {
        registered.reaper = setTimeout(() => this.#reap(registered), one.deregisterAfterMs)
        registered.reaper.unref()
      }
    } else {
      one.criticalSince = undefined
      clearTimeout(registered.reaper)
      registered.reaper = undefined
    }
    if (one.expired) return
    one.timer = setTimeout(() => this.#expire(registered, one), one.ttlMs)
    one.timer.unref()
  }

  #expire(registered: Registered, one: TtlCheck): void {
    one.state = 'critical'
    one.expired = true
    one.output = 'TTL expired'
    this.#arm(registered, one)
    this.#publish()
  }

  #reap(registered: Registered): void {
    if (this.#services.get(registered.id) === registered) this.deregister(registered.id)
  }

  #publish(): void {
    if (this.#sink === undefined) return
    const lists = new Map<string, Instance[]>()
    for (const registered of this.#services.values()) {
      const instance = toInstance(this.name, registered)
      const list = lists.get(instance.service)
      if (list === undefined) lists.set(instance.service, [instance])
      else list.push(instance)
    }
    const next = new Map<string, ServiceInstances>()
    for (const [service, instances] of lists) {
      const old = this.#known.get(service)
      const isSame = old !== undefined && JSON.stringify(old.instances) === JSON.stringify(instances)
      next.set(service, isSame ? old : { name: service, instances })
    }
    this.#known = next
    this.#sink.status({ state: 'live', lastSuccess: this.#clock.now() })
    const revision = String(++this.#revision)
    this.#sink.next({ services: next, failed: new Set(), revision, epoch: 0, problems: [] })
  }
}

/** Finds the embedded registry that an agent call is for. Throws GW_ADMIN_NOT_FOUND when there is none. */
export function requireEmbedded(registry: EmbeddedRegistry | undefined): EmbeddedRegistry {
  if (registry !== undefined) return registry
  throw new GatewayError('GW_ADMIN_NOT_FOUND', 'there is no registry of type embedded in the configuration')
}

function reapAfter(ms: number | undefined): number {
  return ms === undefined || ms === 0 ? 0 : Math.max(MIN_DEREGISTER_MS, ms)
}

function clearTimers(registered: Registered): void {
  clearTimeout(registered.reaper)
  registered.reaper = undefined
  for (const one of registered.checks.values()) clearTimeout(one.timer)
}

const ORDER: readonly InstanceState[] = ['critical', 'warning', 'passing']

function toInstance(registry: string, { id, spec, checks, maintenance }: Registered): Instance {
  const list: Check[] = [...checks.values()].map((one) => ({
    id: one.id,
    state: one.state,
    output: one.output,
    ...(one.expired ? { expired: true } : {}),
  }))
  const worst = ORDER.find((state) => list.some((one) => one.state === state)) ?? 'passing'
  const state: InstanceState =
    maintenance === undefined ? worst : isDrainReason(maintenance) ? 'draining' : 'maintenance'
  const tags = spec.Tags ?? []
  const meta = spec.Meta ?? {}
  const weights = spec.Weights ?? { Passing: 1, Warning: 1 }
  const version = meta['version'] ?? tags.find((tag) => tag.startsWith('version='))?.slice(8)
  const scheme = meta['scheme'] ?? tags.find((tag) => tag.startsWith('scheme='))?.slice(7)
  return {
    key: `${registry}/local/${id}`,
    id,
    service: spec.Name,
    address: spec.Address === '' ? '127.0.0.1' : spec.Address,
    port: spec.Port,
    scheme: scheme === 'https' || scheme === 'h2c' ? scheme : 'http',
    state,
    weight: state === 'warning' ? Math.max(1, weights.Warning) : weights.Passing,
    tags,
    meta,
    checks: list,
    ...(version === undefined ? {} : { version }),
    ...(meta['zone'] === undefined ? {} : { zone: meta['zone'] }),
  }
}
