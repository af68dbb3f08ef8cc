import type { Random } from '../core/duration.ts'
import type { CompareSpec, MirrorSpec } from '../core/route.ts'
import { type CompareRules, compileRules } from './compare.ts'
import { MirrorPause } from './pause.ts'
import { MirrorReport, type ReportView } from './report.ts'

/**
 * What became of a copy. `ok`: answered, whatever the status. `dropped`: too many under way. `too_large`: its body.
 * `no_instance`: nobody there to get it. `paused`: the last ones met nobody. `unsent`: the client's body did not come to its
 * end.
 */
export type MirrorResult =
  | 'ok'
  | 'error'
  | 'timeout'
  | 'dropped'
  | 'too_large'
  | 'no_instance'
  | 'paused'
  | 'unsent'

export interface MirrorView {
  /** Name of the route, or `service NAME`. */
  readonly mirror: string
  readonly target: { readonly service?: string; readonly version?: string }
  readonly percent: number
  readonly inFlight: number
  /** It did not answer: no copies for so long, then one tries. ms; absent = copies go. */
  readonly pausedMs?: number
  readonly results: Readonly<Partial<Record<MirrorResult, number>>>
  /** Copies that were to be compared and could not: the client left, an answer was broken off or too long. */
  readonly uncompared: number
  readonly report?: ReportView
}

/** The first comparisons are all checked for noise: until then nothing is known of it. */
const FIRST_WITH_NOISE = 20

/** One mirror over its life; keyed by its name, outlives tables. */
export class MirrorState {
  readonly name: string
  readonly #results = new Map<MirrorResult, number>()
  inFlight = 0
  uncompared = 0
  report = new MirrorReport()
  pause: MirrorPause
  #spec: MirrorSpec
  #rules: CompareRules | undefined
  #checking = 0
  readonly #random: Random

  constructor(name: string, spec: MirrorSpec, random: Random) {
    this.name = name
    this.#random = random
    this.pause = new MirrorPause(random)
    this.#spec = spec
    this.#rules = rulesOf(spec.compare)
  }

  get spec(): MirrorSpec {
    return this.#spec
  }

  get rules(): CompareRules | undefined {
    return this.#rules
  }

  /** Takes over what the table says now; with another target or other rules the report begins anew. */
  update(spec: MirrorSpec): void {
    if (spec === this.#spec) return
    const told = ({ service, version, compare }: MirrorSpec) => JSON.stringify([service, version, compare])
    if (told(spec) !== told(this.#spec)) this.reset()
    this.#spec = spec
    this.#rules = rulesOf(spec.compare)
  }

  reset(): void {
    this.report = new MirrorReport()
    this.pause = new MirrorPause(this.#random)
    this.#checking = 0
    this.uncompared = 0
  }

  count(result: MirrorResult): void {
    this.#results.set(result, (this.#results.get(result) ?? 0) + 1)
  }

  /** Whether stable is to be asked twice this time. `random`: in [0, 1). */
  wantsNoise({ noise }: CompareSpec, random: number): boolean {
    if (noise === 0 || (this.#checking >= FIRST_WITH_NOISE && random >= noise)) return false
    this.#checking++
    return true
  }

  /** `now`: monotonic ms. */
  view(now: number): MirrorView {
    const pausedMs = Math.ceil(this.pause.leftMs(now))
    const { service, version, share, compare } = this.#spec
    return {
      mirror: this.name,
      target: {
        ...(service === undefined ? {} : { service }),
        ...(version === undefined ? {} : { version }),
      },
      percent: share / 100,
      inFlight: this.inFlight,
      ...(pausedMs === 0 ? {} : { pausedMs }),
      results: Object.fromEntries(this.#results),
      uncompared: this.uncompared,
      ...(compare === undefined ? {} : { report: this.report.view() }),
    }
  }
}

const rulesOf = (compare: CompareSpec | undefined): CompareRules | undefined =>
  compare === undefined ? undefined : compileRules(compare.ignore, compare.tolerance)
