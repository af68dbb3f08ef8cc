import type { Pool } from 'undici'
import type { Clock, Random } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { Instance } from '../core/types.ts'
import { hashText, maxEjected, pickInstance } from '../routing/balance.ts'
import type { Service, Table } from '../routing/table.ts'
import type { PickRequest, Upstream } from './exchange.ts'
import { hashInput } from './hash-input.ts'
import { LiveUpstream } from './live-upstream.ts'
import type { EjectionEvent, ServiceLoad, ServiceStats, UpstreamStats } from './upstream-stats.ts'

/** First ejection after a failed connect; doubles with each further one. ms. */
const EJECT_BASE_MS = 5_000
const EJECT_MAX_MS = 60_000
/** What a removed instance still has under way is cut off after this. ms. */
const DESTROY_AFTER_MS = 30_000
/** Retries at a time that a service always may have, however little traffic there is. */
const RETRY_FLOOR = 3
/** Retries at a time as a share of the service's requests under way. */
const RETRY_SHARE = 0.2

export interface UpstreamsDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** A connect was refused: the registry's view of this instance may be late. */
  readonly onRefused?: (instanceKey: string) => void
  /** How long a removed instance may finish what it has. ms, default 30000. */
  readonly destroyAfterMs?: number
}

interface Group {
  service: Service
  readonly live: Map<string, LiveUpstream>
  eligible: readonly LiveUpstream[]
  reserve: readonly LiveUpstream[]
  readonly credits: Map<string, number>
  readonly load: ServiceLoad
}

/**
 * The live side of all services: pools, counters, ejections, retry budgets. Keyed by service and
 * `Instance.key`, so all of it outlives table swaps.
 */
export class Upstreams {
  readonly #deps: UpstreamsDeps
  readonly #groups = new Map<string, Group>()
  /** Removed ones that still have something under way. */
  readonly #leaving = new Set<LiveUpstream>()
  readonly #listeners = new Set<(event: EjectionEvent) => void>()

  constructor(deps: UpstreamsDeps) {
    this.#deps = deps
  }

  /** Brings the live side in line with a new table. Unchanged instances are not touched. */
  sync(table: Table): void {
    for (const service of table.services.values()) {
      const group = this.#groups.get(service.name)
      if (group?.service !== service) this.#syncGroup(service, group ?? this.#newGroup(service))
    }
    for (const [name, group] of this.#groups) {
      if (table.services.has(name)) continue
      this.#groups.delete(name)
      for (const upstream of group.live.values()) this.#retire(upstream)
    }
  }

  #newGroup(service: Service): Group {
    const group: Group = {
      service,
      live: new Map(),
      eligible: [],
      reserve: [],
      credits: new Map(),
      load: { inFlight: 0, retrying: 0, retries: 0, retryOverflows: 0 },
    }
    this.#groups.set(service.name, group)
    return group
  }

  #syncGroup(service: Service, group: Group): void {
    group.service = service
    const known = new Set<string>()
    for (const instance of service.instances) {
      known.add(instance.key)
      const upstream = group.live.get(instance.key)
      if (upstream === undefined) {
        group.live.set(instance.key, new LiveUpstream(service.name, instance, service.policy, group.load))
      } else {
        const replaced = upstream.update(instance, service.policy)
        if (replaced !== undefined) this.#closePool(replaced)
      }
    }
    for (const [key, upstream] of group.live) {
      if (known.has(key)) continue
      group.live.delete(key)
      group.credits.delete(key)
      this.#retire(upstream)
    }
    const before = new Set(group.eligible)
    const inUse = inUseOf(group)
    group.eligible = lookUp(group, service.eligible)
    group.reserve = lookUp(group, service.reserve)
    const stillInUse = new Set(inUseOf(group))
    for (const upstream of inUse) if (!stillInUse.has(upstream) && !upstream.isRetired) upstream.rest()
    this.#startSlowly(group, before)
  }

  /** A start of all at once has nobody to carry the rest: then nobody starts slowly. */
  #startSlowly(group: Group, before: ReadonlySet<LiveUpstream>): void {
    const isAllNew = !group.eligible.some((upstream) => before.has(upstream))
    for (const upstream of group.eligible) {
      if (before.has(upstream)) continue
      upstream.slowStartAt = isAllNew ? Number.NEGATIVE_INFINITY : this.#deps.clock.monotonic()
    }
  }

  #retire(upstream: LiveUpstream): void {
    const pools = upstream.retire()
    if (pools.length === 0 && upstream.inFlight === 0) return
    this.#leaving.add(upstream)
    for (const pool of pools) {
      this.#closePool(pool, () => {
        if (upstream.inFlight === 0) this.#leaving.delete(upstream)
      })
    }
  }

  /** Idle sockets go at once, what is under way may finish, the rest is cut off after a while. */
  #closePool(pool: Pool, onClosed?: () => void): void {
    const destroyAfterMs = this.#deps.destroyAfterMs ?? DESTROY_AFTER_MS
    const timer = setTimeout(() => pool.destroy(null, () => {}), destroyAfterMs)
    timer.unref()
    pool.close(() => {
      clearTimeout(timer)
      onClosed?.()
    })
  }

  /**
   * The instance for a request, or undefined when the table has none that was not tried. When the result
   * `isFull`, all are: answer GW_UPSTREAM_OVERFLOW.
   */
  pick(request: PickRequest): LiveUpstream | undefined {
    const group = this.#groups.get(request.routed.serviceName ?? '')
    if (group === undefined) return undefined
    return this.#pickFrom(group.eligible, group, request) ?? this.#pickFrom(group.reserve, group, request)
  }

  #pickFrom(
    candidates: readonly LiveUpstream[],
    group: Group,
    request: PickRequest,
  ): LiveUpstream | undefined {
    if (candidates.length === 0) return undefined
    const { balance, slowStartMs } = group.service.policy
    return pickInstance(candidates, {
      kind: balance.kind,
      now: this.#deps.clock.monotonic(),
      random: this.#deps.random,
      slowStartMs,
      tried: request.tried,
      hash: balance.kind === 'consistent-hash' ? hashText(hashInput(balance.on, request)) : 0,
      credits: group.credits,
    })
  }

  /** Counts a request or tunnel in. Exactly one `end` must follow. */
  begin(upstream: LiveUpstream): void {
    upstream.inFlight++
    upstream.requests++
    upstream.load.inFlight++
  }

  /** Counts it out. */
  end(upstream: LiveUpstream): void {
    if (upstream.inFlight === 0) {
      throw new GatewayError('GW_INTERNAL_STATE', `${upstream.instance.key} was counted out twice`)
    }
    upstream.inFlight--
    if (upstream.isRetired && upstream.inFlight === 0) this.#leaving.delete(upstream)
    upstream.load.inFlight--
  }

  /** The instance could not be connected to: out of rotation for 5 s, doubling to 60 s. */
  reportConnectFailure(upstream: LiveUpstream, reason: string): void {
    const now = this.#deps.clock.monotonic()
    // The many that failed together with the first one are one failure.
    if (upstream.isRetired || upstream.ejectedUntil > now) return
    upstream.failures++
    this.#deps.onRefused?.(upstream.instance.key)
    const forMs = Math.min(EJECT_MAX_MS, EJECT_BASE_MS * 2 ** Math.min(upstream.failures - 1, 10))
    if (this.#canEject(upstream, now)) {
      upstream.ejectedUntil = now + forMs
      upstream.slowStartAt = upstream.ejectedUntil
      this.#tell({ kind: 'ejected', reason, forMs }, upstream)
    } else if (upstream.failures === 1) {
      this.#tell({ kind: 'kept', reason: `${reason}; too few others are left`, forMs: 0 }, upstream)
    }
  }

  #canEject(upstream: LiveUpstream, now: number): boolean {
    const eligible = this.#groups.get(upstream.service)?.eligible ?? []
    let ejected = 0
    for (const one of eligible) if (one.ejectedUntil > now) ejected++
    return ejected < maxEjected(eligible.length)
  }

  /** The instance answered: its failures are forgotten, and an ejection ends. */
  reportSuccess(upstream: LiveUpstream): void {
    if (upstream.failures === 0) return
    upstream.failures = 0
    if (upstream.ejectedUntil === 0) return
    upstream.ejectedUntil = 0
    this.#tell({ kind: 'returned', reason: 'it answers again', forMs: 0 }, upstream)
  }

  #tell(event: Pick<EjectionEvent, 'kind' | 'reason' | 'forMs'>, upstream: LiveUpstream): void {
    const full: EjectionEvent = { ...event, service: upstream.service, instanceKey: upstream.instance.key }
    if (full.kind === 'returned') this.#deps.log.info(full, 'instance is back in rotation')
    else this.#deps.log.warn(full, full.kind === 'ejected' ? 'instance ejected' : 'instance fails but stays')
    for (const listener of this.#listeners) listener(full)
  }

  /** Ejections and returns as they happen; the result ends the subscription. */
  subscribe(listener: (event: EjectionEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Takes one place of the service's retry budget: 20 % of its requests under way, at least 3 at a time.
   * False = used up (counted): answer with the failure. `endRetry` gives it back.
   */
  beginRetry(upstream: LiveUpstream): boolean {
    const { load } = upstream
    if (load.retrying >= Math.max(RETRY_FLOOR, Math.floor(load.inFlight * RETRY_SHARE))) {
      load.retryOverflows++
      return false
    }
    load.retrying++
    load.retries++
    return true
  }

  /** Counts a retry that moves load and adds none, so takes no place of the budget. */
  countMove(upstream: LiveUpstream): void {
    upstream.load.retries++
  }

  endRetry(upstream: LiveUpstream): void {
    upstream.load.retrying--
  }

  /** The live side of one instance, e.g. for an operator's question. */
  get(service: string, instanceKey: string): Upstream | undefined {
    return this.#groups.get(service)?.live.get(instanceKey)
  }

  /** One line per instance of the table, then those that are leaving. */
  stats(): readonly UpstreamStats[] {
    const now = this.#deps.clock.monotonic()
    const all: UpstreamStats[] = []
    for (const group of this.#groups.values()) {
      for (const upstream of group.live.values()) all.push(upstream.stats(now))
    }
    for (const upstream of this.#leaving) all.push(upstream.stats(now))
    return all
  }

  /** One line per service of the table. */
  serviceStats(): readonly ServiceStats[] {
    return [...this.#groups.values()].map((group) => ({ service: group.service.name, ...group.load }))
  }

  /** Cuts off everything. For a graceful end wait until nothing is in flight before. */
  async close(): Promise<void> {
    const pools: Promise<void>[] = []
    for (const group of this.#groups.values()) {
      for (const upstream of group.live.values()) pools.push(upstream.destroyRetired())
    }
    for (const upstream of this.#leaving) pools.push(upstream.destroyRetired())
    this.#groups.clear()
    this.#leaving.clear()
    await Promise.all(pools)
  }
}

/** Those that get requests when all is well. */
function inUseOf({ eligible, reserve }: Group): readonly LiveUpstream[] {
  return eligible.length > 0 ? eligible : reserve
}

function lookUp(group: Group, instances: readonly Instance[]): LiveUpstream[] {
  const found: LiveUpstream[] = []
  for (const instance of instances) {
    const upstream = group.live.get(instance.key)
    if (upstream !== undefined) found.push(upstream)
  }
  return found
}
