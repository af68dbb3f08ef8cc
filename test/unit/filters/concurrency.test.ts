import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Principal } from '../../../src/core/principal.ts'
import { concurrency } from '../../../src/filters/concurrency.ts'
import { ConcurrencyPlaces } from '../../../src/filters/concurrency-places.ts'
import type { Ending, FilterContext, Shareable } from '../../../src/filters/filter.ts'
import { FILTERS } from '../../../src/filters/list.ts'
import { type Chain, createChains, endChain, runInbound } from '../../../src/filters/runner.ts'
import { aRouted } from '../../support/exchange.ts'
import { notingMetrics } from '../../support/filter-metrics.ts'
import { aContext, notingDeps, use } from '../../support/filters.ts'
import { aRoute } from '../../support/routing.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const OK: Ending = { outcome: 'ok', status: 200, totalMs: 12, upstreamMs: 10, attempts: 1 }

const principal = (own: Partial<Principal> = {}): Principal => ({
  id: 'ann',
  kind: 'jwt',
  filter: 'jwt',
  claims: {},
  roles: [],
  groups: [],
  scopes: [],
  ...own,
})

/** Chains over one set of what filters share. */
function setUp() {
  const noted = notingMetrics()
  let now = 0
  const deps = { ...notingDeps(), metrics: noted.metrics, clock: { now: () => now, monotonic: () => now } }
  const chains = createChains(FILTERS, deps)
  return {
    ...noted,
    chain: (options: object) => chains.chainFor(aRoute('r', {}, { filters: [use('concurrency', options)] })),
    pass: (ms: number) => {
      now += ms
    },
  }
}

const toService = (own: Parameters<typeof aContext>[0] = {}, service = 'shop', route = 'r') =>
  aContext({ decision: aRouted(undefined, { serviceName: service, spec: { name: route } }), ...own })

const enter = (chain: Chain, ctx: FilterContext = toService()) => ({ ctx, result: runInbound(chain, ctx) })

const GAUGE = 'sluice_concurrency_in_flight|concurrency|shop'
const QUEUED = 'sluice_concurrency_queued|concurrency|shop'

test('refuses with 503, Retry-After and a reason beyond the limit, and counts', () => {
  const { chain, value } = setUp()
  const limited = chain({ limit: 2, shares: { anonymous: 100 } })
  const first = enter(limited)
  expect([first.result, enter(limited).result]).toEqual([undefined, undefined])
  const third = enter(limited)
  expect(third.result).toEqual({
    status: 503,
    code: 'GW_RATE_CONCURRENCY',
    detail: 'too many requests at a time',
    headers: { 'retry-after': '2' },
  })
  expect(value(GAUGE)).toBe(2)
  expect(value('sluice_concurrency_limit|concurrency|shop')).toBe(2)
  expect(value('sluice_concurrency_refusals_total|concurrency|anonymous|limit')).toBe(1)
  // The end of a refused request frees nobody's place.
  endChain(limited, third.ctx, { ...OK, outcome: 'filter_refused', status: 503 })
  expect(value(GAUGE)).toBe(2)
  endChain(limited, first.ctx, OK)
  endChain(limited, first.ctx, OK)
  expect(value(GAUGE)).toBe(1)
  expect(enter(limited).result).toBeUndefined()
})

test('all routes to a service share its places, over an edit of the options, too; scope route does not', () => {
  const { chain } = setUp()
  const before = chain({ limit: 1 })
  expect(enter(before, toService({}, 'shop', 'a')).result).toBeUndefined()
  expect(enter(before, toService({}, 'shop', 'b')).result).toMatchObject({ status: 503 })
  expect(enter(before, toService({}, 'other', 'b')).result).toBeUndefined()
  const after = chain({ limit: 2, shares: { anonymous: 100 } })
  expect(enter(after, toService({}, 'shop', 'b')).result).toBeUndefined()
  expect(enter(after, toService({}, 'shop', 'b')).result).toMatchObject({ status: 503 })
  const each = chain({ limit: 1, scope: 'route' })
  expect(enter(each, toService({}, 'shop', 'a')).result).toBeUndefined()
  expect(enter(each, toService({}, 'shop', 'b')).result).toBeUndefined()
  expect(enter(each, toService({}, 'shop', 'b')).result).toMatchObject({ status: 503 })
})

describe('queue', () => {
  test('who waits is let in when a place is free', async () => {
    const { chain, value } = setUp()
    const limited = chain({ limit: 1, queue: { length: 1 } })
    const first = enter(limited)
    const waiting = enter(limited)
    expect(waiting.result).toBeInstanceOf(Promise)
    expect([value(GAUGE), value(QUEUED)]).toEqual([1, 1])
    expect(enter(limited).result).toMatchObject({
      detail: 'too many requests at a time, and too many that wait',
    })
    endChain(limited, first.ctx, OK)
    expect(await waiting.result).toBeUndefined()
    expect([value(GAUGE), value(QUEUED)]).toEqual([1, 0])
  })

  test('who waits too long is refused', async () => {
    const { chain, value } = setUp()
    const limited = chain({ limit: 1, queue: { length: 1, timeout: '200ms' } })
    enter(limited)
    const { result, ctx } = enter(limited)
    vi.advanceTimersByTime(200)
    expect(await result).toMatchObject({ status: 503, detail: expect.stringContaining('soon enough') })
    endChain(limited, ctx, { ...OK, outcome: 'filter_refused', status: 503 })
    expect([value(GAUGE), value(QUEUED), vi.getTimerCount()]).toEqual([1, 0, 0])
  })

  test('a client that leaves while it waits frees its place in the queue', () => {
    const { chain, value } = setUp()
    const limited = chain({ limit: 1, queue: { length: 1 } })
    enter(limited)
    const { ctx } = enter(limited)
    endChain(limited, ctx, { ...OK, outcome: 'client_gone', status: 499, upstreamMs: undefined })
    expect([value(GAUGE), value(QUEUED), vi.getTimerCount()]).toEqual([1, 0, 0])
    expect(enter(limited).result).toBeInstanceOf(Promise)
  })

  test('an important request pushes a bot out', async () => {
    const { chain, value } = setUp()
    const limited = chain({ limit: 1, queue: { length: 1 } })
    enter(limited)
    const bot = enter(limited, toService({ headers: { 'user-agent': 'Googlebot/2.1' } }))
    const known = enter(limited, toService({ principal: principal() }))
    expect(await bot.result).toMatchObject({ detail: expect.stringContaining('more important') })
    expect(known.result).toBeInstanceOf(Promise)
    expect(value('sluice_concurrency_refusals_total|concurrency|bots|displaced')).toBe(1)
  })
})

describe('classes', () => {
  /** The class that a refusal is counted for. */
  function classOf(options: object, ctx: FilterContext): string | undefined {
    const { chain, values } = setUp()
    const limited = chain({ limit: 1, ...options })
    enter(limited, toService({ principal: principal() }))
    enter(limited, ctx)
    const key = [...values.keys()].find((one) => one.startsWith('sluice_concurrency_refusals_total'))
    return key?.split('|')[2]
  }
  const agent = (text: string) => ({ 'user-agent': text })

  test.each([
    ['nothing', {}, 'anonymous'],
    ['a browser', agent('Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0'), 'anonymous'],
    ['a phone called CUBOT', agent('Mozilla/5.0 (Linux; Android 9; CUBOT X19) Chrome/80'), 'anonymous'],
    ['a crawler', agent('Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)'), 'bots'],
    ['one in capitals', agent('BAIDUSPIDER'), 'bots'],
  ])('%s', (_what, headers, expected) => {
    expect(classOf({}, toService({ headers }))).toBe(expected)
  })

  test('a principal is authenticated, also with a bot’s User-Agent', () => {
    expect(classOf({}, toService({ principal: principal(), headers: agent('bot/1') }))).toBe('authenticated')
  })

  test('claims and roles give other classes', () => {
    const rules = {
      claims: [{ claim: 'tier', value: 'free', class: 'anonymous' }],
      roles: { crawler: 'bots', monitor: 'health' },
    }
    const of = (own: Partial<Principal>) => classOf(rules, toService({ principal: principal(own) }))
    expect(of({ claims: { tier: 'free' }, roles: ['monitor'] })).toBe('anonymous')
    expect(of({ claims: { tier: ['paid', 'free'] } })).toBe('anonymous')
    expect(of({ roles: ['crawler', 'monitor'] })).toBe('health')
    expect(of({ roles: ['constructor', '__proto__'] })).toBe('authenticated')
  })

  test('that of the route, and of the filter before it', () => {
    const marked = () =>
      toService({ decision: aRouted(undefined, { serviceName: 'shop', spec: { class: 'health' } }) })
    expect(classOf({}, marked())).toBe('health')
    expect(classOf({ class: 'bots' }, marked())).toBe('bots')
  })

  test('a share of 0 lets nobody in', () => {
    const { chain } = setUp()
    const limited = chain({ limit: 10, shares: { bots: 0 } })
    expect(enter(limited, toService({ headers: agent('x-bot/1') })).result).toMatchObject({ status: 503 })
  })
})

describe('per client', () => {
  test('429 for the client at its limit, not for others; a /64 is one client', () => {
    const { chain } = setUp()
    const limited = chain({ limit: 1, key: 'client-ip' })
    const first = enter(limited, toService({ clientIp: '2001:db8::1' }))
    expect(first.result).toBeUndefined()
    expect(enter(limited, toService({ clientIp: '2001:db8:0:0:9::2' })).result).toMatchObject({ status: 429 })
    expect(enter(limited, toService({ clientIp: '2001:db8:0:1::1' })).result).toBeUndefined()
    endChain(limited, first.ctx, OK)
    expect(enter(limited, toService({ clientIp: '2001:db8::3' })).result).toBeUndefined()
  })

  test('by principal, else by address; equal ids of two realms are two clients', () => {
    const { chain } = setUp()
    const limited = chain({ limit: 1, key: ['principal', 'client-ip'] })
    const as = (own: Partial<Principal>) => enter(limited, toService({ principal: principal(own) })).result
    expect([as({ realm: 'a' }), as({ realm: 'b' })]).toEqual([undefined, undefined])
    expect(as({ realm: 'a' })).toMatchObject({ status: 429 })
    expect(enter(limited, toService()).result).toBeUndefined()
    expect(enter(limited, toService()).result).toMatchObject({ status: 429 })
  })

  test('remembers only clients that are there', () => {
    const places = new ConcurrencyPlaces()
    const options = concurrency.options.parse({ limit: 1, key: 'client-ip' })
    const { inbound, done } = concurrency.create(options, {
      ...notingDeps(),
      name: 'concurrency',
      shared: <T extends Shareable>() => places as Shareable as T,
      watchFiles: () => {},
    })
    const all = Array.from({ length: 1000 }, (_, i) => toService({ clientIp: `10.0.${i >> 8}.${i & 255}` }))
    for (const ctx of all) expect(inbound?.(ctx)).toBeUndefined()
    const again = toService({ clientIp: '10.0.0.0' })
    expect(inbound?.(again)).toMatchObject({ status: 429 })
    done?.(again, OK)
    expect(places.size).toBe(1000)
    for (const ctx of all) done?.(ctx, OK)
    expect(places.size).toBe(0)
  })
})

describe('adaptive', () => {
  const LIMIT = 'sluice_concurrency_limit|concurrency|shop'

  /** Always at the limit; each request ends as told, 10 ms after it came. */
  function load(own: Partial<Ending>, count: number, ctx: () => FilterContext = toService) {
    const { chain, value, pass } = setUp()
    const limited = chain({
      adaptive: { initial: 10, min: 2, minSamples: 20, window: '100ms', probeInterval: '1h' },
      shares: { anonymous: 100 },
    })
    const going: FilterContext[] = []
    for (let i = 0; i < count; i++) {
      for (;;) {
        const visit = enter(limited, ctx())
        if (visit.result !== undefined) break
        going.push(visit.ctx)
      }
      pass(10)
      const ended = going.shift()
      if (ended !== undefined) endChain(limited, ended, { ...OK, ...own })
    }
    return value(LIMIT)
  }

  test('grows while answers stay quick', () => expect(load({}, 2000)).toBeGreaterThan(15))

  test.each([
    ['refused by a later filter', { outcome: 'filter_refused', status: 403, upstreamMs: undefined }],
    ['client gone', { outcome: 'client_gone', status: 499 }],
    ['no instance', { outcome: 'no_instance', status: 503, upstreamMs: undefined }],
    ['connection refused', { outcome: 'connect_failed', status: 502, upstreamMs: undefined }],
    ['a quick failure of the service', { status: 500, upstreamMs: 1 }],
    ['a WebSocket', { status: 101, upstreamMs: 1 }],
  ] as const)('%s says nothing about the service', (_what, ending) => {
    expect(load(ending, 2000)).toBe(10)
  })

  test('an upload says how slow its client is', () => {
    expect(load({}, 2000, () => toService({ contentLength: 1e6 }))).toBe(10)
    expect(load({}, 2000, () => toService({ contentLength: undefined }))).toBe(10)
  })

  test.each([
    ['no answer in time', { outcome: 'header_timeout', status: 504, upstreamMs: undefined }],
    ['reset', { outcome: 'reset', status: 502, upstreamMs: undefined }],
    ['the service sheds load itself', { status: 503 }],
  ] as const)('%s lowers the limit', (_what, ending) => {
    expect(load(ending, 2000)).toBeLessThan(5)
  })

  test('what was learnt survives an edit of the options', () => {
    const { chain, value, pass } = setUp()
    const options = { initial: 10, minSamples: 20, window: '100ms', probeInterval: '1h' }
    const before = chain({ adaptive: options, shares: { anonymous: 100 } })
    for (let i = 0; i < 300; i++) {
      const visits = Array.from({ length: value(LIMIT) || 10 }, () => enter(before))
      pass(10)
      for (const { ctx, result } of visits) if (result === undefined) endChain(before, ctx, OK)
    }
    const learnt = value(LIMIT)
    expect(learnt).toBeGreaterThan(15)
    enter(chain({ adaptive: { ...options, tolerance: 2 }, shares: { anonymous: 100 } }))
    expect(value(LIMIT)).toBe(learnt)
  })
})

test.each([
  [{}, 'either limit or adaptive'],
  [{ limit: 1, adaptive: {} }, 'either limit or adaptive'],
  [{ adaptive: {}, key: 'client-ip' }, 'adaptive limit is for a service'],
  [{ adaptive: { min: 5, max: 4 } }, 'min is above max'],
  [{ limit: 1, shares: { bots: 95 } }, 'larger share'],
  [{ limit: 1, bots: ['('] }, 'no RE2'],
  [{ limit: 1, queue: { timeout: '5' } }, 'no duration'],
])('refuses the options %j', (options, problem) => {
  expect(() => setUp().chain(options)).toThrow(problem)
})
