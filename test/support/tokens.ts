import {
  constants,
  createHmac,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign as signBytes,
} from 'node:crypto'

/** A key of an issuer in a test. */
export interface TokenKey {
  readonly alg: string
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** Public, with `kid`, `alg` and `use`. */
  readonly jwk: Readonly<Record<string, unknown>>
}

function makePair(alg: string): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (alg) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'ES384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' })
    case 'ES512':
      return generateKeyPairSync('ec', { namedCurve: 'P-521' })
    case 'EdDSA':
      return generateKeyPairSync('ed25519')
    default:
      return generateKeyPairSync('rsa', { modulusLength: 2048 })
  }
}

export function makeKey(alg: string, kid: string): TokenKey {
  const { privateKey, publicKey } = makePair(alg)
  const jwk = { ...(publicKey.export({ format: 'jwk' }) as JsonWebKey), kid, alg, use: 'sig' }
  return { alg, kid, privateKey, publicKey, jwk }
}

/** The text of a JWK set. */
export const jwksOf = (...keys: readonly TokenKey[]): string =>
  JSON.stringify({ keys: keys.map(({ jwk }) => jwk) })

/** base64url of a text, or of the JSON of anything else. */
export const encode = (part: unknown): string =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')

/** A signature as the algorithm wants it, by whatever key. */
export function signatureOf(alg: string, key: KeyObject, data: string): Buffer {
  const bytes = Buffer.from(data)
  const hash = `sha${alg.slice(2)}`
  switch (alg.slice(0, 2)) {
    case 'HS':
      return createHmac(hash, key).update(bytes).digest()
    case 'PS': {
      const padding = constants.RSA_PKCS1_PSS_PADDING
      return signBytes(hash, bytes, { key, padding, saltLength: Number(alg.slice(2)) / 8 })
    }
    case 'ES':
      return signBytes(hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
    case 'Ed':
      return signBytes(null, bytes, key)
    default:
      return signBytes(hash, bytes, key)
  }
}

/** A token of these very parts (texts stay as they are), signed by the key. */
export function rawToken(header: unknown, payload: unknown, alg: string, key: KeyObject): string {
  const data = `${encode(header)}.${encode(payload)}`
  return `${data}.${signatureOf(alg, key, data).toString('base64url')}`
}

/** A token; `header` goes over the usual one, undefined members are left out. */
export function makeToken(
  key: TokenKey,
  claims: Readonly<Record<string, unknown>>,
  header: Readonly<Record<string, unknown>> = {},
): string {
  return rawToken({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header }, claims, key.alg, key.privateKey)
}

export const secretKey = (secret: string | Buffer): KeyObject => createSecretKey(Buffer.from(secret))

export const ISSUER = 'https://id.example.com/'

/** Claims that pass. `now`: seconds since the epoch. */
export const goodClaims = (own: Readonly<Record<string, unknown>> = {}, now = Date.now() / 1000) => ({
  iss: ISSUER,
  aud: 'shop',
  sub: 'alice',
  iat: Math.floor(now) - 10,
  exp: Math.floor(now) + 600,
  ...own,
})
