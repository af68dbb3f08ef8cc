import { percentText, type ReleaseRule, STABLE, WHOLE } from '../core/canary.ts'
import { bucketOf, shareAt } from './bucket.ts'
import type { Bound, BoundRule, Releases, ServiceReleases, Side } from './release.ts'
import { type FoundKey, findKey, isReleased, keyName, type SideInput } from './release-match.ts'

export type { SideInput } from './release-match.ts'

/** Which version answers a request, and what has to be passed on about that. */
export interface SideDecision {
  /** Undefined = the service has only one. */
  readonly side: Side | undefined
  /** The rule or lane that decided, else the first that looked at it. Undefined = none applies. */
  readonly rule: string | undefined
  /** Other rules and lanes for which it is a request of stable; none when it is not one of stable. */
  readonly others: readonly string[]
  /** Request headers to set, name and value in turn. */
  readonly headers: readonly string[]
  /** Values of `Set-Cookie`. */
  readonly cookies: readonly string[]
}

const NONE: readonly string[] = Object.freeze([])
/** Ids tried so that a new cookie keeps its client on its side. */
const MAX_DRAWS = 4096
const ID_BYTES = 16
/** A longer decision header is nonsense. Characters. */
const MAX_DECISION = 2048

/** What one request has been given while its rules are asked. */
interface Asking {
  readonly input: SideInput
  readonly trace: string[] | undefined
  /** New cookies: id by name, and their `Set-Cookie`. */
  ids: Map<string, string> | undefined
  cookies: string[] | undefined
}

/** The name of the side a rule wants; undefined = it leaves the request to others. */
type Verdict = string | undefined

function newCookie(asking: Asking, spec: ReleaseRule, id: string): void {
  const cookie = spec.cookie as NonNullable<ReleaseRule['cookie']>
  asking.ids ??= new Map()
  asking.ids.set(cookie.name, id)
  asking.cookies ??= []
  const sameSite = `${cookie.sameSite[0]?.toUpperCase()}${cookie.sameSite.slice(1)}`
  const secure = cookie.isSecure ? '; Secure' : ''
  asking.cookies.push(
    `${cookie.name}=${id}; Max-Age=${Math.round(cookie.maxAgeMs / 1000)}; Path=/; HttpOnly${secure}; SameSite=${sameSite}`,
  )
}

/** An id that lies on the same side as the address did: the cookie must not move its client. */
function drawId(bound: Bound, wanted: number, newId: (bytes: number) => string): string {
  let id = newId(ID_BYTES)
  for (let i = 0; i < MAX_DRAWS && shareAt(bound.shares, bucketOf(id, bound.rule.seed)) !== wanted; i++) {
    id = newId(ID_BYTES)
  }
  return id
}

/** Finds the key, and gives a cookie to who has nothing better than an address. */
function keyOf(bound: Bound, asking: Asking): FoundKey | undefined {
  const { spec, seed } = bound.rule
  const { input } = asking
  const found = findKey(spec.keys, input)
  const isWeak = found === undefined || found.key.kind === 'ip'
  const { cookie } = spec
  if (cookie === undefined || !isWeak) return found
  const issued = asking.ids?.get(cookie.name)
  if (issued !== undefined) return { text: issued, key: { kind: 'cookie', name: cookie.name } }
  const { newId } = input
  if (newId === undefined || bound.shares.length === 0) {
    asking.trace?.push(`${spec.name}: a cookie ${cookie.name} would be given`)
    return found
  }
  const draw = (bytes: number) => newId.call(input, bytes)
  if (found !== undefined) {
    newCookie(asking, spec, drawId(bound, shareAt(bound.shares, bucketOf(found.text, seed)), draw))
    return found
  }
  const id = draw(ID_BYTES)
  newCookie(asking, spec, id)
  return { text: id, key: { kind: 'cookie', name: cookie.name } }
}

function pinned(bound: Bound, { input, trace }: Asking): Verdict {
  const { spec, matches } = bound.rule
  for (const match of matches) {
    const failed = match.test(input)
    if (failed !== undefined) {
      trace?.push(`${spec.name}: ${match.label}: condition not met: ${failed}`)
      continue
    }
    if (bound.live.releasedPins === true && isReleased(spec, match.spec)) {
      trace?.push(`${spec.name}: ${match.label} -> ${match.spec.side}, but its pins are released`)
      continue
    }
    trace?.push(`${spec.name}: ${match.label} -> ${match.spec.side}`)
    return match.spec.side
  }
  return undefined
}

const nameAt = (spec: ReleaseRule, index: number): string =>
  spec.kind === 'lane' ? spec.name : (spec.variants[index]?.name ?? STABLE)

function split(bound: Bound, asking: Asking): Verdict {
  const { spec, seed } = bound.rule
  const { trace } = asking
  if (bound.shares.length === 0 && trace === undefined) return undefined
  const key = keyOf(bound, asking)
  if (key === undefined) {
    trace?.push(`${spec.name}: no key -> stable`)
    return undefined
  }
  const bucket = bucketOf(key.text, seed)
  const index = shareAt(bound.shares, bucket)
  if (trace !== undefined) {
    const side = index === -1 ? STABLE : nameAt(spec, index)
    const percent = percentText(bound.live.percent)
    trace.push(
      `${spec.name}: bucket ${bucket} of ${WHOLE}, percent ${percent} -> ${side} (key ${keyName(key.key)})`,
    )
  }
  return index === -1 ? undefined : nameAt(spec, index)
}

function forwardedSide(bound: Bound, value: string | undefined, trace: string[] | undefined): Verdict {
  const { spec } = bound.rule
  if (value === undefined || value.length > MAX_DECISION) return undefined
  const prefix = `${spec.name}=`
  for (const part of value.split(',')) {
    const entry = part.trim()
    if (!entry.startsWith(prefix)) continue
    const side = entry.slice(prefix.length)
    const isKnown = spec.kind === 'canary' && spec.variants.some(({ name }) => name === side)
    if (side !== STABLE && (!isKnown || bound.live.releasedPins === true)) return undefined
    trace?.push(`${spec.name}: ${spec.forward} of a trusted peer -> ${side}`)
    return side
  }
  return undefined
}

/** Decisions of other rules stay: services behind us may pass them on. */
function mergeDecision(value: string | undefined, own: string): string {
  if (value === undefined || value === '' || value.length > MAX_DECISION) return own
  const names = own.split(', ').map((entry) => entry.slice(0, entry.indexOf('=') + 1))
  const kept = value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && !names.some((name) => part.startsWith(name)))
  return [...kept, own].join(', ')
}

function laneSaid({ lanes, laneHeaders }: Releases, { input, trace }: Asking): string | undefined {
  if (!input.isTrustedPeer) return undefined
  let said: string | undefined
  for (const header of laneHeaders) {
    const value = input.header(header)
    if (value === undefined) continue
    const lane = lanes.find(({ rule: { spec } }) => spec.forward === header && spec.name === value)
    if (lane === undefined && value !== STABLE) continue
    const name = lane === undefined || lane.live.releasedPins === true ? STABLE : value
    trace?.push(`lanes: ${header} of a trusted peer -> ${name}`)
    if (name !== STABLE) return name
    said = STABLE
  }
  return said
}

const applies = ({ rule }: Bound, route: string): boolean =>
  rule.routes === undefined || rule.routes.has(route)

/** The lane a request is in, or `stable`; undefined = no lane applies. Pins of all lanes come before any percentage. */
function laneOf(releases: Releases, route: string, asking: Asking): string | undefined {
  const said = laneSaid(releases, asking)
  if (said !== undefined) return said
  const lanes = releases.lanes.filter((bound) => applies(bound, route))
  if (lanes.length === 0) return undefined
  for (const ask of [pinned, split]) {
    for (const bound of lanes) {
      const verdict = ask(bound, asking)
      if (verdict !== undefined) return verdict
    }
  }
  return STABLE
}

/** What the rules of a service say: whose verdict counts, and what it is. */
interface Found {
  readonly by: BoundRule
  readonly name: string
}

const sideOf = (bound: BoundRule, name: string): Side =>
  bound.sides.find((side) => side.name === name) ?? bound.stable

/** Notes the decision of one rule in its header. */
function note(headers: string[], from: number, { forward, name }: ReleaseRule, side: string): void {
  const entry = `${name}=${side}`
  for (let i = from; i < headers.length; i += 2) {
    if (headers[i] !== forward) continue
    headers[i + 1] += `, ${entry}`
    return
  }
  headers.push(forward, entry)
}

/**
 * The decisions of a trusted peer, then the pins of all rules, then the percentages; each in the order of the rules. A rule
 * of which a trusted peer says `stable` is not asked again.
 */
function findVerdict(rules: readonly BoundRule[], asking: Asking): Found | undefined {
  const { input, trace } = asking
  let open = rules
  if (input.isTrustedPeer) {
    for (const bound of rules) {
      const said = forwardedSide(bound, input.header(bound.rule.spec.forward), trace)
      if (said === undefined) continue
      if (said !== STABLE) return { by: bound, name: said }
      open = open.filter((one) => one !== bound)
    }
  }
  for (const bound of open) {
    const name = pinned(bound, asking)
    if (name !== undefined) return { by: bound, name }
  }
  for (const bound of open) {
    const name = split(bound, asking)
    if (name !== undefined) return { by: bound, name }
  }
  return undefined
}

function askRules(
  own: ServiceReleases,
  route: string,
  asking: Asking,
  headers: string[],
): Omit<SideDecision, 'headers' | 'cookies'> {
  const { input } = asking
  const isForAll = own.rules.every((bound) => applies(bound, route))
  const rules = isForAll ? own.rules : own.rules.filter((bound) => applies(bound, route))
  const found = findVerdict(rules, asking)
  const from = headers.length
  for (const bound of rules) {
    note(headers, from, bound.rule.spec, bound === found?.by ? found.name : STABLE)
  }
  for (let i = from; input.isTrustedPeer && i < headers.length; i += 2) {
    headers[i + 1] = mergeDecision(input.header(headers[i] as string), headers[i + 1] as string)
  }
  const by = found?.by ?? rules[0]
  const side = by === undefined ? own.stable : sideOf(by, found?.name ?? STABLE)
  const isAlone = rules.length < 2 || side.name !== STABLE
  return {
    side,
    rule: by?.rule.spec.name,
    others: isAlone ? NONE : rules.filter((bound) => bound !== by).map(({ rule }) => rule.spec.name),
  }
}

/**
 * Which version of its service answers a request: lanes first, then the rules of the service. All conditions are looked at
 * before any percentage. Pure but for the ids of new cookies; the
 * data path, `explain`, preview and the tests call this one function. Undefined = no release has anything to say.
 */
export function decideSide(
  input: SideInput,
  releases: Releases,
  place: { readonly route: string; readonly service: string },
  trace?: string[],
): SideDecision | undefined {
  const { lanes, byService } = releases
  const own = byService.get(place.service)
  if (lanes.length === 0 && own === undefined) return undefined
  const asking: Asking = { input, trace, ids: undefined, cookies: undefined }
  const headers: string[] = []
  const lane = lanes.length === 0 ? undefined : laneOf(releases, place.route, asking)
  if (lane !== undefined) {
    for (const header of releases.laneHeaders) {
      const isIts = lanes.some(({ rule: { spec } }) => spec.forward === header && spec.name === lane)
      headers.push(header, isIts ? lane : STABLE)
    }
  }
  const cookies = () => asking.cookies ?? NONE
  const laneSide = lane === undefined ? undefined : own?.lanes.get(lane)
  if (laneSide !== undefined) return { side: laneSide, rule: lane, others: NONE, headers, cookies: cookies() }
  if (own === undefined)
    return { side: undefined, rule: undefined, others: NONE, headers, cookies: cookies() }
  const asked = askRules(own, place.route, asking, headers)
  // It is on no lane of this service: stable for each of them, unless a rule decided otherwise.
  const left = lane === undefined || asked.side?.name !== STABLE ? [] : [...own.lanes.keys()]
  const rule = asked.rule ?? left.shift()
  const others = left.length === 0 ? asked.others : [...asked.others, ...left]
  return { side: asked.side, rule, others, headers, cookies: cookies() }
}
