import type { Registry } from 'prom-client'
import type { RequestRecord } from '../src/core/record.ts'

/** Upper bounds in ms; a gateway works in this range. */
const BOUNDS_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000] as const
const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const

/** Requests that no route took: one series, however many paths a scanner tries. */
export const NO_ROUTE = '_none'
/** Where series beyond the cap count. */
export const OTHER = '_other'

interface Histogram {
  readonly buckets: number[]
  sum: number
  count: number
}

/**
 * Routes with histograms of their own, as a share of `maxSeries`: each has 16 series, and a scrape of thousands of them
 * would hold the loop for a second.
 */
const HISTOGRAM_SHARE = 0.15

/** The counters of one route: plain numbers, because they are touched by each request. */
interface RouteCell {
  /** Those of `_other` for routes beyond the cap. */
  readonly duration: Histogram
  readonly upstream: Histogram
  readonly hasOwnHistograms: boolean
  /** By service and method, then by class of status: nothing is put together for a request. */
  readonly requests: Map<string, Map<string, Counter[]>>
  /** Series in `requests`. */
  series: number
  readonly outcomes: Map<string, number>
  bytesIn: number
  bytesOut: number
}

interface Counter {
  readonly labels: Record<string, string>
  value: number
}

interface Sample {
  metricName?: string
  labels: Record<string, string | number>
  value: number
}

const createHistogram = (): Histogram => ({
  buckets: new Array<number>(BOUNDS_MS.length).fill(0),
  sum: 0,
  count: 0,
})

function observe(histogram: Histogram, ms: number): void {
  histogram.sum += ms
  histogram.count++
  for (let i = 0; i < BOUNDS_MS.length; i++) {
    if (ms <= (BOUNDS_MS[i] as number)) {
      histogram.buckets[i] = (histogram.buckets[i] as number) + 1
      return
    }
  }
}

function classIndex(status: number): number {
  const index = Math.floor(status / 100) - 1
  return index < 0 || index >= CLASSES.length ? CLASSES.length - 1 : index
}

/**
 * The metrics of requests. Labels come only from the configuration and from fixed lists, so that nobody outside
 * can create a series; what is beyond `maxSeries` counts under `_other`; removed routes take their series along.
 */
export class RequestMetrics {
  readonly #routes = new Map<string, RouteCell>()
  readonly #maxSeries: number
  #series = 0
  #outcomes = 0
  #histograms = 0
  #overflows = 0

  /** `maxSeries`: of one metric. */
  constructor(maxSeries: number) {
    this.#maxSeries = maxSeries
  }

  /** Requests whose labels did not fit any more. */
  get overflows(): number {
    return this.#overflows
  }

  record(record: RequestRecord): void {
    const cell = this.#cell(record.route ?? NO_ROUTE)
    const method = KNOWN_METHODS.has(record.method) ? record.method : OTHER
    this.#counter(cell, record.service ?? '', method, classIndex(record.status)).value++
    this.#countOutcome(cell, record.outcome)
    cell.bytesIn += record.bytesIn
    cell.bytesOut += record.bytesOut
    // A tunnel lives for hours: its length is no latency.
    if (record.isUpgrade) return
    observe(cell.duration, record.totalMs)
    if (record.upstreamMs !== undefined) observe(cell.upstream, record.upstreamMs)
  }

  /** Forgets routes that are gone. */
  keepOnly(routes: { has(name: string): boolean }): void {
    for (const [name, cell] of this.#routes) {
      if (name === NO_ROUTE || name === OTHER || routes.has(name)) continue
      this.#series -= cell.series
      this.#outcomes -= cell.outcomes.size
      if (cell.hasOwnHistograms) this.#histograms--
      this.#routes.delete(name)
    }
  }

  #cell(route: string): RouteCell {
    let cell = this.#routes.get(route)
    if (cell !== undefined) return cell
    const others = this.#routes.has(OTHER) ? 1 : 0
    if (this.#routes.size - others >= this.#maxSeries && route !== OTHER) {
      this.#overflows++
      return this.#cell(OTHER)
    }
    const hasOwnHistograms = route === OTHER || this.#histograms < this.#maxSeries * HISTOGRAM_SHARE
    if (hasOwnHistograms) this.#histograms++
    else this.#overflows++
    const { duration, upstream } = hasOwnHistograms
      ? { duration: createHistogram(), upstream: createHistogram() }
      : this.#cell(OTHER)
    cell = {
      duration,
      upstream,
      hasOwnHistograms,
      requests: new Map(),
      series: 0,
      outcomes: new Map(),
      bytesIn: 0,
      bytesOut: 0,
    }
    this.#routes.set(route, cell)
    return cell
  }

  #countOutcome(cell: RouteCell, outcome: string): void {
    const known = cell.outcomes.get(outcome)
    const isFull = known === undefined && this.#outcomes >= this.#maxSeries
    if (isFull) this.#overflows++
    const { outcomes } = isFull ? this.#cell(OTHER) : cell
    if (!outcomes.has(outcome)) this.#outcomes++
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }

  #counter(cell: RouteCell, service: string, method: string, index: number): Counter {
    const known = cell.requests.get(service)?.get(method)?.[index]
    if (known !== undefined) return known
    if (this.#series >= this.#maxSeries) {
      this.#overflows++
      return this.#overflowCounter()
    }
    this.#series++
    return createCounter(cell, { service, method, code_class: CLASSES[index] as string }, index)
  }

  #overflowCounter(): Counter {
    const cell = this.#cell(OTHER)
    const known = cell.requests.get(OTHER)?.get(OTHER)?.[0]
    return known ?? createCounter(cell, { service: OTHER, method: OTHER, code_class: OTHER }, 0)
  }

  /** Makes the metrics part of a registry; they are read only when it is scraped. */
  registerIn(registry: Registry): void {
    const add = (name: string, help: string, type: 'counter' | 'histogram', values: () => Sample[]) => {
      const metric = { name, get: async () => ({ name, help, type, values: values(), aggregator: 'sum' }) }
      registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0])
    }
    add('sluice_requests_total', 'Requests by route, service, method and class of status.', 'counter', () =>
      this.#each((route, cell) =>
        countersOf(cell).map(({ labels, value }) => ({ labels: { route, ...labels }, value })),
      ),
    )
    add('sluice_request_outcomes_total', 'Requests by how they ended.', 'counter', () =>
      this.#each((route, cell) =>
        [...cell.outcomes].map(([outcome, value]) => ({ labels: { route, outcome }, value })),
      ),
    )
    add('sluice_request_bytes_total', 'Bytes of request bodies.', 'counter', () =>
      this.#each((route, cell) => [{ labels: { route }, value: cell.bytesIn }]),
    )
    add('sluice_response_bytes_total', 'Bytes of response bodies.', 'counter', () =>
      this.#each((route, cell) => [{ labels: { route }, value: cell.bytesOut }]),
    )
    const seconds = 'sluice_request_duration_seconds'
    add(seconds, 'From request to the end of its answer.', 'histogram', () =>
      this.#each((route, cell) => (cell.hasOwnHistograms ? samples(seconds, route, cell.duration) : [])),
    )
    const upstream = 'sluice_upstream_duration_seconds'
    add(upstream, 'Last try, until the headers of its answer.', 'histogram', () =>
      this.#each((route, cell) => (cell.hasOwnHistograms ? samples(upstream, route, cell.upstream) : [])),
    )
  }

  #each(make: (route: string, cell: RouteCell) => Sample[]): Sample[] {
    return [...this.#routes].flatMap(([route, cell]) => make(route, cell))
  }
}

function createCounter(
  cell: RouteCell,
  labels: { service: string; method: string; code_class: string },
  index: number,
): Counter {
  const { service, method } = labels
  const byMethod = cell.requests.get(service) ?? new Map<string, Counter[]>()
  cell.requests.set(service, byMethod)
  const counters = byMethod.get(method) ?? []
  byMethod.set(method, counters)
  const counter: Counter = { labels, value: 0 }
  counters[index] = counter
  cell.series++
  return counter
}

function countersOf(cell: RouteCell): Counter[] {
  return [...cell.requests.values()].flatMap((byMethod) =>
    [...byMethod.values()].flatMap((counters) => counters.filter((counter) => counter !== undefined)),
  )
}

function samples(name: string, route: string, histogram: Histogram): Sample[] {
  const list: Sample[] = []
  let total = 0
  BOUNDS_MS.forEach((bound, i) => {
    total += histogram.buckets[i] as number
    list.push({ metricName: `${name}_bucket`, labels: { route, le: bound / 1000 }, value: total })
  })
  list.push({ metricName: `${name}_bucket`, labels: { route, le: '+Inf' }, value: histogram.count })
  list.push({ metricName: `${name}_sum`, labels: { route }, value: histogram.sum / 1000 })
  list.push({ metricName: `${name}_count`, labels: { route }, value: histogram.count })
  return list
}
