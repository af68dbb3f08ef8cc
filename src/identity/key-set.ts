import { createSecretKey, hash, KeyObject, type webcrypto } from 'node:crypto'
import { importJWK } from 'jose/key/import'
import { errorText, GatewayError } from '../core/errors.ts'
import { type Algorithm, ASYMMETRIC_ALGORITHMS } from '../core/token-algorithms.ts'
import { isFitting } from './algorithms.ts'
import { type JsonObject, parseStrictObject } from './strict-json.ts'

/** More keys than any issuer has: each is tried when a token names none. */
const MAX_KEYS = 100
/** Keys without `kid` fitting one algorithm that are tried for one token; a token must not buy more work than this. */
const MAX_TRIED = 8

/** A key that checks signatures. */
export interface VerifyKey {
  /** Hash of the key itself: equal keys have equal ids, whatever they are called. */
  readonly id: string
  readonly kid: string | undefined
  /** The only algorithm that the issuer allows for it; undefined = any that fits. */
  readonly alg: string | undefined
  readonly key: KeyObject
}

/** The keys of one issuer at one moment. */
export interface KeySet {
  readonly keys: readonly VerifyKey[]
  has(id: string): boolean
  /**
   * Those that may have signed a token with this algorithm and `kid`; empty = none. Keys that the issuer gave no name
   * stand in for a name that is not there.
   */
  candidates(algorithm: Algorithm, kid: string | undefined): readonly VerifyKey[]
}

/** The public parts of a key by its type; anything else in a JWK is not looked at. */
const PUBLIC_PARTS: Readonly<Record<string, readonly string[]>> = {
  RSA: ['n', 'e'],
  EC: ['crv', 'x', 'y'],
  OKP: ['crv', 'x'],
}

/**
 * jose imports a key for one algorithm, which a JWK need not name: any of its kind will do, as the key is taken out of
 * that bond again. By curve, or type.
 */
const IMPORTED_AS: ReadonlyMap<unknown, Algorithm> = new Map([
  ['RSA', 'RS256'],
  ['P-256', 'ES256'],
  ['P-384', 'ES384'],
  ['P-521', 'ES512'],
  ['Ed25519', 'EdDSA'],
])

/** Puts keys into a set. */
export function createKeySet(keys: readonly VerifyKey[]): KeySet {
  const ids = new Set(keys.map(({ id }) => id))
  const nameless = keys.filter(({ kid }) => kid === undefined)
  const byKid = new Map<string, VerifyKey[]>()
  for (const each of keys) {
    if (each.kid === undefined) continue
    const same = byKid.get(each.kid)
    if (same === undefined) byKid.set(each.kid, [each])
    else same.push(each)
  }
  return {
    keys,
    has: (id) => ids.has(id),
    candidates(algorithm, kid) {
      const named = kid === undefined ? keys : (byKid.get(kid) ?? nameless)
      return named
        .filter(({ alg, key }) => (alg === undefined || alg === algorithm) && isFitting(algorithm, key))
        .slice(0, MAX_TRIED)
    },
  }
}

/** The one key of a provider with a shared secret. Bytes of UTF-8. */
export function secretKeySet(secret: string): KeySet {
  const bytes = Buffer.from(secret)
  const id = `secret:${hash('sha256', bytes, 'base64url')}`
  return createKeySet([{ id, kid: undefined, alg: undefined, key: createSecretKey(bytes) }])
}

/** Result of reading a JWK set. */
export interface ParsedKeys {
  readonly set: KeySet
  /** Keys that were left out, and why; one line each. Holds no key. */
  readonly dropped: readonly string[]
}

/**
 * Reads a JWK set (RFC 7517 §5). A key that cannot check signatures is left out; a document without a single usable
 * key, or one that is no JWK set, rejects with GW_IDENTITY_KEYS. Symmetric keys are never taken: who can read a public
 * document could sign with them.
 */
export async function parseJwks(bytes: Uint8Array): Promise<ParsedKeys> {
  const document = parseStrictObject(bytes)
  const list = document?.['keys']
  if (!Array.isArray(list)) throw new GatewayError('GW_IDENTITY_KEYS', 'this is no JWK set')
  const keys: VerifyKey[] = []
  const dropped: string[] = []
  const results = await Promise.all(list.slice(0, MAX_KEYS).map(readKey))
  results.forEach((result, index) => {
    if (typeof result === 'string') dropped.push(`key ${index + 1}: ${result}`)
    else keys.push(result)
  })
  if (list.length > MAX_KEYS) dropped.push(`${list.length - MAX_KEYS} keys beyond the first ${MAX_KEYS}`)
  if (keys.length === 0) {
    const reasons = dropped.length === 0 ? 'it is empty' : dropped.slice(0, 5).join('; ')
    throw new GatewayError('GW_IDENTITY_KEYS', `the JWK set has no usable key: ${reasons}`)
  }
  return { set: createKeySet(keys), dropped }
}

/** A text: why the key is of no use. */
async function readKey(entry: unknown): Promise<VerifyKey | string> {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return 'it is no object'
  const jwk = entry as JsonObject
  const { kty, kid, alg, use, key_ops: operations } = jwk as Record<string, unknown>
  const parts = typeof kty === 'string' && Object.hasOwn(PUBLIC_PARTS, kty) ? PUBLIC_PARTS[kty] : undefined
  if (parts === undefined) return 'its type (kty) is not RSA, EC or OKP'
  if (use !== undefined && use !== 'sig') return 'its use is not "sig"'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'its key_ops have no "verify"'
  if (kid !== undefined && typeof kid !== 'string') return 'its kid is no string'
  if (alg !== undefined && typeof alg !== 'string') return 'its alg is no string'
  const picked: Record<string, unknown> = { kty }
  for (const name of parts) picked[name] = jwk[name]
  const importAs = IMPORTED_AS.get(kty === 'RSA' ? kty : jwk['crv'])
  if (importAs === undefined) return 'no known algorithm has its curve (crv)'
  let key: KeyObject
  try {
    key = KeyObject.from((await importJWK(picked, importAs)) as webcrypto.CryptoKey)
  } catch (thrown) {
    return `it cannot be read: ${errorText(thrown)}`
  }
  const fits = ASYMMETRIC_ALGORITHMS.some(
    (each) => isFitting(each, key) && (alg === undefined || alg === each),
  )
  if (!fits) return 'no known algorithm fits it (RSA keys need 2048 bits)'
  const der = key.export({ format: 'der', type: 'spki' })
  return { id: hash('sha256', der, 'base64url'), kid, alg, key }
}
