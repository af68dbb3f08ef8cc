import type { InstanceState } from '../core/types.ts'
import type { HealthVerdict, InstanceView, ServiceView } from '../core/views.ts'
import { ageText, isFound, type Load, loadColumns, type NameMatch } from './figures.ts'
import { type Finding, isProblem, judgeInstance, LEVEL_STYLE, othersOf, worst } from './findings.ts'
import type { MonitorAnswers } from './monitor-answers.ts'
import type { MonitorTable } from './monitor-table.ts'
import type { Style } from './styled.ts'
import type { Column } from './text-table.ts'

/** What a row of `sluice instances` is made from. */
export interface InstanceRow {
  readonly service: string
  readonly one: InstanceView
  readonly verdict: HealthVerdict['verdict']
  readonly findings: readonly Finding[]
  /** How long it is in its state. */
  readonly age: string
  /** What other gateways make of it; absent = there is none. */
  readonly others?: readonly { readonly name: string; readonly use: InstanceView['use'] }[]
  readonly load?: Load
}

export interface InstancesWanted {
  readonly service: NameMatch
  readonly node: NameMatch
  readonly version: NameMatch
  /** States of the registry and uses of the gateway, any of them; absent = all. */
  readonly states?: readonly string[]
  /** Only those that are unhealthy or unknown, here or elsewhere. */
  readonly problems: boolean
}

/** What `--state` takes: what a registry says, what the gateway makes of it. */
export const STATES: readonly (InstanceState | InstanceView['use'])[] = [
  'passing',
  'warning',
  'critical',
  'maintenance',
  'draining',
  'unknown',
  'rotation',
  'ejected',
  'reserve',
  'out',
]

const STYLES: Readonly<Record<string, Style>> = {
  healthy: 'green',
  unhealthy: 'red',
  passing: 'green',
  warning: 'yellow',
  critical: 'red',
  maintenance: 'cyan',
  draining: 'cyan',
  rotation: 'green',
  ejected: 'red',
  reserve: 'yellow',
  out: 'yellow',
}
const styled = (text: string) => ({ text, style: STYLES[text] })

/** What is not well comes first: a terminal cuts the end. */
function checksText({ checks }: InstanceView): string {
  return checks
    .toSorted((a, b) => Number(a.state === 'passing') - Number(b.state === 'passing'))
    .map(({ id, state, output, expired }) => {
      const isSilent = expired === true && !/expired/i.test(output)
      const said = [isSilent ? 'expired' : '', output].filter((text) => text !== '').join(', ')
      return `${id} ${state}${said === '' ? '' : `: ${said}`}`
    })
    .join('; ')
}

function othersText({ others, one }: InstanceRow): string {
  if (others === undefined || others.length === 0) return ''
  const different = others.filter(({ use }) => use !== one.use)
  const agree = `${others.length - different.length}/${others.length}`
  return [agree, ...different.map(({ name, use }) => `${name} ${use}`)].join(' ')
}

const COLUMNS: readonly Column<InstanceRow>[] = [
  { title: 'service', rank: 1, cell: ({ service }) => ({ text: service, style: 'bold' }) },
  { title: 'address', cell: ({ one }) => one.address },
  {
    title: 'health',
    cell: ({ verdict }) => ({ text: verdict, style: STYLES[verdict] ?? 'magenta' }),
  },
  { title: 'id', rank: 8, cell: ({ one }) => one.id },
  { title: 'version', rank: 2, cell: ({ one }) => one.version ?? '' },
  { title: 'zone', rank: 7, cell: ({ one }) => one.zone ?? '' },
  { title: 'node', rank: 6, cell: ({ one }) => one.node ?? '' },
  { title: 'state', cell: ({ one }) => styled(one.state) },
  { title: 'use', cell: ({ one }) => styled(one.use) },
  { title: 'since', align: 'right', rank: 3, cell: ({ age }) => age },
  { title: 'in flight', align: 'right', rank: 5, cell: ({ one }) => String(one.inFlight) },
  { title: 'requests', align: 'right', rank: 5, cell: ({ one }) => String(one.requests) },
  ...loadColumns<InstanceRow>(({ load }) => load),
  {
    title: 'others',
    rank: 4,
    cell: (row) => ({
      text: othersText(row),
      style: row.others?.every(({ use }) => use === row.one.use) === false ? 'yellow' : undefined,
    }),
  },
  {
    title: 'reason',
    cell: ({ findings }) => {
      const level = worst(findings)
      return {
        text: findings.map(({ text }) => text).join('; '),
        style: level === undefined ? undefined : LEVEL_STYLE[level],
      }
    },
  },
  { title: 'checks', rank: 9, cell: ({ one }) => checksText(one) },
]

function rowOf(one: InstanceView, service: ServiceView, answers: MonitorAnswers, now: number): InstanceRow {
  const { verdict, findings } = judgeInstance(one, service, answers.topology.registries, answers.fleet)
  const others = answers.fleet === undefined ? undefined : othersOf(one, answers.fleet)
  const load = answers.traffic?.instances?.[one.key]
  return {
    service: service.name,
    one,
    verdict,
    findings,
    age: one.since === undefined ? '' : ageText(now - one.since),
    ...(others === undefined ? {} : { others }),
    ...(load === undefined ? {} : { load }),
  }
}

/** The instances that are wanted, as a table; `now`: by the clock of the gateway, ms since the epoch. Pure. */
export function instancesTable(
  answers: MonitorAnswers,
  wanted: InstancesWanted,
  now: number,
): MonitorTable<InstanceRow> {
  const { states } = wanted
  const known = answers.topology.services
    .filter(({ name }) => wanted.service.has(name))
    .flatMap((service) =>
      service.instances
        .filter(({ node, version }) => wanted.node.has(node) && wanted.version.has(version))
        .filter(({ state, use }) => states === undefined || states.includes(state) || states.includes(use))
        .map((one) => rowOf(one, service, answers, now)),
    )
  const isOneService = new Set(known.map(({ service }) => service)).size < 2
  return {
    kind: 'instance',
    columns: isOneService ? COLUMNS.filter(({ title }) => title !== 'service') : COLUMNS,
    isFound: isFound(answers.topology.services, wanted.service),
    known,
    rows: wanted.problems ? known.filter(({ findings }) => isProblem(findings)) : known,
    json: ({ service, one, verdict, findings, load }) => ({
      service,
      ...one,
      health: verdict,
      problems: findings,
      others: answers.fleet?.instances?.[one.key],
      traffic: load,
    }),
  }
}
