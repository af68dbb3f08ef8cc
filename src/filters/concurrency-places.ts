import type { Random } from '../core/duration.ts'
import { ConcurrencyGate, systemSchedule } from '../limits/concurrency-gate.ts'
import { GradientLimit, type GradientOptions } from '../limits/gradient.ts'

/** Of one filter name and service, whatever the scope; for the gauges. */
export interface Tally {
  readonly labels: readonly [filter: string, service: string]
  inFlight: number
  queued: number
}

/**
 * The gates, learnt limits and counts of all filters `concurrency`: they outlive the filters, so that an edit of the
 * configuration neither forgets who is in flight nor what was learnt.
 */
export class ConcurrencyPlaces {
  readonly #gates = new Map<string, ConcurrencyGate>()
  readonly #gradients = new Map<string, GradientLimit>()
  readonly #tallies = new Map<string, Tally>()

  /** Bounded: keys are names of the configuration, or clients with a request in flight. */
  gate(key: string): ConcurrencyGate {
    let gate = this.#gates.get(key)
    if (gate === undefined) {
      gate = new ConcurrencyGate(systemSchedule)
      this.#gates.set(key, gate)
    }
    return gate
  }

  /** Forgets a gate with nobody in it. */
  dropIdle(key: string): void {
    const gate = this.#gates.get(key)
    if (gate !== undefined && gate.inFlight === 0 && gate.queued === 0) this.#gates.delete(key)
  }

  /** What was learnt before stays; the newest options hold. */
  gradient(key: string, options: GradientOptions, random: Random): GradientLimit {
    let gradient = this.#gradients.get(key)
    if (gradient === undefined) {
      gradient = new GradientLimit(options, random)
      this.#gradients.set(key, gradient)
    } else {
      gradient.configure(options)
    }
    return gradient
  }

  tally(filter: string, service: string): Tally {
    const key = JSON.stringify([filter, service])
    let tally = this.#tallies.get(key)
    if (tally === undefined) {
      tally = { labels: [filter, service], inFlight: 0, queued: 0 }
      this.#tallies.set(key, tally)
    }
    return tally
  }

  /** No filter of the kind is left. */
  close(): void {
    this.#gates.clear()
    this.#gradients.clear()
    this.#tallies.clear()
  }

  /** Gates that exist; for tests. */
  get size(): number {
    return this.#gates.size
  }
}
