import {
  type CanaryMatch,
  percentText,
  type ReleaseRule,
  selectorText,
  type ValueCondition,
  type ValueMatch,
  WHOLE,
} from '../core/canary.ts'
import type { CanarySideView, CanaryView } from '../core/views.ts'
import type { Bound, BoundRule, ServiceReleases, Side } from '../routing/release.ts'
import { keyName } from '../routing/release-match.ts'
import type { Table } from '../routing/table.ts'

function valueText(match: ValueMatch): string {
  if (match.kind === 'in') return `in ${match.values.join(', ')}`
  return match.kind === 'present' || match.kind === 'absent' ? match.kind : `${match.kind} "${match.value}"`
}

/** One pin in words: `testers: user (3 listed) -> canary`. Users are counted, not named. */
function matchText(match: CanaryMatch, index: number): string {
  const all = (kind: string, conditions: readonly ValueCondition[]) =>
    conditions.map(({ name, match: value }) => `${kind} ${name} ${valueText(value)}`)
  const parts = [
    ...all('header', match.headers),
    ...all('cookie', match.cookies),
    ...all('query', match.query),
    ...all('claim', match.claims),
    ...(match.users === undefined ? [] : [`user (${match.users.length} listed)`]),
    ...(match.userShare === undefined ? [] : [`${percentText(match.userShare)} of the users`]),
    ...(match.networks.length === 0 ? [] : [`client in ${match.networks.join(', ')}`]),
    ...(match.isTrustedOnly ? ['from trusted proxies'] : []),
  ]
  return `${match.name ?? index + 1}: ${parts.join(' and ')} -> ${match.side}`
}

const percentOf = ({ shares }: Bound, index: number): number =>
  shares.reduce((sum, share) => sum + (share.index === index ? share.to - share.from : 0), 0) / 100

function sideView(service: string, select: string, percent: number, side: Side): CanarySideView {
  return {
    service,
    name: side.name,
    select,
    percent,
    instances: side.keys.size,
    available: side.eligible.length,
  }
}

function ruleSides(bound: BoundRule): CanarySideView[] {
  const { spec } = bound.rule
  const given = spec.variants.reduce((sum, _, i) => sum + percentOf(bound, i), 0)
  const stable = spec.stable === undefined ? 'everything else' : selectorText(spec.stable)
  return [
    ...spec.variants.map(({ select }, i) =>
      sideView(spec.service, selectorText(select), percentOf(bound, i), bound.sides[i] as Side),
    ),
    sideView(spec.service, stable, (WHOLE - given * 100) / 100, bound.stable),
  ]
}

function laneSides(bound: Bound, byService: ReadonlyMap<string, ServiceReleases>): CanarySideView[] {
  const { spec } = bound.rule
  if (spec.kind !== 'lane') return []
  return [...byService].flatMap(([service, { lanes }]) => {
    const side = lanes.get(spec.name)
    const select = spec.services[service] ?? spec.select
    if (side === undefined || select === undefined) return []
    return [sideView(service, selectorText(select), percentOf(bound, 0), side)]
  })
}

function viewRule(bound: Bound, sides: readonly CanarySideView[]): CanaryView {
  const { live, isLive, rule } = bound
  const spec: ReleaseRule = rule.spec
  return {
    name: spec.name,
    kind: spec.kind,
    source: spec.source,
    services: [
      ...new Set([...(spec.kind === 'canary' ? [spec.service] : []), ...sides.map((s) => s.service)]),
    ],
    routes: spec.routes,
    percent: live.percent / 100,
    state: live.state,
    isLive,
    releasedPins: live.releasedPins === true,
    match: spec.match.map(matchText),
    keys: spec.keys.map(keyName),
    ...(spec.cookie === undefined ? {} : { cookie: spec.cookie.name }),
    forward: spec.forward,
    whenEmpty: spec.whenEmpty,
    hasRamp: spec.kind === 'canary' && spec.ramp !== undefined,
    sides,
  }
}

/** Lanes and canary rules of a table with their sides, in the order in which they are asked. */
export function viewCanaries(table: Table | undefined): CanaryView[] {
  if (table === undefined) return []
  const { lanes, rules, byService } = table.canaries
  return [
    ...lanes.map((bound) => viewRule(bound, laneSides(bound, byService))),
    ...rules.map((bound) => {
      const found = byService.get(bound.rule.spec.service)?.rules.find(({ rule }) => rule === bound.rule)
      return viewRule(bound, found === undefined ? [] : ruleSides(found))
    }),
  ]
}

/** Names of lanes and rules that look at requests of a route. */
export function canariesOf(table: Table, route: string, services: readonly string[]): string[] {
  const { lanes, rules } = table.canaries
  return [...lanes, ...rules]
    .filter(({ rule: { routes, spec } }) => {
      if (routes !== undefined && !routes.has(route)) return false
      return spec.kind === 'lane' || services.includes(spec.service)
    })
    .map(({ rule }) => rule.spec.name)
}
