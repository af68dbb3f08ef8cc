import type { Pool } from 'undici'
import type { ServicePolicy } from '../core/route.ts'
import type { Instance } from '../core/types.ts'
import type { Balanced } from '../routing/balance.ts'
import { hashText } from '../routing/balance.ts'
import type { Upstream } from './exchange.ts'
import { createPool, poolSignature } from './transport.ts'
import type { ServiceLoad, UpstreamStats } from './upstream-stats.ts'

const NO_SOCKETS = { connected: 0, free: 0, pending: 0, queued: 0, running: 0 }

/** The live side of one instance of one service. Only `Upstreams` writes to it. */
export class LiveUpstream implements Upstream, Balanced {
  readonly service: string
  readonly key: string
  readonly hash: number
  /** Shared by all instances of the service. */
  readonly load: ServiceLoad
  inFlight = 0
  ejectedUntil = 0
  slowStartAt = Number.NEGATIVE_INFINITY
  failures = 0
  requests = 0
  #instance: Instance
  #policy: ServicePolicy
  #signature: string
  #pool: Pool | undefined
  /** Closed to new requests while what runs on them is finished. */
  readonly #resting = new Set<Pool>()
  #isRetired = false

  constructor(service: string, instance: Instance, policy: ServicePolicy, load: ServiceLoad) {
    this.service = service
    this.load = load
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
  update(instance: Instance, policy: ServicePolicy): Pool | undefined {
    if (instance === this.#instance && policy === this.#policy) return undefined
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
      this.ejectedUntil = 0
      this.failures = 0
    }
    const old = this.#pool
    this.#pool = undefined
    return old
  }

  /** Out of rotation, but still there: idle sockets are closed at once, the others after what runs on them. */
  rest(): void {
    const pool = this.#pool
    if (pool === undefined) return
    this.#pool = undefined
    this.#resting.add(pool)
    pool.close(() => this.#resting.delete(pool))
  }

  /** Ends it; returns the pools to close. */
  retire(): readonly Pool[] {
    this.#isRetired = true
    return this.#pool === undefined ? [...this.#resting] : [...this.#resting, this.#pool]
  }

  /** Ends it and cuts off what it still has under way. */
  async destroyRetired(): Promise<void> {
    await Promise.all(this.retire().map((pool) => pool.destroy()))
  }

  stats(now: number): UpstreamStats {
    const pool = this.#pool?.stats
    return {
      service: this.service,
      instance: this.#instance,
      inFlight: this.inFlight,
      ejectedForMs: Math.max(0, this.ejectedUntil - now),
      failures: this.failures,
      requests: this.requests,
      pool:
        pool === undefined
          ? NO_SOCKETS
          : {
              connected: pool.connected,
              free: pool.free,
              pending: pool.pending,
              queued: pool.queued,
              running: pool.running,
            },
    }
  }
}
