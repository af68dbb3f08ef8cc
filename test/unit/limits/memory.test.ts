import { expect, test } from 'vitest'
import type { Ask } from '../../../src/limits/ask.ts'
import { MemoryLimits } from '../../../src/limits/memory.ts'
import { aLimit } from '../../support/limits.ts'

const clock = (at = { ms: 0 }) => ({ at, now: () => at.ms, monotonic: () => at.ms })
const ask = (key: string, limit = aLimit({ limit: 2 })): Ask => ({
  name: 'rule',
  key,
  tag: key,
  limit,
  local: limit,
  cost: 1,
})
const decide = (memory: MemoryLimits, ...asks: Ask[]) => memory.decide(asks, ({ limit }) => limit)

test('a request that one limit refuses takes nothing from the others', () => {
  const memory = new MemoryLimits(clock())
  const wide = ask('wide', aLimit({ limit: 10 }))
  const narrow = ask('narrow', aLimit({ limit: 1 }))
  expect(decide(memory, wide, narrow).map(({ isAllowed }) => isAllowed)).toEqual([true, true])
  expect(decide(memory, wide, narrow)).toMatchObject([
    { isAllowed: true, remaining: 9 },
    { isAllowed: false, remaining: 0 },
  ])
  expect(decide(memory, wide)).toMatchObject([{ isAllowed: true, remaining: 8 }])
})

test('forgets the counter that was not used for the longest time', () => {
  const memory = new MemoryLimits(clock(), 2)
  const limit = aLimit({ limit: 1, windowMs: 60_000 })
  for (const key of ['a', 'b']) decide(memory, ask(key, limit))
  expect(decide(memory, ask('a', limit))[0]?.isAllowed).toBe(false)
  decide(memory, ask('c', limit))
  expect(memory.size).toBe(2)
  expect(decide(memory, ask('a', limit))[0]?.isAllowed).toBe(false)
  expect(decide(memory, ask('b', limit))[0]?.isAllowed).toBe(true)
})

test.each(['token-bucket', 'sliding-window', 'fixed-window'] as const)(
  'begins where a shared counter stands: %s',
  (algorithm) => {
    const memory = new MemoryLimits(clock({ ms: 10_000 }))
    const limit = aLimit({ algorithm, limit: 10 })
    memory.seed('a', limit, 0.7)
    expect(decide(memory, ask('a', limit))).toMatchObject([{ isAllowed: true, remaining: 2 }])
  },
)
