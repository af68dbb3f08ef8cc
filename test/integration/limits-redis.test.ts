import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { IoRedisStore } from '../../plugins/redis.ts'
import { type StoreConfig, stores } from '../../src/config/stores.ts'
import { systemClock } from '../../src/core/duration.ts'
import type { RedisScript, RedisStore } from '../../src/core/redis-store.ts'
import type { Ask } from '../../src/limits/ask.ts'
import { Calendar } from '../../src/limits/calendar.ts'
import { evaluate, type Limit, type LimitState } from '../../src/limits/limit.ts'
import { MemoryLimits } from '../../src/limits/memory.ts'
import { RedisLimits } from '../../src/limits/redis-limits.ts'
import { limitsArgs, limitsLua, limitsReply } from '../../src/limits/script.ts'
import { SharedLimits } from '../../src/limits/shared-limits.ts'
import { type QuotaVerdict, SharedQuota } from '../../src/limits/shared-quota.ts'
import { useCleanups } from '../support/cleanup.ts'
import { aLimit, limits, visits } from '../support/limits.ts'
import { startRedis, startRedisCluster, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
let redis: TestRedis
let store: IoRedisStore
let keys = 0
const newKey = () => `k${++keys}`

function open(own: object): IoRedisStore {
  const config = stores.parse({ s: { type: 'redis', commandTimeout: '200ms', ...own } })['s'] as StoreConfig
  const log = { warn: () => {}, info: () => {} }
  const opened = new IoRedisStore('s', config, {
    clock: systemClock,
    random: Math.random,
    log,
    onState: () => {},
    onFailure: () => {},
  })
  opened.connect()
  return opened
}

beforeAll(async () => {
  redis = await startRedis()
  store = open({ url: redis.url })
  await store.settled()
})
afterAll(async () => {
  store.close()
  await redis.stop()
})

const ask = (key: string, limit: Limit, cost = 1, tag = ''): Ask => ({
  name: 'rule',
  key,
  tag,
  limit,
  local: limit,
  cost,
})

test('property: Lua decides as the code in the process does, and remembers the same', async () => {
  const script: RedisScript = { name: 'limits-at', keys: 0, lua: limitsLua('tonumber(ARGV[#ARGV])') }
  await fc.assert(
    fc.asyncProperty(
      limits('token-bucket', 'sliding-window'),
      visits(),
      fc.boolean(),
      async (limit, all, isBack) => {
        const key = newKey()
        let state: LimitState | undefined
        let nowUs = 1_764_000_000_000_000
        for (const { afterUs, cost } of all) {
          nowUs += isBack ? -afterUs : afterUs
          const one = [ask(key, limit, cost)]
          const { next, ...expected } = evaluate(limit, state, cost, nowUs)
          if (expected.isAllowed) state = next
          const reply = await store.run(script, [key], [...limitsArgs(one), nowUs])
          expect(limitsReply(one, reply)).toEqual([expected])
          if (expected.isAllowed) {
            expect(await redis.client.get(`sluice:${key}`)).toBe(`${next.a} ${next.b} ${next.c}`)
          }
        }
      },
    ),
    { numRuns: 60 },
  )
})

describe('counters in Redis', () => {
  test.each(['token-bucket', 'sliding-window', 'fixed-window'] as const)(
    'two gateways at once let exactly the limit in: %s',
    async (algorithm) => {
      const other = open({ url: redis.url })
      later(() => other.close())
      await other.settled()
      const limit = aLimit({ algorithm, limit: 50, windowMs: 3_600_000 })
      const key = newKey()
      const gateways = [new RedisLimits(store), new RedisLimits(other)]
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, i) => (gateways[i % 2] as RedisLimits).decide([ask(key, limit)])),
      )
      expect(answers.filter(([decision]) => decision?.isAllowed)).toHaveLength(50)
    },
  )

  test('keys expire: twice the time until the counter means nothing', async () => {
    const limiter = new RedisLimits(store)
    const ttlOf = async (limit: Limit, cost: number) => {
      const key = newKey()
      await limiter.decide([ask(key, limit, cost)])
      return redis.client.pttl(`sluice:${key}`)
    }
    expect(await ttlOf(aLimit({ limit: 60, windowMs: 60_000 }), 30)).toBeGreaterThan(59_000)
    expect(await ttlOf(aLimit({ limit: 60, windowMs: 60_000 }), 30)).toBeLessThanOrEqual(60_000)
    expect(await ttlOf(aLimit({ algorithm: 'sliding-window', windowMs: 5000 }), 1)).toBeGreaterThan(9000)
    expect(await ttlOf(aLimit({ algorithm: 'fixed-window', windowMs: 5000 }), 1)).toBeGreaterThan(4000)
  })

  test('a request that one limit refuses takes nothing from the others', async () => {
    const limiter = new RedisLimits(store)
    const wide = ask(newKey(), aLimit({ limit: 10, windowMs: 3_600_000 }))
    const window = ask(newKey(), aLimit({ algorithm: 'fixed-window', limit: 10, windowMs: 3_600_000 }))
    const narrow = ask(newKey(), aLimit({ algorithm: 'sliding-window', limit: 1, windowMs: 3_600_000 }))
    const both = await limiter.decide([wide, narrow])
    expect(both).toMatchObject([{ remaining: 9 }, { remaining: 0 }])
    expect(await limiter.decide([wide, narrow])).toMatchObject([
      { isAllowed: true, remaining: 9 },
      { isAllowed: false },
    ])
    // A fixed window is asked apart from the script, and gets back what it counted.
    expect(await limiter.decide([window, narrow])).toMatchObject([{ isAllowed: true }, { isAllowed: false }])
    await waitFor(async () => (await redis.client.get(`sluice:${window.key}`)) === '0')
    expect(await limiter.decide([wide])).toMatchObject([{ remaining: 8 }])
  })

  test('raising a limit helps at once, also a client that went on trying', async () => {
    const limiter = new RedisLimits(store)
    for (const algorithm of ['token-bucket', 'sliding-window', 'fixed-window'] as const) {
      const key = newKey()
      const of = (limit: number) => ask(key, aLimit({ algorithm, limit, windowMs: 3_600_000 }))
      for (let i = 0; i < 9; i++) await limiter.decide([of(3)])
      expect(await limiter.decide([of(5)])).toMatchObject([{ isAllowed: true, remaining: 1 }])
    }
  })
})

describe('a cluster', () => {
  test('limits of one subject in one script; of several, refused by one, given back by the others', async () => {
    const cluster = await startRedisCluster()
    later(() => cluster.stop())
    const clustered = open({ cluster: [...cluster.addresses] })
    later(() => clustered.close())
    await waitFor(() => clustered.isUp)
    const limiter = new RedisLimits(clustered)
    const wide = aLimit({ limit: 10, windowMs: 3_600_000 })
    const narrow = aLimit({ limit: 1, windowMs: 3_600_000 })
    const same = [ask('a:{ann}', wide, 1, 'ann'), ask('b:{ann}', narrow, 1, 'ann')]
    expect(await limiter.decide(same)).toMatchObject([{ remaining: 9 }, { remaining: 0 }])
    expect(await limiter.decide(same)).toMatchObject([{ remaining: 9 }, { isAllowed: false }])
    const apart = Array.from({ length: 8 }, (_, i) => ask(`c:{${i}}`, i === 7 ? narrow : wide, 1, `${i}`))
    expect((await limiter.decide(apart)).every(({ isAllowed }) => isAllowed)).toBe(true)
    expect((await limiter.decide(apart)).map(({ isAllowed }) => isAllowed)).toEqual([
      ...Array(7).fill(true),
      false,
    ])
    for (const one of apart.slice(0, 7)) {
      await waitFor(async () => {
        const [decision] = await limiter.decide([{ ...one, cost: 9 }])
        return decision?.isAllowed
      })
    }
  })
})

/** A store in front of the real one that counts calls and can be taken down. */
function watched() {
  const seen = { calls: 0, isUp: true }
  const wrapper: RedisStore = {
    name: 's',
    get isUp() {
      return seen.isUp
    },
    run(...args) {
      seen.calls++
      return store.run(...args)
    },
    hash: (key) => store.hash(key),
    setIfAbsent: (...args) => store.setIfAbsent(...args),
  }
  return { seen, wrapper }
}

describe('with what there is beside Redis', () => {
  const at = { ms: 1000 }
  const clock = { now: () => 0, monotonic: () => at.ms }

  test('an exhausted limit costs Redis nothing until its retry time; a smaller cost is asked for', async () => {
    const { seen, wrapper } = watched()
    const shared = new SharedLimits({
      store: wrapper,
      memory: new MemoryLimits(clock),
      onStoreError: 'local',
      clock,
    })
    const one = ask(newKey(), aLimit({ limit: 4, windowMs: 4000 }), 3)
    expect(await shared.decide([one])).toMatchObject({ by: 'shared', decisions: [{ remaining: 1 }] })
    const refused = await shared.decide([one])
    const wait = refused.decisions[0]?.retryAfterMs ?? 0
    expect(refused).toMatchObject({ by: 'shared', decisions: [{ isAllowed: false }] })
    expect(wait).toBeGreaterThan(1900)
    at.ms += 500
    for (let i = 0; i < 100; i++) {
      expect(shared.decide([one])).toMatchObject({
        by: 'cached',
        decisions: [{ isAllowed: false, retryAfterMs: wait - 500 }],
      })
    }
    expect(seen.calls).toBe(2)
    expect(await shared.decide([{ ...one, cost: 1 }])).toMatchObject({
      by: 'shared',
      decisions: [{ isAllowed: true }],
    })
    at.ms += wait - 500
    expect(await shared.decide([one])).toMatchObject({ by: 'shared' })
  })

  test('without Redis each gateway lets its share in, and begins where the shared counter stood', async () => {
    const { seen, wrapper } = watched()
    const memory = new MemoryLimits(clock)
    const shared = new SharedLimits({ store: wrapper, memory, onStoreError: 'local', clock })
    const half = (key: string): Ask => ({
      ...ask(key, aLimit({ limit: 10, windowMs: 3_600_000 })),
      local: aLimit({ limit: 5, windowMs: 3_600_000 }),
    })
    const known = half(newKey())
    for (let i = 0; i < 6; i++) await shared.decide([known])
    seen.isUp = false
    const count = async (one: Ask) => {
      for (let i = 0; ; i++) {
        const verdict = await shared.decide([one])
        expect(verdict.by).toBe('local')
        if (verdict.decisions[0]?.isAllowed === false) return i
      }
    }
    expect(await count(known)).toBe(2)
    expect(await count(half(newKey()))).toBe(5)
  })

  test.each(['token-bucket', 'sliding-window', 'fixed-window'] as const)(
    'what was let in without Redis counts there when it is back: %s',
    async (algorithm) => {
      const { seen, wrapper } = watched()
      const memory = new MemoryLimits(clock)
      const shared = new SharedLimits({ store: wrapper, memory, onStoreError: 'local', clock })
      const other = new RedisLimits(store)
      const one = ask(newKey(), aLimit({ algorithm, limit: 10, windowMs: 3_600_000 }))
      const half = { ...one, local: aLimit({ algorithm, limit: 5, windowMs: 3_600_000 }) }
      await shared.decide([half])
      seen.isUp = false
      for (let i = 0; i < 3; i++) await shared.decide([half])
      seen.isUp = true
      expect(await shared.decide([half])).toMatchObject({ by: 'shared', decisions: [{ remaining: 5 }] })
      expect(await other.decide([one])).toMatchObject([{ remaining: 4 }])
      // Told once, and a Redis that comes and goes gives no new share.
      expect(await shared.decide([half])).toMatchObject({ by: 'shared', decisions: [{ remaining: 3 }] })
      seen.isUp = false
      const allowed = []
      for (let i = 0; i < 4; i++) allowed.push((await shared.decide([half])).decisions[0]?.isAllowed)
      expect(allowed).toEqual([true, false, false, false])
    },
  )

  test('a Redis that comes and goes gives nobody a new share', async () => {
    const { seen, wrapper } = watched()
    const memory = new MemoryLimits(clock)
    const shared = new SharedLimits({ store: wrapper, memory, onStoreError: 'local', clock })
    const half: Ask = {
      ...ask(newKey(), aLimit({ limit: 10, windowMs: 3_600_000 })),
      local: aLimit({ limit: 5, windowMs: 3_600_000 }),
    }
    seen.isUp = false
    for (let i = 0; i < 4; i++) await shared.decide([half])
    seen.isUp = true
    expect(await shared.decide([half])).toMatchObject({ by: 'shared', decisions: [{ remaining: 5 }] })
    seen.isUp = false
    expect((await shared.decide([half])).decisions[0]?.isAllowed).toBe(true)
    expect((await shared.decide([half])).decisions[0]?.isAllowed).toBe(false)
  })

  test('what is told late counts also when the request is refused', async () => {
    const { seen, wrapper } = watched()
    const shared = new SharedLimits({
      store: wrapper,
      memory: new MemoryLimits(clock),
      onStoreError: 'local',
      clock,
    })
    const one = ask(newKey(), aLimit({ limit: 4, windowMs: 3_600_000 }))
    seen.isUp = false
    for (let i = 0; i < 4; i++) await shared.decide([one])
    seen.isUp = true
    expect(await shared.decide([one])).toMatchObject({ by: 'shared', decisions: [{ isAllowed: false }] })
    expect(await new RedisLimits(store).decide([one])).toMatchObject([{ isAllowed: false }])
  })

  test.each(['open', 'closed'] as const)('onStoreError: %s', async (onStoreError) => {
    const { seen, wrapper } = watched()
    seen.isUp = false
    const shared = new SharedLimits({ store: wrapper, memory: new MemoryLimits(clock), onStoreError, clock })
    expect(shared.decide([ask(newKey(), aLimit())])).toMatchObject({ decisions: [], by: onStoreError })
  })

  test('a limit of 0 refuses without asking', () => {
    const { seen, wrapper } = watched()
    const shared = new SharedLimits({
      store: wrapper,
      memory: new MemoryLimits(clock),
      onStoreError: 'open',
      clock,
    })
    expect(shared.decide([ask(newKey(), aLimit({ limit: 0 }))])).toMatchObject({
      decisions: [{ isAllowed: false }],
    })
    expect(seen.calls).toBe(0)
  })
})

describe('quotas', () => {
  const quotaOf = (nowMs: number, own: RedisStore = store) => {
    const clock = { now: () => nowMs, monotonic: () => 0 }
    const calendar = new Calendar('month', 'Europe/Berlin')
    return new SharedQuota({ store: own, calendar, clock, gateways: 2, onStoreError: 'local' })
  }

  test('gateways whose clocks differ count in the period that Redis’ clock shows', async () => {
    const key = newKey()
    const now = Date.now()
    const { end } = new Calendar('month', 'Europe/Berlin').at(now)
    const hour = 3_600_000
    // One is in the next month already, one in the month before.
    const gateways = [quotaOf(now), quotaOf(end + hour), quotaOf(now - 20 * 24 * hour)]
    const verdicts = []
    for (let i = 0; i < 9; i++) verdicts.push(await (gateways[i % 3] as SharedQuota).decide(key, 5, 1))
    expect(verdicts.map(({ decision }) => decision?.isAllowed)).toEqual([
      ...Array(5).fill(true),
      ...Array(4).fill(false),
    ])
    const left = verdicts.map(({ decision }) => decision?.resetMs ?? 0)
    for (const ms of left.slice(0, 5)) expect(Math.abs(ms - (end - now))).toBeLessThan(10_000)
    expect(await redis.client.pttl(`sluice:${key}`)).toBeGreaterThan(end - now + hour - 20_000)
  })

  test('a new period begins anew, and a refusal is not counted', async () => {
    const key = newKey()
    const quota = quotaOf(Date.now())
    expect(await quota.decide(key, 5, 4)).toMatchObject({ decision: { isAllowed: true, remaining: 1 } })
    expect(await quota.decide(key, 5, 4)).toMatchObject({ decision: { isAllowed: false, remaining: 1 } })
    expect(await quota.decide(key, 5, 1)).toMatchObject({ decision: { isAllowed: true, remaining: 0 } })
    expect(await quota.decide(key, 9, 3)).toMatchObject({ decision: { isAllowed: true, remaining: 1 } })
    await redis.client.set(`sluice:${key}`, `${Date.parse('2020-01-01T00:00:00Z')} 5`)
    expect(await quota.decide(key, 5, 1)).toMatchObject({ decision: { isAllowed: true, remaining: 4 } })
  })

  test('without Redis each gateway lets its share of what was left in', async () => {
    const { seen, wrapper } = watched()
    const quota = quotaOf(Date.now(), wrapper)
    const key = newKey()
    for (let i = 0; i < 4; i++) await quota.decide(key, 10, 1)
    seen.isUp = false
    const verdicts = Array.from({ length: 5 }, () => quota.decide(key, 10, 1))
    expect(verdicts.map((verdict) => (verdict as QuotaVerdict).decision?.isAllowed)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ])
    // What was let in meanwhile counts in Redis when it is back.
    seen.isUp = true
    expect(await quota.decide(key, 10, 1)).toMatchObject({ decision: { remaining: 2 } })
  })
})

test('rate limits count by Redis’ clock, whatever gateways think the time is', async () => {
  const wrongClock = (ms: number) => ({ now: () => ms, monotonic: () => 0 })
  const gateways = [0, 4_000_000_000_000].map((ms) => {
    const clock = wrongClock(ms)
    return new SharedLimits({ store, memory: new MemoryLimits(clock), onStoreError: 'closed', clock })
  })
  for (const algorithm of ['token-bucket', 'sliding-window', 'fixed-window'] as const) {
    const one = ask(newKey(), aLimit({ algorithm, limit: 4, windowMs: 3_600_000 }))
    const allowed = []
    for (let i = 0; i < 8; i++) {
      const verdict = await (gateways[i % 2] as SharedLimits).decide([one])
      allowed.push(verdict.decisions[0]?.isAllowed)
    }
    expect(allowed.filter(Boolean)).toHaveLength(4)
  }
})
