import { styleText } from 'node:util'
import { GatewayError } from '../core/errors.ts'
import type { ConfigProblem } from '../core/views.ts'

export type { ConfigProblem } from '../core/views.ts'

const MAX_PROBLEMS = 50

/** The configuration is not valid: every mistake at once (at most 50). */
export class ConfigError extends GatewayError {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    const shown = problems.slice(0, MAX_PROBLEMS)
    super('GW_CONFIG_INVALID', shown.map((problem) => problemLine(problem)).join('\n'))
    this.problems = shown
  }
}

/** `file:line:column  error  message; fix (path)` */
export function problemLine(problem: ConfigProblem): string {
  const { file, line, column, severity, message, fix, path, code } = problem
  const where = path === '' ? '' : ` (${path})`
  const rule = code === undefined ? '' : ` [${code}]`
  return `${file}:${line}:${column}  ${severity}  ${message}${where}${fix === '' ? '' : `; ${fix}`}${rule}`
}

/** All problems for a person: each with the line it is about and a mark under the place. */
export function formatProblems(problems: readonly ConfigProblem[], options: { color: boolean }): string {
  const paint = (style: 'red' | 'yellow' | 'dim', text: string) =>
    options.color ? styleText(style, text, { validateStream: false }) : text
  const out: string[] = []
  for (const problem of problems) {
    const isError = problem.severity === 'error'
    out.push(
      problemLine(problem).replace(problem.severity, paint(isError ? 'red' : 'yellow', problem.severity)),
    )
    if (problem.excerpt === undefined) continue
    const number = String(problem.line).padStart(5)
    out.push(paint('dim', `${number} | `) + problem.excerpt)
    out.push(
      paint('dim', '      | ') + ' '.repeat(problem.column - 1) + paint(isError ? 'red' : 'yellow', '^'),
    )
  }
  return out.join('\n')
}

/** Edit distance with the cost of a swap as two. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** The known word that was probably meant. */
export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const cost = distance(word.toLowerCase(), candidate.toLowerCase())
    if (cost < least) [best, least] = [candidate, cost]
  }
  return best
}
