import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CanaryRule } from '../../../src/core/canary.ts'
import {
  aLane,
  aMatch,
  anInstance,
  aRule,
  askSide,
  CATALOG,
  releaseTable,
  sideOf,
} from '../../support/canary.ts'

const users = (count: number) => Array.from({ length: count }, (_, i) => `user-${i}`)
const onCanary = async (percent: number, own: Partial<CanaryRule> = {}) => {
  const table = await releaseTable([aRule('v2', percent, own)])
  return new Set(users(5000).filter((user) => sideOf(table, { user }) === 'canary'))
}
const ids = () => {
  let n = 0
  return () => (n++).toString(16).padStart(32, '0')
}
const COOKIE = { name: 'cid', maxAgeMs: 60_000, isSecure: true, sameSite: 'lax' } as const

describe('the percentage', () => {
  test('is a share of the users, whatever the number of instances', async () => {
    expect((await onCanary(500)).size / 5000).toBeCloseTo(0.05, 1)
    expect((await onCanary(5000)).size / 5000).toBeCloseTo(0.5, 1)
    expect((await onCanary(0)).size).toBe(0)
    expect((await onCanary(10_000)).size).toBe(5000)
  })

  test('only adds users when it grows', async () => {
    const [five, ten] = [await onCanary(500), await onCanary(1000)]
    expect([...five].filter((user) => !ten.has(user))).toEqual([])
    expect(ten.size).toBeGreaterThan(five.size)
  })

  test('takes other users for another rule, and the same for the same salt', async () => {
    const of = async (name: string, salt?: string) => {
      const table = await releaseTable([aRule(name, 1000, salt === undefined ? {} : { salt })])
      return users(2000).filter((user) => sideOf(table, { user }) === 'canary')
    }
    expect(await of('a')).not.toEqual(await of('b'))
    expect(await of('a', 'november')).toEqual(await of('b', 'november'))
  })

  test('is that of the live state where there is one', async () => {
    const table = await releaseTable([aRule('v2', 0)], {
      states: new Map([['v2', { percent: 10_000, state: 'ramping' }]]),
    })
    expect(sideOf(table, { user: 'u' })).toBe('canary')
  })

  test('says its bucket to who asks', async () => {
    const table = await releaseTable([aRule('v2', 2500)])
    const trace: string[] = []
    askSide(table, { user: 'u-7' }, trace)
    expect(trace.join()).toMatch(
      /^v2: bucket \d+ of 10000, percent 25% -> (?:canary|stable) \(key claim\.sub\)$/,
    )
  })
})

describe('the key', () => {
  const keys = [
    { kind: 'claim', name: 'sub' },
    { kind: 'header', name: 'x-user' },
    { kind: 'cookie', name: 'cid' },
    { kind: 'ip' },
  ] as const

  test('is the first one present, and its value alone counts', async () => {
    const table = await releaseTable([aRule('v2', 5000, { keys })])
    const keyFor = (asker: Parameters<typeof askSide>[1]) => {
      const trace: string[] = []
      askSide(table, asker, trace)
      return /bucket (\d+).*\(key (.*)\)/.exec(trace[0] ?? '')?.slice(1)
    }
    const [bucket] = keyFor({ user: 'u1' }) ?? []
    expect(keyFor({ user: 'u1', headers: { 'x-user': 'other' } })).toEqual([bucket, 'claim.sub'])
    expect(keyFor({ headers: { 'x-user': 'u1', cookie: 'cid=other' } })).toEqual([bucket, 'header.x-user'])
    expect(keyFor({ headers: { cookie: 'a=b; cid=u1' } })).toEqual([bucket, 'cookie.cid'])
    expect(keyFor({ clientIp: 'u1' })).toEqual([bucket, 'ip'])
  })

  test('without any, the request stays on stable', async () => {
    const table = await releaseTable([aRule('v2', 10_000)])
    expect(sideOf(table)).toBe('stable')
  })

  test('a client without one gets a cookie, and with it the side it had at first', async () => {
    const rule = aRule('v2', 5000, { keys: [{ kind: 'cookie', name: 'cid' }], cookie: COOKIE })
    const table = await releaseTable([rule])
    const newId = ids()
    const seen = new Set<string>()
    for (let i = 0; i < 50; i++) {
      const first = askSide(table, { newId })
      const [cookie = ''] = first?.cookies ?? []
      expect(cookie).toMatch(/^cid=[0-9a-f]{32}; Max-Age=60; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
      const again = askSide(table, { newId, headers: { cookie: cookie.split(';')[0] ?? '' } })
      expect(again?.side?.name).toBe(first?.side?.name)
      expect(again?.cookies).toEqual([])
      seen.add(first?.side?.name ?? '')
    }
    expect(seen).toEqual(new Set(['canary', 'stable']))
  })

  test('a cookie does not move a client that was told apart by its address', async () => {
    const rule = aRule('v2', 300, { keys: [{ kind: 'cookie', name: 'cid' }, { kind: 'ip' }], cookie: COOKIE })
    const table = await releaseTable([rule])
    const newId = ids()
    let canaries = 0
    for (let i = 0; i < 1000; i++) {
      const clientIp = `10.0.${i >> 8}.${i & 255}`
      const first = askSide(table, { newId, clientIp })
      const cookie = first?.cookies[0]?.split(';')[0] ?? ''
      expect(sideOf(table, { clientIp: '203.0.113.9', headers: { cookie } })).toBe(first?.side?.name)
      if (first?.side?.name === 'canary') canaries++
    }
    expect(canaries).toBeGreaterThan(10)
    expect(canaries).toBeLessThan(60)
  })

  test('nobody gets a cookie while nothing is given away, or when a pin decided', async () => {
    const own = { keys: [{ kind: 'cookie', name: 'cid' }], cookie: COOKIE } as const
    expect(askSide(await releaseTable([aRule('v2', 0, own)]), { newId: ids() })?.cookies).toEqual([])
    const match = [aMatch('canary', { networks: ['192.0.2.0/24'] })]
    const table = await releaseTable([aRule('v2', 5000, { ...own, match })])
    expect(askSide(table, { newId: ids() })?.cookies).toEqual([])
  })
})

describe('pins', () => {
  const exact = (name: string, value: string) => [{ name, match: { kind: 'exact', value } as const }]
  const match = [
    aMatch('canary', { name: 'testers', users: ['u-1', 'u-2'] }),
    aMatch('canary', { headers: exact('x-release', 'canary'), isTrustedOnly: true }),
    aMatch('canary', { cookies: exact('beta', '1') }),
    aMatch('canary', { query: exact('v', '2') }),
    aMatch('canary', { networks: ['10.20.0.0/16', '2001:db8::/32'] }),
    aMatch('stable', { claims: exact('tier', 'platinum') }),
    aMatch('canary', { claims: [{ name: 'org.id', match: { kind: 'in', values: ['a', 'b'] } }] }),
  ]

  test.each([
    ['a listed user', { user: 'u-1' }, 'canary'],
    ['nobody else', { user: 'u-3' }, 'stable'],
    ['a header of a trusted peer', { headers: { 'x-release': 'canary' }, isTrustedPeer: true }, 'canary'],
    ['not the same of a stranger', { headers: { 'x-release': 'canary' } }, 'stable'],
    ['a cookie', { headers: { cookie: 'a=1; beta=1' } }, 'canary'],
    ['a query parameter', { query: '?v=1&v=2' }, 'canary'],
    ['an IPv4 network', { clientIp: '10.20.3.4' }, 'canary'],
    ['an IPv6 network', { clientIp: '2001:db8::7' }, 'canary'],
    ['a nested claim', { user: 'x', claims: { org: { id: 'b' } } }, 'canary'],
    ['a claim that pins to stable', { user: 'x', claims: { tier: 'platinum', 'org.id': 'a' } }, 'stable'],
    ['the first entry, not the second', { user: 'u-1', claims: { tier: 'platinum' } }, 'canary'],
  ])('%s', async (_what, asker, side) => {
    expect(sideOf(await releaseTable([aRule('v2', 0, { match })]), asker)).toBe(side)
  })

  test('all conditions of one entry must hold, the share of users included', async () => {
    const half = aMatch('canary', {
      headers: exact('x-region', 'hangzhou'),
      userShare: 2000,
      name: 'pilot',
    })
    const table = await releaseTable([aRule('v2', 0, { match: [half] })])
    const share = (region: string) =>
      users(2000).filter((user) => sideOf(table, { user, headers: { 'x-region': region } }) === 'canary')
        .length
    expect(share('shanghai')).toBe(0)
    expect(share('hangzhou') / 2000).toBeCloseTo(0.2, 1)
  })

  test('a percentage that misses is no reason to skip the pins, nor the other way round', async () => {
    const table = await releaseTable([aRule('v2', 10_000, { match: [aMatch('stable', { users: ['u-1'] })] })])
    expect(sideOf(table, { user: 'u-1' })).toBe('stable')
    expect(sideOf(table, { user: 'u-2' })).toBe('canary')
  })

  test('after a rollback those to the canary are released, but for the kept ones', async () => {
    const guard = {
      intervalMs: 1,
      windowMs: 1,
      minRequests: 0,
      checks: [],
      falseAlarm: 0.01,
      failures: 1,
      onFail: 'rollback',
      contract: 'hold',
      keepPins: ['testers'],
      webhooks: [],
    } as const
    const states = new Map([['v2', { percent: 0, state: 'aborted', releasedPins: true }]])
    const table = await releaseTable([aRule('v2', 2500, { match, guard })], { states })
    expect(sideOf(table, { user: 'u-1' })).toBe('canary')
    expect(sideOf(table, { headers: { cookie: 'beta=1' } })).toBe('stable')
    expect(sideOf(table, { headers: { 'x-canary': 'v2=canary' }, isTrustedPeer: true })).toBe('stable')
  })
})

describe('several rules', () => {
  const v3 = aRule('v3', 10_000, {
    variants: [{ name: 'canary', select: { version: '3.*' }, percent: 10_000 }],
  })
  const instances = [...CATALOG, anInstance('catalog', 'newest', { version: '3.0' })]
  const versionOf = (table: Awaited<ReturnType<typeof releaseTable>>, user: string) =>
    askSide(table, { user })?.side?.eligible[0]?.version

  test('the first with a verdict wins, the next gets what it leaves', async () => {
    const table = await releaseTable([aRule('v2', 5000), v3], { instances })
    const versions = new Set(users(200).map((user) => versionOf(table, user)))
    expect(versions).toEqual(new Set(['2.0', '3.0']))
  })

  test('a pin of any rule comes before the percentage of any', async () => {
    const pins = aRule('v3', 0, {
      variants: [{ name: 'canary', select: { version: '3.*' }, percent: 0 }],
      match: [aMatch('canary', { users: ['tester'] })],
    })
    const table = await releaseTable([aRule('v2', 10_000), pins], { instances })
    expect(versionOf(table, 'tester')).toBe('3.0')
    expect(askSide(table, { user: 'tester' })?.headers).toEqual(['x-canary', 'v2=stable, v3=canary'])
    expect(versionOf(table, 'other')).toBe('2.0')
  })

  test('a pin to stable is a verdict', async () => {
    const rule = aRule('v2', 0, { match: [aMatch('stable', { users: ['u'] })] })
    const table = await releaseTable([rule, v3], { instances })
    expect(versionOf(table, 'u')).toBe('1.0')
    expect(versionOf(table, 'other')).toBe('3.0')
  })

  test('who is left by all is on stable, for each of them', async () => {
    const table = await releaseTable(
      [
        aRule('v2', 0),
        aRule('v3', 0, { variants: [{ name: 'canary', select: { version: '3.*' }, percent: 0 }] }),
      ],
      {
        instances,
      },
    )
    expect(askSide(table, { user: 'u' })).toMatchObject({
      side: { name: 'stable' },
      rule: 'v2',
      others: ['v3'],
    })
  })

  test('a rule for other routes is not asked, and its version still gets nothing of the others', async () => {
    const table = await releaseTable([aRule('v2', 10_000, { routes: ['search'] })])
    const decision = askSide(table, { user: 'u' })
    expect(decision?.rule).toBeUndefined()
    expect(decision?.side?.eligible.map(({ version }) => version)).toEqual(['1.0', '1.0'])
    expect(sideOf(table, { user: 'u', route: 'search' })).toBe('canary')
  })
})

describe('variants', () => {
  const variants = [
    { name: 'red', select: { version: '2.*' }, percent: 2000 },
    { name: 'blue', select: { tag: 'blue' }, percent: 3000 },
  ]
  const instances = [...CATALOG, anInstance('catalog', 'b', { version: '1.0', tags: ['blue'] })]

  test('split as declared, the rest is stable', async () => {
    const table = await releaseTable([aRule('ab', 0, { variants })], { instances })
    const counts = Map.groupBy(users(5000), (user) => sideOf(table, { user }))
    expect((counts.get('red')?.length ?? 0) / 5000).toBeCloseTo(0.2, 1)
    expect((counts.get('blue')?.length ?? 0) / 5000).toBeCloseTo(0.3, 1)
    expect((counts.get('stable')?.length ?? 0) / 5000).toBeCloseTo(0.5, 1)
  })

  test('a variant that grows takes nobody from the other', async () => {
    const before = await releaseTable([aRule('ab', 0, { variants })], { instances })
    const grown = variants.map((one) => (one.name === 'red' ? { ...one, percent: 4000 } : one))
    const after = await releaseTable([aRule('ab', 0, { variants: grown })], { instances })
    const moved = users(2000).filter((user) => {
      const side = sideOf(before, { user })
      return side !== 'stable' && sideOf(after, { user }) !== side
    })
    expect(moved).toEqual([])
  })

  test('a live percentage of 0 ends the experiment', async () => {
    const states = new Map([['ab', { percent: 0, state: 'aborted' }]])
    const table = await releaseTable([aRule('ab', 0, { variants })], { instances, states })
    expect(new Set(users(200).map((user) => sideOf(table, { user })))).toEqual(new Set(['stable']))
  })
})

describe('the decision header', () => {
  test('tells the side, also when it is stable, and keeps what other rules said', async () => {
    const table = await releaseTable([aRule('v2', 10_000)])
    expect(askSide(table, { user: 'u' })?.headers).toEqual(['x-canary', 'v2=canary'])
    expect(askSide(table)?.headers).toEqual(['x-canary', 'v2=stable'])
    const headers = { 'x-canary': 'cart-v3=canary, v2=stable' }
    const trusted = askSide(table, { user: 'u', isTrustedPeer: true, headers })
    expect(trusted?.headers).toEqual(['x-canary', 'cart-v3=canary, v2=stable'])
  })

  test('is obeyed from a trusted peer alone', async () => {
    const [none, all] = [await releaseTable([aRule('v2', 0)]), await releaseTable([aRule('v2', 10_000)])]
    const canary = { headers: { 'x-canary': 'v2=canary' }, user: 'u' }
    expect(sideOf(none, { ...canary, isTrustedPeer: true })).toBe('canary')
    expect(sideOf(none, canary)).toBe('stable')
    expect(sideOf(all, { user: 'u', headers: { 'x-canary': 'v2=stable' }, isTrustedPeer: true })).toBe(
      'stable',
    )
  })

  test.each(['v2=nonsense', 'v2', 'v22=canary', '=', 'v2=canary'.padStart(3000)])(
    'that says %j is none',
    async (value) => {
      const table = await releaseTable([aRule('v2', 0)])
      expect(sideOf(table, { headers: { 'x-canary': value }, isTrustedPeer: true })).toBe('stable')
    },
  )

  test('an inner gateway repeats the whole decision of the outer one, whatever it knows of the user', async () => {
    const instances = [...CATALOG, anInstance('catalog', 'newest', { version: '3.0' })]
    const second = { variants: [{ name: 'canary', select: { version: '3.*' }, percent: 3000 }] }
    const match = [aMatch('stable', { users: ['user-3', 'user-4'] })]
    const table = await releaseTable([aRule('v2', 3000, { match }), aRule('v3', 0, second)], { instances })
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 500 }), fc.option(fc.string()), (n, inner) => {
        const outer = askSide(table, { user: `user-${n}` })
        const [name = '', value = ''] = outer?.headers ?? []
        const user = inner === null ? {} : { user: inner }
        const repeated = askSide(table, { ...user, isTrustedPeer: true, headers: { [name]: value } })
        expect([...(repeated?.side?.keys ?? [])]).toEqual([...(outer?.side?.keys ?? [])])
      }),
    )
  })
})

describe('lanes', () => {
  const instances = [
    anInstance('web', 'web-1', { version: '1.0' }),
    anInstance('catalog', 'old-1', { version: '1.0' }),
    anInstance('catalog', 'blue-1', { version: '2.0', meta: { lane: 'blue' } }),
    anInstance('cart', 'cart-1', { version: '1.0' }),
    anInstance('cart', 'cart-blue', { version: '5.0', meta: { lane: 'blue' } }),
  ]
  const lane = aLane('blue', 0, { match: [aMatch('blue', { users: ['u'] })] })

  test('who is in it meets its version of every service that has one', async () => {
    const table = await releaseTable([lane], { instances })
    for (const service of ['catalog', 'cart']) {
      expect(sideOf(table, { user: 'u', service })).toBe('blue')
      expect(sideOf(table, { user: 'v', service })).toBe('stable')
    }
    const atWeb = askSide(table, { user: 'u', service: 'web' })
    expect(atWeb).toMatchObject({ side: undefined, headers: ['x-lane', 'blue'] })
    expect(askSide(table, { user: 'v' })).toMatchObject({ rule: 'blue', others: [] })
  })

  test('the header carries it on, and also that a request is in none', async () => {
    const table = await releaseTable([aLane('blue', 10_000)], { instances })
    const at = (value: string, isTrustedPeer: boolean) =>
      sideOf(table, { user: 'x', headers: { 'x-lane': value }, isTrustedPeer })
    expect(at('stable', true)).toBe('stable')
    expect(at('stable', false)).toBe('blue')
    expect(at('unheard-of', true)).toBe('blue')
    const none = await releaseTable([lane], { instances })
    expect(sideOf(none, { headers: { 'x-lane': 'blue' }, isTrustedPeer: true })).toBe('blue')
    expect(sideOf(none, { headers: { 'x-lane': 'blue' } })).toBe('stable')
  })

  test('outside of the lane the canary rules of the service are asked', async () => {
    const rule = aRule('v3', 10_000, {
      variants: [{ name: 'canary', select: { version: '3.*' }, percent: 10_000 }],
    })
    const all = [...instances, anInstance('catalog', 'v3', { version: '3.0' })]
    const table = await releaseTable([lane, rule], { instances: all })
    expect(sideOf(table, { user: 'u' })).toBe('blue')
    expect(sideOf(table, { user: 'v' })).toBe('canary')
    expect(sideOf(table)).toBe('stable')
    expect(askSide(table)?.side?.eligible.map(({ id }) => id)).toEqual(['old-1'])
  })

  test('a named service without the version is served by stable', async () => {
    const named = aLane('blue', 10_000, { services: { catalog: { tag: 'nobody' } } })
    const table = await releaseTable([named], { instances })
    const side = askSide(table, { user: 'u' })?.side
    expect([side?.name, side?.eligible.length, side?.fallbacks[0]?.name]).toEqual(['blue', 0, 'stable'])
  })
})
