import { compactVerify } from 'jose/jws/compact/verify'
import { expect, test, vi } from 'vitest'
import { ASYMMETRIC_ALGORITHMS } from '../../../src/core/token-algorithms.ts'
import { JwtProvider } from '../../../src/identity/jwt-provider.ts'
import { type KeySet, parseJwks } from '../../../src/identity/key-set.ts'
import type { KeySource } from '../../../src/identity/key-source.ts'
import { notingProviderDeps } from '../../support/provider-deps.ts'
import { goodClaims, ISSUER, jwksOf, makeKey, makeToken, type TokenKey } from '../../support/tokens.ts'

vi.mock('jose/jws/compact/verify', { spy: true })

const one = makeKey('EdDSA', 'one')
const two = makeKey('EdDSA', 'two')
const START = 1_800_000_000_000

async function setUp(own: { entries?: number; keys?: readonly TokenKey[] } = {}) {
  const time = { now: START }
  const checks = vi.mocked(compactVerify)
  checks.mockClear()
  const setOf = async (keys: readonly TokenKey[]): Promise<KeySet> =>
    (await parseJwks(Buffer.from(jwksOf(...keys)))).set
  const source = {
    set: (own.keys?.length === 0 ? undefined : await setOf(own.keys ?? [one])) as KeySet | undefined,
    refetches: 0,
    onRefetch: () => true,
  }
  const keys: KeySource = {
    current: () => source.set,
    refetch: async () => {
      source.refetches++
      return source.onRefetch()
    },
    check: async () => {},
    start: async () => {},
    ageSeconds: () => undefined,
    close: async () => {},
  }
  const clock = { now: () => time.now, monotonic: () => time.now }
  const rules = {
    issuer: ISSUER,
    audiences: ['shop'],
    algorithms: ASYMMETRIC_ALGORITHMS,
    types: ['jwt'],
    skewSeconds: 60,
    maxLifetimeSeconds: 0,
  }
  const options = { name: 'login', rules, cacheEntries: own.entries ?? 100, cacheMs: 60_000 }
  const deps = notingProviderDeps({ clock })
  const provider = new JwtProvider(options, keys, deps)
  const token = (key: TokenKey, claims = {}, header = {}) =>
    makeToken(key, goodClaims(claims, START / 1000), header)
  const { warnings } = deps
  return { provider, source, time, token, setOf, warnings, checks: () => checks.mock.calls.length }
}

test('a good token is checked once a minute and has the same claims object each time', async () => {
  const { provider, token, time, checks } = await setUp()
  const text = token(one)
  const first = await provider.verify(text)
  expect(first).toMatchObject({ kind: 'valid', claims: { sub: 'alice' } })
  time.now += 59_999
  // Without waiting: what is remembered costs no turn of the event loop.
  expect(provider.verify(text)).toBe(first)
  expect(checks()).toBe(1)
  time.now += 1
  expect(await provider.verify(text)).toMatchObject({ kind: 'valid' })
  expect(checks()).toBe(2)
})

test('claims cannot be changed by whoever gets them', async () => {
  const { provider, token } = await setUp()
  const verdict = await provider.verify(token(one, { deep: { list: [] } }))
  const claims = verdict.kind === 'valid' ? verdict.claims : {}
  expect(() => Object.assign(claims, { sub: 'root' })).toThrow(TypeError)
  expect(() => Object.assign(claims['deep'] as object, { x: 1 })).toThrow(TypeError)
})

test('a remembered token is never believed beyond its exp', async () => {
  const { provider, token, time, checks } = await setUp()
  const text = token(one, { exp: START / 1000 + 10 })
  await provider.verify(text)
  time.now += 9999
  await provider.verify(text)
  expect(checks()).toBe(1)
  // Within the skew it is good, but by a check of its own each time.
  time.now += 1
  expect(await provider.verify(text)).toMatchObject({ kind: 'valid' })
  await provider.verify(text)
  expect(checks()).toBe(3)
  time.now += 60_000
  expect(await provider.verify(text)).toEqual({ kind: 'invalid', reason: 'expired' })
})

test('a remembered token goes with the key that checked it', async () => {
  const { provider, token, source, setOf } = await setUp({ keys: [one, two] })
  const text = token(one)
  await provider.verify(text)
  source.set = await setOf([two])
  expect(await provider.verify(text)).toEqual({ kind: 'invalid', reason: 'unknown_key' })
})

test('bad tokens and long ones are not remembered, and no more than so many', async () => {
  const { provider, token, checks } = await setUp({ entries: 2 })
  const bad = `${token(one).slice(0, -4)}AAAA`
  for (let i = 0; i < 3; i++) expect(await provider.verify(bad)).toMatchObject({ kind: 'invalid' })
  const before = checks()
  const long = token(one, { filler: 'x'.repeat(4000) })
  for (let i = 0; i < 3; i++) expect(await provider.verify(long)).toMatchObject({ kind: 'valid' })
  expect(checks()).toBe(before + 3)
  const three = ['a', 'b', 'c'].map((sub) => token(one, { sub }))
  for (const text of three) await provider.verify(text)
  await provider.verify(three[0] as string)
  expect(checks()).toBe(before + 7)
})

test('a token of somebody else, or a stale one, asks for no keys', async () => {
  const { provider, token, source } = await setUp()
  for (const claims of [{ iss: 'https://other/' }, { aud: 'x' }, { exp: 1 }]) {
    expect(provider.verify(token(two, claims))).toMatchObject({ kind: 'invalid' })
  }
  expect(source.refetches).toBe(0)
})

test('a new key is fetched while the request waits', async () => {
  const { provider, token, source, setOf } = await setUp()
  const both = await setOf([one, two])
  source.onRefetch = () => {
    source.set = both
    return true
  }
  expect(await provider.verify(token(two))).toMatchObject({ kind: 'valid' })
  expect(source.refetches).toBe(1)
})

test('an unknown key is the token’s fault while the issuer answers, and nobody’s while it does not', async () => {
  const { provider, token, source } = await setUp()
  expect(await provider.verify(token(two))).toEqual({ kind: 'invalid', reason: 'unknown_key' })
  source.onRefetch = () => false
  expect(await provider.verify(token(two))).toEqual({ kind: 'unavailable' })
  source.set = undefined
  expect(await provider.verify(token(one))).toEqual({ kind: 'unavailable' })
})

test('a token without kid is tried with every key that fits, and only with those', async () => {
  const rsa = makeKey('RS256', 'rsa')
  const { provider, token, checks } = await setUp({ keys: [rsa, one, two] })
  expect(await provider.verify(token(two, {}, { kid: undefined }))).toMatchObject({ kind: 'valid' })
  expect(checks()).toBe(2)
})

test('requests that bring one new token at the same time share one check; the next token has its own', async () => {
  const { provider, token, checks } = await setUp({ entries: 0 })
  const text = token(one)
  const verdicts = await Promise.all(Array.from({ length: 50 }, () => provider.verify(text)))
  expect(checks()).toBe(1)
  expect(verdicts[0]).toMatchObject({ kind: 'valid' })
  expect(new Set(verdicts).size).toBe(1)
  const bad = `${text.slice(0, -4)}AAAA`
  const [good, worse] = await Promise.all([provider.verify(text), provider.verify(bad)])
  expect([good?.kind, worse?.kind]).toEqual(['valid', 'invalid'])
  expect(checks()).toBe(3)
})

test('who brings a token while it is checked is still held to the time', async () => {
  const { provider, token, time } = await setUp()
  const text = token(one, { exp: START / 1000 })
  time.now += 59_999
  const first = provider.verify(text)
  time.now += 1
  expect(provider.verify(text)).toEqual({ kind: 'invalid', reason: 'expired' })
  expect(await first).toMatchObject({ kind: 'valid' })
})

test('a check that fails itself is nobody’s fault, and said', async () => {
  const { provider, source, token, warnings } = await setUp()
  const key = { id: 'x', kid: 'one', alg: undefined, key: one.privateKey }
  source.set = { keys: [key], has: () => true, candidates: () => [key] }
  expect(await provider.verify(token(one))).toEqual({ kind: 'unavailable' })
  expect(warnings.join()).toContain('could not be checked')
})
