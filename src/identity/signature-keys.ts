import { constants, createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto'
import { z } from 'zod'
import { errorText, GatewayError } from '../core/errors.ts'
import { type Placed, refuseDuplicates } from './entry-file.ts'
import { type CredentialFacts, credentialShape } from './key-ring.ts'

/** Of RFC 9421 §3.3; each key has one, whatever a request says. */
export const SIGNATURE_ALGORITHMS = [
  'hmac-sha256',
  'ed25519',
  'ecdsa-p256-sha256',
  'rsa-pss-sha512',
  'rsa-v1_5-sha256',
] as const

export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number]

/** Shorter shared secrets can be guessed. Bytes. */
const MIN_SECRET = 16
const MIN_RSA_BITS = 2048

/** One key that signs requests, as files and configuration hold it. */
export const signatureKeySchema = z.strictObject({
  id: z.string().min(1).max(256).describe('`keyid` in the signature’s parameters.'),
  algorithm: z.enum(SIGNATURE_ALGORITHMS).describe('The only one taken with this key.'),
  secret: z
    .string()
    .optional()
    .describe('Shared secret for hmac-sha256, 16 bytes at least; take it from ${ENV:…} or ${FILE:…}.'),
  secretEncoding: z.enum(['utf8', 'base64']).default('utf8').describe('How secret is written. Default utf8.'),
  publicKey: z.string().optional().describe('PEM of the public key, for the other algorithms.'),
  owner: z.string().min(1).max(256).optional().describe('Id of the principal. Default: id.'),
  ...credentialShape,
})

export type SignatureKeyEntry = z.output<typeof signatureKeySchema>

/** A key ready for use. */
export interface SignatureKey extends CredentialFacts {
  readonly id: string
  readonly owner: string
  readonly algorithm: SignatureAlgorithm
  /** Never throws: what cannot be a signature is a wrong one. */
  verify(base: Buffer, signature: Buffer): boolean
}

function publicKeyOf(entry: SignatureKeyEntry): KeyObject {
  const { publicKey, algorithm } = entry
  if (publicKey === undefined) throw new GatewayError('GW_CONFIG_INVALID', `${algorithm} needs publicKey`)
  if (publicKey.includes('PRIVATE KEY')) {
    throw new GatewayError('GW_CONFIG_INVALID', 'publicKey holds a private key; the gateway must not have it')
  }
  let key: KeyObject
  try {
    key = createPublicKey(publicKey)
  } catch (thrown) {
    throw new GatewayError('GW_CONFIG_INVALID', `publicKey is no PEM public key: ${errorText(thrown)}`)
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  const isRsa = type === 'rsa' || (type === 'rsa-pss' && algorithm === 'rsa-pss-sha512')
  const fits = {
    ed25519: type === 'ed25519',
    'ecdsa-p256-sha256': type === 'ec' && details?.namedCurve === 'prime256v1',
    'rsa-pss-sha512': isRsa,
    'rsa-v1_5-sha256': isRsa,
  }
  if (!fits[algorithm as keyof typeof fits]) {
    throw new GatewayError('GW_CONFIG_INVALID', `publicKey (${type}) is no key for ${algorithm}`)
  }
  if (isRsa && (details?.modulusLength ?? 0) < MIN_RSA_BITS) {
    throw new GatewayError('GW_CONFIG_INVALID', `publicKey has less than ${MIN_RSA_BITS} bits`)
  }
  return key
}

function hmacVerifier(entry: SignatureKeyEntry): SignatureKey['verify'] {
  const secret = Buffer.from(entry.secret ?? '', entry.secretEncoding)
  if (secret.length < MIN_SECRET) {
    throw new GatewayError('GW_CONFIG_INVALID', `hmac-sha256 needs a secret of ${MIN_SECRET} bytes at least`)
  }
  return (base, signature) => {
    const expected = createHmac('sha256', secret).update(base).digest()
    return signature.length === expected.length && timingSafeEqual(signature, expected)
  }
}

function publicVerifier(entry: SignatureKeyEntry): SignatureKey['verify'] {
  const key = publicKeyOf(entry)
  const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING } = constants
  const check = (base: Buffer, signature: Buffer): boolean => {
    switch (entry.algorithm) {
      case 'ed25519':
        return verify(null, base, key, signature)
      case 'ecdsa-p256-sha256':
        return verify('sha256', base, { key, dsaEncoding: 'ieee-p1363' }, signature)
      case 'rsa-pss-sha512':
        return verify('sha512', base, { key, padding: RSA_PKCS1_PSS_PADDING, saltLength: 64 }, signature)
      default:
        return verify('sha256', base, { key, padding: RSA_PKCS1_PADDING }, signature)
    }
  }
  return (base, signature) => {
    try {
      return check(base, signature)
    } catch {
      return false
    }
  }
}

function toKey({ value: entry, place }: Placed<SignatureKeyEntry>): SignatureKey {
  try {
    const isShared = entry.algorithm === 'hmac-sha256'
    if (isShared ? entry.publicKey !== undefined : entry.secret !== undefined) {
      throw new GatewayError(
        'GW_CONFIG_INVALID',
        `${entry.algorithm} takes ${isShared ? 'secret' : 'publicKey'} alone`,
      )
    }
    const { secret: _secret, secretEncoding: _encoding, publicKey: _publicKey, ...facts } = entry
    const check = isShared ? hmacVerifier(entry) : publicVerifier(entry)
    return { ...facts, owner: entry.owner ?? entry.id, verify: check }
  } catch (thrown) {
    throw new GatewayError('GW_CONFIG_INVALID', `${place}: ${errorText(thrown)}`)
  }
}

/** The keys by their id. Throws GW_CONFIG_INVALID with the place of a key that cannot be used. */
export function createSignatureKeys(
  entries: readonly Placed<SignatureKeyEntry>[],
): ReadonlyMap<string, SignatureKey> {
  refuseDuplicates(entries, 'id', ({ id }) => id)
  return new Map(entries.map((entry) => [entry.value.id, toKey(entry)]))
}

/**
 * What a signature is remembered by. Of an ECDSA signature (r, s) also (r, -s) is right, which anybody can compute:
 * r alone stands for both. The others have one form each.
 */
export function signatureIdentity(algorithm: SignatureAlgorithm, signature: Buffer): Buffer {
  return algorithm === 'ecdsa-p256-sha256' ? signature.subarray(0, 32) : signature
}
