import { cut, maskValue } from './mask.ts'
import type { Hit, HitCategory } from './types.ts'

/** Points of the severities (CRS: critical 5, error 4, warning 3, notice 2); anything else adds none. */
const POINTS: Readonly<Record<string, number>> = { '2': 5, '3': 4, '4': 3, '5': 2 }

/** The first three digits of a rule of the Core Rule Set are the file it stands in. */
const CATEGORIES: Readonly<Record<number, HitCategory>> = {
  910: 'reputation',
  911: 'method',
  912: 'reputation',
  913: 'scanner',
  920: 'protocol',
  921: 'protocol',
  922: 'protocol',
  930: 'lfi',
  931: 'rfi',
  932: 'rce',
  933: 'php',
  934: 'nodejs',
  941: 'xss',
  942: 'sqli',
  943: 'fixation',
  944: 'java',
  950: 'leakage',
  951: 'leakage',
  952: 'leakage',
  953: 'leakage',
  954: 'leakage',
}

/** Rules of our own, which judge a body that cannot be parsed. */
export const OWN_RULES = { first: 8_880_000, last: 8_880_999 } as const

/** Rules that only add up what others found. */
const isEvaluation = (id: number) => (id >= 949_000 && id < 950_000) || (id >= 959_000 && id < 960_000)

/** Kind of attack by the number of the rule. */
export function categoryOf(ruleId: number): HitCategory {
  if (ruleId >= OWN_RULES.first && ruleId <= OWN_RULES.last) return 'body'
  return CATEGORIES[Math.floor(ruleId / 1000)] ?? 'custom'
}

/** A line of libmodsecurity, taken apart. */
interface LogLine {
  readonly ruleId: number
  readonly message: string
  readonly severity: string
  readonly tags: readonly string[]
  readonly variable: string
  readonly value: string
}

/**
 * The part of a line that tells the rule. What stands before it holds names and values of the request, in which quotes are
 * not escaped: the last one is the library's own.
 */
const RULE = / \[file "[^"]*"\] \[line "\d+"\] \[id "(\d+)"\] \[rev "[^"]*"\] \[msg "/g
const VARIABLE = /against variable `([\s\S]*)' \(Value: `([\s\S]*)' \)\s*$/
const FOUND = /found within ([A-Z_]+(?::(?:(?!: ).)*)?): ([\s\S]*)$/

/** What a log line says; undefined when it is none of a rule. */
export function parseLogLine(line: string): LogLine | undefined {
  const rule = [...line.matchAll(RULE)].at(-1)
  if (rule === undefined) return undefined
  const rest = line.slice(rule.index + rule[0].length)
  const [, message = '', data = '', severity = ''] =
    /^([\s\S]*?)"\] \[data "([^"]*)"\] \[severity "(\d*)"\]/.exec(rest) ?? []
  const matched = VARIABLE.exec(line.slice(0, rule.index)) ?? FOUND.exec(data)
  return {
    ruleId: Number(rule[1]),
    message,
    severity,
    tags: [...rest.matchAll(/ \[tag "([^"]*)"\]/g)].map(([, tag = '']) => tag),
    variable: matched?.[1] ?? '',
    value: matched?.[2] ?? data,
  }
}

function points(line: LogLine, blockingParanoia: number): number {
  if (isEvaluation(line.ruleId)) return 0
  if (line.ruleId < 900_000 || line.ruleId >= 1_000_000) return 0
  const level = line.tags
    .map((tag) => /^paranoia-level\/(\d)$/.exec(tag)?.[1])
    .find((each) => each !== undefined)
  // Stricter rules run for the log only.
  return Number(level ?? 1) > blockingParanoia ? 0 : (POINTS[line.severity] ?? 0)
}

function isTelling(tag: string): boolean {
  return tag.startsWith('attack-') || tag.startsWith('paranoia-level/')
}

/** Hits with the score as it grows. `start`: points of earlier phases. */
export function hitsOf(lines: readonly string[], blockingParanoia: number, start = 0): Hit[] {
  const hits: Hit[] = []
  let score = start
  for (const text of lines) {
    const line = parseLogLine(text)
    if (line === undefined || isEvaluation(line.ruleId)) continue
    score += points(line, blockingParanoia)
    hits.push({
      ruleId: line.ruleId,
      message: cut(line.message, 120),
      category: categoryOf(line.ruleId),
      tags: line.tags.filter(isTelling).slice(0, 4),
      variable: cut(line.variable),
      value: maskValue(line.variable, line.value),
      score,
    })
  }
  return hits
}

/** The sum that an evaluation rule names in its message; undefined for any other rule. */
export function totalScore(line: string): number | undefined {
  const parsed = parseLogLine(line)
  if (parsed === undefined || !isEvaluation(parsed.ruleId)) return undefined
  const total = /Total (?:Inbound |Outbound )?Score: (\d+)/i.exec(parsed.message)?.[1]
  return total === undefined ? undefined : Number(total)
}
