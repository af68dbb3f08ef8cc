import { z } from 'zod'
import type { Principal } from '../core/principal.ts'
import type { IdentityProvider, TokenFailure, TokenVerdict } from '../identity/provider.ts'
import type { JsonObject } from '../identity/strict-json.ts'
import { claimRules, hasScopes, obeys, scopeRules } from './claim-rules.ts'
import type { FilterContext } from './filter.ts'
import { type TokenPlace, tokenLocation, tokenPlace } from './token-locations.ts'

const allow = () =>
  z
    .enum(['missing', 'missingOrFailed'])
    .optional()
    .describe(
      'missing: no token is fine, a bad one is refused. missingOrFailed: a bad one counts as none. Default: a token is needed.',
    )

const providerName = () => z.string().min(1).describe('Name in identityProviders.')

const leaf = z.union([
  providerName(),
  z.strictObject({
    provider: providerName(),
    from: z
      .array(tokenLocation)
      .min(1)
      .optional()
      .describe('Where this token is. Default: the filter’s from.'),
    scopes: scopeRules.optional().describe('Scopes it must have, beside the filter’s.'),
    claims: claimRules.optional().describe('Claims it must have, beside the filter’s.'),
  }),
])

const anyOf = <T extends z.ZodType>(inner: T) =>
  z.strictObject({ any: z.array(inner).min(1).describe('One of these.'), allow: allow() })
const allOf = <T extends z.ZodType>(inner: T) =>
  z.strictObject({ all: z.array(inner).min(1).describe('Each of these; the first is the principal.') })

/** Which tokens a request needs. */
export const requirement = z.union([
  leaf,
  anyOf(z.union([leaf, allOf(leaf)])),
  allOf(z.union([leaf, anyOf(leaf)])),
])

type Leaf = z.output<typeof leaf>
type Node =
  | Leaf
  | { readonly any: readonly Node[]; readonly allow?: 'missing' | 'missingOrFailed' | undefined }
  | { readonly all: readonly Node[] }

/** What was found out about a request. */
export type Finding =
  /** `principal` undefined: nobody, and that is fine. */
  | { readonly kind: 'ok'; readonly principal: Principal | undefined }
  | { readonly kind: 'missing' }
  | { readonly kind: 'invalid'; readonly reason: TokenFailure }
  /** A good token that is not enough. */
  | { readonly kind: 'forbidden'; readonly scopes: readonly string[] }
  | { readonly kind: 'unavailable' }
  | { readonly kind: 'ambiguous' }

export type Requirement = (ctx: FilterContext) => Finding | Promise<Finding>

/** What leaves have in common. */
export interface LeafDefaults {
  readonly from: readonly TokenPlace[]
  readonly scopes: z.output<typeof scopeRules>
  readonly claims: z.output<typeof claimRules>
  provider(name: string): IdentityProvider
  /** Undefined: the claims do not say who it is. */
  principal(provider: IdentityProvider, claims: JsonObject): Principal | undefined
}

/** A requirement ready to be asked, and all places where it looks for tokens. */
export interface CompiledRequirement {
  readonly check: Requirement
  readonly places: readonly TokenPlace[]
}

const ANONYMOUS: Finding = { kind: 'ok', principal: undefined }
const NO_CLAIMS: Finding = { kind: 'invalid', reason: 'claims' }

export function compileRequirement(node: Node, defaults: LeafDefaults): CompiledRequirement {
  const places: TokenPlace[] = []
  return { check: compile(node, defaults, places), places }
}

function compile(node: Node, defaults: LeafDefaults, places: TokenPlace[]): Requirement {
  if (typeof node === 'string') return compileLeaf({ provider: node }, defaults, places)
  if ('provider' in node) return compileLeaf(node, defaults, places)
  if ('any' in node) {
    const parts = node.any.map((each) => compile(each, defaults, places))
    return lenient(firstOf(parts), node.allow)
  }
  return eachOf(node.all.map((each) => compile(each, defaults, places)))
}

/** Go on with a value that may have to be waited for; at once when it is there. */
function andThen<T>(value: T | Promise<T>, next: (value: T) => T | Promise<T>): T | Promise<T> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** From what says least about a request to what says most. */
const TELLING = ['missing', 'issuer', 'invalid', 'unavailable', 'forbidden', 'ambiguous', 'ok']

/** "Not of this issuer" says nothing when there are others. */
const weight = (found: Finding) =>
  TELLING.indexOf(found.kind === 'invalid' && found.reason === 'issuer' ? 'issuer' : found.kind)

function firstOf(parts: readonly Requirement[]): Requirement {
  return (ctx) => {
    const from = (index: number, best: Finding): Finding | Promise<Finding> => {
      const part = parts[index]
      if (part === undefined) return best
      return andThen(part(ctx), (found) => {
        if (found.kind === 'ok') return found
        return from(index + 1, weight(found) > weight(best) ? found : best)
      })
    }
    return from(0, { kind: 'missing' })
  }
}

function eachOf(parts: readonly Requirement[]): Requirement {
  return (ctx) => {
    const from = (index: number, first: Finding): Finding | Promise<Finding> => {
      const part = parts[index]
      if (part === undefined) return first
      return andThen(part(ctx), (found) => {
        if (found.kind !== 'ok') return found
        const hasPrincipal = first.kind === 'ok' && first.principal !== undefined
        return from(index + 1, hasPrincipal ? first : found)
      })
    }
    return from(0, ANONYMOUS)
  }
}

/** No token, or a bad one, may be fine. */
export function lenient(check: Requirement, allowed: 'missing' | 'missingOrFailed' | undefined): Requirement {
  if (allowed === undefined) return check
  return (ctx) =>
    andThen(check(ctx), (found) =>
      found.kind === 'ok' || (found.kind !== 'missing' && allowed === 'missing') ? found : ANONYMOUS,
    )
}

function compileLeaf(node: Exclude<Leaf, string>, defaults: LeafDefaults, places: TokenPlace[]): Requirement {
  const provider = defaults.provider(node.provider)
  const own = node.from?.map(tokenPlace)
  const from = own ?? defaults.from
  for (const place of from) if (!places.includes(place)) places.push(place)
  const judge = (verdict: TokenVerdict): Finding => {
    if (verdict.kind !== 'valid') return verdict
    const principal = defaults.principal(provider, verdict.claims)
    if (principal === undefined) return NO_CLAIMS
    for (const { scopes = defaults.scopes, claims = defaults.claims } of [defaults, node]) {
      if (!hasScopes(principal.scopes, scopes) || !obeys(verdict.claims, claims))
        return { kind: 'forbidden', scopes: [...scopes.all, ...scopes.any] }
    }
    return { kind: 'ok', principal }
  }
  return (ctx) => {
    for (const place of from) {
      const found = place.find(ctx)
      if (found.length > 1) return { kind: 'ambiguous' }
      const [token] = found
      if (token === undefined) continue
      const verdict = provider.verify(token)
      return verdict instanceof Promise ? verdict.then(judge) : judge(verdict)
    }
    return { kind: 'missing' }
  }
}
