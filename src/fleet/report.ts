import type { FleetReport, SeenInstance, SeenRoute, SeenService } from '../core/fleet-view.ts'
import type { InstanceView, ServiceView } from '../core/views.ts'

/** What is measured of one instance or service over the last seconds. */
export interface Measured {
  readonly rps: number
  readonly errorRatio: number
  readonly p50: number | null
  readonly p99: number | null
}

/** What is measured of everything; instances by key, the others by name. */
export interface MeasuredTraffic {
  readonly instances: Readonly<Record<string, Measured>>
  readonly services: Readonly<Record<string, Measured>>
  readonly routes: Readonly<Record<string, SeenRoute>>
}

export interface ReportInput extends Omit<FleetReport, 'instances' | 'services' | 'routes' | 'isCut'> {
  readonly topology: readonly ServiceView[]
  readonly measured: MeasuredTraffic
}

/** Consul takes 512 KiB a key. Characters. */
const MOST_OF_INSTANCES = 250_000
const MOST_SERVICES = 500
const MOST_ROUTES = 500
const MOST_REASON = 200

const rounded = (value: number, places: number) => Number(value.toFixed(places))
const roundedMs = (value: number | null) => (value === null ? null : rounded(value, 1))

/** What others cannot know from the registry. */
const isTelling = ({ use, inFlight, state }: InstanceView, measured: Measured | undefined): boolean =>
  inFlight > 0 ||
  (measured?.rps ?? 0) > 0 ||
  use === 'ejected' ||
  use === 'reserve' ||
  (use === 'out' && (state === 'passing' || state === 'warning' || state === 'unknown'))

function seen({ use, reason, inFlight }: InstanceView, measured: Measured | undefined): SeenInstance {
  return {
    use,
    ...(reason === undefined ? {} : { reason: reason.slice(0, MOST_REASON) }),
    inFlight,
    ...(measured === undefined
      ? {}
      : {
          rps: rounded(measured.rps, 2),
          errorRatio: rounded(measured.errorRatio, 4),
          p99: roundedMs(measured.p99),
        }),
  }
}

/** As many as fit. */
function fitting(entries: readonly (readonly [string, SeenInstance])[]) {
  let left = MOST_OF_INSTANCES
  const end = entries.findIndex((entry) => {
    left -= JSON.stringify(entry).length
    return left < 0
  })
  return end === -1 ? entries : entries.slice(0, end)
}

/** Puts a report together, bounded; what is out of rotation comes first when not all fits. Pure. */
export function reportOf(input: ReportInput): FleetReport {
  const { topology, measured, ...head } = input
  const telling = topology
    .flatMap(({ instances }) => instances)
    .filter((one) => isTelling(one, measured.instances[one.key]))
    .sort((a, b) => Number(a.use === 'rotation') - Number(b.use === 'rotation'))
  const kept = fitting(telling.map((one) => [one.key, seen(one, measured.instances[one.key])] as const))
  const busy = Object.entries(measured.services).filter(([, { rps }]) => rps > 0)
  const routes = Object.entries(measured.routes).filter(([, { rps }]) => rps > 0)
  return {
    ...head,
    instances: Object.fromEntries(kept),
    services: Object.fromEntries(
      busy.slice(0, MOST_SERVICES).map(([name, { rps, errorRatio, p50, p99 }]): [string, SeenService] => [
        name,
        {
          rps: rounded(rps, 2),
          errorRatio: rounded(errorRatio, 4),
          p50: roundedMs(p50),
          p99: roundedMs(p99),
        },
      ]),
    ),
    routes: Object.fromEntries(routes.slice(0, MOST_ROUTES)),
    isCut: kept.length < telling.length || busy.length > MOST_SERVICES || routes.length > MOST_ROUTES,
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What another gateway sent, if it is a report. Whoever can write there may err: only the form is believed. */
export function parseReport(value: unknown): FleetReport | undefined {
  if (!isObject(value)) return undefined
  const { id, name, admin, version, startedAt, sequence, intervalMs, instances, services, routes } = value
  const isReport =
    [id, name, admin, version].every(isText) &&
    [startedAt, sequence, intervalMs].every(isNumber) &&
    isObject(instances) &&
    isObject(services) &&
    isObject(routes) &&
    [...Object.values(instances), ...Object.values(services), ...Object.values(routes)].every(isObject)
  return isReport ? (value as unknown as FleetReport) : undefined
}
