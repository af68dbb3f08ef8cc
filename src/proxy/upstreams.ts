import { GatewayError } from '../core/errors.ts'
import { type BalanceRequest, hashText, pickInstance } from '../routing/balance.ts'
import { pickInRotation, pickLive, type Rotation, rotate } from '../routing/rotation.ts'
import type { Service, Table } from '../routing/table.ts'
import { Deadlines } from './deadlines.ts'
import type { PickRequest, Upstream } from './exchange.ts'
import { hashInput } from './hash-input.ts'
import { Health, type HealthDeps } from './health.ts'
import { Leaving, type LeavingEvent } from './leaving.ts'
import { LiveUpstream, type Stream } from './live-upstream.ts'
import { pickSide } from './side-pick.ts'
import { countInZone, createGroup, type Group, lookUp } from './upstream-group.ts'
import type { ServiceStats, UpstreamStats } from './upstream-stats.ts'

/** Retries at a time that a service always may have, however little traffic there is. */
const RETRY_FLOOR = 3
/** Retries at a time as a share of the service's requests under way. */
const RETRY_SHARE = 0.2

export interface UpstreamsDeps extends HealthDeps {
  /** How long an instance that goes away may finish what it has, at least. ms, default 30000. */
  readonly destroyAfterMs?: number
}

/**
 * The live side of all services: pools, counters, ejections, retry budgets. Keyed by service and
 * `Instance.key`, so all of it outlives table swaps.
 */
export class Upstreams {
  /** Of the exchanges under way. */
  readonly deadlines: Deadlines
  readonly #deps: UpstreamsDeps
  readonly #groups = new Map<string, Group>()
  readonly #leaving: Leaving
  /** Hears what tries meet. */
  readonly health: Health
  readonly #leavingListeners = new Set<(event: LeavingEvent) => void>()

  constructor(deps: UpstreamsDeps) {
    this.#deps = deps
    const { clock, destroyAfterMs } = deps
    this.health = new Health(this.#groups, deps)
    this.#leaving = new Leaving({
      clock,
      ...(destroyAfterMs === undefined ? {} : { destroyAfterMs }),
      tell: (event) => {
        for (const listener of this.#leavingListeners) listener(event)
      },
    })
    this.deadlines = new Deadlines(deps.clock)
  }

  /** Brings the live side in line with a new table. Unchanged instances are not touched. */
  sync(table: Table): void {
    for (const service of table.services.values()) {
      const group = this.#groups.get(service.name)
      if (group?.service !== service) this.#syncGroup(service, group ?? this.#addGroup(service))
    }
    for (const [name, group] of this.#groups) {
      if (table.services.has(name)) continue
      this.#groups.delete(name)
      this.health.remove(group)
      for (const upstream of group.live.values()) this.#retire(upstream)
    }
  }

  #addGroup(service: Service): Group {
    const group = createGroup(service)
    this.#groups.set(service.name, group)
    return group
  }

  #syncGroup(service: Service, group: Group): void {
    group.service = service
    const now = this.#deps.clock.now()
    const known = new Set<string>()
    for (const instance of service.instances) {
      known.add(instance.key)
      const upstream = group.live.get(instance.key)
      if (upstream === undefined) {
        group.live.set(
          instance.key,
          new LiveUpstream(service.name, instance, service.policy, group.load, now),
        )
      } else {
        const replaced = upstream.update(instance, service.policy, now)
        if (replaced !== undefined) this.#leaving.replacePool(upstream, replaced)
      }
    }
    for (const [key, upstream] of group.live) {
      if (known.has(key)) continue
      group.live.delete(key)
      group.credits.delete(key)
      this.#retire(upstream)
    }
    const before = new Set(group.eligible)
    group.eligible = lookUp(group, service.eligible)
    group.reserve = lookUp(group, service.reserve)
    group.standby = service.standby.map((tier) => lookUp(group, tier))
    group.sides = new WeakMap()
    const appeared = group.eligible.filter((upstream) => !before.has(upstream))
    this.#startSlowly(group, appeared)
    this.#watchRotation(group)
    this.health.update(group, appeared)
  }

  /** Who is out of rotation gets nothing new and closes its idle sockets; who is back begins afresh. */
  #watchRotation(group: Group): void {
    const inUse = new Set([...group.eligible, ...group.reserve])
    for (const upstream of group.live.values()) {
      const { state } = upstream.instance
      // As the last one it may still be asked; it is on its way out all the same.
      if (state === 'draining') inUse.delete(upstream)
      if (!inUse.has(upstream)) this.#leaving.leave(upstream, state === 'draining' || state === 'maintenance')
      else if (upstream.isOut) this.#leaving.comeBack(upstream)
    }
  }

  /** A start of all at once has nobody to carry the rest: then nobody starts slowly. */
  #startSlowly(group: Group, appeared: readonly LiveUpstream[]): void {
    const isAllNew = appeared.length === group.eligible.length
    for (const upstream of appeared) {
      upstream.slowStartAt = isAllNew ? Number.NEGATIVE_INFINITY : this.#deps.clock.monotonic()
    }
  }

  #retire(upstream: LiveUpstream): void {
    upstream.retire()
    this.#leaving.leave(upstream, true)
  }

  /**
   * The instance for a request, or undefined when the table has none that was not tried. When the result
   * `isFull`, all are: answer GW_UPSTREAM_OVERFLOW.
   */
  pick(request: PickRequest): LiveUpstream | undefined {
    const group = this.#groups.get(request.routed.serviceName ?? '')
    if (group === undefined) return undefined
    const { side } = request.routed
    if (side !== undefined) {
      return pickSide(group, side, (candidates, isLastResort) =>
        this.#pickFrom(candidates, group, request, isLastResort),
      )
    }
    return (
      this.#pickLiveTier(group, request) ??
      this.#pickFrom(group.eligible, group, request, true) ??
      this.#pickFrom(group.reserve, group, request, true)
    )
  }

  /** Others stand by: they come before those of the first choice that are ejected, or full. */
  #pickLiveTier(group: Group, request: PickRequest): LiveUpstream | undefined {
    if (group.standby.length === 0) return undefined
    let full: LiveUpstream | undefined
    for (const tier of [group.eligible, ...group.standby]) {
      const found = this.#pickFrom(tier, group, request, false)
      if (found !== undefined && !found.isFull) return found
      full ??= found
    }
    return full
  }

  #pickFrom(
    candidates: readonly LiveUpstream[],
    group: Group,
    request: PickRequest,
    isLastResort: boolean,
  ): LiveUpstream | undefined {
    if (candidates.length === 0) return undefined
    const { balance, slowStartMs } = group.service.policy
    const asked: BalanceRequest = {
      kind: balance.kind,
      now: this.#deps.clock.monotonic(),
      random: this.#deps.random,
      slowStartMs,
      tried: request.tried,
      hash: balance.kind === 'consistent-hash' ? hashText(hashInput(balance.on, request)) : 0,
      credits: group.credits,
    }
    if (!group.isNarrowed) return pickInstance(candidates, asked)
    const rotation = this.#rotationOf(candidates, group)
    return isLastResort ? pickInRotation(rotation, asked) : pickLive(rotation, asked)
  }

  #rotationOf(candidates: readonly LiveUpstream[], group: Group): Rotation<LiveUpstream> {
    let rotation = group.rotations.get(candidates)
    if (rotation === undefined) {
      const { panic, zone } = group.service.policy.health
      const isWhole =
        candidates === group.eligible || candidates === group.reserve || group.standby.includes(candidates)
      // Of a version: ejections are ignored for the whole service or not at all, as its events say.
      const share = !isWhole ? Number(group.isPanic) : group.isCovered ? 0 : panic
      const ownZone = this.#deps.zone
      const zoneTotal = ownZone === undefined ? undefined : countInZone(group, candidates, ownZone)
      const rules = { panic: share, zone, ownZone, ...(zoneTotal === undefined ? {} : { zoneTotal }) }
      rotation = rotate(candidates, rules)
      group.rotations.set(candidates, rotation)
    }
    return rotation
  }

  /**
   * Counts a request or tunnel in. `at`: monotonic ms. Exactly one `end` must follow. Returns the mark of the breaker's
   * probe (0 = it is none) for `end` and the reports.
   */
  begin(upstream: LiveUpstream, at: number): number {
    upstream.lastBegunAt = at
    upstream.inFlight++
    upstream.requests++
    upstream.load.inFlight++
    return upstream.load.breaker?.begin() ?? 0
  }

  /** A tunnel is open or refused: its probe is over, it goes on. */
  endProbe(upstream: LiveUpstream, mark: number): void {
    upstream.load.breaker?.end(mark)
  }

  /** Counts it out. */
  end(upstream: LiveUpstream, mark = 0): void {
    if (upstream.inFlight === 0) {
      throw new GatewayError('GW_INTERNAL_STATE', `${upstream.instance.key} was counted out twice`)
    }
    upstream.inFlight--
    upstream.load.inFlight--
    if (mark !== 0) this.endProbe(upstream, mark)
    if (upstream.isOut && upstream.inFlight === 0) this.#leaving.check(upstream)
  }

  /** A tunnel is open: it has to end when its instance goes away, `streamDrain` later. `detach` when it is closed. */
  attach(upstream: LiveUpstream, stream: Stream): void {
    upstream.streams.add(stream)
    if (upstream.areStreamsOver) this.#leaving.endStreams(upstream)
  }

  detach(upstream: LiveUpstream, stream: Stream): void {
    upstream.streams.delete(stream)
  }

  /** Instances on their way out: `idle`, then `closed`. The result ends the subscription. */
  onLeaving(listener: (event: LeavingEvent) => void): () => void {
    this.#leavingListeners.add(listener)
    return () => this.#leavingListeners.delete(listener)
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

  /** One line per instance of the table (or of the service `only`), then those that are leaving. */
  stats(only?: string): readonly UpstreamStats[] {
    const { clock, zone } = this.#deps
    const all: UpstreamStats[] = []
    const one = only === undefined ? undefined : this.#groups.get(only)
    for (const group of only === undefined ? this.#groups.values() : one === undefined ? [] : [one]) {
      for (const upstream of group.live.values()) all.push(upstream.stats(clock, zone))
    }
    for (const upstream of this.#leaving.retired()) all.push(upstream.stats(clock, zone))
    return all
  }

  /** One line per service of the table. */
  serviceStats(): readonly ServiceStats[] {
    return [...this.#groups.values()].map(({ service, load, isPanic }) => ({
      service: service.name,
      inFlight: load.inFlight,
      retrying: load.retrying,
      retries: load.retries,
      retryOverflows: load.retryOverflows,
      breakerRefusals: load.breakerRefusals,
      breaker: load.breaker?.state,
      isPanic,
    }))
  }

  /** Cuts off everything. For a graceful end wait until nothing is in flight before. */
  async close(): Promise<void> {
    this.health.close()
    const pools: Promise<void>[] = [this.#leaving.close()]
    for (const group of this.#groups.values()) {
      for (const upstream of group.live.values()) {
        const pool = upstream.takePool()
        if (pool !== undefined) pools.push(pool.destroy())
      }
    }
    this.#groups.clear()
    await Promise.all(pools)
  }
}
