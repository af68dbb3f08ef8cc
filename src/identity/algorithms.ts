import type { KeyObject } from 'node:crypto'
import type { Algorithm } from '../core/token-algorithms.ts'

/** Below this an RSA key counts as broken (RFC 7518 §3.3). Bits. */
export const MIN_RSA_BITS = 2048

const CURVES: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
}

/** Of the hash: as long must a secret be (RFC 7518 §3.2). Bytes. */
const hashBytes = (algorithm: string): number => Number(algorithm.slice(2)) / 8

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
      return type === 'ec' && details?.namedCurve === CURVES[algorithm]
    case 'Ed':
      return type === 'ed25519'
    default:
      return false
  }
}
