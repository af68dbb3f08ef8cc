import type { CanaryRule } from '../core/canary.ts'
import type { LintFinding } from './lint-finding.ts'
import type { Bound, Releases } from './release.ts'
import type { Table } from './table.ts'

const sourceOf = ({ rule }: Bound) => rule.spec.source
const nameOf = ({ rule }: Bound) => rule.spec.name

function finding(
  code: LintFinding['code'],
  rules: readonly Bound[],
  message: string,
  fix: string,
): LintFinding {
  return { code, routes: rules.map(nameOf), sources: rules.map(sourceOf), message, fix }
}

const haveCommonRoute = (a: Bound, b: Bound): boolean =>
  a.rule.routes === undefined ||
  b.rule.routes === undefined ||
  [...a.rule.routes].some((route) => b.rule.routes?.has(route))

function findOverlaps(rules: readonly Bound<CanaryRule>[], findings: LintFinding[]): void {
  rules.forEach((b, i) => {
    for (const a of rules.slice(0, i)) {
      if (a.rule.spec.service !== b.rule.spec.service || !haveCommonRoute(a, b)) continue
      const where = `requests to "${b.rule.spec.service}"`
      const message = `canary rules "${nameOf(a)}" (${sourceOf(a)}) and "${nameOf(b)}" (${sourceOf(b)}) both look at ${where}; "${nameOf(a)}" is asked first, "${nameOf(b)}" gets only what it leaves`
      findings.push(
        finding(
          'canary-overlap',
          [b, a],
          message,
          'give them different routes, or make them variants of one rule',
        ),
      )
    }
  })
}

function findSharedInstances({ byService }: Releases, findings: LintFinding[]): void {
  for (const { rules, service } of byService.values()) {
    const owners = new Map<string, { bound: Bound; side: string }>()
    const told = new Set<string>()
    for (const bound of rules) {
      for (const side of bound.sides) {
        for (const key of side.keys) {
          const other = owners.get(key)
          owners.set(key, other ?? { bound, side: side.name })
          if (other === undefined || (other.bound === bound && other.side === side.name)) continue
          const pair = `${nameOf(other.bound)} ${other.side} ${nameOf(bound)} ${side.name}`
          if (told.has(pair)) continue
          told.add(pair)
          const message = `side "${other.side}" of "${nameOf(other.bound)}" and side "${side.name}" of "${nameOf(bound)}" (${sourceOf(bound)}) select the same instances of "${service}"`
          findings.push(
            finding(
              'canary-same-instances',
              [bound, other.bound],
              message,
              'make their selectors exclude each other',
            ),
          )
        }
      }
    }
  }
}

function findUnknown(table: Table, findings: LintFinding[]): void {
  const { rules, lanes, byService } = table.canaries
  for (const bound of [...lanes, ...rules]) {
    const { spec, routes } = bound.rule
    const at = `${spec.kind === 'lane' ? 'lane' : 'canary rule'} "${spec.name}" (${spec.source})`
    for (const route of routes ?? []) {
      if (table.routes.has(route)) continue
      const message = `${at} names route "${route}", which does not exist`
      findings.push(finding('canary-unknown-route', [bound], message, 'mend the name, or leave routes out'))
    }
    if (spec.kind === 'lane') continue
    const own = byService.get(spec.service)
    if (own === undefined) {
      const message = `${at} is about service "${spec.service}", to which no route sends anything`
      findings.push(finding('canary-unknown-service', [bound], message, 'mend the name, or add a route'))
      continue
    }
    if ((table.services.get(spec.service)?.instances.length ?? 0) === 0) continue
    for (const side of own.rules.find(({ rule }) => rule === bound.rule)?.sides ?? []) {
      if (side.keys.size > 0 || bound.live.percent === 0) continue
      const message = `${at} gives traffic to side "${side.name}", which no instance of "${spec.service}" is on`
      findings.push(
        finding('canary-empty', [bound], message, 'start an instance of that version, or mend the selector'),
      )
    }
  }
}

/** Mistakes of canary rules that are valid: overlaps, names of nothing, sides without anybody. */
export function lintReleases(table: Table): LintFinding[] {
  const findings: LintFinding[] = []
  findOverlaps(table.canaries.rules, findings)
  findSharedInstances(table.canaries, findings)
  findUnknown(table, findings)
  return findings
}
