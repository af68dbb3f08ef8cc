import { LRUCache } from 'lru-cache'
import type { PeriodBounds } from './calendar.ts'
import type { Decision } from './limit.ts'
import { MAX_COUNTERS } from './memory.ts'

/** What is counted of one key: `count` in the period that began at `start` (ms since the epoch). */
export interface QuotaCount {
  readonly start: number
  readonly count: number
}

/** What a quota says to a request. Pure but for `next`, which is to be remembered when it goes on. */
export function evaluateQuota(
  limit: number,
  state: QuotaCount | undefined,
  cost: number,
  now: number,
  { start, end }: PeriodBounds,
): Decision & { readonly next: QuotaCount } {
  const used = state?.start === start ? state.count : 0
  const isAllowed = used + cost <= limit
  const count = isAllowed ? used + cost : used
  const resetMs = Math.max(1, end - now)
  return {
    isAllowed,
    limit,
    remaining: Math.max(0, limit - count),
    resetMs,
    retryAfterMs: isAllowed ? 0 : resetMs,
    next: { start, count },
  }
}

/** Quotas counted in this process. */
export class QuotaCounters {
  readonly #counts = new LRUCache<string, QuotaCount>({ max: MAX_COUNTERS })
  readonly #onChange: () => void

  /** `onChange`: something is to be saved. */
  constructor(onChange: () => void = () => {}) {
    this.#onChange = onChange
  }

  decide(key: string, limit: number, cost: number, now: number, bounds: PeriodBounds): Decision {
    const { next, ...decision } = evaluateQuota(limit, this.#counts.get(key), cost, now, bounds)
    if (decision.isAllowed) this.set(key, next)
    return decision
  }

  /** At least so much was used; what was counted here already counts on. */
  raise(key: string, count: QuotaCount): void {
    const own = this.#counts.get(key)
    if (own === undefined || own.start !== count.start || own.count < count.count) this.set(key, count)
  }

  set(key: string, count: QuotaCount): void {
    this.#counts.set(key, count)
    this.#onChange()
  }

  /** The longest unused first, so that putting them back in this order keeps that. */
  entries(): [key: string, start: number, count: number][] {
    const entries: [string, number, number][] = []
    for (const [key, { start, count }] of this.#counts.entries()) entries.push([key, start, count])
    return entries.reverse()
  }
}
