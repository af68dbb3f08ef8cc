import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileLimit, evaluate, type Limit, type LimitState } from '../../../src/limits/limit.ts'
import { aLimit, limits, type Visit, visits } from '../../support/limits.ts'

const START_US = 1_764_000_000_000_000

/** Every visit, and whether it was let in. */
function walk(limit: Limit, all: readonly Visit[]) {
  let state: LimitState | undefined
  let nowUs = START_US
  return all.map(({ afterUs, cost }) => {
    nowUs += afterUs
    const { next, ...decision } = evaluate(limit, state, cost, nowUs)
    if (decision.isAllowed) state = next
    return { nowUs, cost, decision, state }
  })
}

/** Lets them come as long as they are let in. */
function exhaust(limit: Limit, nowUs: number, state?: LimitState) {
  let count = 0
  let last = evaluate(limit, state, 1, nowUs)
  let kept = state
  for (; last.isAllowed; last = evaluate(limit, kept, 1, nowUs)) {
    count++
    kept = last.next
  }
  return { count, state: kept, refused: last }
}

describe('token bucket', () => {
  test('lets the burst in at once and then one for each share of the window', () => {
    const limit = aLimit({ limit: 60, windowMs: 60_000, burst: 3 })
    const { count, state, refused } = exhaust(limit, START_US)
    expect(count).toBe(3)
    expect(refused).toMatchObject({ isAllowed: false, remaining: 0, retryAfterMs: 1000, resetMs: 3000 })
    expect(evaluate(limit, state, 1, START_US + 999_999).isAllowed).toBe(false)
    expect(exhaust(limit, START_US + 1_000_000, state).count).toBe(1)
    expect(exhaust(limit, START_US + 2_500_000, state).count).toBe(2)
    expect(exhaust(limit, START_US + 900_000_000, state).count).toBe(3)
  })

  test('property: between any two moments never more than burst + rate · t, to the last digit', () => {
    fc.assert(
      fc.property(limits('token-bucket'), visits(), (limit, all) => {
        const passed = walk(limit, all).filter(({ decision }) => decision.isAllowed)
        passed.forEach((first, i) => {
          let sum = 0
          for (const { nowUs, cost } of passed.slice(i)) {
            sum += cost
            const most = limit.burst * limit.unit + ((nowUs - first.nowUs) / limit.tick) * limit.refill
            expect(sum * limit.unit).toBeLessThanOrEqual(most)
          }
        })
      }),
    )
  })

  test('gives nothing back a microsecond early', () => {
    const limit = aLimit({ limit: 7, burst: 1 })
    const { state } = exhaust(limit, START_US)
    expect(evaluate(limit, state, 1, START_US + 142_857).isAllowed).toBe(false)
    expect(evaluate(limit, state, 1, START_US + 142_858).isAllowed).toBe(true)
  })

  test('raising a limit helps at once, and lowering it takes nothing that was not owed', () => {
    const small = aLimit({ limit: 100, windowMs: 60_000 })
    const large = aLimit({ limit: 150, windowMs: 60_000 })
    const { state } = exhaust(small, START_US)
    expect(exhaust(large, START_US, state).count).toBe(50)
    const { state: more } = exhaust(large, START_US)
    expect(evaluate(small, more, 1, START_US)).toMatchObject({ isAllowed: false, remaining: 0 })
    expect(exhaust(small, START_US + 60_000_000, more).count).toBe(50)
  })

  test('refuses a cost above the burst for good, without taking anything', () => {
    const limit = aLimit({ burst: 5 })
    expect(evaluate(limit, undefined, 6, START_US)).toMatchObject({
      isAllowed: false,
      remaining: 5,
      retryAfterMs: 1000,
    })
  })
})

describe('sliding window', () => {
  test('counts what of the window before still reaches into the last one', () => {
    const limit = aLimit({ algorithm: 'sliding-window', limit: 10 })
    const { count, state } = exhaust(limit, START_US)
    expect(count).toBe(10)
    expect(evaluate(limit, state, 1, START_US + 999_000).isAllowed).toBe(false)
    expect(exhaust(limit, START_US + 1_000_000, state).count).toBe(0)
    expect(exhaust(limit, START_US + 1_500_000, state).count).toBe(5)
    expect(exhaust(limit, START_US + 2_000_000, state).count).toBe(10)
  })

  test('property: never more than the limit in one window of the clock', () => {
    fc.assert(
      fc.property(limits('sliding-window'), visits(), (limit, all) => {
        const sums = new Map<number, number>()
        for (const { nowUs, cost, decision } of walk(limit, all)) {
          if (!decision.isAllowed) continue
          const window = Math.floor(nowUs / 1000 / limit.windowMs)
          sums.set(window, (sums.get(window) ?? 0) + cost)
        }
        for (const sum of sums.values()) expect(sum).toBeLessThanOrEqual(limit.limit)
      }),
    )
  })
})

test('fixed window: begins with the first request and ends a window later', () => {
  const limit = aLimit({ algorithm: 'fixed-window', limit: 2 })
  const { count, state, refused } = exhaust(limit, START_US + 400_000)
  expect(count).toBe(2)
  expect(refused.retryAfterMs).toBe(1000)
  expect(evaluate(limit, state, 1, START_US + 1_399_999).isAllowed).toBe(false)
  expect(exhaust(limit, START_US + 1_400_000, state).count).toBe(2)
})

describe('all algorithms', () => {
  const any = () => limits('token-bucket', 'sliding-window', 'fixed-window')

  test('property: a refused request passes after its retry time, and not a millisecond before', () => {
    fc.assert(
      fc.property(any(), visits(), (limit, all) => {
        for (const { nowUs, cost, decision, state } of walk(limit, all)) {
          if (decision.isAllowed || cost > decision.limit) continue
          // Sliding windows count in whole milliseconds.
          const base = limit.algorithm === 'sliding-window' ? Math.floor(nowUs / 1000) * 1000 : nowUs
          const passesAfter = (ms: number) => evaluate(limit, state, cost, base + ms * 1000).isAllowed
          expect(passesAfter(decision.retryAfterMs)).toBe(true)
          expect(passesAfter(decision.retryAfterMs - 1)).toBe(false)
        }
      }),
    )
  })

  test('property: so many are left as then pass one by one', () => {
    fc.assert(
      fc.property(any(), visits(), (limit, all) => {
        const last = walk(limit, all).at(-1)
        if (last === undefined) return
        expect(exhaust(limit, last.nowUs, last.state).count).toBe(last.decision.remaining)
      }),
      { numRuns: 30 },
    )
  })

  test('property: a clock that goes back gives nothing and takes nothing', () => {
    fc.assert(
      fc.property(any(), visits(), fc.integer({ min: 1, max: 1_000_000 }), (limit, all, backUs) => {
        const last = walk(limit, all).at(-1)
        if (last === undefined) return
        const { remaining, next } = evaluate(limit, last.state, 0, last.nowUs)
        const back = evaluate(limit, next, 0, last.nowUs - backUs).remaining
        expect(back).toBeLessThanOrEqual(remaining)
        if (limit.algorithm !== 'sliding-window') expect(back).toBe(remaining)
      }),
    )
  })

  test('a sliding window forgets what another clock counted', () => {
    const limit = aLimit({ algorithm: 'sliding-window', limit: 10 })
    const { state } = exhaust(limit, START_US)
    expect(exhaust(limit, START_US - 3_600_000_000, state).count).toBe(10)
  })

  test('a limit of 0 lets nothing in', () => {
    for (const algorithm of ['token-bucket', 'sliding-window', 'fixed-window'] as const) {
      expect(evaluate(aLimit({ algorithm, limit: 0 }), undefined, 1, START_US)).toMatchObject({
        isAllowed: false,
        retryAfterMs: 1000,
      })
    }
  })

  test('numbers that could not be counted exactly are refused', () => {
    const huge = { limit: 9_007_199_254_740_881, windowMs: 31_536_000_000, burst: 9_007_199_254_740_881 }
    for (const algorithm of ['token-bucket', 'sliding-window', 'fixed-window'] as const) {
      expect(() => compileLimit({ algorithm, ...huge })).toThrow('cannot be counted exactly')
    }
    expect(
      compileLimit({ algorithm: 'token-bucket', limit: 999_983, windowMs: 86_400_000, burst: 999_983 }).tick,
    ).toBe(1000)
  })
})
