import type { FleetReport, SeenInstance, SeenService } from '../core/fleet-view.ts'
import type { InstanceView, ServiceView } from '../core/views.ts'

/** What is measured of one instance or service over the last seconds. */
export interface Measured {
  readonly rps: number
  readonly errorRatio: number
  readonly p50: number | null
  readonly p99: number | null
}

export interface ReportInput
  extends Omit<FleetReport, 'instances' | 'services' | 'isCut' | 'table' | 'sequence'> {
  readonly table: FleetReport['table']
  readonly sequence: number
  readonly topology: readonly ServiceView[]
  /** By key of the instance. */
  readonly measured: Readonly<Record<string, Measured>>
  /** By name of the service. */
  readonly measuredServices: Readonly<Record<string, Measured>>
}

/** Consul takes 512 KiB a key. Characters. */
const MOST_OF_INSTANCES = 250_000
const MOST_SERVICES = 1000
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
  const { topology, measured, measuredServices, ...head } = input
  const telling = topology
    .flatMap(({ instances }) => instances)
    .filter((one) => isTelling(one, measured[one.key]))
    .sort((a, b) => Number(a.use === 'rotation') - Number(b.use === 'rotation'))
  const kept = fitting(telling.map((one) => [one.key, seen(one, measured[one.key])] as const))
  const busy = Object.entries(measuredServices).filter(([, { rps }]) => rps > 0)
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
    isCut: kept.length < telling.length || busy.length > MOST_SERVICES,
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What another gateway sent, if it is a report. Whoever can write there may err: only the form is believed. */
export function parseReport(value: unknown): FleetReport | undefined {
  if (!isObject(value)) return undefined
  const { id, name, admin, version, startedAt, sequence, intervalMs, instances, services } = value
  const isReport =
    [id, name, admin, version].every(isText) &&
    [startedAt, sequence, intervalMs].every(isNumber) &&
    isObject(instances) &&
    isObject(services) &&
    [...Object.values(instances), ...Object.values(services)].every(isObject)
  return isReport ? (value as unknown as FleetReport) : undefined
}
