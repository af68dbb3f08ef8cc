import { backoffMs, type Clock, type Random, sleep } from '../core/duration.ts'

const CONCURRENCY = 8
const BACKOFF_BASE_MS = 250
const BACKOFF_MAX_MS = 5000
/** Finds in any case what no watch told of. ms. */
const SWEEP_MS = 30_000
/** Sweeps that are asked for keep this distance. ms. */
const SWEEP_GAP_MS = 5000

/**
 * Names that have to be read again, a few at a time. A name that is marked while it is read is read once more:
 * the answer on its way may be the older one. A read that fails is repeated with back-off.
 */
export class ReadQueue {
  readonly #read: (name: string, signal: AbortSignal) => Promise<boolean>
  readonly #random: Random
  readonly #signal: AbortSignal
  readonly #waiting = new Set<string>()
  readonly #running = new Set<string>()
  readonly #failures = new Map<string, number>()
  readonly #timers = new Map<string, NodeJS.Timeout>()

  /** `read` never rejects; it answers whether it succeeded. */
  constructor(
    read: (name: string, signal: AbortSignal) => Promise<boolean>,
    random: Random,
    signal: AbortSignal,
  ) {
    this.#read = read
    this.#random = random
    this.#signal = signal
    signal.addEventListener('abort', () => this.clear(), { once: true })
  }

  mark(name: string): void {
    if (this.#signal.aborted) return
    clearTimeout(this.#timers.get(name))
    this.#timers.delete(name)
    this.#waiting.add(name)
    this.#next()
  }

  /** The name is not asked for again. */
  forget(name: string): void {
    this.#waiting.delete(name)
    this.#failures.delete(name)
    clearTimeout(this.#timers.get(name))
    this.#timers.delete(name)
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
    this.#waiting.clear()
    this.#failures.clear()
  }

  #next(): void {
    for (const name of this.#waiting) {
      if (this.#running.size >= CONCURRENCY) return
      if (this.#running.has(name)) continue
      this.#waiting.delete(name)
      this.#running.add(name)
      void this.#one(name)
    }
  }

  async #one(name: string): Promise<void> {
    const isGood = await this.#read(name, this.#signal)
    this.#running.delete(name)
    if (isGood) this.#failures.delete(name)
    else if (!this.#waiting.has(name)) this.#later(name)
    this.#next()
  }

  #later(name: string): void {
    if (this.#signal.aborted) return
    const failures = (this.#failures.get(name) ?? 0) + 1
    this.#failures.set(name, failures)
    const timer = setTimeout(
      () => this.mark(name),
      backoffMs(failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS, this.#random),
    )
    timer.unref()
    this.#timers.set(name, timer)
  }
}

/** Has everything read again: each 30 s, and soon after somebody asked for it. */
export class Sweeper {
  readonly #deps: { readonly clock: Clock; readonly random: Random }
  #asked = new AbortController()

  constructor(deps: { readonly clock: Clock; readonly random: Random }) {
    this.#deps = deps
  }

  soon(): void {
    this.#asked.abort()
  }

  /** Resolves when the signal aborts. */
  async run(sweep: () => void, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps
    let last = Number.NEGATIVE_INFINITY
    this.#asked = new AbortController()
    while (!signal.aborted) {
      await sleep(SWEEP_MS * (0.9 + 0.2 * random()), AbortSignal.any([signal, this.#asked.signal]))
      await sleep(Math.max(0, last + SWEEP_GAP_MS - clock.monotonic()), signal)
      if (signal.aborted) return
      this.#asked = new AbortController()
      last = clock.monotonic()
      sweep()
    }
  }
}
