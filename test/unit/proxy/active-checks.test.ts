import { afterEach, expect, test } from 'vitest'
import { type CheckPolicy, DEFAULT_HEALTH } from '../../../src/core/health-policy.ts'
import { ActiveChecks } from '../../../src/proxy/active-checks.ts'
import type { CheckResult } from '../../../src/proxy/check-probe.ts'
import { Ejector } from '../../../src/proxy/ejector.ts'
import { LiveUpstream } from '../../../src/proxy/live-upstream.ts'
import { createGroup, type Group } from '../../../src/proxy/upstream-group.ts'
import { FakeClock, seeded } from '../../support/clock.ts'
import { anInstance, aService } from '../../support/exchange.ts'

const CHECK: CheckPolicy = {
  type: 'http',
  path: '/health',
  method: 'GET',
  expect: [200],
  intervalMs: 10_000,
  timeoutMs: 1000,
  healthyAfter: 2,
  unhealthyAfter: 3,
  jitter: 0.1,
}
const clock = new FakeClock()
const opened: ActiveChecks[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one.close()
})

/** A service with so many live instances, all of them checked. */
function groupOf(name: string, count: number, check: CheckPolicy | undefined = CHECK): Group {
  const instances = Array.from({ length: count }, (_, i) => anInstance(`${name}-${i}`, 8000 + i))
  const health = { ...DEFAULT_HEALTH, ...(check === undefined ? {} : { check }) }
  const service = aService(instances, { name, health })
  const group = createGroup(service)
  for (const one of instances) {
    group.live.set(one.key, new LiveUpstream(name, one, service.policy, group.load, 0))
  }
  group.eligible = [...group.live.values()]
  return group
}

function setUp(answer: (key: string) => boolean = () => true) {
  const begun: string[] = []
  const ended: string[] = []
  const told: string[] = []
  const random = seeded(3)
  const ejector = new Ejector({ clock, random, zone: undefined, tell: ({ kind }) => told.push(kind) })
  const checks = new ActiveChecks({
    clock,
    random,
    ejector,
    probe: async ({ key }, _policy, _check, signal): Promise<CheckResult> => {
      begun.push(key)
      signal.addEventListener('abort', () => ended.push(key))
      return { isHealthy: answer(key), text: 'GET /health answered' }
    },
  })
  opened.push(checks)
  /** Ticks as the gateway does, each 100 ms; the number of checks begun in each. */
  const run = async (ms: number): Promise<number[]> => {
    const counts: number[] = []
    for (let at = 0; at < ms; at += 100) {
      clock.advance(100)
      const before = begun.length
      checks.tick()
      counts.push(begun.length - before)
      // The probes answer.
      await Promise.resolve()
      await Promise.resolve()
      await Promise.resolve()
    }
    return counts
  }
  return { checks, run, begun, ended, told }
}

test('5,000 instances make no burst: each is checked once an interval, spread over all of it', async () => {
  const { checks, run } = setUp()
  for (let i = 0; i < 500; i++) checks.update(groupOf(`s-${i}`, 10))
  const first = await run(10_000)
  const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0)
  expect(total(first)).toBeGreaterThanOrEqual(5000)
  expect(total(first)).toBeLessThan(5300)
  expect(Math.max(...first)).toBeLessThan(90)
  const later = await run(20_000)
  expect(total(later)).toBeGreaterThan(9500)
  expect(total(later)).toBeLessThan(10_500)
  expect(Math.max(...later)).toBeLessThan(90)
})

test('after a long pause of the loop what is due begins bit by bit', async () => {
  const { checks, run } = setUp()
  for (let i = 0; i < 100; i++) checks.update(groupOf(`s-${i}`, 10))
  clock.advance(60_000)
  expect((await run(1100)).slice(0, 11)).toEqual([...Array.from({ length: 10 }, () => 100), 0])
})

test('only what the table has is checked, from its first moment to its last', async () => {
  const { checks, run, begun } = setUp()
  const group = groupOf('shop', 4)
  checks.update(group)
  await run(10_000)
  expect(begun).toHaveLength(4)
  group.eligible = group.eligible.slice(1)
  checks.update(group)
  await run(20_000)
  expect(begun.slice(4).filter((key) => key.endsWith('shop-0'))).toEqual([])
  checks.remove(group)
  const { length } = begun
  await run(20_000)
  expect(begun).toHaveLength(length)
})

test('a refreshed table neither begins anew nor forgets what was counted', async () => {
  const { checks, run, begun, told } = setUp((key) => !key.endsWith('shop-0'))
  const group = groupOf('shop', 3)
  for (let i = 0; i < 40; i++) {
    checks.update(group)
    await run(1000)
  }
  expect(begun.length).toBeGreaterThan(10)
  expect(begun.length).toBeLessThan(14)
  expect(told).toEqual(['ejected'])
})

test('as many bad ones in a row as said take it out, as many good ones bring it back', async () => {
  let isGood = false
  const { checks, run, told, begun } = setUp((key) => isGood || !key.endsWith('shop-0'))
  const group = groupOf('shop', 2)
  checks.update(group)
  const asked = () => begun.filter((key) => key.endsWith('shop-0')).length
  while (asked() < 2) await run(100)
  expect(told).toEqual([])
  while (asked() < 3) await run(100)
  expect(told).toEqual(['ejected'])
  isGood = true
  while (asked() < 4) await run(100)
  expect(told).toEqual(['ejected'])
  while (asked() < 5) await run(100)
  expect(told).toEqual(['ejected', 'returned'])
})

test('what passed before an ejection does not end it', async () => {
  const { checks, run, told, begun } = setUp()
  const group = groupOf('shop', 2)
  checks.update(group)
  const asked = () => begun.filter((key) => key.endsWith('shop-0')).length
  while (asked() < 3) await run(100)
  const [upstream] = group.eligible
  if (upstream !== undefined) {
    upstream.ejection = { cause: 'server-errors', reason: '5 of 5 answers were 500' }
    upstream.ejectedUntil = clock.monotonic() + 600_000
  }
  while (asked() < 4) await run(100)
  expect(told).toEqual([])
  while (asked() < 5) await run(100)
  expect(told).toEqual(['returned'])
  expect(upstream?.isEjected).toBe(false)
})
