import { GatewayError } from '../core/errors.ts'

export type Period = 'day' | 'week' | 'month'

/** Instants between which quotas are counted; ms since the epoch. */
export interface PeriodBounds {
  /** Of the period before. */
  readonly previous: number
  readonly start: number
  /** The first instant of the next one. */
  readonly end: number
  /** Of the next one. */
  readonly nextEnd: number
}

/** A day that no calendar needs to know of more exactly. ms. */
const DAY_MS = 86_400_000
/** Clocks of the world differ from UTC by less. ms. */
const MOST_OFFSET_MS = 16 * 3_600_000

/**
 * Days, weeks (from Monday) and months as the clocks of a place show them. A day begins when they show its
 * midnight, or, where they are put forward over it, the first time after it. Throws
 * GW_CONFIG_INVALID for an unknown time zone.
 */
export class Calendar {
  readonly #period: Period
  readonly #format: Intl.DateTimeFormat
  #bounds: PeriodBounds = { previous: 0, start: 0, end: 0, nextEnd: 0 }

  /** `timeZone`: IANA name, such as Europe/Berlin. */
  constructor(period: Period, timeZone: string) {
    this.#period = period
    try {
      this.#format = new Intl.DateTimeFormat('en-u-ca-gregory-hc-h23', {
        timeZone,
        year: 'numeric',
        month: 'numeric',
        day: 'numeric',
        hour: 'numeric',
        minute: 'numeric',
        second: 'numeric',
      })
    } catch (cause) {
      throw new GatewayError('GW_CONFIG_INVALID', `no time zone "${timeZone}"`, { cause })
    }
  }

  /** The period of an instant. */
  at(now: number): PeriodBounds {
    if (now >= this.#bounds.start && now < this.#bounds.end) return this.#bounds
    let first = this.#firstDay(this.#localDay(now))
    // Where clocks were put back over midnight a date comes twice.
    if (now < this.#begin(first)) first = this.#firstDay(first - DAY_MS)
    else if (now >= this.#begin(this.#next(first))) first = this.#next(first)
    const next = this.#next(first)
    this.#bounds = {
      previous: this.#begin(this.#firstDay(first - DAY_MS)),
      start: this.#begin(first),
      end: this.#begin(next),
      nextEnd: this.#begin(this.#next(next)),
    }
    return this.#bounds
  }

  /** What clocks there show, as if it were UTC. ms. */
  #local(at: number): number {
    const parts: Record<string, string> = {}
    for (const { type, value } of this.#format.formatToParts(at)) parts[type] = value
    const of = (type: string) => Number(parts[type])
    const shown = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'))
    return shown + (((at % 1000) + 1000) % 1000)
  }

  #localDay(at: number): number {
    return Math.floor(this.#local(at) / DAY_MS) * DAY_MS
  }

  /** Days are counted as midnights of UTC: no clock is put forward there. */
  #firstDay(day: number): number {
    const date = new Date(day)
    switch (this.#period) {
      case 'day':
        return day
      case 'week':
        return day - ((date.getUTCDay() + 6) % 7) * DAY_MS
      case 'month':
        return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
    }
  }

  #next(first: number): number {
    const date = new Date(first)
    switch (this.#period) {
      case 'day':
        return first + DAY_MS
      case 'week':
        return first + 7 * DAY_MS
      case 'month':
        return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)
    }
  }

  /** When a day begins there: halved until one millisecond is left. */
  #begin(day: number): number {
    let [before, after] = [day - MOST_OFFSET_MS, day + MOST_OFFSET_MS]
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2)
      if (this.#local(middle) >= day) after = middle
      else before = middle
    }
    return after
  }
}
