import type { Clock } from '../core/duration.ts'

/** Expired entries are looked for at most this often. ms. */
const SWEEP_GAP_MS = 1000

/** Remembers what was used, each until its own time, in this process. */
export class ReplayMemory {
  readonly #max: number
  readonly #clock: Clock
  /** Until when. ms since the epoch. */
  readonly #seen = new Map<string, number>()
  #sweptAt = Number.NEGATIVE_INFINITY

  constructor(max: number, clock: Clock) {
    this.#max = max
    this.#clock = clock
  }

  /**
   * `new`: it was not there, now it is. `full`: nothing may be forgotten to make room, or it could be used again: the
   * request has to be refused.
   */
  add(key: string, until: number): 'new' | 'seen' | 'full' {
    const now = this.#clock.now()
    const known = this.#seen.get(key)
    if (known !== undefined && known > now) return 'seen'
    if (this.#seen.size >= this.#max) this.#sweep(now)
    if (this.#seen.size >= this.#max) return 'full'
    this.#seen.set(key, until)
    return 'new'
  }

  get size(): number {
    return this.#seen.size
  }

  close(): void {
    this.#seen.clear()
  }

  #sweep(now: number): void {
    const at = this.#clock.monotonic()
    if (at - this.#sweptAt < SWEEP_GAP_MS) return
    this.#sweptAt = at
    for (const [key, until] of this.#seen) if (until <= now) this.#seen.delete(key)
  }
}
