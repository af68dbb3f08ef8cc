import { describe, expect, test } from 'vitest'
import { ASYMMETRIC_ALGORITHMS, isFitting, isSignedBy } from '../../../src/identity/algorithms.ts'
import { claimProblem, type JwtRules, parseJwt } from '../../../src/identity/jwt.ts'
import { goodClaims, ISSUER, makeKey, makeToken, secretKey, signatureOf } from '../../support/tokens.ts'

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

  test.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'])(
    '%s: good, changed, cut off, longer',
    (alg) => {
      const key = keys.find((each) => each.alg === alg) ?? (keys[0] as (typeof keys)[0])
      const made = signatureOf(alg, key.privateKey, 'data')
      const check = (data: string, signature: Buffer) =>
        isSignedBy(alg as 'RS256', key.publicKey, Buffer.from(data), signature)
      expect(isFitting(alg as 'RS256', key.publicKey)).toBe(true)
      expect(check('data', made)).toBe(true)
      expect(check('datb', made)).toBe(false)
      expect(check('data', made.subarray(1))).toBe(false)
      expect(check('data', Buffer.concat([made, Buffer.of(0)]))).toBe(false)
      expect(check('data', Buffer.alloc(made.length))).toBe(false)
      expect(check('data', Buffer.alloc(0))).toBe(false)
    },
  )

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
