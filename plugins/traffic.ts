import { bucketOf } from '../src/core/log-histogram.ts'
import type { Outcome } from '../src/core/outcome.ts'
import type { AttemptRecord, RequestRecord } from '../src/core/record.ts'
import type { RouteTraffic, ServiceTraffic, TrafficView } from '../src/core/traffic-view.ts'
import {
  BUCKET_MS,
  coveredSeconds,
  NO_LATENCY,
  RecentWindow,
  SeriesWindow,
} from '../src/core/traffic-window.ts'
import type { Table } from '../src/routing/table.ts'

/** Whoever asks within this gets the same answer: many open pages cost no more than one. ms. */
const FRESH_MS = 1000
/** A gateway without a table has no names. */
const NO_NAMES = { routes: new Map(), services: new Map() }

/** Broken off after an answer had begun: its status tells nothing of it. */
const BROKEN: ReadonlySet<Outcome> = new Set([
  'connect_failed',
  'connect_timeout',
  'tls_failed',
  'reset',
  'upstream_protocol',
  'header_timeout',
  'idle_timeout',
  'deadline',
  'internal',
])

/** Of one service. */
interface ServiceCell {
  readonly window: SeriesWindow
  /** By key. */
  readonly instances: Map<string, RecentWindow>
}

export interface TrafficDeps {
  now(): number
  /** The table in force: only its names are counted by. */
  table(): Pick<Table, 'routes' | 'services'> | undefined
}

/**
 * Requests, errors and latencies of the last minutes by route, service and instance. On the way of each request: a few
 * plain counters. Bounded by the names of the table: nobody outside can add one.
 */
export class Traffic {
  readonly #deps: TrafficDeps
  readonly #startedAt: number
  readonly #total = new SeriesWindow()
  readonly #services = new Map<string, ServiceCell>()
  /** By route, then by service; `` = it has none. */
  readonly #routes = new Map<string, Map<string, RecentWindow>>()
  #view: TrafficView | undefined

  constructor(deps: TrafficDeps) {
    this.#deps = deps
    this.#startedAt = deps.now()
  }

  /** A request is over. */
  record(record: RequestRecord): void {
    const { route, service, attempts } = record
    const bucket = Math.floor(this.#deps.now() / BUCKET_MS)
    const isError = isFailure(record.status, record.outcome)
    // A tunnel lives for hours: its length is no latency.
    const latency = record.isUpgrade ? NO_LATENCY : bucketOf(record.totalMs)
    this.#total.add(bucket, isError, latency)
    if (route !== undefined) this.#routeCell(route, service ?? '')?.add(bucket, isError, NO_LATENCY)
    if (service === undefined) return
    const cell = this.#services.get(service) ?? this.#createService(service)
    if (cell === undefined) return
    cell.window.add(bucket, isError, latency)
    for (const attempt of attempts) this.#attempt(service, cell, bucket, attempt, record.isUpgrade)
  }

  #attempt(
    service: string,
    { instances }: ServiceCell,
    bucket: number,
    { instanceKey, status, outcome, ms }: AttemptRecord,
    isUpgrade: boolean,
  ): void {
    let window = instances.get(instanceKey)
    if (window === undefined) {
      const known = this.#deps.table()?.services.get(service)?.instances
      if (known?.some(({ key }) => key === instanceKey) !== true) return
      window = new RecentWindow(true)
      instances.set(instanceKey, window)
    }
    window.add(bucket, isFailure(status ?? 0, outcome), isUpgrade ? NO_LATENCY : bucketOf(ms))
  }

  #createService(service: string): ServiceCell | undefined {
    if (this.#deps.table()?.services.has(service) !== true) return undefined
    const cell = { window: new SeriesWindow(), instances: new Map() }
    this.#services.set(service, cell)
    return cell
  }

  #routeCell(route: string, service: string): RecentWindow | undefined {
    const known = this.#routes.get(route)?.get(service)
    if (known !== undefined) return known
    const { routes, services } = this.#deps.table() ?? NO_NAMES
    if (!routes.has(route) || (service !== '' && !services.has(service))) return undefined
    const cells = this.#routes.get(route) ?? new Map<string, RecentWindow>()
    this.#routes.set(route, cells)
    const cell = new RecentWindow(false)
    cells.set(service, cell)
    return cell
  }

  /** Forgets what is gone from the table. */
  keepOnly({ routes, services }: Pick<Table, 'routes' | 'services'>): void {
    for (const [route, cells] of this.#routes) {
      if (!routes.has(route)) this.#routes.delete(route)
      for (const service of cells.keys()) if (service !== '' && !services.has(service)) cells.delete(service)
    }
    for (const [name, { instances }] of this.#services) {
      const service = services.get(name)
      if (service === undefined) {
        this.#services.delete(name)
        continue
      }
      const keys = new Set(service.instances.map(({ key }) => key))
      for (const key of instances.keys()) if (!keys.has(key)) instances.delete(key)
    }
    this.#view = undefined
  }

  /** As it stands; at most a second old. */
  view(): TrafficView {
    const at = this.#deps.now()
    const known = this.#view
    if (known !== undefined && at >= known.at && at - known.at < FRESH_MS) return known
    const seconds = coveredSeconds(at, this.#startedAt)
    const bucket = Math.floor(at / BUCKET_MS)
    const cells = [...this.#services]
    this.#view = {
      at,
      bucketMs: BUCKET_MS,
      total: viewWindow(this.#total, bucket, seconds),
      services: Object.fromEntries(
        cells.map(([name, { window }]) => [name, viewWindow(window, bucket, seconds)]),
      ),
      routes: Object.fromEntries(
        [...this.#routes].map(([name, edges]) => [name, viewRoute(edges, bucket, seconds)]),
      ),
      instances: Object.fromEntries(
        cells.flatMap(([, { instances }]) =>
          [...instances].map(([key, window]) => {
            window.advance(bucket)
            return [key, { ...window.rate(seconds), ...window.latency() }]
          }),
        ),
      ),
    }
    return this.#view
  }
}

function isFailure(status: number, outcome: Outcome): boolean {
  return status >= 500 || BROKEN.has(outcome)
}

function viewWindow(window: SeriesWindow, bucket: number, seconds: number): ServiceTraffic {
  window.advance(bucket)
  return { ...window.recent.rate(seconds), ...window.recent.latency(), series: window.series() }
}

function viewRoute(edges: ReadonlyMap<string, RecentWindow>, bucket: number, seconds: number): RouteTraffic {
  const services: Record<string, number> = Object.create(null)
  let [rps, errors] = [0, 0]
  for (const [service, window] of edges) {
    window.advance(bucket)
    const rate = window.rate(seconds)
    rps += rate.rps
    errors += rate.rps * rate.errorRatio
    if (service !== '' && rate.rps > 0) services[service] = rate.rps
  }
  return {
    rps: Math.round(rps * 100) / 100,
    errorRatio: rps === 0 ? 0 : Math.round((errors / rps) * 10_000) / 10_000,
    services,
  }
}
