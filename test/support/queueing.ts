import type { Random } from '../../src/core/duration.ts'
import type { GradientLimit } from '../../src/limits/gradient.ts'

/** A service with so many slots and a queue before them. */
export interface ServiceModel {
  slots: number
  /** Mean time of one request in a slot. ms. */
  serviceMs: number
}

export interface Simulated {
  /** Mean of the limit over the last quarter of the time, probes aside. */
  readonly limit: number
  readonly lowest: number
  /** Answers a second over the last half. */
  readonly goodput: number
  /** Of the last half. ms. */
  readonly medianMs: number
}

/** Numbers that look random and are the same each time (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** A number of an exponential distribution. */
export const exponential = (mean: number, random: Random): number => -mean * Math.log(1 - random())

interface Job {
  readonly arrivedAt: number
  readonly inFlight: number
}

/**
 * Poisson arrivals at `perSecond` over a service with `slots` and first come, first served; what the limit does not let
 * in is refused. Goes on from where the last call ended.
 */
export class Simulation {
  readonly #limit: GradientLimit
  readonly #random: Random
  readonly model: ServiceModel
  /** How long one request is in a slot. */
  readonly #draw: (mean: number, random: Random) => number
  #now = 0
  #inFlight = 0
  readonly #waiting: Job[] = []
  readonly #running: { readonly endsAt: number; readonly job: Job }[] = []

  constructor(limit: GradientLimit, model: ServiceModel, random: Random, draw = exponential) {
    this.#limit = limit
    this.model = model
    this.#random = random
    this.#draw = draw
  }

  run(seconds: number, perSecond: number): Simulated {
    const [from, until] = [this.#now, this.#now + seconds * 1000]
    const limits: number[] = []
    const times: number[] = []
    let lowest = Number.POSITIVE_INFINITY
    let arrival = this.#now + exponential(1000 / perSecond, this.#random)
    for (;;) {
      const next = this.#running[0]
      const at = Math.min(arrival, next?.endsAt ?? Number.POSITIVE_INFINITY)
      if (at >= until) break
      this.#now = at
      if (next !== undefined && next.endsAt === at) {
        this.#running.shift()
        this.#inFlight--
        const ms = at - next.job.arrivedAt
        if (at > from + seconds * 500) times.push(ms)
        this.#limit.answered(at, { ms, inFlight: next.job.inFlight })
      } else {
        arrival = at + exponential(1000 / perSecond, this.#random)
        if (this.#inFlight < this.#limit.limit) {
          this.#inFlight++
          this.#waiting.push({ arrivedAt: at, inFlight: this.#inFlight })
        }
      }
      this.#fill()
      if (!this.#limit.isProbing) {
        lowest = Math.min(lowest, this.#limit.limit)
        if (at > from + seconds * 750) limits.push(this.#limit.limit)
      }
    }
    this.#now = until
    const sorted = times.sort((a, b) => a - b)
    return {
      limit: limits.reduce((sum, limit) => sum + limit, 0) / limits.length,
      lowest,
      goodput: times.length / (seconds / 2),
      medianMs: sorted[sorted.length >> 1] ?? 0,
    }
  }

  #fill(): void {
    while (this.#running.length < this.model.slots) {
      const job = this.#waiting.shift()
      if (job === undefined) return
      const endsAt = this.#now + this.#draw(this.model.serviceMs, this.#random)
      const place = this.#running.findIndex((other) => other.endsAt > endsAt)
      this.#running.splice(place === -1 ? this.#running.length : place, 0, { endsAt, job })
    }
  }
}
