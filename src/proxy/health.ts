import type { Clock, Random } from '../core/duration.ts'
import type { Routed } from '../routing/table.ts'
import { ActiveChecks } from './active-checks.ts'
import { Breaker } from './breaker.ts'
import { Ejector } from './ejector.ts'
import type { LiveUpstream } from './live-upstream.ts'
import { isServerError, noteSuccess } from './outlier.ts'
import type { Group } from './upstream-group.ts'
import type { HealthEvent } from './upstream-stats.ts'

/** How often it is looked at ejections that are over, intervals that have passed, checks that are due. ms. */
const TICK_MS = 100

/** What the log says of an event; those in `GOOD` are no warnings. */
const TEXTS: Readonly<Record<HealthEvent['kind'], string>> = {
  ejected: 'instance ejected',
  kept: 'instance fails but stays',
  returned: 'instance is back in rotation',
  entered: 'panic: too few instances are in rotation',
  left: 'enough instances are in rotation again',
  open: 'circuit breaker is open',
  'half-open': 'circuit breaker lets a few requests try',
  closed: 'circuit breaker is closed',
}
const GOOD: ReadonlySet<HealthEvent['kind']> = new Set(['returned', 'left', 'half-open', 'closed'])

export interface HealthDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** A connect was refused: the registry's view of this instance may be late. */
  readonly onRefused?: (instanceKey: string) => void
  /** The gateway's own zone; undefined = zones do not count. */
  readonly zone?: string | undefined
}

/**
 * Health on the data path: hears what each try met, and from that ejects instances, opens breakers, runs checks. All
 * of its state is in the groups, so it outlives tables.
 */
export class Health {
  readonly #deps: HealthDeps
  readonly #groups: ReadonlyMap<string, Group>
  readonly #ejector: Ejector
  readonly #checks: ActiveChecks
  readonly #ticks: NodeJS.Timeout
  readonly #listeners = new Set<(event: HealthEvent) => void>()

  constructor(groups: ReadonlyMap<string, Group>, deps: HealthDeps) {
    const { clock, random, zone } = deps
    this.#deps = deps
    this.#groups = groups
    this.#ejector = new Ejector({ clock, random, zone, tell: (event) => this.#tell(event) })
    this.#checks = new ActiveChecks({ clock, random, ejector: this.#ejector })
    this.#ticks = setInterval(() => this.tick(), TICK_MS)
    this.#ticks.unref()
  }

  /** The table has something new about the service. `appeared`: in rotation only now, as the registry says. */
  update(group: Group, appeared: readonly LiveUpstream[]): void {
    const { service, load } = group
    const { breaker } = service.policy.health
    if (breaker === undefined) load.breaker = undefined
    else if (load.breaker !== undefined) load.breaker.configure(breaker)
    else {
      load.breaker = new Breaker(breaker, ({ to, reason }) => {
        this.#tell({ type: 'breaker', kind: to, service: service.name, reason })
      })
    }
    for (const upstream of appeared) {
      upstream.inRotationSince = this.#deps.clock.monotonic()
      this.#ejector.forgive(group, upstream)
    }
    this.#ejector.review(group)
    this.#checks.update(group)
  }

  /** The table no longer has the service. */
  remove(group: Group): void {
    this.#checks.remove(group)
  }

  /** It runs by itself; tests call it with a clock of their own. */
  tick(): void {
    this.#ejector.tick(this.#groups.values())
    this.#checks.tick()
  }

  /** ms until the service's breaker may let a request through; 0 = now. */
  blockedForMs({ serviceName }: Routed): number {
    const load = this.#groups.get(serviceName ?? '')?.load
    if (load?.breaker === undefined) return 0
    const ms = load.breaker.blockedForMs(this.#deps.clock.monotonic())
    if (ms > 0) load.breakerRefusals++
    return ms
  }

  /** The instance could not be connected to. `mark`: as `Upstreams.begin` gave it. */
  connectFailed(upstream: LiveUpstream, fault: string, mark: number): void {
    upstream.load.breaker?.record(true, mark, this.#deps.clock.monotonic())
    // The many that failed together with the first one are one failure.
    if (upstream.isRetired || upstream.isEjected) return
    this.#deps.onRefused?.(upstream.instance.key)
    const group = this.#groups.get(upstream.service)
    if (group !== undefined) this.#ejector.connectFailed(group, upstream, fault)
  }

  /** It was connected to and failed then: reset, timeout, no HTTP. Not for what the client did. */
  faulted(upstream: LiveUpstream, fault: string, mark: number): void {
    upstream.load.breaker?.record(true, mark, this.#deps.clock.monotonic())
    const group = this.#groups.get(upstream.service)
    if (group !== undefined) this.#ejector.faulted(group, upstream, fault)
  }

  /** The instance answered. */
  answered(upstream: LiveUpstream, status: number, mark: number): void {
    const isError = isServerError(status)
    upstream.load.breaker?.record(isError, mark, this.#deps.clock.monotonic())
    if (!isError) noteSuccess(upstream.record)
    if (!isError && upstream.ejection === undefined) return
    const group = this.#groups.get(upstream.service)
    if (group === undefined) return
    this.#ejector.answersAgain(group, upstream)
    if (isError) this.#ejector.answeredError(group, upstream, status)
  }

  #tell(event: HealthEvent): void {
    const { log } = this.#deps
    if (GOOD.has(event.kind)) log.info(event, TEXTS[event.kind])
    else log.warn(event, TEXTS[event.kind])
    for (const listener of this.#listeners) listener(event)
  }

  /** Ejections, panic and breakers as they happen; the result ends the subscription. */
  subscribe(listener: (event: HealthEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    clearInterval(this.#ticks)
    this.#checks.close()
  }
}
