import type { Clock } from '../core/duration.ts'
import type { RedisStore } from '../core/redis-store.ts'
import { type Ask, areAllowed, type Decisions } from './ask.ts'
import { Denials } from './denials.ts'
import { LateCounts } from './late-counts.ts'
import { type Decision, evaluate } from './limit.ts'
import type { MemoryLimits } from './memory.ts'
import { RedisLimits } from './redis-limits.ts'

/** What became of a request. */
export interface Verdict {
  /** Those that were decided: all of them, or the one of a remembered refusal. */
  readonly asks: readonly Ask[]
  /** One for each of `asks`; empty: nobody counted. */
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

/** Counters in Redis, with what there is without it: remembered refusals, and a share for each gateway. */
export class SharedLimits {
  readonly #redis: RedisLimits
  readonly #options: SharedLimitsOptions
  readonly #denials: Denials
  readonly #late = new LateCounts()

  constructor(options: SharedLimitsOptions) {
    this.#options = options
    this.#redis = new RedisLimits(options.store)
    this.#denials = new Denials(options.clock)
  }

  /** Never rejects. Synchronous where the store is not asked. */
  decide(asks: readonly Ask[]): Verdict | Promise<Verdict> {
    const cached = this.#denied(asks)
    if (cached !== undefined) return cached
    if (!this.#options.store.isUp) return this.#withoutStore(asks, false)
    const counted = this.#late.isEmpty
      ? asks
      : asks.map((ask) => ({ ...ask, late: this.#late.take(ask.key) }))
    return this.#redis.decide(counted).then(
      (decisions) => this.#note(counted, decisions),
      () => this.#withoutStore(asks, true),
    )
  }

  #denied(asks: readonly Ask[]): Verdict | undefined {
    for (const ask of asks) {
      const decision =
        ask.limit.limit === 0
          ? evaluate(ask.limit, undefined, ask.cost, 0)
          : this.#denials.find(ask.key, ask.cost)
      if (decision !== undefined) return { asks: [ask], decisions: [decision], by: 'cached' }
    }
    return undefined
  }

  #note(asks: readonly Ask[], decisions: Decisions): Verdict {
    const { memory, onStoreError } = this.#options
    asks.forEach(({ key, cost, local }, i) => {
      const decision = decisions[i] as Decision
      if (!decision.isAllowed) this.#denials.note(key, cost, decision)
      if (onStoreError === 'local' && decision.limit > 0) {
        memory.seed(key, local, 1 - decision.remaining / decision.limit)
      }
    })
    return { asks, decisions, by: 'shared' }
  }

  /** What was sent may have been counted, only later than anybody could wait. */
  #withoutStore(asks: readonly Ask[], wasSent: boolean): Verdict {
    const { memory, onStoreError } = this.#options
    if (onStoreError !== 'local') return { asks, decisions: [], by: onStoreError }
    const decisions = memory.decide(asks, ({ local }) => local)
    if (!wasSent && areAllowed(decisions)) for (const { key, cost } of asks) this.#late.add(key, cost)
    return { asks, decisions, by: 'local' }
  }
}
