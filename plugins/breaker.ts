export interface BreakerOptions {
  /** So many in a row open it. */
  readonly failures: number
  /** While open: one probe in this time. ms. */
  readonly probeIntervalMs: number
  /** Rejects while what it guards is not back. */
  probe(): Promise<void>
  /** Only when the state changed. `reason`: why it opened. */
  onChange(isOpen: boolean, reason: string): void
}

/**
 * Opens after some failures in a row, or at once when told; then probes by itself until one probe succeeds, so that
 * no request has to be the one that waits.
 */
export class Breaker {
  readonly #options: BreakerOptions
  #failures = 0
  #isOpen = false
  #isClosed = false
  #timer: NodeJS.Timeout | undefined
  #isProbing = false

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  succeeded(): void {
    this.#failures = 0
  }

  failed(reason: string): void {
    if (++this.#failures >= this.#options.failures) this.open(reason)
  }

  open(reason: string): void {
    if (this.#isOpen || this.#isClosed) return
    this.#isOpen = true
    this.#options.onChange(true, reason)
    this.#schedule()
  }

  /** Asks now instead of at the next turn: something says that it is back. */
  probeNow(): void {
    if (!this.#isOpen || this.#isProbing || this.#isClosed) return
    clearTimeout(this.#timer)
    void this.#probe()
  }

  /** No more probes. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    this.#timer = setTimeout(() => void this.#probe(), this.#options.probeIntervalMs)
    this.#timer.unref()
  }

  async #probe(): Promise<void> {
    this.#isProbing = true
    try {
      await this.#options.probe()
      if (this.#isClosed) return
      this.#isOpen = false
      this.#failures = 0
      this.#options.onChange(false, '')
    } catch {
      if (!this.#isClosed) this.#schedule()
    } finally {
      this.#isProbing = false
    }
  }
}
