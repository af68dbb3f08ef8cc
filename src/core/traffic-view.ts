/** What `GET /api/traffic` shows. Rates are per second, times ms; `null` = nothing was measured. */

export interface Rate {
  readonly rps: number
  /** 0 to 1: answers of 5xx, and what broke off. */
  readonly errorRatio: number
}

export interface Latency {
  /** At most a fifth too high: a bucket of a `LogHistogram`. */
  readonly p50: number | null
  readonly p99: number | null
}

/** Buckets that are over, the oldest first. */
export interface TrafficSeries {
  /** When the first begins. ms since the epoch. */
  readonly from: number
  readonly requests: readonly number[]
  readonly errors: readonly number[]
  readonly p50: readonly (number | null)[]
  readonly p99: readonly (number | null)[]
}

/** Rates and latencies of the last 10 to 15 s: two buckets and the one under way. */
export interface ServiceTraffic extends Rate, Latency {
  readonly series: TrafficSeries
}

export interface RouteTraffic extends Rate {
  /** rps by service: only those that got something. */
  readonly services: Readonly<Record<string, number>>
}

export interface TrafficView {
  readonly at: number
  readonly bucketMs: number
  readonly total: ServiceTraffic
  readonly services: Readonly<Record<string, ServiceTraffic>>
  readonly routes: Readonly<Record<string, RouteTraffic>>
  /** By key; each try counts for the instance that it went to. */
  readonly instances: Readonly<Record<string, Rate & Latency>>
}
