import type { ServiceView } from '../core/views.ts'
import { isFound, type Load, loadColumns, type NameMatch } from './figures.ts'
import {
  type Finding,
  findingsText,
  isProblem,
  judgeService,
  LEVEL_STYLE,
  registriesOf,
  worst,
} from './findings.ts'
import type { MonitorAnswers } from './monitor-answers.ts'
import type { MonitorTable } from './monitor-table.ts'
import type { Style } from './styled.ts'
import type { Column } from './text-table.ts'

/** What a row of `sluice services` is made from. */
export interface ServiceRow {
  readonly service: ServiceView
  /** `degraded`: it answers, but not all is well. */
  readonly health: 'healthy' | 'degraded' | 'unhealthy' | 'unknown'
  readonly findings: readonly Finding[]
  /** `consul live`, `static`. */
  readonly source: string
  readonly load?: Load
}

export interface ServicesWanted {
  readonly name: NameMatch
  /** Only those with something bad or not known. */
  readonly problems: boolean
  /** Only those that requests can go to. */
  readonly routed: boolean
}

const HEALTH_STYLE: Readonly<Record<ServiceRow['health'], Style>> = {
  healthy: 'green',
  degraded: 'yellow',
  unhealthy: 'red',
  unknown: 'magenta',
}

function sourceText(service: ServiceView, { topology }: MonitorAnswers): string {
  const from = registriesOf(service, topology.registries)
  const own = service.source
  if (from.length === 0) return own
  return from.map(({ name, status }) => `${name} ${own === 'live' ? status.state : own}`).join(', ')
}

/** `1.0.0 ×2, 2.0.0 ×1`; with one version only its name. */
function versionsText({ instances }: ServiceView): string {
  const counts = new Map<string, number>()
  for (const { version = '-' } of instances) counts.set(version, (counts.get(version) ?? 0) + 1)
  const [only, ...others] = counts.keys()
  if (others.length === 0) return only === undefined || only === '-' ? '' : only
  return [...counts]
    .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    .map(([version, count]) => `${version} ×${count}`)
    .join(', ')
}

const COLUMNS: readonly Column<ServiceRow>[] = [
  { title: 'service', cell: ({ service }) => ({ text: service.name, style: 'bold' }) },
  { title: 'health', cell: ({ health }) => ({ text: health, style: HEALTH_STYLE[health] }) },
  {
    title: 'in rotation',
    align: 'right',
    cell: ({ service: { available, instances } }) => `${available}/${instances.length}`,
  },
  { title: 'versions', rank: 5, cell: ({ service }) => versionsText(service) },
  { title: 'source', rank: 4, cell: ({ source }) => source },
  { title: 'in flight', align: 'right', rank: 3, cell: ({ service }) => String(service.inFlight) },
  ...loadColumns<ServiceRow>(({ load }) => load),
  {
    title: 'problems',
    cell: ({ findings }) => {
      const level = worst(findings)
      return {
        text: findingsText(findings),
        style: level === undefined ? undefined : LEVEL_STYLE[level],
      }
    },
  },
]

function rowOf(service: ServiceView, answers: MonitorAnswers): ServiceRow {
  const { verdict, findings } = judgeService(service, answers.topology)
  const load = answers.traffic?.services?.[service.name]
  return {
    service,
    health: verdict === 'healthy' && worst(findings) === 'bad' ? 'degraded' : verdict,
    findings,
    source: sourceText(service, answers),
    ...(load === undefined ? {} : { load }),
  }
}

/** The services of a gateway that are wanted, as a table. Pure. */
export function servicesTable(answers: MonitorAnswers, wanted: ServicesWanted): MonitorTable<ServiceRow> {
  const known = answers.topology.services
    .filter(({ name, isInTable }) => wanted.name.has(name) && (isInTable || !wanted.routed))
    .map((service) => rowOf(service, answers))
  return {
    kind: 'service',
    columns: COLUMNS,
    isFound: isFound(answers.topology.services, wanted.name),
    known,
    rows: wanted.problems ? known.filter(({ findings }) => isProblem(findings)) : known,
    json: ({ service, health, findings, source, load }) => {
      const { instances, ...own } = service
      return { ...own, health, all: instances.length, from: source, problems: findings, traffic: load }
    },
  }
}
