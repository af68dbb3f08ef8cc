import type { Random } from '../core/duration.ts'

/** So many answer times of a window are kept, drawn evenly: the median needs no more. */
const KEPT = 256
/** After such a silence what was begun says nothing any more. ms. */
const STALE_MS = 60_000

/** The answers of a stretch of time. */
export class SampleWindow {
  readonly #random: Random
  readonly #kept = new Float64Array(KEPT)
  #answers = 0
  #drops = 0
  #sum = 0
  #peak = 0
  #startedAt: number | undefined
  #lastAt = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** Of the first entry; never when there is none. Monotonic ms. */
  get startedAt(): number {
    return this.#startedAt ?? Number.POSITIVE_INFINITY
  }

  /** Answers and drops. */
  get total(): number {
    return this.#answers + this.#drops
  }

  get drops(): number {
    return this.#drops
  }

  /** The most that were in flight when one of them began. */
  get peakInFlight(): number {
    return this.#peak
  }

  add(now: number, ms: number, inFlight: number): void {
    this.#note(now, inFlight)
    const place = this.#answers < KEPT ? this.#answers : Math.floor(this.#random() * (this.#answers + 1))
    if (place < KEPT) this.#kept[place] = ms
    this.#answers++
    this.#sum += ms
  }

  addDrop(now: number, inFlight: number): void {
    this.#note(now, inFlight)
    this.#drops++
  }

  #note(now: number, inFlight: number): void {
    if (this.#startedAt === undefined || now - this.#lastAt > STALE_MS) this.clear(now)
    this.#lastAt = now
    this.#peak = Math.max(this.#peak, inFlight)
  }

  /** Of the answer times; undefined without any. ms. */
  median(): number | undefined {
    if (this.#answers === 0) return undefined
    const sorted = this.#kept.slice(0, Math.min(this.#answers, KEPT)).sort()
    return sorted[sorted.length >> 1]
  }

  /** Of all answer times; 0 without any. ms. */
  mean(): number {
    return this.#answers === 0 ? 0 : this.#sum / this.#answers
  }

  /** Begins anew; the next window starts at `now`. */
  clear(now: number): void {
    this.#answers = 0
    this.#sum = 0
    this.#drops = 0
    this.#peak = 0
    this.#startedAt = now
  }
}
