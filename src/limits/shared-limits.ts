import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/duration.ts'
import type { RedisStore } from '../core/redis-store.ts'
import { type Ask, areAllowed, type Decisions } from './ask.ts'
import { type Decision, evaluate } from './limit.ts'
import type { MemoryLimits } from './memory.ts'
import { RedisLimits } from './redis-limits.ts'

/** What became of a request. */
export interface Verdict {
  /** Empty: nobody counted. */
  readonly decisions: Decisions
  /**
   * `shared`: the store counted. `cached`: refused without asking it. `local`: this gateway counted its share.
   * `open`, `closed`: nobody counted, and the request may go on, or not.
   */
  readonly by: 'shared' | 'cached' | 'local' | 'open' | 'closed'
}

export interface SharedLimitsOptions {
  readonly store: RedisStore
  /** For the time without the store. */
  readonly memory: MemoryLimits
  readonly onStoreError: 'local' | 'open' | 'closed'
  readonly clock: Clock
}

/** Refused keys remembered at a time. */
const MAX_DENIALS = 20_000
/** For at most this long, so that who deletes a counter in Redis sees it. ms. */
const MAX_DENIAL_MS = 5000

interface Denial {
  readonly cost: number
  /** Monotonic ms. */
  readonly at: number
  readonly until: number
  readonly decision: Decision
}

/** Counters in Redis, with what there is without it: remembered refusals, and a share for each gateway. */
export class SharedLimits {
  readonly #redis: RedisLimits
  readonly #options: SharedLimitsOptions
  readonly #denials = new LRUCache<string, Denial>({ max: MAX_DENIALS })

  constructor(options: SharedLimitsOptions) {
    this.#options = options
    this.#redis = new RedisLimits(options.store)
  }

  /** Never rejects. Synchronous where the store is not asked. */
  decide(asks: readonly Ask[]): Verdict | Promise<Verdict> {
    const cached = this.#denied(asks)
    if (cached !== undefined) return cached
    if (!this.#options.store.isUp) return this.#withoutStore(asks)
    return this.#redis.decide(asks).then(
      (decisions) => this.#note(asks, decisions),
      () => this.#withoutStore(asks),
    )
  }

  /**
   * A counter that refused so much refuses as much until its time, whoever else comes: others can only take. So an
   * attack on an exhausted limit costs the store nothing.
   */
  #denied(asks: readonly Ask[]): Verdict | undefined {
    const never = asks.find(({ limit }) => limit.limit === 0)
    if (never !== undefined)
      return { decisions: [evaluate(never.limit, undefined, never.cost, 0)], by: 'cached' }
    if (this.#denials.size === 0) return undefined
    const now = this.#options.clock.monotonic()
    for (const { key, cost } of asks) {
      const denial = this.#denials.get(key)
      if (denial === undefined || cost < denial.cost) continue
      if (now >= denial.until) {
        this.#denials.delete(key)
        continue
      }
      const passed = Math.floor(now - denial.at)
      const { decision } = denial
      const later = {
        ...decision,
        resetMs: Math.max(1, decision.resetMs - passed),
        retryAfterMs: Math.max(1, decision.retryAfterMs - passed),
      }
      return { decisions: [later], by: 'cached' }
    }
    return undefined
  }

  #note(asks: readonly Ask[], decisions: Decisions): Verdict {
    const { clock, memory, onStoreError } = this.#options
    asks.forEach(({ key, cost, local }, i) => {
      const decision = decisions[i] as Decision
      if (!decision.isAllowed) {
        const at = clock.monotonic()
        const until = at + Math.min(decision.retryAfterMs, MAX_DENIAL_MS)
        this.#denials.set(key, { cost, at, until, decision })
      }
      if (onStoreError === 'local' && decision.limit > 0) {
        memory.seed(key, local, 1 - decision.remaining / decision.limit)
      }
    })
    return { decisions, by: 'shared' }
  }

  #withoutStore(asks: readonly Ask[]): Verdict {
    const { memory, onStoreError } = this.#options
    if (onStoreError !== 'local') return { decisions: [], by: onStoreError }
    return { decisions: memory.decide(asks, ({ local }) => local), by: 'local' }
  }
}

/** Whether the request may go on. */
export const isPassed = ({ by, decisions }: Verdict): boolean =>
  by === 'open' || (by !== 'closed' && areAllowed(decisions))
