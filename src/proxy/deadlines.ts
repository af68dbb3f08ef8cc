import type { Clock } from '../core/duration.ts'

/** One deadline; a link in the chain of all with the same length. Only `Deadlines` writes to it. */
export interface Deadline {
  readonly chain: Chain
  /** Monotonic ms. */
  readonly at: number
  readonly onExpired: () => void
  isOver: boolean
  previous: Deadline | undefined
  next: Deadline | undefined
}

/** Deadlines of one length expire in the order in which they began. */
interface Chain {
  readonly lengthMs: number
  first: Deadline | undefined
  last: Deadline | undefined
  hasTimer: boolean
}

/**
 * Deadlines that hardly ever expire: one timer for each length instead of one for each request. To make and clear a
 * timer takes 1 µs; to begin and end one of these next to nothing. They do not hold the process.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #chains = new Map<number, Chain>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `now`: monotonic ms. `onExpired` is called once, `lengthMs` later, unless `end` is called before. */
  begin(lengthMs: number, now: number, onExpired: () => void): Deadline {
    const chain = this.#chainOf(lengthMs)
    const at = now + lengthMs
    const deadline: Deadline = {
      chain,
      at,
      onExpired,
      isOver: false,
      previous: chain.last,
      next: undefined,
    }
    if (chain.last === undefined) chain.first = deadline
    else chain.last.next = deadline
    chain.last = deadline
    if (!chain.hasTimer) this.#arm(chain, lengthMs)
    return deadline
  }

  /** Does nothing when it is over already. */
  end(deadline: Deadline): void {
    if (deadline.isOver) return
    deadline.isOver = true
    const { chain, previous, next } = deadline
    if (previous === undefined) chain.first = next
    else previous.next = next
    if (next === undefined) chain.last = previous
    else next.previous = previous
  }

  #chainOf(lengthMs: number): Chain {
    let chain = this.#chains.get(lengthMs)
    if (chain === undefined) {
      chain = { lengthMs, first: undefined, last: undefined, hasTimer: false }
      this.#chains.set(lengthMs, chain)
    }
    return chain
  }

  /** The timer stays when the deadline it was made for ends early: when it fires, it goes on with the first one left. */
  #arm(chain: Chain, afterMs: number): void {
    chain.hasTimer = true
    setTimeout(() => this.#expire(chain), afterMs).unref()
  }

  #expire(chain: Chain): void {
    const now = this.#clock.monotonic()
    while (chain.first !== undefined && chain.first.at <= now) {
      const { first } = chain
      this.end(first)
      first.onExpired()
    }
    if (chain.first === undefined) {
      chain.hasTimer = false
      this.#chains.delete(chain.lengthMs)
    } else {
      this.#arm(chain, chain.first.at - now)
    }
  }
}
