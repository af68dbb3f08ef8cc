import { LogHistogram, mergeCounts } from '../core/log-histogram.ts'
import type { SideCounts } from './release.ts'

/** What one gateway counted since it started, by rule. */
export interface Tallies {
  /** Another one after each start. */
  readonly run: string
  /** When it started. ms since the epoch. */
  readonly startedAt: number
  readonly rules: Readonly<Record<string, SidePair>>
  /** By rule: breaches of a contract, in words, as they stand. Absent = none. */
  readonly breaches?: Readonly<Record<string, readonly string[]>>
}

export interface SidePair {
  readonly canary: SideCounts
  readonly stable: SideCounts
}

/** What is counted of one request that reached an instance, or should have. */
export interface Counting {
  readonly isBad: boolean
  /** Until the answer's headers; undefined = there was none. ms. */
  readonly ms: number | undefined
  /** Of those that a guard looks for; lower case. */
  readonly headers: readonly string[]
}

interface Side {
  total: number
  bad: number
  latency: number[]
  readonly fresh: LogHistogram
  readonly headers: Record<string, number>
}

/** Counts requests by rule and side; the numbers only grow. */
export class Tally {
  readonly #run: string
  readonly #startedAt: number
  readonly #rules = new Map<string, { canary: Side; stable: Side }>()

  constructor(run: string, startedAt: number) {
    this.#run = run
    this.#startedAt = startedAt
  }

  /** Called for each request of a release. */
  count(rule: string, side: 'canary' | 'stable', { isBad, ms, headers }: Counting): void {
    const counted = this.#sides(rule)[side]
    counted.total++
    if (isBad) counted.bad++
    if (ms !== undefined) counted.fresh.add(ms)
    for (const header of headers) counted.headers[header] = (counted.headers[header] ?? 0) + 1
  }

  /** So far. Rules that are not listed are forgotten. */
  totals(rules: ReadonlySet<string>): Tallies {
    for (const rule of this.#rules.keys()) if (!rules.has(rule)) this.#rules.delete(rule)
    const entries = [...rules].map((rule) => {
      const { canary, stable } = this.#sides(rule)
      return [rule, { canary: plain(canary), stable: plain(stable) }] as const
    })
    return { run: this.#run, startedAt: this.#startedAt, rules: Object.fromEntries(entries) }
  }

  #sides(rule: string): { canary: Side; stable: Side } {
    let sides = this.#rules.get(rule)
    if (sides === undefined) {
      sides = { canary: aSide(), stable: aSide() }
      this.#rules.set(rule, sides)
    }
    return sides
  }
}

function aSide(): Side {
  return { total: 0, bad: 0, latency: mergeCounts(), fresh: new LogHistogram(), headers: {} }
}

function plain(side: Side): SideCounts {
  side.latency = mergeCounts(side.latency, side.fresh.take())
  const { total, bad, latency, headers } = side
  return { total, bad, latency, headers: { ...headers } }
}

const NOTHING: SideCounts = Object.freeze({ total: 0, bad: 0, latency: [], headers: {} })
const NO_PAIR: SidePair = Object.freeze({ canary: NOTHING, stable: NOTHING })

/** Of one rule, over all gateways; what is beyond says nothing new. */
const MAX_BREACHES = 50

/** Breaches of a rule's contracts that any of the gateways knows of. Unlike counts they are no differences: they stand. */
export function breachesIn(found: readonly Tallies[], rule: string): string[] {
  // What another gateway wrote is its own word.
  const all = found.flatMap(({ breaches }) => breaches?.[rule] ?? []).filter((one) => typeof one === 'string')
  return [...new Set(all)].sort().slice(0, MAX_BREACHES)
}

/** How long what a gateway counted is remembered after it was seen last. ms. */
const REMEMBERED_MS = 10 * 60_000

/** Adds up what all gateways did since the last call. */
export class Differences {
  /** When the first call was. ms since the epoch. */
  #since: number | undefined
  readonly #seen = new Map<string, { readonly at: number; readonly tallies: Tallies }>()

  /**
   * The first call says nothing: how much of it is new is not known. The same holds for a gateway that is seen for the
   * first time, unless it started after the first call. `now`: ms since the epoch.
   */
  take(found: readonly Tallies[], now: number): (rule: string) => SidePair {
    const since = Math.max(this.#since ?? Number.POSITIVE_INFINITY, now - REMEMBERED_MS)
    const news = found.flatMap((one) => {
      const known = this.#seen.get(one.run)?.tallies
      return known === undefined && one.startedAt < since ? [] : [{ rules: one.rules, known: known?.rules }]
    })
    this.#since ??= now
    for (const tallies of found) this.#seen.set(tallies.run, { at: now, tallies })
    for (const [run, { at }] of this.#seen) if (now - at > REMEMBERED_MS) this.#seen.delete(run)
    return (rule) => {
      let sum = NO_PAIR
      for (const { rules, known } of news) {
        const [pair, before] = [rules[rule] ?? NO_PAIR, known?.[rule] ?? NO_PAIR]
        sum = {
          canary: plus(sum.canary, minus(pair.canary, before.canary)),
          stable: plus(sum.stable, minus(pair.stable, before.stable)),
        }
      }
      return sum
    }
  }

  /** Somebody else decides now. */
  forget(): void {
    this.#since = undefined
    this.#seen.clear()
  }
}

function combine(one: SideCounts, other: SideCounts, how: (a: number, b: number) => number): SideCounts {
  const headers: Record<string, number> = {}
  for (const name of new Set([...Object.keys(one.headers), ...Object.keys(other.headers)])) {
    headers[name] = how(one.headers[name] ?? 0, other.headers[name] ?? 0)
  }
  return {
    total: how(one.total, other.total),
    bad: how(one.bad, other.bad),
    latency: mergeCounts(one.latency).map((count, i) => how(count, other.latency[i] ?? 0)),
    headers,
  }
}

const plus = (one: SideCounts, other: SideCounts) => combine(one, other, (a, b) => a + b)
// A rule that was taken out and put back counts from 0 again.
const minus = (one: SideCounts, other: SideCounts) => combine(one, other, (a, b) => Math.max(0, a - b))
