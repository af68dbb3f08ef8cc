import { BlockList, isIPv6 } from 'node:net'
import {
  type CanaryKey,
  type CanaryMatch,
  type ReleaseRule,
  STABLE,
  type ValueCondition,
  type ValueMatch,
} from '../core/canary.ts'
import { identityOf } from '../core/identity.ts'
import type { Principal } from '../core/principal.ts'
import { bucketOf, type HashSeed, seedOf } from './bucket.ts'
import { addNetwork, compileText, cookieValue } from './field-tests.ts'

/** What a release looks at in a request. No body, no clock. */
export interface SideInput {
  /** A request header by lower-case name, several joined; after the inbound filters. */
  header(name: string): string | undefined
  /** `` or `?…`, as received. */
  readonly query: string
  readonly clientIp: string
  /** The peer is a trusted proxy. */
  readonly isTrustedPeer: boolean
  readonly principal: Principal | undefined
  /** Random hex digits for so many bytes, for a new cookie; absent = no cookie can be given. */
  newId?(bytes: number): string
}

/** An entry of `match`, ready to ask. */
export interface CompiledMatch {
  readonly spec: CanaryMatch
  /** `match testers` or `match 2`. */
  readonly label: string
  /** The first condition that does not hold; undefined = all hold. */
  test(input: SideInput): string | undefined
}

/** A rule or lane without the numbers that change. The same object as long as its spec is the same. */
export interface CompiledRelease<T extends ReleaseRule = ReleaseRule> {
  readonly spec: T
  /** Hash of everything that has an effect. */
  readonly id: string
  readonly seed: HashSeed
  /** Undefined = all. */
  readonly routes: ReadonlySet<string> | undefined
  readonly matches: readonly CompiledMatch[]
}

/** What a user was recognised by. */
export interface FoundKey {
  readonly text: string
  readonly key: CanaryKey
}

/** Longer ids are somebody's play. Characters. */
const MAX_COOKIE = 256

type ValueTest = (value: string | undefined) => boolean

function compileValue(match: ValueMatch): ValueTest {
  if (match.kind !== 'in') return compileText(match)
  const values = new Set(match.values)
  return (value) => value !== undefined && values.has(value)
}

const compileAll = (conditions: readonly ValueCondition[]) =>
  conditions.map(({ name, match }) => ({ name, test: compileValue(match) }))

function claimOf(principal: Principal | undefined, name: string): unknown {
  if (principal === undefined) return undefined
  const { claims } = principal
  if (Object.hasOwn(claims, name)) return claims[name]
  if (name === 'sub') return principal.id
  let value: unknown = claims
  for (const step of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function testClaim(value: unknown, test: ValueTest): boolean {
  if (!Array.isArray(value)) return test(textOf(value))
  return value.length === 0 ? test(undefined) : value.some((one) => test(textOf(one)))
}

/** `claim.sub`, `header.x-user-id`, `ip` … */
export const keyName = (key: CanaryKey): string => (key.kind === 'ip' ? 'ip' : `${key.kind}.${key.name}`)

/** The id of the user for lists: a header anybody can write counts only when a trusted proxy sends it. */
function userOf(keys: readonly CanaryKey[], input: SideInput): string | undefined {
  if (input.principal !== undefined) return input.principal.id
  if (!input.isTrustedPeer) return undefined
  for (const key of keys) {
    if (key.kind !== 'header') continue
    const value = input.header(key.name)
    if (value !== undefined && value !== '') return value
  }
  return undefined
}

/** The value of one kind of key; undefined = the request has none. */
export function keyValue(key: CanaryKey, input: SideInput): string | undefined {
  switch (key.kind) {
    case 'claim':
      return textOf(claimOf(input.principal, key.name))
    case 'header':
      return textOf(input.header(key.name))
    case 'cookie': {
      const value = textOf(cookieValue(input.header('cookie'), key.name))
      return value !== undefined && value.length <= MAX_COOKIE ? value : undefined
    }
    case 'ip':
      return input.clientIp
  }
}

/** The first key that the request has. */
export function findKey(keys: readonly CanaryKey[], input: SideInput): FoundKey | undefined {
  for (const key of keys) {
    const text = keyValue(key, input)
    if (text !== undefined) return { text, key }
  }
  return undefined
}

function compileUser(rule: ReleaseRule, spec: CanaryMatch, label: string): CompiledMatch['test'] | undefined {
  const { users, userShare } = spec
  if (users === undefined && userShare === undefined) return undefined
  const listed = users === undefined ? undefined : new Set(users)
  const seed = seedOf(`${splitOf(rule)}/${label}`)
  return (input) => {
    if (listed !== undefined) {
      const user = userOf(rule.keys, input)
      if (user === undefined || !listed.has(user)) return 'user'
    }
    if (userShare === undefined) return undefined
    const key = findKey(rule.keys, input)
    return key !== undefined && bucketOf(key.text, seed) < userShare ? undefined : 'user.hash'
  }
}

/** Addresses remembered at a time. */
const MAX_KNOWN = 4096

function compileNetworks(networks: readonly string[]): ((address: string) => boolean) | undefined {
  if (networks.length === 0) return undefined
  const list = new BlockList()
  for (const network of networks) addNetwork(list, network)
  // The same clients send again and again, and a list of Node is slow to ask.
  const known = new Map<string, boolean>()
  return (address) => {
    let isIn = known.get(address)
    if (isIn === undefined) {
      isIn = list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
      if (known.size >= MAX_KNOWN) known.clear()
      known.set(address, isIn)
    }
    return isIn
  }
}

function compileMatch(rule: ReleaseRule, spec: CanaryMatch, index: number): CompiledMatch {
  const [headers, cookies] = [compileAll(spec.headers), compileAll(spec.cookies)]
  const [query, claims] = [compileAll(spec.query), compileAll(spec.claims)]
  const label = `match ${spec.name ?? index + 1}`
  const user = compileUser(rule, spec, label)
  const isIn = compileNetworks(spec.networks)
  return {
    spec,
    label,
    test(input) {
      if (spec.isTrustedOnly && !input.isTrustedPeer) return 'from trusted'
      for (const { name, test } of headers) if (!test(input.header(name))) return `header ${name}`
      for (const { name, test } of cookies) {
        if (!test(cookieValue(input.header('cookie'), name))) return `cookie ${name}`
      }
      if (query.length > 0) {
        const params = new URLSearchParams(input.query)
        for (const { name, test } of query) {
          const values = params.getAll(name)
          if (values.length === 0 ? !test(undefined) : !values.some(test)) return `query ${name}`
        }
      }
      for (const { name, test } of claims) {
        if (!testClaim(claimOf(input.principal, name), test)) return `claim ${name}`
      }
      if (isIn !== undefined && !isIn(input.clientIp)) return 'ip'
      return user?.(input)
    },
  }
}

/** Rules with the same salt draw the same lots. */
const splitOf = ({ salt, name }: ReleaseRule): string =>
  salt === undefined ? `rule:${name}` : `salt:${salt}`

/** Throws GW_CONFIG_INVALID for an expression or a network that is none. */
export function compileRelease<T extends ReleaseRule>(spec: T): CompiledRelease<T> {
  return {
    spec,
    id: identityOf({ ...spec, source: '' }),
    seed: seedOf(splitOf(spec)),
    routes: spec.routes.length === 0 ? undefined : new Set(spec.routes),
    matches: spec.match.map((entry, i) => compileMatch(spec, entry, i)),
  }
}

/** What is pinned to a new version counts no more after a rollback, but for the pins that are to stay. */
export const isReleased = (spec: ReleaseRule, match: CanaryMatch): boolean =>
  match.side !== STABLE &&
  !(spec.kind === 'canary' && match.name !== undefined && spec.guard?.keepPins.includes(match.name) === true)
