import type { Random } from '../core/duration.ts'
import type { PriorityClass } from '../core/priority-class.ts'

/** What the process can run short of. */
export type OverloadReason = 'event_loop' | 'heap' | 'rss' | 'requests'

/** Between `from` and `full` more and more is shed; `full` 0 = not looked at. */
export interface Threshold {
  readonly from: number
  readonly full: number
}

export interface OverloadLimits {
  /** Delay of the event loop, p99 of a reading. ms. */
  readonly delayMs: Threshold
  /** A delay counts only when the loop was busy for so much of the time. 0 to 1. */
  readonly utilization: number
  /** Used part of the largest heap. 0 to 1. */
  readonly heap: Threshold
  /** Bytes. */
  readonly rss: Threshold
  /** Requests in flight; 0 = no limit. */
  readonly maxRequests: number
}

/** The state of the process over the time since the last reading. */
export interface OverloadReading {
  readonly delayMs: number
  readonly utilization: number
  readonly heap: number
  readonly rss: number
}

/** 0: all are served. 1: bots and strangers are refused, in part or all. 2: also those that we know. */
export type OverloadLevel = 0 | 1 | 2

/** So many readings in a row must be high: a pause of the garbage collector is one of them. */
const HELD_READINGS = 3
/** A resource that was short counts as short down to this share of `from`. */
const HYSTERESIS = 0.8
/** The pressure falls by no more than this a reading: those who were refused come back. */
const RELIEF = 0.1
/** Share of `maxRequests` up to which a class is let in. */
const SHARES: Readonly<Record<PriorityClass, number>> = {
  health: Number.POSITIVE_INFINITY,
  authenticated: 1,
  anonymous: 0.9,
  bots: 0.7,
}

/**
 * Decides whom an overloaded process refuses. The pressure is 0 while nothing is short and 1 when something is fully so;
 * of bots all are refused from a quarter on, of strangers from one half, of those we know more and more in the upper
 * half; requests of class health never are. Gradual, because refusing everybody and then nobody makes the load swing.
 *
 * Pure: readings come from outside, at even distances.
 */
export class OverloadController {
  readonly #limits: OverloadLimits
  readonly #random: Random
  readonly #held = new Map<OverloadReason, number[]>()
  #pressure = 0
  #reason: OverloadReason = 'event_loop'

  constructor(limits: OverloadLimits, random: Random) {
    this.#limits = limits
    this.#random = random
  }

  /** 0 to 1. */
  get pressure(): number {
    return this.#pressure
  }

  /** What is shortest, or was last. */
  get reason(): OverloadReason {
    return this.#reason
  }

  get level(): OverloadLevel {
    if (this.#pressure === 0) return 0
    return this.#pressure <= 0.5 ? 1 : 2
  }

  /** Takes a reading in; to be called at even distances. */
  read(reading: OverloadReading): void {
    const { delayMs, heap, rss, utilization } = this.#limits
    const delay = reading.utilization >= utilization ? reading.delayMs : 0
    let [worst, reason] = [0, this.#reason]
    for (const [name, value, threshold] of [
      ['event_loop', delay, delayMs],
      ['heap', reading.heap, heap],
      ['rss', reading.rss, rss],
    ] as const) {
      const pressure = this.#pressureOf(name, value, threshold)
      if (pressure > worst) [worst, reason] = [pressure, name]
    }
    this.#reason = reason
    const next = Math.max(worst, this.#pressure - RELIEF)
    // 0.1 ten times from 1 leaves a rest.
    this.#pressure = next < 1e-9 ? 0 : next
  }

  /** Why a request of this class is refused now; `inFlight` with this request among them. */
  sheds(priorityClass: PriorityClass, inFlight: number): OverloadReason | undefined {
    const { maxRequests } = this.#limits
    if (maxRequests > 0 && inFlight > capOf(maxRequests, SHARES[priorityClass])) return 'requests'
    const share = this.#shedShare(priorityClass)
    return share > 0 && this.#random() < share ? this.#reason : undefined
  }

  #shedShare(priorityClass: PriorityClass): number {
    const pressure = this.#pressure
    switch (priorityClass) {
      case 'health':
        return 0
      case 'authenticated':
        return 2 * pressure - 1
      case 'anonymous':
        return 2 * pressure
      case 'bots':
        return 4 * pressure
    }
  }

  #pressureOf(name: OverloadReason, value: number, { from, full }: Threshold): number {
    if (full === 0) return 0
    const held = [...(this.#held.get(name) ?? []), value].slice(-HELD_READINGS)
    this.#held.set(name, held)
    const lasting = held.length < HELD_READINGS ? 0 : Math.min(...held)
    const start = this.#pressure > 0 && this.#reason === name ? from * HYSTERESIS : from
    if (lasting < start) return 0
    // Just at `from`, with from = full too: everything.
    return full <= start ? 1 : Math.min(1, (lasting - start) / (full - start))
  }
}

/** Who may come at all may come alone. */
function capOf(limit: number, share: number): number {
  return Math.max(1, Math.floor(limit * share + 1e-9))
}
