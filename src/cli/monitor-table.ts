import type { RegistryView, TopologyView } from '../core/views.ts'
import { ageText } from './figures.ts'
import { type Finding, type Level, worst } from './findings.ts'
import type { MonitorAnswers } from './monitor-answers.ts'
import { cleanText, cutLine, type Line } from './styled.ts'
import type { ExitCode } from './terminal.ts'
import { type Column, tableLines } from './text-table.ts'

interface Judged {
  readonly findings: readonly Finding[]
}

/** What `sluice services` and `sluice instances` show, made from what a gateway answered. */
export interface MonitorTable<T extends Judged> {
  readonly kind: 'service' | 'instance'
  readonly columns: readonly Column<T>[]
  /** False = a service was named, and there is none of that name. */
  readonly isFound: boolean
  /** All that were meant. */
  readonly known: readonly T[]
  /** Those of them that are shown. */
  readonly rows: readonly T[]
  json(row: T): object
}

/** 0 all is well, 1 something is bad, or nothing of that name is there; `isStrict`: also what is not known is 1. */
export function exitCodeOf<T extends Judged>(
  { isFound, known }: MonitorTable<T>,
  isStrict: boolean,
): ExitCode {
  const isFine = (level: Level | undefined) => level !== 'bad' && (!isStrict || level !== 'unknown')
  return isFound && known.every(({ findings }) => isFine(worst(findings))) ? 0 : 1
}

/** What is said instead of an empty table. */
export function emptyText<T extends Judged>({ kind, isFound, known }: MonitorTable<T>): string {
  if (!isFound) return 'no such service'
  if (known.length === 0) return `no ${kind}s`
  return known.length === 1 ? `no problems (1 ${kind})` : `no problems (${known.length} ${kind}s)`
}

/** A registry that is not live, in words. */
function registryText({ name, status }: RegistryView, now: number): string {
  const last =
    status.lastSuccess === undefined
      ? 'never answered'
      : `last answer ${ageText(now - status.lastSuccess)} ago`
  const why = status.lastError === undefined ? '' : `: ${status.lastError.message}`
  return `registry ${name} is ${status.state}, ${last}${why}`
}

/** Dropped records that are shown one by one. */
const MAX_PROBLEMS = 3

/** What is not well with the gateway itself; `now`: by its clock. */
export function gatewayNotes({ topology, failures, fleet }: MonitorAnswers, now: number): Line[] {
  const { gateway, registries, problems } = topology
  const said: { readonly text: string; readonly style: 'magenta' | 'yellow' }[] = []
  if (gateway.state !== 'ready') said.push({ text: `the gateway is ${gateway.state}`, style: 'yellow' })
  for (const one of registries) {
    if (one.status.state !== 'live') said.push({ text: registryText(one, now), style: 'magenta' })
  }
  const stale = fleet?.gateways.filter(({ isStale }) => isStale).map(({ name }) => name) ?? []
  if (stale.length > 0) said.push({ text: `not heard of: gateway ${stale.join(', ')}`, style: 'magenta' })
  if (fleet?.problem !== undefined) said.push({ text: `other gateways: ${fleet.problem}`, style: 'magenta' })
  for (const text of problems.slice(0, MAX_PROBLEMS)) said.push({ text, style: 'yellow' })
  if (problems.length > MAX_PROBLEMS) {
    said.push({ text: `${problems.length - MAX_PROBLEMS} more problems of records`, style: 'yellow' })
  }
  for (const text of failures) said.push({ text: `left out: ${text}`, style: 'yellow' })
  return said.map(({ text, style }) => [{ text: cleanText(text), style }])
}

/** How a watched gateway is reached. */
export interface Reach {
  readonly admin: string
  /** ms since its last answer. */
  readonly silentMs: number
  /** Why it does not answer; absent = it does. */
  readonly away?: string
}

/** An answer that is older is called stale. ms. */
const STALE_MS = 6000

function clock(at: number): string {
  return new Date(at).toTimeString().slice(0, 8)
}

/** First line of the screen. */
export function headLine(
  verb: string,
  { gateway }: TopologyView,
  { admin, silentMs, away }: Reach,
  now: number,
): Line {
  const stale = `stale, last answer ${Math.round(silentMs / 1000)} s ago`
  return [
    { text: `sluice ${verb}`, style: 'bold' },
    { text: `  ${cleanText(admin)}  ` },
    ...(away !== undefined || silentMs >= STALE_MS
      ? [{ text: away === undefined ? stale : `${stale}: ${cleanText(away)}`, style: 'red' as const }]
      : [
          { text: `${gateway.state}, table ${gateway.table ?? 'none yet'}` },
          { text: `  ${clock(now)}`, style: 'dim' as const },
        ]),
  ]
}

/** Rows that go on a screen: those that are bad first when not all do. */
function fitting<T extends Judged>(rows: readonly T[], room: number): readonly T[] {
  if (rows.length <= room) return rows
  const order = (row: T) => ({ bad: 0, unknown: 1, note: 2, none: 3 })[worst(row.findings) ?? 'none']
  return rows.toSorted((a, b) => order(a) - order(b)).slice(0, Math.max(0, room - 1))
}

/** The table, at most `height` lines of `width` columns. */
export function bodyLines<T extends Judged>(
  table: MonitorTable<T>,
  size: { readonly width: number; readonly height: number } = {
    width: Number.POSITIVE_INFINITY,
    height: Number.POSITIVE_INFINITY,
  },
): Line[] {
  if (table.rows.length === 0) return [[{ text: emptyText(table) }]]
  const rows = fitting(table.rows, size.height - 1)
  const left = table.rows.length - rows.length
  const lines = tableLines(table.columns, rows, size.width)
  if (left > 0) lines.push([{ text: `… ${left} more`, style: 'dim' }])
  return lines.map((line) => cutLine(line, size.width))
}
