import { parseList } from 'structured-headers'
import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import type { Principal } from '../../../src/core/principal.ts'
import { NO_RESOURCES } from '../../support/filter-environment.ts'
import { limitBench } from '../../support/limit-filters.ts'

const principal = (own: Partial<Principal> = {}): Principal => ({
  id: 'ann',
  kind: 'jwt',
  filter: 'login',
  realm: 'https://issuer.example',
  claims: {},
  roles: [],
  groups: [],
  scopes: [],
  ...own,
})

const bench = (rule: object, more: object = {}) => {
  const one = limitBench('rate-limit')
  one.use({ rules: [{ rate: '3/1m', ...rule }], ...more })
  return one
}

describe('what a client sees', () => {
  test('429 with Retry-After in whole seconds, and the state of the limit on every answer', async () => {
    const one = bench({ name: 'per-client', rate: '60/1m', burst: 2 })
    const first = await one.send()
    expect(first).toMatchObject({
      status: 200,
      headers: { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': '1' },
    })
    expect(parseList(first.headers['ratelimit-policy'] ?? '')).toEqual([
      [
        'per-client',
        new Map([
          ['q', 60],
          ['w', 60],
        ]),
      ],
    ])
    expect(parseList(first.headers['ratelimit'] ?? '')).toEqual([
      [
        'per-client',
        new Map([
          ['r', 1],
          ['t', 1],
        ]),
      ],
    ])
    await one.send()
    one.pass(1)
    const refused = await one.send()
    expect(refused).toMatchObject({
      status: 429,
      code: 'GW_RATE_LIMITED',
      headers: { 'retry-after': '1', 'x-ratelimit-remaining': '0', ratelimit: '"per-client";r=0;t=2' },
    })
    one.pass(999)
    expect((await one.send()).status).toBe(200)
    expect(one.counted).toEqual(['allowed', 'allowed', 'limited', 'allowed'])
  })

  test('of several rules the one that will refuse first', async () => {
    const one = limitBench('rate-limit')
    one.use({
      rules: [
        { name: 'hour', rate: '100/1h' },
        { name: 'minute', rate: '3/1m' },
      ],
    })
    const { headers } = await one.send()
    expect(headers).toMatchObject({
      'ratelimit-policy': '"hour";q=100;w=3600, "minute";q=3;w=60',
      ratelimit: '"minute";r=2;t=20',
      'x-ratelimit-limit': '3',
    })
    await one.send()
    await one.send()
    expect(await one.send()).toMatchObject({ status: 429, headers: { 'retry-after': '20' } })
  })

  test.each([
    ['draft', ['ratelimit', 'ratelimit-policy']],
    ['legacy', ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset']],
    ['none', []],
  ])('headers: %s', async (headers, names) => {
    const one = bench({}, { headers })
    expect(Object.keys((await one.send()).headers).sort()).toEqual(names)
    expect((await bench({ rate: '0/1s' }, { headers }).send()).headers['retry-after']).toBe('1')
  })
})

describe('who is counted', () => {
  test('a principal; equal ids of two issuers are two; without one the network', async () => {
    const one = bench({})
    expect(await one.allowed({ principal: principal() })).toBe(3)
    expect(await one.allowed({ principal: principal(), clientIp: '198.51.100.7' })).toBe(0)
    expect(await one.allowed({ principal: principal({ realm: 'https://other.example' }) })).toBe(3)
    expect(await one.allowed({ principal: principal({ kind: 'basic' }) })).toBe(3)
    expect(await one.allowed()).toBe(3)
    expect(await one.allowed({ clientIp: '198.51.100.7' })).toBe(3)
  })

  test('IPv6 by its /64, IPv4 in IPv6 as IPv4', async () => {
    const one = bench({ key: ['client-ip'] })
    expect(await one.allowed({ clientIp: '2001:db8:0:1::1' })).toBe(3)
    expect(await one.allowed({ clientIp: '2001:db8:0:1:ffff:ffff:ffff:ffff' })).toBe(0)
    expect(await one.allowed({ clientIp: '2001:db8:0:2::1' })).toBe(3)
    expect(await one.allowed({ clientIp: '192.0.2.9' })).toBe(3)
    expect(await one.allowed({ clientIp: '::ffff:192.0.2.9' })).toBe(0)
    const wide = bench({ key: ['client-ip'] }, { ipv4Prefix: 24, ipv6Prefix: 48 })
    expect(await wide.allowed({ clientIp: '192.0.2.9' })).toBe(3)
    expect(await wide.allowed({ clientIp: '192.0.2.200' })).toBe(0)
    expect(await wide.allowed({ clientIp: '2001:db8:0:1::1' })).toBe(3)
    expect(await wide.allowed({ clientIp: '2001:db8:0:2::1' })).toBe(0)
  })

  test('header, cookie, claim, method, route, all together', async () => {
    const header = bench({ key: ['header:X-Tenant'] })
    expect(await header.allowed({ headers: { 'x-tenant': 'a' } })).toBe(3)
    expect(await header.allowed({ headers: { 'x-tenant': 'b'.repeat(100_000) } })).toBe(3)
    expect(await header.allowed({ headers: { 'x-tenant': 'b'.repeat(100_000) } })).toBe(0)
    const cookie = bench({ key: ['cookie:sid'] })
    expect(await cookie.allowed({ headers: { cookie: 'a=1; sid=x' } })).toBe(3)
    expect(await cookie.allowed({ headers: { cookie: 'sid=x' } })).toBe(0)
    const claim = bench({ key: ['claim:org', 'method'] })
    const of = (org: unknown, method = 'GET') => ({ principal: principal({ claims: { org } }), method })
    expect(await claim.allowed(of('acme'))).toBe(3)
    expect(await claim.allowed(of('acme', 'POST'))).toBe(3)
    expect(await claim.allowed(of('acme'))).toBe(0)
    const all = bench({ key: ['constant'] })
    expect(await all.allowed({ clientIp: '198.51.100.1' })).toBe(3)
    expect(await all.allowed({ clientIp: '198.51.100.2' })).toBe(0)
  })

  test('without its key a request is counted by network, refused or passed, as the rule says', async () => {
    expect(await bench({ key: ['header:x-tenant'] }).allowed()).toBe(3)
    expect(await bench({ key: ['header:x-tenant'] }).allowed({ headers: { 'x-tenant': '' } })).toBe(3)
    const skip = bench({ key: ['header:x-tenant'], onMissingKey: 'skip' })
    expect(await skip.allowed()).toBe(1000)
    expect(skip.counted[0]).toBe('skipped')
    const deny = bench({ key: ['claim:org'], onMissingKey: 'deny' })
    expect(await deny.send({ principal: principal({ claims: { org: ['a', 'b'] } }) })).toMatchObject({
      status: 403,
      code: 'GW_RATE_KEY',
    })
    expect(deny.counted).toEqual(['no_key'])
    const empty = bench({ key: ['header:x-tenant'], onMissingKey: 'deny' })
    expect((await empty.send({ headers: { 'x-tenant': '' } })).status).toBe(403)
  })

  test('only requests that match are counted', async () => {
    const post = bench({ match: { methods: ['POST'] } })
    expect(await post.allowed()).toBe(1000)
    expect(await post.allowed({ method: 'POST' })).toBe(3)
    const anonymous = bench({ match: { principal: ['anonymous'] } })
    expect(await anonymous.allowed({ principal: principal() })).toBe(1000)
    expect(await anonymous.allowed()).toBe(3)
    const tokens = bench({ match: { principal: ['jwt'] } })
    expect(await tokens.allowed({ principal: principal() })).toBe(3)
    expect(await tokens.allowed({ principal: principal({ kind: 'basic' }) })).toBe(1000)
    expect(await tokens.allowed()).toBe(1000)
  })

  test('costs: a number, or of a header within its bounds', async () => {
    expect(await bench({ rate: '10/1m', cost: 4 }).allowed()).toBe(2)
    const byHeader = () => bench({ rate: '10/1m', cost: { header: 'x-cost', default: 2, max: 5 } })
    expect(await byHeader().allowed()).toBe(5)
    expect(await byHeader().allowed({ headers: { 'x-cost': '3' } })).toBe(3)
    expect(await byHeader().allowed({ headers: { 'x-cost': '0' } })).toBe(10)
    for (const wrong of ['-5', '1e9', '', '3, 1', '9'.repeat(16)]) {
      expect(await byHeader().allowed({ headers: { 'x-cost': wrong } })).toBe(5)
    }
    expect(await byHeader().allowed({ headers: { 'x-cost': '999999' } })).toBe(2)
  })
})

describe('which requests share a counter', () => {
  const rules = [{ rate: '3/1m' }]

  test('each route has its own for a filter written there; a filter with a name counts over its routes', async () => {
    const inline = limitBench('rate-limit')
    inline.use({ rules })
    expect([await inline.allowed({ route: 'a' }), await inline.allowed({ route: 'b' })]).toEqual([3, 3])
    const named = limitBench('rate-limit')
    named.use({ rules }, { name: 'everywhere' })
    expect([await named.allowed({ route: 'a' }), await named.allowed({ route: 'b' })]).toEqual([3, 0])
    const other = limitBench('rate-limit')
    other.use({ rules, scope: 'route' }, { name: 'everywhere' })
    expect([await other.allowed({ route: 'a' }), await other.allowed({ route: 'b' })]).toEqual([3, 3])
    const joined = limitBench('rate-limit')
    joined.use({ rules, scope: 'filter' })
    expect([await joined.allowed({ route: 'a' }), await joined.allowed({ route: 'b' })]).toEqual([3, 0])
  })

  test('counters survive an edit, and a raised limit helps at once', async () => {
    for (const algorithm of ['token-bucket', 'sliding-window', 'fixed-window']) {
      const one = limitBench('rate-limit')
      one.use({ rules: [{ name: 'r', rate: '3/1m', algorithm }] })
      expect(await one.allowed()).toBe(3)
      one.use({ rules: [{ name: 'r', rate: '5/1m', algorithm }], headers: 'none' })
      expect(await one.allowed()).toBe(2)
      one.use({ rules: [{ name: 'r', rate: '4/1m', algorithm }] })
      expect(await one.allowed()).toBe(0)
    }
  })
})

test('in the process no promise is made', () => {
  expect(bench({}).isSync()).toBe(true)
})

test('a dry run counts, refuses nobody, and says nothing to clients', async () => {
  const one = limitBench('rate-limit')
  one.use({ rules: [{ rate: '1/1m' }] }, { mode: 'dryRun' })
  for (let i = 0; i < 3; i++) expect(await one.send()).toMatchObject({ status: 200, headers: {} })
  expect(one.counted).toEqual(['allowed', 'limited', 'limited'])
})

test.each([
  [{ rules: [] }, 'rules'],
  [{ rules: [{ rate: '100' }] }, 'is no rate'],
  [{ rules: [{ rate: '1/0s' }] }, 'is no rate'],
  [{ rules: [{ rate: '1/1s', key: ['jwt'] }] }, 'write principal'],
  [{ rules: [{ rate: '1/1s', algorithm: 'fixed-window', burst: 2 }] }, 'only a token-bucket has a burst'],
  [{ rules: [{ rate: '1/1500ms', algorithm: 'fixed-window' }] }, 'whole seconds'],
  [{ rules: [{ rate: '1/1s', cost: 2 }] }, 'a request may cost more than ever is there'],
  [
    {
      rules: [
        { rate: '1/1s', name: 'a' },
        { rate: '2/1s', name: 'a' },
      ],
    },
    'two rules are called "a"',
  ],
  [{ rules: [{ rate: '1/1s' }], store: 'limits' }, 'no store "limits"'],
  [{ rules: [{ rate: '999999999999989/365d' }] }, 'cannot be counted exactly'],
])('refuses %j', (options, problem) => {
  expect(() => limitBench('rate-limit').use(options)).toThrow(problem)
})

test.each([
  ['closed', 503, 'GW_STORE_UNAVAILABLE'],
  ['open', 200, undefined],
  ['local', 200, undefined],
] as const)('without its store, onStoreError %s: %i', async (onStoreError, status, code) => {
  const store = {
    name: 'limits',
    isUp: false,
    run: () => Promise.reject(new GatewayError('GW_STORE_UNAVAILABLE')),
    hash: () => Promise.reject(new GatewayError('GW_STORE_UNAVAILABLE')),
    setIfAbsent: () => Promise.reject(new GatewayError('GW_STORE_UNAVAILABLE')),
  }
  for (const [type, options] of [
    ['rate-limit', { rules: [{ rate: '4/1m' }] }],
    ['quota', { period: 'day', limit: 4 }],
  ] as const) {
    const one = limitBench(type, { resources: { ...NO_RESOURCES, store: () => store } })
    one.use({ ...options, store: 'limits', gateways: 2, onStoreError })
    expect(await one.send()).toMatchObject({ status, code })
    expect(await one.allowed()).toBe({ closed: 0, open: 1000, local: 1 }[onStoreError])
    expect(one.counted[0]).toBe(onStoreError === 'local' ? 'local_allowed' : onStoreError)
  }
})
