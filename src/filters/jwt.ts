import { z } from 'zod'
import type { Principal } from '../core/principal.ts'
import type { IdentityProvider, TokenFailure } from '../identity/provider.ts'
import { claimAt, type JsonObject } from '../identity/strict-json.ts'
import { setPrincipalHeaders } from './claim-headers.ts'
import { claimRules, namesAt, scopeRules, scopesAt } from './claim-rules.ts'
import { defineFilter, type FilterContext, type FilterDeps, type FilterReply } from './filter.ts'
import { leaveChallenge, principalHeadersOption } from './identity-options.ts'
import { tokenLocation, tokenPlace } from './token-locations.ts'
import { compileRequirement, type Finding, lenient, requirement } from './token-requirement.ts'

/** Seconds that a client is told to wait when nobody can say who it is. */
const RETRY_AFTER_S = 2

const claimPath = () => z.string().min(1)

const options = z
  .strictObject({
    providers: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('Names in identityProviders: a token of any of them will do.'),
    require: requirement
      .optional()
      .describe(
        'Instead of providers, for more than that: { any: […] }, { all: […] }, one level in the other.',
      ),
    allow: z
      .enum(['missing', 'missingOrFailed'])
      .optional()
      .describe(
        'missing: no token is fine, a bad one is refused. missingOrFailed: a bad one counts as none. Default: a token is needed.',
      ),
    from: z
      .array(tokenLocation)
      .min(1)
      .default([{ header: 'authorization', prefix: 'Bearer' }])
      .describe('Where the token is; the first place that has one counts. Default: Authorization: Bearer.'),
    scopes: scopeRules.prefault({}).describe('Scopes that the token must have (403).'),
    claims: claimRules
      .default({})
      .describe(
        'Claims that the token must have (403): exactly this, one of a list, { contains }, { containsAny }.',
      ),
    idClaim: claimPath().default('sub').describe('Claim that says who it is. Default sub.'),
    rolesClaim: claimPath()
      .default('roles')
      .describe('Claim with roles, may be a path: realm_access.roles. Default roles.'),
    groupsClaim: claimPath().default('groups').describe('Claim with groups. Default groups.'),
    scopesClaim: claimPath()
      .optional()
      .describe('Claim with scopes, a list or words. Default scope, else scp.'),
    headers: principalHeadersOption(),
    forward: z
      .boolean()
      .default(false)
      .describe('The service gets the token, too. Default false: it is taken off.'),
    realm: z
      .string()
      .regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, { error: 'printable ASCII without " and \\' })
      .default('api')
      .describe('For WWW-Authenticate. Default api.'),
  })
  .refine(({ providers, require: tree }) => (providers === undefined) !== (tree === undefined), {
    error: 'write either providers or require',
    path: ['providers'],
  })

type Options = z.output<typeof options>

/** Lets a request pass with a token of one of the identity providers, and says who it is. */
export const jwt = defineFilter({
  name: 'jwt',
  summary:
    'Checks tokens (JWT, or any bearer token by introspection): 401 without a good one, 403 without the scopes and claims.',
  options,
  create(chosen, deps) {
    const places = chosen.from.map(tokenPlace)
    const providers = new Set<IdentityProvider>()
    const compiled = compileRequirement(chosen.require ?? { any: chosen.providers ?? [] }, {
      from: places,
      scopes: chosen.scopes,
      claims: chosen.claims,
      provider: (name) => {
        const provider = deps.resources.identityProvider(name)
        providers.add(provider)
        return provider
      },
      principal: createPrincipals(chosen, deps),
    })
    const check = lenient(compiled.check, chosen.allow)
    const wanted = Object.entries(chosen.headers)

    const finish = (ctx: FilterContext, found: Finding): FilterReply | undefined => {
      // Whatever comes of it: a token that the service may not see is not let through because it was bad.
      if (!chosen.forward) for (const place of compiled.places) place.strip(ctx)
      deps.metrics.count('sluice_auth_decisions_total', [deps.name, decisionOf(found)])
      if (found.kind !== 'ok') return refusal(found, chosen.realm)
      const { principal } = found
      setPrincipalHeaders(ctx.headers, wanted, principal)
      if (principal === undefined) return leaveChallenge(ctx, `Bearer realm="${chosen.realm}"`)
      ctx.principal = principal
      return undefined
    }
    return {
      async prepare() {
        for (const provider of providers) await provider.check()
      },
      ownsHeaders: wanted.map(([header]) => header),
      inbound(ctx) {
        const found = check(ctx)
        return found instanceof Promise ? found.then((each) => finish(ctx, each)) : finish(ctx, found)
      },
    }
  },
})

/** The principal of claims, made once for each claims object: a token that is remembered has the same one again. */
function createPrincipals(
  { idClaim, rolesClaim, groupsClaim, scopesClaim }: Options,
  deps: FilterDeps,
): (provider: IdentityProvider, claims: JsonObject) => Principal | undefined {
  const known = new WeakMap<JsonObject, Principal>()
  const scopePaths = scopesClaim === undefined ? ['scope', 'scp'] : [scopesClaim]
  return (provider, claims) => {
    const existing = known.get(claims)
    if (existing !== undefined) return existing
    const id = claimAt(claims, idClaim)
    if (typeof id !== 'string' || id === '') return undefined
    const principal: Principal = Object.freeze({
      id,
      kind: provider.kind,
      filter: deps.name,
      realm: provider.realm,
      claims,
      roles: namesAt(claims, rolesClaim),
      groups: namesAt(claims, groupsClaim),
      scopes: scopesAt(claims, scopePaths),
    })
    known.set(claims, principal)
    return principal
  }
}

function decisionOf(found: Finding): string {
  if (found.kind === 'ok') return found.principal === undefined ? 'anonymous' : 'ok'
  return found.kind === 'invalid' ? found.reason : found.kind
}

/** For the operator. */
const FAILURES: Readonly<Record<TokenFailure, string>> = {
  malformed: 'it is no token',
  algorithm: 'its algorithm is not among those allowed',
  unknown_key: 'no key of the issuer has its key id',
  signature: 'its signature is wrong',
  expired: 'it has expired',
  not_yet: 'it is not valid yet',
  issuer: 'it is of another issuer',
  audience: 'it is meant for another audience',
  type: 'it is a token of another type',
  claims: 'a claim that is needed is missing or wrong',
  inactive: 'the issuer says it is not active',
}

/** RFC 6750 §3: a request without a token gets no error code. */
function refusal(found: Exclude<Finding, { kind: 'ok' }>, realm: string): FilterReply {
  const challenge = (...more: string[]) => ({
    'www-authenticate': [`Bearer realm="${realm}"`, ...more].join(', '),
  })
  switch (found.kind) {
    case 'missing':
      return { status: 401, code: 'GW_AUTH_MISSING', headers: challenge() }
    case 'ambiguous':
      return { status: 400, code: 'GW_AUTH_AMBIGUOUS', headers: challenge('error="invalid_request"') }
    case 'forbidden': {
      const scopes = found.scopes.filter((each) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(each))
      const more = scopes.length === 0 ? [] : [`scope="${scopes.join(' ')}"`]
      return {
        status: 403,
        code: 'GW_AUTH_SCOPE',
        reason:
          scopes.length === 0 ? 'a claim is missing or differs' : `scope ${scopes.join(' ')} is missing`,
        headers: challenge('error="insufficient_scope"', ...more),
      }
    }
    case 'unavailable':
      return { status: 503, code: 'GW_AUTH_UNAVAILABLE', headers: { 'retry-after': String(RETRY_AFTER_S) } }
    case 'invalid': {
      const isExpired = found.reason === 'expired'
      const more = isExpired ? ['error_description="the token has expired"'] : []
      return {
        status: 401,
        code: isExpired ? 'GW_AUTH_EXPIRED' : 'GW_AUTH_INVALID',
        reason: FAILURES[found.reason],
        headers: challenge('error="invalid_token"', ...more),
      }
    }
  }
}
