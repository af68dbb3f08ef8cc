import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/duration.ts'
import type { Ask, Decisions } from './ask.ts'
import { type Evaluation, evaluate, type Limit, type LimitState } from './limit.ts'

/** Counters of a gateway. */
export const MAX_COUNTERS = 100_000

/**
 * Counters in this process. Those that were not used for the longest time are forgotten when there are too many, which
 * is as if their clients had never come. Time is monotonic.
 */
export class MemoryLimits {
  readonly #states: LRUCache<string, LimitState>
  readonly #clock: Clock

  constructor(clock: Clock, maxCounters = MAX_COUNTERS) {
    this.#clock = clock
    this.#states = new LRUCache({ max: maxCounters })
  }

  /** Nobody counts here any more. */
  close(): void {
    this.#states.clear()
  }

  get size(): number {
    return this.#states.size
  }

  /** `limitOf`: which of the two limits of an ask counts here. */
  decide(asks: readonly Ask[], limitOf: (ask: Ask) => Limit): Decisions {
    const nowUs = Math.floor(this.#clock.monotonic() * 1000)
    const [first] = asks
    if (asks.length === 1 && first !== undefined) return [this.#decideOne(first, limitOf(first), nowUs)]
    const evaluations: Evaluation[] = []
    let isAllowed = true
    for (const ask of asks) {
      const evaluation = evaluate(limitOf(ask), this.#states.get(ask.key), ask.cost, nowUs)
      evaluations.push(evaluation)
      isAllowed &&= evaluation.isAllowed
    }
    if (isAllowed) {
      asks.forEach((ask, i) => {
        // Two rules may have one key only by mistake of an operator; then both count on it.
        this.#states.set(ask.key, (evaluations[i] as Evaluation).next)
      })
      return evaluations
    }
    return asks.map((ask, i) => {
      const evaluation = evaluations[i] as Evaluation
      return evaluation.isAllowed ? evaluate(limitOf(ask), this.#states.get(ask.key), 0, nowUs) : evaluation
    })
  }

  #decideOne(ask: Ask, limit: Limit, nowUs: number): Evaluation {
    const evaluation = evaluate(limit, this.#states.get(ask.key), ask.cost, nowUs)
    if (evaluation.isAllowed) this.#states.set(ask.key, evaluation.next)
    return evaluation
  }

  /**
   * Goes on where a shared counter stands: `used` = its used share, 0 to 1. What was let in here already counts on, or
   * a store that comes and goes would give everybody a new share each time.
   */
  seed(key: string, limit: Limit, used: number): void {
    const nowUs = Math.floor(this.#clock.monotonic() * 1000)
    const shared = stateOf(limit, used, nowUs)
    const existing = this.#states.get(key)
    const own = existing === undefined ? undefined : evaluate(limit, existing, 0, nowUs).next
    this.#states.set(key, own !== undefined && own.a > shared.a ? own : shared)
  }
}

function stateOf(
  { algorithm, burst, limit, unit, windowMs }: Limit,
  used: number,
  nowUs: number,
): LimitState {
  switch (algorithm) {
    case 'token-bucket':
      return { a: Math.ceil(burst * unit * used), b: nowUs, c: unit }
    case 'sliding-window':
      return { a: Math.ceil(limit * used), b: Math.floor(nowUs / 1000 / windowMs), c: 0 }
    case 'fixed-window':
      return { a: Math.ceil(limit * used), b: nowUs, c: 0 }
  }
}
