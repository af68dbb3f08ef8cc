import type { Pool } from 'undici'
import type { Clock } from '../core/duration.ts'
import type { Instance } from '../core/types.ts'
import type { LiveUpstream } from './live-upstream.ts'

/** What an instance that goes away has under way is cut off after this, or after `streamDrain` if that is longer. ms. */
const DESTROY_AFTER_MS = 30_000
/** A stream that was asked to end and did not is cut off after this. ms. */
const POLITE_MS = 5000
/** Longer timers fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** A step of an instance on its way out; see `InstanceEvent`. */
export interface LeavingEvent {
  readonly kind: 'idle' | 'closed'
  readonly service: string
  readonly instance: Instance
  /** ms since the epoch; undefined when it never got a request. */
  readonly lastRequestAt: number | undefined
}

export interface LeavingDeps {
  readonly clock: Clock
  /** ms, default 30000. */
  readonly destroyAfterMs?: number
  tell(event: LeavingEvent): void
}

interface Limits {
  readonly streams: NodeJS.Timeout
  readonly pools: NodeJS.Timeout
}

function later(ms: number, run: () => void): NodeJS.Timeout {
  const timer = setTimeout(run, Math.min(ms, MAX_TIMER_MS))
  timer.unref()
  return timer
}

/**
 * Instances on their way out of rotation: idle sockets are closed at once, what is under way finishes, tunnels stay
 * until `streamDrain`. One that comes back starts with a fresh pool.
 */
export class Leaving {
  readonly #deps: LeavingDeps
  /** Not all of it is over. */
  readonly #open = new Set<LiveUpstream>()
  readonly #limits = new Map<LiveUpstream, Limits>()

  constructor(deps: LeavingDeps) {
    this.#deps = deps
  }

  /**
   * Nothing new goes there from now on. `isGoodbye`: it will not be back (draining, maintenance, vanished), so what it
   * has under way gets a limit; one with a failed check may recover. Safe to call again.
   */
  leave(upstream: LiveUpstream, isGoodbye: boolean): void {
    upstream.isOut = true
    this.#open.add(upstream)
    this.#closeOwnPool(upstream)
    if (isGoodbye) this.#limit(upstream)
    // After the swap of the table, which this is a part of: its news come first.
    queueMicrotask(() => this.check(upstream))
  }

  /** In rotation again. */
  comeBack(upstream: LiveUpstream): void {
    upstream.isOut = false
    upstream.areStreamsOver = false
    upstream.told = undefined
    this.#open.delete(upstream)
    this.#unlimit(upstream)
  }

  /** Has it become idle, are its sockets closed? */
  check(upstream: LiveUpstream): void {
    if (!this.#open.has(upstream) || upstream.inFlight > 0) return
    if (upstream.told === undefined) this.#tell(upstream, 'idle')
    // What was picked before it left may have opened sockets since.
    this.#closeOwnPool(upstream)
    if (upstream.closing.size > 0) return
    this.#open.delete(upstream)
    this.#unlimit(upstream)
    if (upstream.told === 'idle') this.#tell(upstream, 'closed')
  }

  #tell(upstream: LiveUpstream, kind: LeavingEvent['kind']): void {
    upstream.told = kind
    const { service, instance } = upstream
    this.#deps.tell({ kind, service, instance, lastRequestAt: upstream.lastRequestAt(this.#deps.clock) })
  }

  #closeOwnPool(upstream: LiveUpstream): void {
    const pool = upstream.takePool()
    if (pool !== undefined) this.closePool(upstream, pool)
  }

  /** Idle sockets go at once, what is under way may finish; with `limitMs` the rest is cut off then. */
  closePool(upstream: LiveUpstream, pool: Pool, limitMs?: number): void {
    upstream.closing.add(pool)
    const timer = limitMs === undefined ? undefined : later(limitMs, () => this.#destroyPool(upstream, pool))
    pool.close(() => {
      clearTimeout(timer)
      upstream.closing.delete(pool)
      this.check(upstream)
    })
  }

  /** The same with the usual limit: its settings changed, the instance stays. */
  replacePool(upstream: LiveUpstream, pool: Pool): void {
    this.closePool(upstream, pool, this.#destroyAfterMs)
  }

  get #destroyAfterMs(): number {
    return this.#deps.destroyAfterMs ?? DESTROY_AFTER_MS
  }

  #destroyPool(upstream: LiveUpstream, pool: Pool): void {
    pool.destroy(null, () => {
      upstream.closing.delete(pool)
      this.check(upstream)
    })
  }

  #limit(upstream: LiveUpstream): void {
    if (this.#limits.has(upstream)) return
    const { streamDrainMs } = upstream.policy
    this.#limits.set(upstream, {
      streams: later(streamDrainMs, () => this.endStreams(upstream)),
      pools: later(Math.max(streamDrainMs, this.#destroyAfterMs), () => {
        for (const pool of upstream.closing) this.#destroyPool(upstream, pool)
      }),
    })
  }

  #unlimit(upstream: LiveUpstream): void {
    const limits = this.#limits.get(upstream)
    if (limits === undefined) return
    this.#limits.delete(upstream)
    clearTimeout(limits.streams)
    clearTimeout(limits.pools)
  }

  /** Asks all tunnels to end, and cuts off those that do not. */
  endStreams(upstream: LiveUpstream): void {
    upstream.areStreamsOver = true
    const streams = [...upstream.streams]
    if (streams.length === 0) return
    for (const stream of streams) stream.goAway()
    later(POLITE_MS, () => {
      for (const stream of streams) if (upstream.streams.has(stream)) stream.destroy()
    })
  }

  /** Those that are no longer in the table but have something open. */
  retired(): LiveUpstream[] {
    return [...this.#open].filter(({ isRetired }) => isRetired)
  }

  /** Cuts off everything. */
  async close(): Promise<void> {
    const open = [...this.#open]
    this.#open.clear()
    for (const upstream of [...this.#limits.keys()]) this.#unlimit(upstream)
    await Promise.all(open.flatMap(({ closing }) => [...closing].map((pool) => pool.destroy())))
  }
}
