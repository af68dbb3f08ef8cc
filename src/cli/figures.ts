import { GatewayError } from '../core/errors.ts'
import type { Latency, Rate } from '../core/traffic-view.ts'
import type { Column } from './text-table.ts'

/** Of the last seconds. */
export type Load = Rate & Pick<Latency, 'p99'>

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1000, 's'],
] as const

/** How long: `12s`, `3m`, `5h`, `2d`. */
export function ageText(ms: number): string {
  const [size, unit] = UNITS.find(([least]) => ms >= least) ?? [1000, 's']
  return `${Math.max(0, Math.floor(ms / size))}${unit}`
}

/** `0.4`, `12`, `1300`. */
export function rateText(rps: number | undefined): string {
  if (rps === undefined) return ''
  return rps >= 10 || rps === 0 ? String(Math.round(rps)) : rps.toFixed(1)
}

/** 0.012 as `1.2%`. */
export function ratioText(ratio: number | undefined): string {
  if (ratio === undefined) return ''
  const percent = ratio * 100
  if (percent > 0 && percent < 0.1) return '<0.1%'
  return `${percent >= 10 || percent === 0 ? Math.round(percent) : percent.toFixed(1)}%`
}

function latencyText(ms: number | null | undefined): string {
  if (ms === undefined || ms === null) return ''
  return ms >= 10 ? `${Math.round(ms)}ms` : `${ms.toFixed(1)}ms`
}

/** Requests a second, errors and p99 of a row; empty where the gateway does not measure them. */
export function loadColumns<T>(loadOf: (row: T) => Load | undefined): Column<T>[] {
  return [
    { title: 'rps', align: 'right', rank: 2, cell: (row) => rateText(loadOf(row)?.rps) },
    {
      title: 'errors',
      align: 'right',
      rank: 2,
      cell: (row) => {
        const ratio = loadOf(row)?.errorRatio
        const isHigh = ratio !== undefined && ratio >= 0.01
        return { text: ratioText(ratio), style: isHigh ? 'red' : undefined }
      },
    },
    { title: 'p99', align: 'right', rank: 3, cell: (row) => latencyText(loadOf(row)?.p99) },
  ]
}

/** Whether a name is meant: `*` stands for anything. */
export interface NameMatch {
  /** Nothing was named. */
  readonly isAny: boolean
  has(name: string | undefined): boolean
}

/** `catalog`, `cat*`; several with commas. Undefined = all are meant, those without a name, too. */
export function nameMatch(patterns: string | undefined): NameMatch {
  if (patterns === undefined) return { isAny: true, has: () => true }
  const all = listOf(patterns).map((pattern) => pattern.split('*'))
  return { isAny: false, has: (name) => name !== undefined && all.some((parts) => isMatch(name, parts)) }
}

/** Whether there is one of those that were named. */
export function isFound(all: readonly { readonly name: string }[], { isAny, has }: NameMatch): boolean {
  return isAny || all.some(({ name }) => has(name))
}

/** Without a regular expression: a pattern cannot make it slow. */
function isMatch(name: string, [first = '', ...others]: readonly string[]): boolean {
  const last = others.pop()
  if (last === undefined) return name === first
  if (!name.startsWith(first)) return false
  let at = first.length
  for (const part of others) {
    const found = name.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return name.length - last.length >= at && name.endsWith(last)
}

/** `a,b` as a list. Throws GW_CLI_MISUSE when there is nothing in it. */
export function listOf(text: string): readonly string[] {
  const list = text.split(',').map((one) => one.trim())
  if (list.includes('')) throw new GatewayError('GW_CLI_MISUSE', `"${text}": write names with commas between`)
  return list
}
