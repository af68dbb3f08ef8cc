import type { KeyObject } from 'node:crypto'
// By parts: all of jose, encryption too, makes the start 20 ms longer.
import { JOSEError } from 'jose/errors'
import { compactVerify } from 'jose/jws/compact/verify'
import type { Algorithm } from '../core/token-algorithms.ts'
import type { TokenFailure } from './provider.ts'
import { type JsonObject, parseStrictObject } from './strict-json.ts'

/** Longer tokens are not even looked at. Characters. */
export const MAX_TOKEN_LENGTH = 16_384
const MAX_KID_LENGTH = 256

const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/

/** A token taken apart. Nothing of it is believed yet. */
export interface ParsedJwt {
  /** As it came. */
  readonly token: string
  readonly algorithm: string
  readonly kid: string | undefined
  /** Lower case, without `application/`. */
  readonly type: string | undefined
  readonly claims: JsonObject
}

/** What a token must be to pass. */
export interface JwtRules {
  readonly issuer: string
  /** Any of them; empty = not looked at. */
  readonly audiences: readonly string[]
  readonly algorithms: readonly Algorithm[]
  /** Allowed `typ`, lower case; a token without one passes. */
  readonly types: readonly string[]
  readonly skewSeconds: number
  /** Between `iat` and `exp`; 0 = any. */
  readonly maxLifetimeSeconds: number
}

/** Undefined unless it is base64url without padding, and the one way to write these bytes. */
function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

/**
 * Takes a compact JWS (RFC 7515 §7.1) apart, strictly. Undefined: too long, not base64url, no JSON objects, members
 * that stand twice, or a header that asks for what we do not do (`crit`, `b64`, `zip`). Where a key is to be found
 * according to the token (`jku`, `jwk`, `x5u`, `x5c`) is never looked at.
 */
export function parseJwt(token: string): ParsedJwt | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined
  const parts = COMPACT.exec(token)
  if (parts === null) return undefined
  const [, head = '', payload = '', tail = ''] = parts
  const [headBytes, payloadBytes] = [decode(head), decode(payload)]
  if (headBytes === undefined || payloadBytes === undefined || decode(tail) === undefined) return undefined
  const header = parseStrictObject(headBytes)
  if (header === undefined) return undefined
  for (const name of ['crit', 'b64', 'zip', 'enc']) if (Object.hasOwn(header, name)) return undefined
  const { alg, kid, typ } = header as Record<string, unknown>
  if (typeof alg !== 'string') return undefined
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH)) return undefined
  if (typ !== undefined && typeof typ !== 'string') return undefined
  const claims = parseStrictObject(payloadBytes)
  if (claims === undefined) return undefined
  const type = typ?.toLowerCase().replace(/^application\//, '')
  return { token, algorithm: alg, kid, type, claims }
}

/** An algorithm of the list, by exact spelling: `None` and `rs256` are none. */
export function allowedAlgorithm(jwt: ParsedJwt, rules: JwtRules): Algorithm | undefined {
  return rules.algorithms.find((each) => each === jwt.algorithm)
}

/** What is wrong with the claims; undefined = nothing. `now`: seconds since the epoch. */
export function claimProblem(
  { claims, type }: ParsedJwt,
  rules: JwtRules,
  now: number,
): TokenFailure | undefined {
  const { iss, aud } = claims as Record<string, unknown>
  if (iss !== rules.issuer) return 'issuer'
  if (type !== undefined && !rules.types.includes(type)) return 'type'
  if (rules.audiences.length > 0 && !isFor(aud, rules.audiences)) return 'audience'
  return timeProblem(claims, rules, now)
}

function isFor(audience: unknown, wanted: readonly string[]): boolean {
  const list: readonly unknown[] = Array.isArray(audience) ? audience : [audience]
  return list.some((each) => typeof each === 'string' && wanted.includes(each))
}

/** A NumericDate (RFC 7519 §2). Texts, infinities and negative times are none. */
const isTime = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER

/** Of `exp` (which must be there), `nbf` and `iat`, with the skew. */
export function timeProblem(
  claims: JsonObject,
  { skewSeconds, maxLifetimeSeconds }: Pick<JwtRules, 'skewSeconds' | 'maxLifetimeSeconds'>,
  now: number,
): TokenFailure | undefined {
  const { exp, nbf, iat } = claims as Record<string, unknown>
  if (!isTime(exp)) return 'claims'
  if (exp + skewSeconds <= now) return 'expired'
  if (nbf !== undefined && !isTime(nbf)) return 'claims'
  if (nbf !== undefined && nbf - skewSeconds > now) return 'not_yet'
  if (iat !== undefined && !isTime(iat)) return 'claims'
  if (iat !== undefined && iat - skewSeconds > now) return 'not_yet'
  if (maxLifetimeSeconds > 0 && (iat === undefined || exp - iat > maxLifetimeSeconds)) return 'claims'
  return undefined
}

/**
 * Whether the key made the token's signature with this very algorithm. Rejects only when it cannot be told: a key that
 * the algorithm does not fit.
 */
export async function isSigned({ token }: ParsedJwt, algorithm: Algorithm, key: KeyObject): Promise<boolean> {
  try {
    await compactVerify(token, key, { algorithms: [algorithm] })
    return true
  } catch (thrown) {
    if (thrown instanceof JOSEError) return false
    throw thrown
  }
}
