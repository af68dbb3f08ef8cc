import type { Difference, DifferenceKind } from './compare.ts'
import { maskValue } from './mask.ts'

/** Paths of one mirror that are kept apart; what is beyond counts together. */
const MAX_PATHS = 200
const MAX_EXAMPLES = 3
/** A difference that stable has with itself this often, relative to how often the mirror has it, is noise. */
const NOISE_RATIO = 0.5

/** One compared request. */
export interface Comparison {
  /** ms since the epoch. */
  readonly at: number
  /** `GET /a/b`, without a query. */
  readonly request: string
  readonly differences: readonly Difference[]
  /** Between two answers of stable to the same request; undefined = stable was not asked twice. */
  readonly noise: readonly Difference[] | undefined
}

/** One place where answers differed. */
export interface DifferenceView {
  readonly path: string
  /** How often, by kind. */
  readonly kinds: Readonly<Partial<Record<DifferenceKind, number>>>
  /** Comparisons in which it differed. */
  readonly differs: number
  /** Share of all comparisons. */
  readonly share: number
  /** Share of the comparisons of stable with stable in which it differed, too. */
  readonly noiseShare: number
  /** Stable differs from itself there about as often: no word about the mirror. */
  readonly isNoise: boolean
  readonly firstSeen: number
  readonly lastSeen: number
  /** Values masked. */
  readonly examples: readonly {
    readonly at: number
    readonly request: string
    readonly kind: DifferenceKind
    readonly primary: string
    readonly mirror: string
  }[]
}

export interface ReportView {
  readonly compared: number
  /** Of stable with itself. */
  readonly noiseCompared: number
  /** Comparisons with a difference that is no noise. */
  readonly different: number
  /** Comparisons that were as the primary, but for noise. */
  readonly equal: number
  /** Differences at places beyond the 200 that are kept apart. */
  readonly elsewhere: number
  readonly paths: readonly DifferenceView[]
}

interface Place {
  readonly kinds: Map<DifferenceKind, number>
  differs: number
  noisy: number
  readonly firstSeen: number
  lastSeen: number
  readonly examples: DifferenceView['examples'][number][]
}

/** What the comparisons of one mirror found, by place; bounded. */
export class MirrorReport {
  readonly #places = new Map<string, Place>()
  #compared = 0
  #noiseCompared = 0
  #different = 0
  #elsewhere = 0

  /** So many comparisons of stable with itself were made. */
  get noiseCompared(): number {
    return this.#noiseCompared
  }

  /** Takes one comparison in; gives the differences that are no noise, as far as is known by now. */
  add({ at, request, differences, noise }: Comparison): readonly Difference[] {
    this.#compared++
    const noisy = new Set(noise?.map(({ path }) => path))
    if (noise !== undefined) this.#noiseCompared++
    const seen = new Set<string>()
    for (const difference of differences) {
      const place = this.#place(difference.path, at)
      if (place === undefined) {
        this.#elsewhere++
        continue
      }
      const { kind, path } = difference
      place.kinds.set(kind, (place.kinds.get(kind) ?? 0) + 1)
      place.lastSeen = at
      if (!seen.has(path)) place.differs++
      seen.add(path)
      if (place.examples.length < MAX_EXAMPLES && !noisy.has(path)) {
        const [primary, mirror] = [maskValue(path, difference.first), maskValue(path, difference.second)]
        place.examples.push({ at, request, kind, primary, mirror })
      }
    }
    for (const path of noisy) {
      const place = this.#place(path, at)
      if (place !== undefined) place.noisy++
    }
    const real = differences.filter(({ path }) => !noisy.has(path) && !this.#isNoise(this.#places.get(path)))
    if (real.length > 0) this.#different++
    return real
  }

  #place(path: string, at: number): Place | undefined {
    const known = this.#places.get(path)
    if (known !== undefined || this.#places.size >= MAX_PATHS) return known
    const place: Place = { kinds: new Map(), differs: 0, noisy: 0, firstSeen: at, lastSeen: at, examples: [] }
    this.#places.set(path, place)
    return place
  }

  #isNoise(place: Place | undefined): boolean {
    if (place === undefined || place.noisy === 0) return false
    const share = place.differs / this.#compared
    return place.noisy / this.#noiseCompared >= share * NOISE_RATIO
  }

  view(): ReportView {
    const paths = [...this.#places].map(([path, place]): DifferenceView => {
      const { differs, noisy, firstSeen, lastSeen, examples } = place
      return {
        path,
        kinds: Object.fromEntries(place.kinds),
        differs,
        share: differs / Math.max(1, this.#compared),
        noiseShare: noisy / Math.max(1, this.#noiseCompared),
        isNoise: this.#isNoise(place),
        firstSeen,
        lastSeen,
        examples: [...examples],
      }
    })
    return {
      compared: this.#compared,
      noiseCompared: this.#noiseCompared,
      different: this.#different,
      equal: this.#compared - this.#different,
      elsewhere: this.#elsewhere,
      paths: paths
        .filter(({ differs }) => differs > 0)
        .sort(
          (a, b) =>
            Number(a.isNoise) - Number(b.isNoise) || b.share - b.noiseShare - (a.share - a.noiseShare),
        ),
    }
  }
}
