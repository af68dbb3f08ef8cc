import type { Pool } from 'undici'
import type { Clock } from '../core/duration.ts'
import type { ServicePolicy } from '../core/route.ts'
import type { Instance } from '../core/types.ts'
import type { Balanced } from '../routing/balance.ts'
import { hashText } from '../routing/balance.ts'
import type { Upstream } from './exchange.ts'
import { clearRecord, createRecord, type EjectionCause, type OutlierRecord } from './outlier.ts'
import { createPool, poolSignature } from './transport.ts'
import type { ServiceLoad, UpstreamStats } from './upstream-stats.ts'

const NO_SOCKETS = { connected: 0, free: 0, pending: 0, queued: 0, running: 0 }

/** A tunnel to an instance. */
export interface Stream {
  /** Ends it politely: a WebSocket client gets 1001 between two frames. */
  goAway(): void
  destroy(): void
}

/** Why and since when it is out of rotation. */
export interface Ejection {
  readonly cause: EjectionCause
  /** In words. */
  readonly reason: string
}

/** The live side of one instance of one service. Only `Upstreams`, `Ejector` and `Leaving` write to it. */
export class LiveUpstream implements Upstream, Balanced {
  readonly service: string
  readonly key: string
  readonly hash: number
  /** Shared by all instances of the service. */
  readonly load: ServiceLoad
  inFlight = 0
  /** What its requests met. */
  readonly record: OutlierRecord
  /** By what its requests met; until `ejectedUntil`. */
  ejection: Ejection | undefined
  ejectedUntil = 0
  /** Monotonic ms since when it is in rotation without a break. */
  inRotationSince = 0
  /** Why the gateway's own check says that it is not well. */
  unhealthy: string | undefined
  /** It was said that it should be out and cannot. */
  isKeptTold = false
  slowStartAt = Number.NEGATIVE_INFINITY
  requests = 0
  /** Monotonic ms of the last request or tunnel; 0 = none. */
  lastBegunAt = 0
  /** ms since the epoch: since when the table has it in its state. */
  since: number
  /** Out of rotation, or no longer in the table: nothing new goes there. */
  isOut = true
  /** How far it is on its way out, as it was told to others. One that never was in has nothing to tell. */
  told: 'idle' | 'closed' | undefined = 'closed'
  /** Its tunnels had to end; one that comes late has to end, too. */
  areStreamsOver = false
  readonly streams = new Set<Stream>()
  /** Pools that take nothing new. */
  readonly closing = new Set<Pool>()
  #instance: Instance
  #policy: ServicePolicy
  #signature: string
  #pool: Pool | undefined
  #isRetired = false

  /** `now`: ms since the epoch. */
  constructor(service: string, instance: Instance, policy: ServicePolicy, load: ServiceLoad, now: number) {
    this.service = service
    this.since = now
    this.load = load
    this.record = createRecord(load)
    this.key = instance.key
    this.hash = hashText(instance.key)
    this.#instance = instance
    this.#policy = policy
    this.#signature = poolSignature(instance, policy)
  }

  get instance(): Instance {
    return this.#instance
  }

  get policy(): ServicePolicy {
    return this.#policy
  }

  get weight(): number {
    return this.#instance.weight
  }

  get zone(): string | undefined {
    return this.#instance.zone
  }

  get isEjected(): boolean {
    return this.ejection !== undefined || this.unhealthy !== undefined
  }

  /** All sockets are in use and the queue behind them is at its limit. */
  get isFull(): boolean {
    const { maxConnections, maxPending } = this.#policy
    return maxConnections > 0 && this.inFlight >= maxConnections + maxPending
  }

  /** No longer in the table: nothing new goes there. */
  get isRetired(): boolean {
    return this.#isRetired
  }

  /** Its sockets; made when first asked for. */
  get pool(): Pool {
    this.#pool ??= createPool(this.#instance, this.#policy)
    return this.#pool
  }

  /** A pool of one new socket: for a request that must not meet another stale one. The caller closes it. */
  newSocketPool(): Pool {
    return createPool(this.#instance, { ...this.#policy, maxConnections: 1, keepAliveMs: 0 })
  }

  /** Takes over what the table says now. Returns the old pool when it no longer fits. */
  update(instance: Instance, policy: ServicePolicy, now: number): Pool | undefined {
    if (instance === this.#instance && policy === this.#policy) return undefined
    if (instance.state !== this.#instance.state) this.since = now
    const hasMoved =
      instance.address !== this.#instance.address ||
      instance.port !== this.#instance.port ||
      instance.scheme !== this.#instance.scheme
    this.#instance = instance
    this.#policy = policy
    const signature = poolSignature(instance, policy)
    if (signature === this.#signature) return undefined
    this.#signature = signature
    if (hasMoved) {
      // What was learnt of the old address says nothing of the new one.
      this.ejection = undefined
      this.ejectedUntil = 0
      this.unhealthy = undefined
      clearRecord(this.record)
    }
    return this.takePool()
  }

  /** Gives its pool away, if there is one; the next request makes another. */
  takePool(): Pool | undefined {
    const pool = this.#pool
    this.#pool = undefined
    return pool
  }

  /** It is no longer in the table. */
  retire(): void {
    this.#isRetired = true
  }

  /** When it got its last request or tunnel. ms since the epoch; undefined = never. */
  lastRequestAt(clock: Clock): number | undefined {
    if (this.lastBegunAt === 0) return undefined
    return Math.round(clock.now() - (clock.monotonic() - this.lastBegunAt))
  }

  /** `ownZone`: of the gateway. */
  stats(clock: Clock, ownZone: string | undefined): UpstreamStats {
    const isStrict = this.#policy.health.zone === 'strict' && ownZone !== undefined
    const pool = sum([...this.closing, ...(this.#pool === undefined ? [] : [this.#pool])])
    return {
      service: this.service,
      instance: this.#instance,
      inFlight: this.inFlight,
      since: this.since,
      lastRequestAt: this.lastRequestAt(clock),
      ejectedForMs: this.ejection === undefined ? 0 : Math.max(0, this.ejectedUntil - clock.monotonic()),
      ejected: this.unhealthy ?? this.ejection?.reason,
      outOfZone:
        isStrict && this.zone !== ownZone
          ? `in zone ${this.zone ?? '(none)'}; the service keeps to zone ${ownZone}`
          : undefined,
      failures: this.record.connects,
      requests: this.requests,
      pool,
    }
  }
}

function sum(pools: readonly Pool[]): UpstreamStats['pool'] {
  if (pools.length === 0) return NO_SOCKETS
  const all = { ...NO_SOCKETS }
  for (const { stats } of pools) {
    all.connected += stats.connected
    all.free += stats.free
    all.pending += stats.pending
    all.queued += stats.queued
    all.running += stats.running
  }
  return all
}
