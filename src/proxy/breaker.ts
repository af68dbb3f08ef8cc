import type { BreakerPolicy } from '../core/health-policy.ts'

export type BreakerState = 'closed' | 'open' | 'half-open'

/** A change of state, with its reason in words. */
export interface BreakerChange {
  readonly from: BreakerState
  readonly to: BreakerState
  readonly reason: string
}

/** Parts of the window: it slides by a tenth. */
const SLOTS = 10
/** What a client is told when all probes are under way. ms. */
const PROBING_WAIT_MS = 1000

interface Slot {
  /** Number of the slot since the clock began. */
  at: number
  tries: number
  failures: number
}

/**
 * Circuit breaker of one service: closed → open when too many tries fail → half-open, where a few requests try →
 * closed when as many succeed, open again when one fails. All times are monotonic ms given by the caller.
 */
export class Breaker {
  #policy: BreakerPolicy
  readonly #onChange: (change: BreakerChange) => void
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => ({ at: -1, tries: 0, failures: 0 }))
  #state: BreakerState = 'closed'
  #openUntil = 0
  #probes = 0
  #successes = 0
  /** Each half-open time has its own: what an earlier one began says nothing of this one. */
  #generation = 0

  constructor(policy: BreakerPolicy, onChange: (change: BreakerChange) => void) {
    this.#policy = policy
    this.#onChange = onChange
  }

  get state(): BreakerState {
    return this.#state
  }

  /** Takes over changed settings; state and counts stay. */
  configure(policy: BreakerPolicy): void {
    if (policy.windowMs !== this.#policy.windowMs) this.#forget()
    this.#policy = policy
  }

  #forget(): void {
    for (const slot of this.#slots) Object.assign(slot, { at: -1, tries: 0, failures: 0 })
  }

  /** 0 = go ahead; else the request is refused, and a further one makes sense in so many ms. */
  blockedForMs(now: number): number {
    if (this.#state === 'closed') return 0
    if (this.#state === 'open') {
      if (now < this.#openUntil) return this.#openUntil - now
      this.#halfOpen()
    }
    return this.#probes < this.#policy.halfOpenProbes ? 0 : PROBING_WAIT_MS
  }

  /** A try begins; 0 = an ordinary one, else the mark that `record` and `end` want back. */
  begin(): number {
    if (this.#state !== 'half-open') return 0
    this.#probes++
    return this.#generation
  }

  /** A try is over, whatever became of it. Once for each mark. */
  end(mark: number): void {
    if (mark !== 0 && mark === this.#generation) this.#probes--
  }

  /** What a try met. A client that left is not recorded. */
  record(hasFailed: boolean, mark: number, now: number): void {
    if (this.#state === 'closed') {
      if (mark === 0) this.#count(hasFailed, now)
      return
    }
    if (this.#state !== 'half-open' || mark !== this.#generation) return
    if (hasFailed) {
      this.#open(now, 'a probe failed')
    } else if (++this.#successes >= this.#policy.halfOpenProbes) {
      this.#change('closed', `${this.#successes} of ${this.#successes} probes succeeded`)
      this.#forget()
    }
  }

  #count(hasFailed: boolean, now: number): void {
    const at = Math.floor((now / this.#policy.windowMs) * SLOTS)
    const slot = this.#slots[at % SLOTS] as Slot
    if (slot.at !== at) {
      slot.at = at
      slot.tries = 0
      slot.failures = 0
    }
    slot.tries++
    if (!hasFailed) return
    slot.failures++
    let [tries, failures] = [0, 0]
    for (const one of this.#slots) {
      if (one.at <= at - SLOTS) continue
      tries += one.tries
      failures += one.failures
    }
    const { minRequests, failurePercent, windowMs } = this.#policy
    if (tries < minRequests || failures * 100 < tries * failurePercent) return
    const share = Math.round((failures / tries) * 100)
    this.#open(now, `${failures} of ${tries} tries failed (${share} %) within ${windowMs / 1000} s`)
  }

  #open(now: number, reason: string): void {
    const { openForMs } = this.#policy
    this.#openUntil = now + openForMs
    this.#change('open', `${reason}; open for ${openForMs / 1000} s`)
  }

  #halfOpen(): void {
    this.#generation++
    this.#probes = 0
    this.#successes = 0
    this.#change('half-open', `${this.#policy.halfOpenProbes} requests at a time try it`)
  }

  #change(to: BreakerState, reason: string): void {
    const from = this.#state
    this.#state = to
    this.#onChange({ from, to, reason })
  }
}
