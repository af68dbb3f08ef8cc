import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/duration.ts'
import type { Decision } from './limit.ts'

/** Refused keys remembered at a time. */
const MAX_DENIALS = 20_000
/** For at most this long, so that who deletes a counter in the store sees it. ms. */
const MAX_DENIAL_MS = 5000

interface Denial {
  readonly cost: number
  /** Monotonic ms. */
  readonly at: number
  readonly until: number
  readonly decision: Decision
}

/**
 * Refusals of the store. A counter that refused so much refuses as much until its time, whoever else comes: others can
 * only take. So an attack on an exhausted limit costs the store nothing, and nobody else anything.
 */
export class Denials {
  readonly #clock: Clock
  readonly #denials = new LRUCache<string, Denial>({ max: MAX_DENIALS })

  constructor(clock: Clock) {
    this.#clock = clock
  }

  note(key: string, cost: number, decision: Decision): void {
    const at = this.#clock.monotonic()
    this.#denials.set(key, { cost, at, until: at + Math.min(decision.retryAfterMs, MAX_DENIAL_MS), decision })
  }

  /** The refusal that still holds for this cost, with its times counted down. */
  find(key: string, cost: number): Decision | undefined {
    if (this.#denials.size === 0) return undefined
    const denial = this.#denials.get(key)
    if (denial === undefined || cost < denial.cost) return undefined
    const now = this.#clock.monotonic()
    if (now >= denial.until) {
      this.#denials.delete(key)
      return undefined
    }
    const passed = Math.floor(now - denial.at)
    const { decision } = denial
    return {
      ...decision,
      resetMs: Math.max(1, decision.resetMs - passed),
      retryAfterMs: Math.max(1, decision.retryAfterMs - passed),
    }
  }
}
