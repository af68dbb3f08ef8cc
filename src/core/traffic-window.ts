import { HISTOGRAM_BUCKETS, upperEdge } from './log-histogram.ts'
import type { Latency, Rate, TrafficSeries } from './traffic-view.ts'

/** Length of a bucket. ms. */
export const BUCKET_MS = 5000
/** Buckets of a series. */
export const SERIES_BUCKETS = 60
/** What rates are made of: the bucket under way and the two before. */
const RECENT = 3

/** A clock set back by so many buckets or less stands still until it has caught up; by more, counting begins anew. */
const PATIENT = 12

/** For a request without a latency: a tunnel. */
export const NO_LATENCY = -1

/** Where the last bucket of a histogram begins: a quantile there has no upper edge. ms. */
const LONGEST_MS = upperEdge(HISTOGRAM_BUCKETS - 2)

const rounded = (ms: number): number => Math.round(Math.min(ms, LONGEST_MS) * 100) / 100

const NOTHING: Latency = Object.freeze({ p50: null, p99: null })

/** Both quantiles in one pass over the histograms from `first` up to `end`. */
function latencyOf(counts: Uint32Array, first: number, end: number): Latency {
  let total = 0
  for (let i = first * HISTOGRAM_BUCKETS; i < end * HISTOGRAM_BUCKETS; i++) total += counts[i] as number
  if (total === 0) return NOTHING
  const [half, most] = [Math.ceil(total * 0.5), Math.ceil(total * 0.99)]
  let [passed, p50] = [0, -1]
  for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    for (let one = first; one < end; one++) passed += counts[one * HISTOGRAM_BUCKETS + bucket] as number
    if (p50 < 0 && passed >= half) p50 = bucket
    if (passed >= most) return { p50: rounded(upperEdge(p50)), p99: rounded(upperEdge(bucket)) }
  }
  return NOTHING
}

/** The counters of three buckets, fixed in size. Buckets are numbered: ms since the epoch / `BUCKET_MS`. */
export class RecentWindow {
  readonly #requests = new Uint32Array(RECENT)
  readonly #errors = new Uint32Array(RECENT)
  /** Undefined = latencies are not kept. */
  readonly #counts: Uint32Array | undefined
  #latest = 0

  constructor(withLatency: boolean) {
    this.#counts = withLatency ? new Uint32Array(RECENT * HISTOGRAM_BUCKETS) : undefined
  }

  /** Number of the bucket under way. */
  get latest(): number {
    return this.#latest
  }

  /** `latency`: bucket of a `LogHistogram`, or `NO_LATENCY`. */
  add(bucket: number, isError: boolean, latency: number): void {
    if (bucket !== this.#latest) this.advance(bucket)
    const at = this.#latest % RECENT
    this.#requests[at] = (this.#requests[at] as number) + 1
    if (isError) this.#errors[at] = (this.#errors[at] as number) + 1
    if (this.#counts === undefined || latency < 0) return
    const cell = at * HISTOGRAM_BUCKETS + latency
    this.#counts[cell] = (this.#counts[cell] as number) + 1
  }

  /** A clock that was set back far empties it: what it holds has no place any more. */
  advance(bucket: number): void {
    if (isLittleBack(bucket, this.#latest)) return
    const steps = bucket < this.#latest ? RECENT : Math.min(RECENT, bucket - this.#latest)
    for (let i = 0; i < steps; i++) {
      const at = (bucket - i) % RECENT
      this.#requests[at] = 0
      this.#errors[at] = 0
      this.#counts?.fill(0, at * HISTOGRAM_BUCKETS, (at + 1) * HISTOGRAM_BUCKETS)
    }
    this.#latest = bucket
  }

  /** One bucket, of those that are kept. */
  bucket(bucket: number): { readonly requests: number; readonly errors: number } & Latency {
    const at = bucket % RECENT
    return {
      requests: this.#requests[at] as number,
      errors: this.#errors[at] as number,
      ...(this.#counts === undefined ? NOTHING : latencyOf(this.#counts, at, at + 1)),
    }
  }

  /** `seconds`: what the window covers up to now. */
  rate(seconds: number): Rate {
    const requests = sum(this.#requests)
    return {
      rps: Math.round((requests / seconds) * 100) / 100,
      errorRatio: requests === 0 ? 0 : Math.round((sum(this.#errors) / requests) * 10_000) / 10_000,
    }
  }

  latency(): Latency {
    return this.#counts === undefined ? NOTHING : latencyOf(this.#counts, 0, RECENT)
  }
}

/** A `RecentWindow` and what became of the buckets before: quantiles are made once, when a bucket is over. */
export class SeriesWindow {
  readonly recent = new RecentWindow(true)
  readonly #requests = new Uint32Array(SERIES_BUCKETS)
  readonly #errors = new Uint32Array(SERIES_BUCKETS)
  readonly #p50 = new Float64Array(SERIES_BUCKETS).fill(Number.NaN)
  readonly #p99 = new Float64Array(SERIES_BUCKETS).fill(Number.NaN)

  /** As `RecentWindow.add`. */
  add(bucket: number, isError: boolean, latency: number): void {
    if (bucket !== this.recent.latest) this.advance(bucket)
    this.recent.add(bucket, isError, latency)
  }

  advance(bucket: number): void {
    const { latest } = this.recent
    if (isLittleBack(bucket, latest)) return
    if (bucket < latest) {
      for (let i = 1; i <= SERIES_BUCKETS; i++) this.#close(bucket - i, undefined)
    } else if (bucket > latest) {
      this.#close(latest, this.recent.bucket(latest))
      for (let one = Math.max(latest + 1, bucket - SERIES_BUCKETS); one < bucket; one++) {
        this.#close(one, undefined)
      }
    }
    this.recent.advance(bucket)
  }

  #close(bucket: number, found: ReturnType<RecentWindow['bucket']> | undefined): void {
    const at = bucket % SERIES_BUCKETS
    this.#requests[at] = found?.requests ?? 0
    this.#errors[at] = found?.errors ?? 0
    this.#p50[at] = found?.p50 ?? Number.NaN
    this.#p99[at] = found?.p99 ?? Number.NaN
  }

  /** The buckets before the one under way. */
  series(): TrafficSeries {
    const first = this.recent.latest - SERIES_BUCKETS
    const places = Array.from({ length: SERIES_BUCKETS }, (_, i) => (first + i) % SERIES_BUCKETS)
    const measured = (values: Float64Array) =>
      places.map((at) => (Number.isNaN(values[at]) ? null : (values[at] as number)))
    return {
      from: first * BUCKET_MS,
      requests: places.map((at) => this.#requests[at] as number),
      errors: places.map((at) => this.#errors[at] as number),
      p50: measured(this.#p50),
      p99: measured(this.#p99),
    }
  }
}

const isLittleBack = (bucket: number, latest: number): boolean =>
  bucket <= latest && latest - bucket <= PATIENT

function sum(counts: Uint32Array): number {
  let total = 0
  for (const count of counts) total += count
  return total
}

/** What a window covers from its oldest bucket, or from `startedAt`, up to `now`. s. Times: ms since the epoch. */
export function coveredSeconds(now: number, startedAt: number): number {
  const oldest = (Math.floor(now / BUCKET_MS) - RECENT + 1) * BUCKET_MS
  return Math.max(1000, Math.min(now - oldest, now - startedAt)) / 1000
}
