import {
  type CanaryLive,
  type CanaryRule,
  type CanaryStates,
  type LaneRule,
  type ReleaseRule,
  STABLE,
  type VersionSelector,
  WHOLE,
} from '../core/canary.ts'
import { identityOf } from '../core/identity.ts'
import type { Instance } from '../core/types.ts'
import { layShares, type Share } from './bucket.ts'
import { type CompiledRelease, compileRelease } from './release-match.ts'
import type { Service } from './service.ts'

/** The instances of one version of a service. */
export interface Side {
  /** `stable`, `canary`, the name of a variant or of a lane. */
  readonly name: string
  readonly eligible: readonly Instance[]
  readonly reserve: readonly Instance[]
  /** `Instance.key` of all of them, whatever their state. */
  readonly keys: ReadonlySet<string>
  /** Who answers when nobody of this side can, in this order. */
  readonly fallbacks: readonly Side[]
}

/** A rule or lane with the numbers of this table. */
export interface Bound<T extends ReleaseRule = ReleaseRule> {
  readonly rule: CompiledRelease<T>
  readonly live: CanaryLive
  readonly isLive: boolean
  readonly shares: readonly Share[]
}

/** A rule at its service; sides in the order of its variants. */
export interface BoundRule extends Bound<CanaryRule> {
  readonly sides: readonly Side[]
  readonly stable: Side
}

/** Everything that tells the instances of one service apart. The same object while nothing of it changed. */
export interface ServiceReleases {
  readonly service: string
  readonly rules: readonly BoundRule[]
  /** By name of the lane. */
  readonly lanes: ReadonlyMap<string, Side>
  /** Who belongs to no other side. */
  readonly stable: Side
}

/** The rules and lanes of a table. */
export interface Releases {
  readonly byService: ReadonlyMap<string, ServiceReleases>
  readonly lanes: readonly Bound<LaneRule>[]
  readonly rules: readonly Bound<CanaryRule>[]
  /** Request headers that carry decisions, lower case: removed from what strangers send. */
  readonly headers: ReadonlySet<string>
  /** Those of them that carry lanes. */
  readonly laneHeaders: readonly string[]
  /** Answer headers that guards look for, lower case. */
  readonly watched: readonly string[]
  readonly contentId: string
}

/** Stripped from strangers also where no rule uses them: a gateway behind this one may believe them. */
const ALWAYS_OURS = ['x-canary', 'x-lane']

/** A table without releases. */
export const NO_RELEASES: Releases = Object.freeze({
  byService: new Map(),
  lanes: [],
  rules: [],
  headers: new Set(ALWAYS_OURS),
  laneHeaders: [],
  watched: [],
  contentId: '',
})

const NO_STATES: CanaryStates = new Map()

function globTest(pattern: string): (text: string | undefined) => boolean {
  if (!pattern.includes('*')) return (text) => text === pattern
  const parts = pattern.split('*')
  const [first = '', last = ''] = [parts[0], parts.at(-1)]
  return (text) => {
    if (text === undefined || !text.startsWith(first)) return false
    let at = first.length
    for (const part of parts.slice(1, -1)) {
      const found = text.indexOf(part, at)
      if (found === -1) return false
      at = found + part.length
    }
    return text.length - last.length >= at && text.endsWith(last)
  }
}

/** Whether an instance is one of those that a selector means. */
export function selectorTest({ version, tag, meta }: VersionSelector): (instance: Instance) => boolean {
  const isVersion = version === undefined ? undefined : globTest(version)
  const pairs = Object.entries(meta ?? {})
  return (instance) =>
    (isVersion === undefined || isVersion(instance.version)) &&
    (tag === undefined || instance.tags.includes(tag)) &&
    pairs.every(([name, value]) => instance.meta[name] === value)
}

function fileState(spec: ReleaseRule): CanaryLive {
  const percent =
    spec.kind === 'lane' ? spec.percent : spec.variants.reduce((sum, variant) => sum + variant.percent, 0)
  return { percent, state: 'file' }
}

/** What each variant gets of the live percentage: in proportion to the file. */
function sharesOf(spec: ReleaseRule, { percent }: CanaryLive): Share[] {
  const whole = Math.min(WHOLE, Math.max(0, Math.trunc(percent)))
  if (spec.kind === 'lane' || spec.variants.length === 1) return layShares([whole])
  const sum = fileState(spec).percent
  return layShares(spec.variants.map((one) => (sum === 0 ? 0 : Math.floor((one.percent * whole) / sum))))
}

const isSameSpec = (a: ReleaseRule, b: ReleaseRule): boolean => a === b || identityOf(a) === identityOf(b)

function bind<T extends ReleaseRule>(spec: T, states: CanaryStates, before: Bound | undefined): Bound<T> {
  const rule =
    before !== undefined && isSameSpec(before.rule.spec, spec)
      ? (before.rule as CompiledRelease<T>)
      : compileRelease(spec)
  const live = states.get(spec.name)
  const isSame = before?.rule === rule && before.isLive === (live !== undefined)
  if (isSame && (live === undefined || identityOf(live) === identityOf(before.live)))
    return before as Bound<T>
  const current = live ?? fileState(spec)
  return { rule, live: current, isLive: live !== undefined, shares: sharesOf(spec, current) }
}

type Draft = { -readonly [K in keyof Side]: Side[K] }

function draft(name: string, service: Service, isIn: (instance: Instance) => boolean): Draft {
  return {
    name,
    eligible: service.eligible.filter(isIn),
    reserve: service.reserve.filter(isIn),
    keys: new Set(service.instances.filter(isIn).map(({ key }) => key)),
    fallbacks: [],
  }
}

interface ReleaseParts {
  readonly lanes: readonly Bound<LaneRule>[]
  readonly rules: readonly Bound<CanaryRule>[]
}

/** The lane's instances of a service; undefined = the service has no such version. */
function laneSide({ rule: { spec } }: Bound<LaneRule>, service: Service): Draft | undefined {
  const named = Object.hasOwn(spec.services, service.name) ? spec.services[service.name] : undefined
  const select = named ?? spec.select
  if (select === undefined) return undefined
  const side = draft(spec.name, service, selectorTest(select))
  return named === undefined && side.keys.size === 0 ? undefined : side
}

function releaseService(service: Service, { lanes, rules }: ReleaseParts): ServiceReleases | undefined {
  const laneSides = new Map<string, Draft>()
  const given: Side[] = []
  const others = new Set<string>()
  const add = (side: Side, isGiven: boolean) => {
    for (const key of side.keys) others.add(key)
    if (isGiven) given.push(side)
  }
  for (const bound of lanes) {
    const side = laneSide(bound, service)
    if (side === undefined) continue
    laneSides.set(side.name, side)
    add(side, bound.live.percent > 0)
  }
  const drafts = rules.map((bound) => {
    const sides = bound.rule.spec.variants.map(({ name, select }) =>
      draft(name, service, selectorTest(select)),
    )
    for (const [i, side] of sides.entries()) {
      add(
        side,
        bound.shares.some((share) => share.index === i),
      )
    }
    return { bound, sides }
  })
  if (laneSides.size === 0 && drafts.length === 0) return undefined
  // Whom nobody was promised a share of stays out, even when stable is gone: it is not released yet.
  const stableBy = (select: VersionSelector | undefined): Side => {
    const isIn = select === undefined ? () => true : selectorTest(select)
    const side = draft(STABLE, service, (instance) => !others.has(instance.key) && isIn(instance))
    side.fallbacks = given
    return side
  }
  const stable = stableBy(undefined)
  const complete = (side: Draft, spec: ReleaseRule, own: Side) => {
    const after = given.filter((other) => other !== side)
    side.fallbacks = spec.whenEmpty === 'fail' ? [] : [own, ...after]
  }
  for (const { rule } of lanes) {
    const side = laneSides.get(rule.spec.name)
    if (side !== undefined) complete(side, rule.spec, stable)
  }
  const bound = drafts.map(({ bound: one, sides }): BoundRule => {
    const { spec } = one.rule
    const own = spec.stable === undefined ? stable : stableBy(spec.stable)
    for (const side of sides) complete(side, spec, own)
    return { ...one, sides, stable: own }
  })
  return { service: service.name, rules: bound, lanes: laneSides, stable }
}

interface Made extends ReleaseParts {
  readonly service: Service
}

/** From what each was made, to know whether it is still the same. */
const madeFrom = new WeakMap<ServiceReleases, Made>()

const isSameList = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i])

function watchedHeaders(rules: readonly Bound<CanaryRule>[]): string[] {
  const checks = rules.flatMap(({ rule }) => rule.spec.guard?.checks ?? [])
  return [
    ...new Set(
      checks.flatMap((check) => (check.kind === 'share' && check.header !== undefined ? check.header : [])),
    ),
  ]
}

/**
 * Sides of every service by the rules, the lanes and what they are doing now. What did not change is taken over from
 * the previous table.
 */
export function compileReleases(
  specs: readonly ReleaseRule[],
  services: ReadonlyMap<string, Service>,
  states: CanaryStates = NO_STATES,
  previous: Releases = NO_RELEASES,
): Releases {
  if (specs.length === 0) return NO_RELEASES
  const before = new Map<string, Bound>()
  for (const bound of [...previous.lanes, ...previous.rules]) before.set(bound.rule.spec.name, bound)
  const lanes: Bound<LaneRule>[] = []
  const rules: Bound<CanaryRule>[] = []
  for (const spec of specs) {
    const old = before.get(spec.name)
    if (spec.kind === 'lane') lanes.push(bind(spec, states, old))
    else rules.push(bind(spec, states, old))
  }
  const byService = new Map<string, ServiceReleases>()
  for (const service of services.values()) {
    const own = rules.filter(({ rule }) => rule.spec.service === service.name)
    const old = previous.byService.get(service.name)
    const made = old === undefined ? undefined : madeFrom.get(old)
    const isSame = made?.service === service && isSameList(made.lanes, lanes) && isSameList(made.rules, own)
    const releases = isSame ? old : releaseService(service, { lanes, rules: own })
    if (releases === undefined) continue
    madeFrom.set(releases, { service, lanes, rules: own })
    byService.set(service.name, releases)
  }
  const isSame =
    isSameList(previous.lanes, lanes) &&
    isSameList(previous.rules, rules) &&
    previous.byService.size === byService.size &&
    [...byService].every(([name, releases]) => previous.byService.get(name) === releases)
  if (isSame) return previous
  const all: readonly Bound[] = [...lanes, ...rules]
  return {
    byService,
    lanes,
    rules,
    headers: new Set([...ALWAYS_OURS, ...all.map(({ rule }) => rule.spec.forward)]),
    laneHeaders: [...new Set(lanes.map(({ rule }) => rule.spec.forward))],
    watched: watchedHeaders(rules),
    contentId: identityOf(all.map(({ rule, live }) => [rule.id, live])),
  }
}
