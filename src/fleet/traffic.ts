import type { FleetReport, SeenRoute, SeenService } from '../core/fleet-view.ts'
import type { RouteTraffic, ServiceTraffic, TrafficView } from '../core/traffic-view.ts'
import { BUCKET_MS, SERIES_BUCKETS } from '../core/traffic-window.ts'

const IDLE: SeenService = { rps: 0, errorRatio: 0, p50: null, p99: null }

/** Of two gateways; a percentile of the whole is at most the larger one of the parts. */
const larger = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : Math.max(a, b))

/** Two rates as one. */
function joined<T extends { readonly rps: number; readonly errorRatio: number }>(a: T, b: T) {
  const rps = a.rps + b.rps
  return { rps, errorRatio: rps === 0 ? 0 : (a.rps * a.errorRatio + b.rps * b.errorRatio) / rps }
}

function joinedService(a: SeenService, b: SeenService): SeenService {
  return { ...joined(a, b), p50: larger(a.p50, b.p50), p99: larger(a.p99, b.p99) }
}

function joinedRoute(a: SeenRoute, b: SeenRoute): SeenRoute {
  const services: Record<string, number> = { ...a.services }
  for (const [name, rps] of Object.entries(b.services)) services[name] = (services[name] ?? 0) + rps
  return { ...joined(a, b), services }
}

/** Entries of several records, those of the same name joined. */
function joinAll<T>(
  records: readonly Readonly<Record<string, T>>[],
  join: (a: T, b: T) => T,
): Map<string, T> {
  const all = new Map<string, T>()
  for (const record of records) {
    for (const [name, one] of Object.entries(record)) {
      const known = all.get(name)
      all.set(name, known === undefined ? one : join(known, one))
    }
  }
  return all
}

interface Sample {
  readonly bucket: number
  readonly total: SeenService
  readonly services: ReadonlyMap<string, SeenService>
}

/** The traffic of a whole fleet, as its gateways report it: what `GET /api/traffic` of a monitor shows. */
export class FleetTraffic {
  /** One a bucket, the oldest first. */
  #samples: Sample[] = []
  #reports: readonly FleetReport[] = []

  /** What the gateways say now; to be called at least once a bucket. `now`: ms since the epoch. */
  sample(reports: readonly FleetReport[], now: number): void {
    const bucket = Math.floor(now / BUCKET_MS)
    const services = joinAll(
      reports.map((report) => report.services),
      joinedService,
    )
    const total = [...services.values()].reduce(joinedService, IDLE)
    this.#reports = reports
    this.#samples = [
      ...this.#samples.filter((one) => one.bucket !== bucket && one.bucket > bucket - SERIES_BUCKETS - 1),
      { bucket, total, services },
    ]
  }

  view(now: number): TrafficView {
    const latest = this.#samples.at(-1)
    const names = new Set(this.#samples.flatMap(({ services }) => [...services.keys()]))
    const routes = joinAll<SeenRoute>(
      this.#reports.map((report) => report.routes),
      joinedRoute,
    )
    const instances = joinAll(
      this.#reports.map((report) =>
        Object.fromEntries(
          Object.entries(report.instances).map(([key, { rps = 0, errorRatio = 0, p99 = null }]) => [
            key,
            { rps, errorRatio, p50: null, p99 },
          ]),
        ),
      ),
      joinedService,
    )
    return {
      at: now,
      bucketMs: BUCKET_MS,
      total: this.#withSeries(latest?.total ?? IDLE, (sample) => sample.total, now),
      services: Object.fromEntries(
        [...names].map((name) => [
          name,
          this.#withSeries(latest?.services.get(name) ?? IDLE, ({ services }) => services.get(name), now),
        ]),
      ),
      routes: Object.fromEntries(routes) satisfies Record<string, RouteTraffic>,
      instances: Object.fromEntries(instances),
    }
  }

  #withSeries(
    seen: SeenService,
    pick: (sample: Sample) => SeenService | undefined,
    now: number,
  ): ServiceTraffic {
    const first = Math.floor(now / BUCKET_MS) - SERIES_BUCKETS
    const by = new Map(this.#samples.map((sample) => [sample.bucket, pick(sample) ?? IDLE]))
    const cells = Array.from({ length: SERIES_BUCKETS }, (_, i) => by.get(first + i) ?? IDLE)
    const seconds = BUCKET_MS / 1000
    return {
      ...seen,
      series: {
        from: first * BUCKET_MS,
        requests: cells.map(({ rps }) => Math.round(rps * seconds)),
        errors: cells.map(({ rps, errorRatio }) => Math.round(rps * errorRatio * seconds)),
        p50: cells.map(({ p50 }) => p50),
        p99: cells.map(({ p99 }) => p99),
      },
    }
  }
}
