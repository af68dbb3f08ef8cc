import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { Headers } from '../../../src/core/headers.ts'
import { DEFAULT_HEALTH, type HealthPolicy, type OutlierPolicy } from '../../../src/core/health-policy.ts'
import type { Instance } from '../../../src/core/types.ts'
import type { LiveUpstream } from '../../../src/proxy/live-upstream.ts'
import type { HealthEvent } from '../../../src/proxy/upstream-stats.ts'
import { Upstreams } from '../../../src/proxy/upstreams.ts'
import { FakeClock, seeded } from '../../support/clock.ts'
import { anInstance, aPolicy, aRouted, aService, aTable, quietLog } from '../../support/exchange.ts'

const clock = new FakeClock()
const opened: Upstreams[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

type Own = Partial<Omit<HealthPolicy, 'outlier'>> & { outlier?: Partial<OutlierPolicy>; slowStartMs?: number }

function policyOf({ outlier, slowStartMs = 0, ...own }: Own) {
  const health = { ...DEFAULT_HEALTH, ...own, outlier: { ...DEFAULT_HEALTH.outlier, jitter: 0, ...outlier } }
  return aPolicy({ health, slowStartMs })
}

/** A service of so many instances with a clock that stands. */
function setUp(count: number, own: Own = {}, seed = 1) {
  const events: HealthEvent[] = []
  const upstreams = new Upstreams({ clock, random: seeded(seed), log: quietLog })
  opened.push(upstreams)
  upstreams.health.subscribe((event) => events.push(event))
  const all = Array.from({ length: count }, (_, i) => anInstance(`i-${i}`, 8000 + i))
  const table = (instances: readonly Instance[], policy: Own = own) => {
    const service = aService(instances, policyOf(policy))
    const reserve = instances.filter(({ state }) => state === 'draining')
    upstreams.sync(aTable({ ...service, reserve }))
    return service
  }
  const service = table(all)
  const get = (i: number) => upstreams.get('shop', `test/dc1/node/i-${i}`) as LiveUpstream
  const pick = (tried: readonly string[] = []) =>
    upstreams.pick({
      routed: aRouted(service),
      tried: new Set(tried),
      headers: new Headers([]),
      clientIp: '192.0.2.1',
    })?.instance.id
  const picked = () => new Set(Array.from({ length: 60 }, () => pick()))
  const answer = (i: number, status: number, times = 1) => {
    for (let n = 0; n < times; n++) upstreams.health.answered(get(i), status, 0)
  }
  /** All of them answer well. */
  const warmUp = () => {
    for (let i = 0; i < count; i++) answer(i, 200, 30)
  }
  /** One answers that, in turn with good answers of the others. */
  const failAmongOthers = (status: number, times: number) => {
    for (let n = 0; n < times; n++) {
      answer(0, status)
      for (let i = 1; i < count; i++) answer(i, 200)
    }
  }
  const wait = (ms: number) => {
    clock.advance(ms)
    upstreams.health.tick()
  }
  const kinds = () => events.map(({ kind }) => kind)
  return { upstreams, events, kinds, all, table, get, pick, picked, answer, failAmongOthers, warmUp, wait }
}

test('five 503 in a row: out for 30 s with the reason in words, then back', () => {
  const { warmUp, events, picked, wait, upstreams, failAmongOthers } = setUp(3)
  warmUp()
  failAmongOthers(503, 4)
  expect(events).toEqual([])
  failAmongOthers(503, 1)
  expect(events).toEqual([
    {
      type: 'ejection',
      kind: 'ejected',
      cause: 'gateway-errors',
      service: 'shop',
      instanceKey: 'test/dc1/node/i-0',
      reason: '5 of 5 answers were 503, ejected for 30 s, 1 of 3 instances',
      forMs: 30_000,
    },
  ])
  expect(picked()).toEqual(new Set(['i-1', 'i-2']))
  expect(upstreams.stats()[0]).toMatchObject({ ejected: '5 of 5 answers were 503', ejectedForMs: 30_000 })
  wait(29_999)
  expect(picked()).toEqual(new Set(['i-1', 'i-2']))
  wait(1)
  expect(events.at(-1)).toMatchObject({
    kind: 'returned',
    reason: 'its time is over',
    cause: 'gateway-errors',
  })
  expect(picked()).toEqual(new Set(['i-0', 'i-1', 'i-2']))
})

test('what arrives late from before the ejection neither ends nor prolongs it', () => {
  const { answer, warmUp, kinds, wait, failAmongOthers } = setUp(3)
  warmUp()
  failAmongOthers(503, 9)
  answer(0, 200, 9)
  expect(kinds()).toEqual(['ejected'])
  wait(30_000)
  expect(kinds()).toEqual(['ejected', 'returned'])
})

test('each further ejection is longer; an interval in rotation takes one off', () => {
  const { warmUp, events, wait, failAmongOthers } = setUp(3)
  warmUp()
  const times = () =>
    events.filter(({ kind }) => kind === 'ejected').map((one) => 'forMs' in one && one.forMs)
  for (let i = 0; i < 3; i++) {
    failAmongOthers(503, 5)
    wait(120_000)
  }
  // The sweep that ends the time out is no interval in rotation.
  expect(times()).toEqual([30_000, 60_000, 90_000])
  for (let i = 0; i < 6; i++) wait(10_000)
  failAmongOthers(503, 5)
  expect(times().at(-1)).toBe(30_000)
})

test('comes back with slow start', () => {
  const { warmUp, get, wait, failAmongOthers } = setUp(3, { slowStartMs: 10_000 })
  warmUp()
  failAmongOthers(503, 5)
  wait(30_000)
  expect(get(0).slowStartAt).toBe(clock.monotonic())
  expect(get(1).slowStartAt).toBe(Number.NEGATIVE_INFINITY)
})

test('a refused connect: out at once for 5 s, back as soon as it answers', () => {
  const { upstreams, get, answer, events, pick, wait } = setUp(2)
  upstreams.health.connectFailed(get(0), 'connect ECONNREFUSED', 0)
  upstreams.health.connectFailed(get(0), 'connect ECONNREFUSED', 0)
  expect(events).toMatchObject([{ kind: 'ejected', cause: 'connect', forMs: 5000 }])
  expect(pick()).toBe('i-1')
  expect(pick(['test/dc1/node/i-1']), 'better than nobody').toBe('i-0')
  answer(0, 200)
  expect(events.at(-1)).toMatchObject({ kind: 'returned', reason: 'it answers again' })
  upstreams.health.connectFailed(get(0), 'connect ECONNREFUSED', 0)
  expect(events.at(-1)).toMatchObject({ kind: 'ejected', forMs: 10_000 })
  wait(10_000)
  expect(events.at(-1)).toMatchObject({ kind: 'returned', reason: 'its time is over' })
})

test('the last one stays, said once', () => {
  const { upstreams, get, events, kinds, answer, picked } = setUp(2)
  answer(1, 200, 30)
  upstreams.health.connectFailed(get(0), 'refused', 0)
  upstreams.health.connectFailed(get(1), 'refused', 0)
  upstreams.health.connectFailed(get(1), 'refused', 0)
  expect(kinds()).toEqual(['ejected', 'kept'])
  expect(events[1]).toMatchObject({ reason: 'refused; too few others are left' })
  expect(picked()).toEqual(new Set(['i-1']))
  const single = setUp(1)
  single.upstreams.health.connectFailed(single.get(0), 'refused', 0)
  single.answer(0, 503, 100)
  expect(single.kinds()).toEqual(['kept'])
  expect(single.pick()).toBe('i-0')
})

test('the last one stays also when a check has taken another one out', () => {
  const { upstreams, get, kinds } = setUp(3, { outlier: { maxEjected: 1 } })
  get(0).unhealthy = '3 of 3 checks failed'
  upstreams.health.connectFailed(get(1), 'refused', 0)
  upstreams.health.connectFailed(get(2), 'refused', 0)
  expect(kinds()).toEqual(['ejected', 'entered', 'kept'])
})

test('a URL that fails everywhere ejects nobody', () => {
  const { answer, kinds } = setUp(3)
  for (let i = 0; i < 300; i++) answer(i % 3, 500)
  expect(kinds()).toEqual([])
})

test('state survives new tables: refreshed instances, changed policies, a rolling change of the others', () => {
  const { warmUp, all, table, picked, kinds, get, wait, failAmongOthers } = setUp(3)
  warmUp()
  failAmongOthers(503, 5)
  const before = get(0)
  table(all.map((one) => ({ ...one, tags: ['fresh'], weight: 2 })))
  table(all, { outlier: { baseTimeMs: 1000 } })
  table([...all.slice(0, 2), anInstance('i-9', 8009)])
  expect(get(0)).toBe(before)
  expect(picked()).toEqual(new Set(['i-1', 'i-9']))
  wait(29_000)
  expect(kinds()).toEqual(['ejected'])
  wait(1000)
  expect(picked().has('i-0')).toBe(true)
})

test('half of a row before a new table counts after it', () => {
  const { warmUp, all, table, kinds, failAmongOthers } = setUp(3)
  warmUp()
  failAmongOthers(503, 3)
  table(all.map((one) => ({ ...one, tags: ['fresh'] })))
  failAmongOthers(503, 2)
  expect(kinds()).toEqual(['ejected'])
})

test('the registry took it out and brings it back: it begins afresh', () => {
  const { warmUp, all, table, events, picked, failAmongOthers } = setUp(3)
  warmUp()
  failAmongOthers(503, 5)
  table(all.map((one, i) => (i === 0 ? { ...one, state: 'critical' } : one)))
  table(all)
  expect(events.at(-1)).toMatchObject({ kind: 'returned', reason: 'the registry brings it back' })
  expect(picked().size).toBe(3)
})

test('one that the registry has taken out is no news, whatever its last requests meet', () => {
  const { upstreams, get, all, table, events } = setUp(3)
  table(all.map((one, i) => (i === 0 ? { ...one, state: 'critical' } : one)))
  upstreams.health.connectFailed(get(0), 'refused', 0)
  upstreams.health.faulted(get(0), 'reset', 0)
  expect(events).toEqual([])
})

test('panic is told when it begins and when it ends', () => {
  const { upstreams, get, events, kinds, picked, all, table, wait } = setUp(4, { outlier: { maxEjected: 1 } })
  for (const i of [0, 1, 2]) upstreams.health.connectFailed(get(i), 'refused', 0)
  expect(kinds()).toEqual(['ejected', 'ejected', 'ejected', 'entered'])
  expect(events[3]).toMatchObject({
    type: 'panic',
    service: 'shop',
    reason: '1 of 4 instances in rotation, less than 50 %: ejections are ignored',
  })
  expect(picked().size).toBe(4)
  expect(upstreams.serviceStats()[0]?.isPanic).toBe(true)
  table(all, { outlier: { maxEjected: 1 }, panic: 0 })
  expect(events.at(-1)).toMatchObject({ type: 'panic', kind: 'left' })
  expect(picked()).toEqual(new Set(['i-3']))
  wait(5000)
  expect(picked().size).toBe(4)
})

test('a draining one is not used in panic while others exist', () => {
  const { upstreams, get, picked, all, table } = setUp(4, { outlier: { maxEjected: 1 } })
  table(all.map((one, i) => (i === 3 ? { ...one, state: 'draining' } : one)))
  for (const i of [0, 1]) upstreams.health.connectFailed(get(i), 'refused', 0)
  expect(upstreams.serviceStats()[0]?.isPanic).toBe(true)
  expect(picked()).toEqual(new Set(['i-0', 'i-1', 'i-2']))
})

test('a sweep finds who fails too often without a row', () => {
  const { answer, kinds, events, wait } = setUp(6, { outlier: { serverErrors: 0, gatewayErrors: 0 } })
  wait(0)
  for (let n = 0; n < 200; n++) {
    for (let i = 0; i < 6; i++) answer(i, i === 2 && n % 3 === 0 ? 500 : 200)
  }
  wait(10_000)
  expect(kinds()).toEqual(['ejected'])
  expect(events[0]).toMatchObject({ cause: 'success-rate', instanceKey: 'test/dc1/node/i-2' })
})

test('whatever happens: never the last one, never more than the share, always somebody to pick', () => {
  const step = fc.oneof(
    fc.record({ i: fc.nat(7), status: fc.constantFrom(200, 404, 500, 503, 0, -1), times: fc.nat(12) }),
    fc.record({ ms: fc.nat(40_000) }),
  )
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.array(step, { maxLength: 80 }),
      (count, maxEjected, steps) => {
        const { upstreams, get, pick, answer, wait } = setUp(count, { outlier: { maxEjected } })
        for (const each of steps) {
          if ('ms' in each) wait(each.ms)
          else if (each.i < count) {
            for (let n = 0; n < each.times; n++) {
              if (each.status > 0) answer(each.i, each.status)
              else if (each.status === 0) upstreams.health.connectFailed(get(each.i), 'refused', 0)
              else upstreams.health.faulted(get(each.i), 'reset', 0)
            }
          }
          const out = upstreams.stats().filter(({ ejected }) => ejected !== undefined).length
          expect(out).toBeLessThan(count)
          expect(out).toBeLessThanOrEqual(Math.max(1, Math.floor(count * maxEjected)))
          expect(pick()).toBeDefined()
        }
      },
    ),
    { numRuns: 200 },
  )
})
