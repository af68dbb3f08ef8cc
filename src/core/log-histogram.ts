/** Buckets of a `LogHistogram`; each is 2^(1/4) times as wide as the one before: a quantile is at most 19 % too high. */
export const HISTOGRAM_BUCKETS = 72
const PER_OCTAVE = 4
/** Upper edge of the first bucket. ms. */
const FIRST_MS = 0.5

/** Counts by bucket; missing ones are 0. Plain numbers, so that it can be sent and stored. */
export type BucketCounts = readonly number[]

/** Which bucket a duration is in. ms. */
export function bucketOf(ms: number): number {
  if (!(ms > FIRST_MS)) return 0
  return Math.min(HISTOGRAM_BUCKETS - 1, Math.ceil(Math.log2(ms / FIRST_MS) * PER_OCTAVE))
}

/** Upper edge of a bucket, inclusive. ms; the last one has none. */
export function upperEdge(bucket: number): number {
  if (bucket >= HISTOGRAM_BUCKETS - 1) return Number.POSITIVE_INFINITY
  return FIRST_MS * 2 ** (bucket / PER_OCTAVE)
}

/** Durations in fixed buckets on a logarithmic scale, from 0.5 ms to 1.5 minutes. */
export class LogHistogram {
  readonly #counts = new Array<number>(HISTOGRAM_BUCKETS).fill(0)

  add(ms: number): void {
    const bucket = bucketOf(ms)
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
  }

  /** What was counted since the last call. */
  take(): number[] {
    const taken = this.#counts.slice()
    this.#counts.fill(0)
    return taken
  }
}

/** Adds up bucket by bucket. */
export function mergeCounts(...all: readonly BucketCounts[]): number[] {
  const sum = new Array<number>(HISTOGRAM_BUCKETS).fill(0)
  for (const counts of all) {
    for (let i = 0; i < HISTOGRAM_BUCKETS; i++) sum[i] = (sum[i] as number) + (counts[i] ?? 0)
  }
  return sum
}

/** Upper edge of the bucket that holds this quantile (0..1). ms; undefined when nothing was counted. */
export function quantileOf(counts: BucketCounts, quantile: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return undefined
  let left = Math.max(1, Math.ceil(quantile * total))
  for (let bucket = 0; bucket < counts.length; bucket++) {
    left -= counts[bucket] as number
    if (left <= 0) return upperEdge(bucket)
  }
  return undefined
}

/** How many are surely longer than this: those of the buckets that begin there or later. */
export function countAbove(counts: BucketCounts, ms: number): number {
  let sum = 0
  for (let bucket = bucketOf(ms) + 1; bucket < counts.length; bucket++) sum += counts[bucket] as number
  return sum
}
