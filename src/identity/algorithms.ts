import { constants, createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto'

/** JWS algorithms (RFC 7518 §3, RFC 8037, RFC 9864) that are known here. `none` is none of them. */
export const ASYMMETRIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const
export const HMAC_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const

export type AsymmetricAlgorithm = (typeof ASYMMETRIC_ALGORITHMS)[number]
export type HmacAlgorithm = (typeof HMAC_ALGORITHMS)[number]
export type Algorithm = AsymmetricAlgorithm | HmacAlgorithm

/** Below this an RSA key counts as broken (RFC 7518 §3.3). Bits. */
export const MIN_RSA_BITS = 2048

const CURVES: Readonly<Record<string, { readonly curve: string; readonly bytes: number }>> = {
  ES256: { curve: 'prime256v1', bytes: 64 },
  ES384: { curve: 'secp384r1', bytes: 96 },
  ES512: { curve: 'secp521r1', bytes: 132 },
}
const ED25519_BYTES = 64

const hashOf = (algorithm: string): string => `sha${algorithm.slice(2)}`
/** Of the hash, bytes: the length of a PSS salt (RFC 7518 §3.5) and the shortest good secret (§3.2). */
export const hashBytes = (algorithm: string): number => Number(algorithm.slice(2)) / 8

/** Whether an algorithm may be used with a key, by the key's own kind: never by what a token says. */
export function isFitting(algorithm: Algorithm, key: KeyObject): boolean {
  if (key.type === 'secret') {
    return algorithm.startsWith('HS') && (key.symmetricKeySize ?? 0) >= hashBytes(algorithm)
  }
  if (key.type !== 'public') return false
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  switch (algorithm.slice(0, 2)) {
    case 'RS':
    case 'PS':
      return type === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS
    case 'ES':
      return type === 'ec' && details?.namedCurve === CURVES[algorithm]?.curve
    case 'Ed':
      return type === 'ed25519'
    default:
      return false
  }
}

/**
 * Checks a JWS signature. Synchronous: `crypto.verify` costs a fifth of the way through the thread pool.
 * `algorithm` must fit the key. False for every signature of a wrong length or form.
 */
export function isSignedBy(
  algorithm: Algorithm,
  key: KeyObject,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  switch (algorithm.slice(0, 2)) {
    case 'HS': {
      const expected = createHmac(hashOf(algorithm), key).update(data).digest()
      return expected.length === signature.length && timingSafeEqual(expected, signature)
    }
    case 'RS':
      return hasRsaLength(key, signature) && verify(hashOf(algorithm), data, key, signature)
    case 'PS': {
      const padding = constants.RSA_PKCS1_PSS_PADDING
      const saltLength = hashBytes(algorithm)
      return (
        hasRsaLength(key, signature) &&
        verify(hashOf(algorithm), data, { key, padding, saltLength }, signature)
      )
    }
    case 'ES':
      return (
        isPossibleEcdsa(signature, CURVES[algorithm]?.bytes ?? 0) &&
        verify(hashOf(algorithm), data, { key, dsaEncoding: 'ieee-p1363' }, signature)
      )
    case 'Ed':
      return signature.length === ED25519_BYTES && verify(null, data, key, signature)
    default:
      return false
  }
}

function hasRsaLength(key: KeyObject, signature: Uint8Array): boolean {
  return signature.length === Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
}

/** r and s of the right length and neither of them 0 (CVE-2022-21449), whatever the library below thinks of it. */
function isPossibleEcdsa(signature: Uint8Array, bytes: number): boolean {
  if (signature.length !== bytes) return false
  const half = bytes / 2
  const isZero = (part: Uint8Array) => part.every((byte) => byte === 0)
  return !isZero(signature.subarray(0, half)) && !isZero(signature.subarray(half))
}
