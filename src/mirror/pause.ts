import { backoffMs, type Random } from '../core/duration.ts'

/** Copies in a row that met nobody, or no answer in time, before the mirror is left alone. */
const MAX_FAILURES = 5
/** The first pause; each further one without an answer in between is twice as long. ms. */
const FIRST_PAUSE_MS = 1000
const MAX_PAUSE_MS = 60_000

/** `unknown`: it was not sent after all. */
export type CopyEnd = 'answered' | 'failed' | 'unknown'

/**
 * Leaves a mirror alone that does not answer: no copies for a while, then one that tries. All times are monotonic ms given
 * by the caller.
 */
export class MirrorPause {
  readonly #random: Random
  #failures = 0
  /** Pauses since the last answer. */
  #pauses = 0
  #until = 0
  #isTrying = false
  /** What began before a pause says nothing of what comes after it. */
  #generation = 1

  constructor(random: Random) {
    this.#random = random
  }

  /** ms until a copy may try; 0 = copies go, or one is trying. */
  leftMs(now: number): number {
    return this.#pauses === 0 ? 0 : Math.max(0, this.#until - now)
  }

  /** No copy may be sent now. */
  isOn(now: number): boolean {
    return this.#pauses > 0 && (this.#isTrying || now < this.#until)
  }

  /** A copy is going to be sent, which `isOn` allows. Its mark is for `end`. */
  begin(): number {
    if (this.#pauses > 0) {
      this.#isTrying = true
      this.#generation++
    }
    return this.#generation
  }

  /** What became of it. True = a pause begins that is the first one since the last answer. */
  end(mark: number, end: CopyEnd, now: number): boolean {
    if (mark !== this.#generation) return false
    const wasTrying = this.#isTrying
    this.#isTrying = false
    if (end === 'unknown') return false
    if (end === 'answered') {
      this.#failures = 0
      this.#pauses = 0
      return false
    }
    this.#failures++
    if (!wasTrying && this.#failures < MAX_FAILURES) return false
    this.#pauses++
    this.#failures = 0
    this.#generation++
    this.#until = now + backoffMs(this.#pauses, FIRST_PAUSE_MS, MAX_PAUSE_MS, this.#random)
    return this.#pauses === 1
  }
}
