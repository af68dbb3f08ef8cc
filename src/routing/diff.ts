import { percentText, type ReleaseRule } from '../core/canary.ts'
import type { FilterSpec, RouteSpec, ServicePolicy } from '../core/route.ts'
import type { Bound, Releases } from './release.ts'
import type { Route, Service, Table } from './table.ts'

/** At most so many lines; a reload of everything must not flood the log. */
const MAX_LINES = 200

/** What else of an instance makes another table. */
const TOLD = ['scheme', 'priority', 'version', 'zone', 'tags', 'meta'] as const

type Spec = RouteSpec | ServicePolicy | ReleaseRule

function changedKeys(a: Spec, b: Spec): string {
  const [left, right] = [a as unknown as Record<string, unknown>, b as unknown as Record<string, unknown>]
  const keys = new Set([...Object.keys(left), ...Object.keys(right)])
  keys.delete('source')
  return [...keys].filter((key) => JSON.stringify(left[key]) !== JSON.stringify(right[key])).join(', ')
}

const enabled = ({ name, mode }: FilterSpec): string => (mode === 'dryRun' ? `${name} in dry run` : name)

/** `filters +limit -old`: options may hold secrets, so only names and keys are told. */
function filterNames(a: RouteSpec, b: RouteSpec): string {
  const [before, after] = [a.filters.map(enabled), b.filters.map(enabled)]
  const words = [
    ...after.filter((name) => !before.includes(name)).map((name) => `+${name}`),
    ...before.filter((name) => !after.includes(name)).map((name) => `-${name}`),
  ]
  return ['filters', ...words].join(' ')
}

/** What changed in filters of these names that both have; once for each, however many routes use it. */
function noteFilters(a: RouteSpec, b: RouteSpec, changed: Map<string, string>): void {
  for (const filter of b.filters) {
    const old = a.filters.find(({ name }) => name === filter.name)
    if (old === undefined || changed.has(filter.name)) continue
    const keys = [...new Set([...Object.keys(old.options), ...Object.keys(filter.options)])].filter(
      (key) => JSON.stringify(old.options[key]) !== JSON.stringify(filter.options[key]),
    )
    for (const key of ['type', 'mode', 'onError'] as const) if (old[key] !== filter[key]) keys.push(key)
    if (keys.length > 0) changed.set(filter.name, keys.join(', '))
  }
}

function diffRoutes(a: ReadonlyMap<string, Route>, b: ReadonlyMap<string, Route>, lines: string[]): void {
  if (a === b) return
  const filters = new Map<string, string>()
  for (const name of a.keys()) if (!b.has(name)) lines.push(`- route ${name}`)
  for (const [name, route] of b) {
    const old = a.get(name)
    if (old === undefined) {
      lines.push(`+ route ${name}`)
    } else if (old.contentId !== route.contentId) {
      const keys = changedKeys(old.spec, route.spec)
      lines.push(`~ route ${name} (${keys.replace(/\bfilters\b/, filterNames(old.spec, route.spec))})`)
      noteFilters(old.spec, route.spec, filters)
    }
  }
  for (const [name, keys] of filters) lines.push(`~ filter ${name} (${keys})`)
}

function diffReleases(a: Releases, b: Releases, lines: string[]): void {
  if (a === b) return
  const all = ({ lanes, rules }: Releases) =>
    new Map<string, Bound>([...lanes, ...rules].map((bound) => [bound.rule.spec.name, bound]))
  const [before, after] = [all(a), all(b)]
  const word = ({ rule }: Bound) => (rule.spec.kind === 'lane' ? 'lane' : 'canary')
  for (const [name, bound] of before) if (!after.has(name)) lines.push(`- ${word(bound)} ${name}`)
  for (const [name, bound] of after) {
    const old = before.get(name)
    if (old === bound) continue
    const { percent, state } = bound.live
    if (old === undefined) {
      lines.push(`+ ${word(bound)} ${name} (${percentText(percent)})`)
      continue
    }
    const changes: string[] = []
    if (old.live.percent !== percent)
      changes.push(`${percentText(old.live.percent)} -> ${percentText(percent)}`)
    if (old.live.state !== state) changes.push(`${old.live.state} -> ${state}`)
    if (old.live.releasedPins !== bound.live.releasedPins)
      changes.push(bound.live.releasedPins === true ? 'pins released' : 'pins back')
    const keys = changedKeys(old.rule.spec, bound.rule.spec)
    if (keys !== '') changes.push(keys)
    if (changes.length > 0) lines.push(`~ ${word(bound)} ${name} (${changes.join(', ')})`)
  }
}

function diffInstances(a: Service, b: Service, lines: string[]): void {
  const before = new Map(a.instances.map((instance) => [instance.key, instance]))
  for (const instance of b.instances) {
    const old = before.get(instance.key)
    before.delete(instance.key)
    const place = `${b.name} ${instance.address}:${instance.port} (${instance.id})`
    if (old === undefined) lines.push(`+ instance ${place} ${instance.state}`)
    else if (old.held === undefined && instance.held !== undefined)
      lines.push(`~ instance ${place} held: ${instance.held}`)
    else if (old.held !== undefined && instance.held === undefined) lines.push(`~ instance ${place} back`)
    else if (old.state !== instance.state) lines.push(`~ instance ${place} ${old.state} -> ${instance.state}`)
    else if (old.address !== instance.address || old.port !== instance.port)
      lines.push(`~ instance ${place} moved`)
    else if (old.weight !== instance.weight) lines.push(`~ instance ${place} weight ${instance.weight}`)
    else {
      const keys = TOLD.filter((key) => JSON.stringify(old[key]) !== JSON.stringify(instance[key]))
      if (keys.length > 0) lines.push(`~ instance ${place} (${keys.join(', ')})`)
    }
  }
  for (const old of before.values()) lines.push(`- instance ${a.name} ${old.address}:${old.port} (${old.id})`)
}

/** What changed from `a` to `b`, one line each: routes, canary rules, services. At most 200 lines, the last says how many more. */
export function diffTables(a: Table, b: Table): string[] {
  const lines: string[] = []
  for (const key of ['hostFallback', 'mergeSlashes'] as const) {
    if (a[key] !== b[key]) lines.push(`~ ${key} ${b[key]}`)
  }
  diffRoutes(a.routes, b.routes, lines)
  diffReleases(a.canaries, b.canaries, lines)
  for (const name of a.services.keys()) if (!b.services.has(name)) lines.push(`- service ${name}`)
  for (const [name, service] of b.services) {
    const old = a.services.get(name)
    if (old === undefined) lines.push(`+ service ${name} (${service.instances.length} instances)`)
    else if (old !== service) {
      const policy = changedKeys(old.policy, service.policy)
      if (policy !== '') lines.push(`~ service ${name} (${policy})`)
      const [from, to] = [old.lead?.registry, service.lead?.registry]
      if (from !== undefined && to !== undefined && from !== to)
        lines.push(`~ service ${name} lead ${from} -> ${to}`)
      diffInstances(old, service, lines)
    }
  }
  if (lines.length <= MAX_LINES) return lines
  return [...lines.slice(0, MAX_LINES), `… and ${lines.length - MAX_LINES} more`]
}
