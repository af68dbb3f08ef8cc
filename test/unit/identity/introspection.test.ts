import { expect, test } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import type { HttpAsk } from '../../../src/identity/http.ts'
import { type IntrospectionOptions, IntrospectionProvider } from '../../../src/identity/introspection.ts'
import { notingProviderDeps } from '../../support/provider-deps.ts'

function setUp(own: Partial<IntrospectionOptions> = {}) {
  const time = { now: 1_800_000_000_000 }
  const asked: HttpAsk[] = []
  const issuer = { says: { active: true, sub: 'alice' } as unknown, gate: Promise.resolve() }
  const http = {
    async ask(ask: HttpAsk) {
      asked.push(ask)
      await issuer.gate
      if (issuer.says === 'away') throw new GatewayError('GW_IDENTITY_UNREACHABLE', 'away')
      return Buffer.from(typeof issuer.says === 'string' ? issuer.says : JSON.stringify(issuer.says))
    },
    close: async () => {},
  }
  const deps = notingProviderDeps({ clock: { now: () => time.now, monotonic: () => time.now } })
  const provider = new IntrospectionProvider(
    {
      name: 'opaque',
      url: new URL('https://id.example.com/introspect'),
      issuer: 'https://id.example.com/',
      audiences: [],
      clientId: 'sluice',
      clientSecret: 's3:cr+t&',
      clientAuth: 'basic',
      timeoutMs: 3000,
      maxInFlight: 10,
      cacheEntries: 100,
      activeMs: 30_000,
      inactiveMs: 5000,
      skewSeconds: 60,
      ...own,
    },
    http,
    deps,
  )
  return { provider, issuer, asked, time, ...deps }
}

test('asks once, by form and Basic, and believes "active" for a while', async () => {
  const { provider, asked, time, fetched } = setUp()
  expect(await provider.verify('tok/en==')).toMatchObject({ kind: 'valid', claims: { sub: 'alice' } })
  expect(asked[0]).toMatchObject({
    method: 'POST',
    body: 'token=tok%2Fen%3D%3D&token_type_hint=access_token',
    headers: { authorization: `Basic ${Buffer.from('sluice:s3%3Acr%2Bt%26').toString('base64')}` },
  })
  time.now += 29_999
  expect(provider.verify('tok/en==')).toMatchObject({ kind: 'valid' })
  expect(asked).toHaveLength(1)
  time.now += 1
  await provider.verify('tok/en==')
  expect(asked).toHaveLength(2)
  expect(fetched).toEqual(['opaque ok', 'opaque ok'])
})

test('client_secret_post puts both into the form and nothing into a header', async () => {
  const { provider, asked } = setUp({ clientAuth: 'post' })
  await provider.verify('t')
  expect(asked[0]?.body).toContain('client_id=sluice&client_secret=s3%3Acr%2Bt%26')
  expect(asked[0]?.headers).not.toHaveProperty('authorization')
})

test('"active" is never believed beyond exp', async () => {
  const { provider, issuer, asked, time } = setUp()
  issuer.says = { active: true, sub: 'a', exp: time.now / 1000 + 10 }
  await provider.verify('t')
  time.now += 10_000
  await provider.verify('t')
  expect(asked).toHaveLength(2)
  time.now += 60_000
  expect(await provider.verify('t')).toEqual({ kind: 'invalid', reason: 'expired' })
})

test('"not active" is believed shortly', async () => {
  const { provider, issuer, asked, time } = setUp()
  issuer.says = { active: false }
  expect(await provider.verify('t')).toEqual({ kind: 'invalid', reason: 'inactive' })
  expect(provider.verify('t')).toEqual({ kind: 'invalid', reason: 'inactive' })
  time.now += 5000
  issuer.says = { active: true, sub: 'a' }
  expect(await provider.verify('t')).toMatchObject({ kind: 'valid' })
  expect(asked).toHaveLength(2)
})

test.each([
  ['of another issuer', { active: true, iss: 'https://other/' }, 'issuer'],
  ['for somebody else', { active: true, aud: 'bank' }, 'audience'],
  ['for nobody', { active: true }, 'audience'],
  ['not yet good', { active: true, aud: 'shop', nbf: 1_800_000_061 }, 'not_yet'],
  ['with a time that is none', { active: true, aud: 'shop', exp: '1900000000' }, 'claims'],
])('an active token %s is refused', async (_, answer, reason) => {
  const { provider, issuer } = setUp({ audiences: ['shop'] })
  issuer.says = answer
  expect(await provider.verify('t')).toEqual({ kind: 'invalid', reason })
})

test.each([
  ['nothing', 'away', 'failed'],
  ['no JSON', '<html>', 'rejected'],
  ['active as text', { active: 'true' }, 'rejected'],
  ['active twice', '{"active":false,"active":true}', 'rejected'],
  ['no active', { sub: 'alice' }, 'rejected'],
])('%s for an answer is no yes, and is not remembered', async (_, says, result) => {
  const { provider, issuer, fetched, asked } = setUp()
  issuer.says = says
  expect(await provider.verify('t')).toEqual({ kind: 'unavailable' })
  expect(await provider.verify('t')).toEqual({ kind: 'unavailable' })
  expect(asked).toHaveLength(2)
  expect(fetched).toEqual([`opaque ${result}`, `opaque ${result}`])
})

test('one question for a token that comes many times at once; others beyond the limit are not asked', async () => {
  const { provider, issuer, asked } = setUp({ maxInFlight: 2 })
  let open = () => {}
  issuer.gate = new Promise((resolve) => {
    open = resolve
  })
  const same = Array.from({ length: 50 }, () => provider.verify('a'))
  const other = provider.verify('b')
  expect(provider.verify('c')).toEqual({ kind: 'unavailable' })
  expect(asked).toHaveLength(2)
  open()
  expect(await Promise.all([...same, other])).toHaveLength(51)
  expect(await provider.verify('c')).toMatchObject({ kind: 'valid' })
})

test.each(['', 'a b', 'a\0', 'ä', 'a,b', '=a', 'x'.repeat(16_385)])(
  'what is no bearer token is not sent to the issuer (%#)',
  (token) => {
    const { provider, asked } = setUp()
    expect(provider.verify(token)).toEqual({ kind: 'invalid', reason: 'malformed' })
    expect(asked).toHaveLength(0)
  },
)

test('neither token nor secret stands in the log', async () => {
  const { provider, issuer, warnings } = setUp()
  issuer.says = 'away'
  await provider.verify('the-token')
  expect(warnings).toHaveLength(1)
  expect(warnings.join()).not.toMatch(/the-token|s3/)
})
