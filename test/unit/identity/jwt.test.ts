import { type KeyObject, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Algorithm, ASYMMETRIC_ALGORITHMS } from '../../../src/core/token-algorithms.ts'
import { isFitting } from '../../../src/identity/algorithms.ts'
import { claimProblem, isSigned, type JwtRules, type ParsedJwt, parseJwt } from '../../../src/identity/jwt.ts'
import { encode, goodClaims, ISSUER, makeKey, makeToken, rawToken, secretKey } from '../../support/tokens.ts'

const RULES: JwtRules = {
  issuer: ISSUER,
  audiences: ['shop', 'web'],
  algorithms: ASYMMETRIC_ALGORITHMS,
  types: ['jwt', 'at+jwt'],
  skewSeconds: 60,
  maxLifetimeSeconds: 0,
}
const NOW = 1_800_000_000
const ed = makeKey('EdDSA', 'k')

function problem(own: Record<string, unknown>, rules: Partial<JwtRules> = {}, header = {}) {
  const jwt = parseJwt(makeToken(ed, goodClaims(own, NOW), header))
  return jwt === undefined ? 'unparsed' : claimProblem(jwt, { ...RULES, ...rules }, NOW)
}

describe('signatures', () => {
  const keys = ['RS256', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA'].map((alg) => makeKey(alg, alg))

  /** Whether the key made it, for a token that is nothing but text. */
  const isMade = (token: string, alg: string, key: KeyObject) =>
    isSigned({ token } as ParsedJwt, alg as Algorithm, key)

  const all = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']
  test.each([...all, 'Ed25519'])('%s: good, changed, cut off, longer', async (alg) => {
    const family = alg === 'Ed25519' ? 'EdDSA' : alg
    const { privateKey, publicKey } =
      keys.find((each) => each.alg === family) ?? (keys[0] as (typeof keys)[0])
    const token = rawToken({ alg }, 'data', alg, privateKey)
    const [head = '', , tail = ''] = token.split('.')
    const made = Buffer.from(tail, 'base64url')
    const check = (data: string, signature: Buffer) =>
      isMade(`${head}.${encode(data)}.${signature.toString('base64url')}`, alg, publicKey)
    expect(isFitting(alg as Algorithm, publicKey)).toBe(true)
    expect(await check('data', made)).toBe(true)
    expect(await check('datb', made)).toBe(false)
    const changed = Buffer.from(made)
    changed[5] = (changed[5] ?? 0) ^ 1
    const zero = Buffer.alloc(made.length / 2)
    const others = [
      changed,
      made.subarray(1),
      made.subarray(0, -1),
      Buffer.concat([made, Buffer.of(0)]),
      Buffer.concat([Buffer.of(0), made]),
      Buffer.concat([made, made]),
      Buffer.alloc(made.length),
      Buffer.concat([zero, made.subarray(zero.length)]),
      Buffer.concat([made.subarray(0, zero.length), zero]),
      Buffer.alloc(made.length, 0xff),
      Buffer.alloc(0),
    ]
    for (const other of others) expect([other, await check('data', other)]).toEqual([other, false])
  })

  test('a signature of DER is none of ES256', async () => {
    const key = keys.find(({ alg }) => alg === 'ES256') as (typeof keys)[0]
    const data = `${encode({ alg: 'ES256' })}.${encode('data')}`
    const der = sign('sha256', Buffer.from(data), { key: key.privateKey, dsaEncoding: 'der' })
    expect(await isMade(`${data}.${der.toString('base64url')}`, 'ES256', key.publicKey)).toBe(false)
  })

  test('a token that names another algorithm than the one that was chosen is not believed', async () => {
    const { privateKey, publicKey } = keys[0] as (typeof keys)[0]
    const secret = secretKey(publicKey.export({ format: 'pem', type: 'spki' }))
    for (const [alg, key] of [
      ['RS512', privateKey],
      ['PS256', privateKey],
      ['HS256', secret],
    ] as const) {
      expect(await isMade(rawToken({ alg }, 'data', alg, key), 'RS256', publicKey)).toBe(false)
    }
    expect(await isMade(`${encode({ alg: 'none' })}.${encode('data')}.`, 'RS256', publicKey)).toBe(false)
    // The other way round nothing is said of the token: a public key is no secret.
    const confused = rawToken({ alg: 'HS256' }, 'data', 'HS256', secret)
    await expect(isMade(confused, 'HS256', publicKey)).rejects.toThrow(TypeError)
  })

  test('an algorithm fits only its own kind of key', () => {
    const fits = (alg: string, index: number) => isFitting(alg as 'RS256', keys[index]?.publicKey as never)
    expect(fits('HS256', 0)).toBe(false)
    expect(fits('ES256', 0)).toBe(false)
    expect(fits('ES384', 2)).toBe(false)
    expect(fits('EdDSA', 2)).toBe(false)
    expect(fits('none', 0)).toBe(false)
    expect(isFitting('RS256', secretKey('x'.repeat(64)))).toBe(false)
    expect(isFitting('HS256', secretKey('x'.repeat(31)))).toBe(false)
    expect(isFitting('HS512', secretKey('x'.repeat(63)))).toBe(false)
    expect(isFitting('HS512', secretKey('x'.repeat(64)))).toBe(true)
    expect(isFitting('RS256', keys[0]?.privateKey as never)).toBe(false)
  })
})

test.each([1, null, ['k'], {}, 'x'.repeat(257)])('a kid of %j is none', (kid) =>
  expect(parseJwt(makeToken(ed, goodClaims(), { kid }))).toBeUndefined(),
)

describe('claims', () => {
  test('that are good', () => expect(problem({})).toBeUndefined())
  test('one of several audiences on both sides', () =>
    expect(problem({ aud: ['other', 'web'] })).toBeUndefined())
  test('no audience wanted', () => expect(problem({ aud: undefined }, { audiences: [] })).toBeUndefined())
  test.each([
    ['another issuer', { iss: 'https://evil.example/' }, 'issuer'],
    ['an issuer that only begins alike', { iss: `${ISSUER}x` }, 'issuer'],
    ['a list of issuers', { iss: [ISSUER] }, 'issuer'],
    ['no issuer', { iss: undefined }, 'issuer'],
    ['another audience', { aud: 'bank' }, 'audience'],
    ['no audience', { aud: undefined }, 'audience'],
    ['an audience that contains ours', { aud: 'shop web' }, 'audience'],
    ['an audience that is an object', { aud: { shop: true } }, 'audience'],
    ['no exp', { exp: undefined }, 'claims'],
    ['exp as text', { exp: String(NOW + 600) }, 'claims'],
    ['exp without end', { exp: 1e300 }, 'claims'],
    ['exp null', { exp: null }, 'claims'],
    ['exp true', { exp: true }, 'claims'],
    ['a negative exp', { exp: -1 }, 'claims'],
    ['exp beyond the skew', { exp: NOW - 60 }, 'expired'],
    ['nbf beyond the skew', { nbf: NOW + 61 }, 'not_yet'],
    ['nbf as text', { nbf: '0' }, 'claims'],
    ['iat in the future', { iat: NOW + 61 }, 'not_yet'],
    ['iat as text', { iat: '0' }, 'claims'],
  ])('with %s are refused', (_, own, reason) => expect(problem(own)).toBe(reason))

  test('fractions of seconds are times', () => expect(problem({ exp: NOW + 0.5 })).toBeUndefined())
  test('exp and nbf within the skew pass', () =>
    expect(problem({ exp: NOW - 59, nbf: NOW + 60 })).toBeUndefined())
  test('a limit on the lifetime needs iat', () => {
    const rules = { maxLifetimeSeconds: 3600 }
    expect(problem({ iat: NOW, exp: NOW + 3600 }, rules)).toBeUndefined()
    expect(problem({ iat: NOW, exp: NOW + 3601 }, rules)).toBe('claims')
    expect(problem({ iat: undefined }, rules)).toBe('claims')
  })
  test.each(['logout+jwt', 'secevent+jwt', 'dpop+jwt', 'JWE'])('typ %s is another kind of token', (typ) =>
    expect(problem({}, {}, { typ })).toBe('type'),
  )
  test.each(['jwt', 'application/at+jwt', undefined])('typ %s passes', (typ) =>
    expect(problem({}, {}, { typ })).toBeUndefined(),
  )
})
