import { expect, test } from 'vitest'
import {
  type Balanced,
  type BalanceRequest,
  effectiveWeight,
  hashText,
  maxEjected,
  pickInstance,
} from '../../../src/routing/balance.ts'

const one = (key: string, own: Partial<Balanced> = {}): Balanced => ({
  key,
  hash: hashText(key),
  weight: 1,
  inFlight: 0,
  slowStartAt: Number.NEGATIVE_INFINITY,
  isFull: false,
  ...own,
})
const few = (count: number) => Array.from({ length: count }, (_, i) => one(`i-${i}`))

/** A generator with the same numbers each time. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 0x1_0000_0000
  }
}
const request = (own: Partial<BalanceRequest> = {}): BalanceRequest => ({
  kind: 'least-request',
  now: 1000,
  random: seeded(7),
  slowStartMs: 0,
  tried: new Set(),
  hash: 0,
  credits: new Map(),
  ...own,
})

function countPicks(
  candidates: readonly Balanced[],
  asked: BalanceRequest,
  times = 10_000,
): Map<string, number> {
  const counts = new Map<string, number>()
  for (let i = 0; i < times; i++) {
    const key = pickInstance(candidates, asked)?.key ?? 'none'
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

test('round robin goes by weight, and spreads a heavy one between the others', () => {
  const candidates = [one('a', { weight: 3 }), one('b'), one('c')]
  const asked = request({ kind: 'round-robin' })
  const order = Array.from({ length: 10 }, () => pickInstance(candidates, asked)?.key).join('')
  expect(order).toBe('abacaabaca')
})

test('least request prefers the one with less under way, and splits an idle service by weight', () => {
  const busy = [one('idle'), one('busy', { inFlight: 50 })]
  const counts = countPicks(busy, request())
  expect(counts.get('idle')).toBe(10_000)
  const weighted = countPicks([one('a', { weight: 3 }), one('b')], request())
  expect((weighted.get('a') ?? 0) / 10_000).toBeCloseTo(0.75, 1)
})

test('what was tried is left out; when all were tried there is nobody', () => {
  const candidates = few(3)
  const tried = new Set(['i-0', 'i-1'])
  expect(pickInstance(candidates, request({ tried }))?.key).toBe('i-2')
  tried.add('i-2')
  expect(pickInstance(candidates, request({ tried }))).toBeUndefined()
  expect(pickInstance([], request())).toBeUndefined()
})

test('a full one is taken only when all are', () => {
  const candidates = [one('full', { isFull: true }), one('free')]
  expect(countPicks(candidates, request()).get('free')).toBe(10_000)
  expect(pickInstance([one('full', { isFull: true })], request())?.isFull).toBe(true)
})

test('at most the share may be ejected, one of two or three, never the last one', () => {
  const limits = (share: number) => [0, 1, 2, 3, 4, 5, 10].map((total) => maxEjected(total, share))
  expect(limits(0.5)).toEqual([0, 0, 1, 1, 2, 2, 5])
  expect(limits(0.1)).toEqual([0, 0, 1, 1, 1, 1, 1])
  expect(limits(1)).toEqual([0, 0, 1, 2, 3, 4, 9])
  expect(limits(0)).toEqual([0, 0, 0, 0, 0, 0, 0])
})

test('slow start grows from a tenth to the full share', () => {
  const fresh = one('x', { slowStartAt: 1000, weight: 10 })
  expect([1000, 1500, 5000, 11_000, 20_000].map((now) => effectiveWeight(fresh, now, 10_000))).toEqual([
    1, 1, 4, 10, 10,
  ])
  expect(effectiveWeight(fresh, 1000, 0)).toBe(10)
})

test('consistent hash: equal input, equal instance; a leaving one moves only its own', () => {
  const before = few(10)
  const after = before.slice(1)
  const asked = (key: string) => request({ kind: 'consistent-hash', hash: hashText(key) })
  let moved = 0
  const counts = new Map<string, number>()
  for (let i = 0; i < 20_000; i++) {
    const key = `user-${i}`
    const first = pickInstance(before, asked(key))?.key as string
    const second = pickInstance(after, asked(key))?.key as string
    counts.set(first, (counts.get(first) ?? 0) + 1)
    if (first !== second) {
      moved++
      expect(first).toBe('i-0')
    }
  }
  expect(moved).toBe(counts.get('i-0'))
  for (const count of counts.values()) expect(Math.abs(count - 2000)).toBeLessThan(250)
})

test('consistent hash honours weights', () => {
  const candidates = [one('heavy', { weight: 3 }), one('light')]
  let heavy = 0
  for (let i = 0; i < 20_000; i++) {
    const asked = request({ kind: 'consistent-hash', hash: hashText(`user-${i}`) })
    if (pickInstance(candidates, asked)?.key === 'heavy') heavy++
  }
  expect(heavy / 20_000).toBeCloseTo(0.75, 1)
})
