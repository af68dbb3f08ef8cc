import type { LostRequest } from './outcome.ts'
import type { Report } from './report.ts'
import { type Life, type Meanwhile, STEPS } from './timeline.ts'

/** So many of each list are printed; `--json` has more. */
const SHOWN = 20

const number = (value: number) => value.toLocaleString('en-US')

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)))
  return [head, ...rows].map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

/** Seconds since the first request: `+12.345`. */
function clock(report: Report, at: number): string {
  const seconds = (at - report.startedAt) / 1000
  return `${seconds < 0 ? '' : '+'}${seconds.toFixed(3)}`
}

function seen(lost: LostRequest): string {
  const parts = [
    lost.loss,
    lost.status === undefined ? undefined : String(lost.status),
    lost.code,
    lost.error,
    lost.requestId === undefined ? undefined : `request ${lost.requestId}`,
  ]
  return parts.filter((part) => part !== undefined).join(', ')
}

function meanwhileText(list: readonly Meanwhile[]): string {
  if (list.length === 0) return 'no instance was on its way in or out'
  return list
    .map(({ name, step, sinceMs }) => `${name}: ${step} since ${(sinceMs / 1000).toFixed(3)} s`)
    .join('; ')
}

/** Lost requests by kind and by what was seen: `GET /items/1: 3 no-answer`. */
export function lossClasses(lost: readonly LostRequest[]): Map<string, number> {
  const classes = new Map<string, number>()
  for (const { name, kind, loss, code } of lost) {
    const key = `${name} (${kind}): ${loss}${code === undefined ? '' : ` ${code}`}`
    classes.set(key, (classes.get(key) ?? 0) + 1)
  }
  return classes
}

function requestLines(report: Report): string[] {
  const rows = report.requests.map((kind) => [
    kind.name,
    ...[kind.sent, kind.ok, kind.lost, kind.late].map(number),
    ...[kind.p50Ms, kind.p99Ms, kind.maxMs].map((ms) => ms.toFixed(1)),
  ])
  return table(['request', 'sent', 'ok', 'lost', 'late', 'p50 ms', 'p99 ms', 'max ms'], rows)
}

function lostLines(report: Report): string[] {
  const { lost, counts } = report
  if (counts.lost === 0) return []
  const lines = ['', `lost: ${number(counts.lost)}`]
  for (const [text, count] of lossClasses(lost)) lines.push(`  ${number(count)} × ${text}`)
  for (const one of lost.slice(0, SHOWN)) {
    lines.push(`  ${clock(report, one.at)} … ${clock(report, one.until)}  ${one.name} (${one.id})`)
    lines.push(`      seen: ${seen(one)}`, `      then: ${meanwhileText(one.meanwhile)}`)
  }
  if (counts.lost > SHOWN) lines.push(`  … and ${number(counts.lost - SHOWN)} more (--json)`)
  return lines
}

function lateLines(report: Report): string[] {
  const { late, counts } = report
  if (counts.late === 0) return []
  const lines = ['', `late (more than ${report.lateMs} ms beyond what they take): ${number(counts.late)}`]
  for (const one of late.slice(0, SHOWN)) {
    const took = `${one.tookMs} ms instead of ${one.expectedMs}`
    lines.push(
      `  ${clock(report, one.at)}  ${one.name} (${one.id}): ${took}; ${meanwhileText(one.meanwhile)}`,
    )
  }
  if (counts.late > SHOWN) lines.push(`  … and ${number(counts.late - SHOWN)} more (--json)`)
  return lines
}

function ledgerLines(report: Report): string[] {
  const { ledger } = report
  if (ledger === undefined)
    return ['', 'ledger: none in the plan, so duplicates and lost writes cannot be seen']
  const lines = ['', `ledger: ${number(ledger.executed)} writes executed`]
  const list = (
    title: string,
    entries: readonly { id: string; name: string; at: number; times?: number }[],
  ) => {
    lines.push(`  ${title}: ${number(entries.length)}`)
    for (const { id, name, at, times } of entries.slice(0, SHOWN)) {
      lines.push(`    ${clock(report, at)}  ${name} (${id})${times === undefined ? '' : `, ${times} times`}`)
    }
  }
  list('duplicated', ledger.duplicated)
  list('answered, but not executed', ledger.lostWrites)
  list('executed, but the client saw a failure', ledger.executedButFailed)
  return lines
}

function instanceLines(report: Report): string[] {
  const columns = STEPS.filter((step) => report.instances.some(({ steps }) => steps[step] !== undefined))
  const cell = (life: Life, step: (typeof STEPS)[number]) => {
    const at = life.steps[step]
    return at === undefined ? '-' : clock(report, at)
  }
  const rows = report.instances.map((life) => [
    `${life.name}${life.version === undefined ? '' : ` v${life.version}`}`,
    ...columns.map((step) => cell(life, step)),
    life.exit === undefined ? '-' : String(life.exit),
  ])
  const lines = [
    '',
    'instances (seconds since the first request):',
    ...table(['instance', ...columns, 'exit'], rows),
  ]
  for (const { name, findings } of report.instances) {
    for (const finding of findings) lines.push(`  finding: ${name} ${finding}`)
  }
  return lines
}

/** The report for people. */
export function formatReport(report: Report): string {
  const { counts } = report
  const seconds = ((report.endedAt - report.startedAt) / 1000).toFixed(1)
  const verdict = {
    ok: `0 lost${report.ledger === undefined ? '' : ', 0 duplicated'} of ${number(report.sent)} requests`,
    loss: `${number(counts.lost)} lost, ${counts.duplicated} duplicated, ${counts.lostWrites} lost writes of ${number(report.sent)} requests`,
    failed: `the roll did not come to its end (${number(report.sent)} requests, none lost)`,
  }[report.result]
  return [
    `rollcheck of ${report.target}: ${report.rate}/s for ${seconds} s`,
    '',
    ...requestLines(report),
    ...lostLines(report),
    ...lateLines(report),
    ...ledgerLines(report),
    ...instanceLines(report),
    '',
    ...(report.unsent === 0
      ? []
      : [`${number(report.unsent)} requests were not sent: nothing answered any more`]),
    ...(report.clientLagMs < 100
      ? []
      : [`this client itself was up to ${report.clientLagMs} ms behind its schedule: the machine is busy`]),
    ...(report.failure === undefined ? [] : [`the roll ended early: ${report.failure}`]),
    verdict,
  ].join('\n')
}
