import type { LedRule } from './canary/rules.ts'
import { servicesOf } from './health/topology.ts'
import { breachesOf, type ContractBreach } from './mirror/contract-book.ts'
import type { Table } from './routing/table.ts'

/** A path or a value of the service: bounded, because it lies in the store with the release. Characters. */
const MAX_TEXT = 160
/** Of one rule, of this gateway. */
const MAX_TEXTS = 50

/** Versions that the rule gives to some and that stable has not: only of those it is known whose answers they were. */
function canaryVersions({ name, spec }: LedRule, table: Table): ReadonlySet<string> {
  const bound = table.canaries.byService.get(spec.service)?.rules.find(({ rule }) => rule.spec.name === name)
  const instances = table.services.get(spec.service)?.instances ?? []
  if (bound === undefined) return new Set()
  const versionsOf = (has: (key: string) => boolean) =>
    instances.flatMap(({ key, version }) => (version !== undefined && has(key) ? [version] : []))
  const stable = new Set(versionsOf((key) => bound.stable.keys.has(key)))
  const canary = versionsOf((key) => bound.sides.some(({ keys }) => keys.has(key)))
  return new Set(canary.filter((version) => !stable.has(version)))
}

const isOfRule = ({ spec }: LedRule, route: string): boolean =>
  spec.routes.length === 0 || spec.routes.includes(route)

/** `items: $.price is gone`, `items: $.id is string`. The same on all gateways, whatever they saw before. */
function breachText({ route, path, kind, after }: ContractBreach): string {
  return `${route}: ${path} ${kind === 'dropped' ? 'is gone' : `is ${after}`}`.slice(0, MAX_TEXT)
}

/** What this gateway saw of the canary's answers that breaks the contract of a route, in words. */
export function contractTexts(
  rule: LedRule,
  table: Table | undefined,
  breaches: readonly ContractBreach[],
): readonly string[] {
  if (table === undefined || breaches.length === 0 || rule.guard.contract === 'ignore') return []
  const { service } = rule.spec
  const found = [...canaryVersions(rule, table)]
    .flatMap((version) => breachesOf(breaches, { service, version }))
    .filter(({ route }) => isOfRule(rule, route))
  return [...new Set(found.map(breachText))].sort().slice(0, MAX_TEXTS)
}

/** The contract of one of the rule's routes is watched. */
export function hasContract(rule: LedRule, table: Table | undefined): boolean {
  return [...(table?.routes.values() ?? [])].some(
    ({ spec }) =>
      spec.contract !== undefined &&
      isOfRule(rule, spec.name) &&
      servicesOf(spec.action).includes(rule.spec.service),
  )
}
