import { expect, test } from 'vitest'
import { breachesIn, Differences, Tally } from '../../../src/canary/tally.ts'

const RULES = new Set(['v2'])
const good = { isBad: false, ms: 10, headers: [] }
const bad = { isBad: true, ms: undefined, headers: ['x-failed'] }

test('what several gateways did since the last look is added up', () => {
  const [one, other] = [new Tally('a', 0), new Tally('b', 0)]
  const differences = new Differences()
  one.count('v2', 'canary', good)
  expect(differences.take([one.totals(RULES)], 0)('v2').canary.total).toBe(0)
  one.count('v2', 'canary', bad)
  one.count('v2', 'stable', good)
  other.count('v2', 'canary', good)
  const { canary, stable } = differences.take([one.totals(RULES), other.totals(RULES)], 0)('v2')
  expect([canary.total, canary.bad, stable.total]).toEqual([2, 1, 1])
  expect(canary.headers).toEqual({ 'x-failed': 1 })
  expect(canary.latency.reduce((sum, count) => sum + count, 0)).toBe(1)
  expect(differences.take([one.totals(RULES), other.totals(RULES)], 0)('v2').canary.total).toBe(0)
})

test('a gateway that goes, restarts or forgets a rule never counts backwards', () => {
  const differences = new Differences()
  const tally = new Tally('a', 0)
  for (let i = 0; i < 5; i++) tally.count('v2', 'canary', good)
  differences.take([tally.totals(RULES)], 0)
  expect(differences.take([], 0)('v2').canary.total).toBe(0)
  const restarted = new Tally('b', 0)
  restarted.count('v2', 'canary', good)
  expect(differences.take([restarted.totals(RULES)], 0)('v2').canary.total).toBe(1)
  restarted.totals(new Set())
  expect(differences.take([restarted.totals(RULES)], 0)('v2').canary.total).toBe(0)
})

test('what a gateway did before it was first seen is not counted, what a new one did is', () => {
  const differences = new Differences()
  const [known, late, young] = [new Tally('a', 0), new Tally('b', 0), new Tally('c', 150)]
  differences.take([known.totals(RULES)], 100)
  late.count('v2', 'canary', bad)
  young.count('v2', 'canary', good)
  const all = () => [known, late, young].map((tally) => tally.totals(RULES))
  expect(differences.take(all(), 200)('v2').canary).toMatchObject({ total: 1, bad: 0 })
  late.count('v2', 'canary', bad)
  expect(differences.take(all(), 300)('v2').canary).toMatchObject({ total: 1, bad: 1 })
})

test('one that started after the first look counts whole, however late it is seen', () => {
  const differences = new Differences()
  const [known, young] = [new Tally('a', 0), new Tally('b', 150)]
  differences.take([known.totals(RULES)], 100)
  differences.take([known.totals(RULES)], 300)
  young.count('v2', 'canary', good)
  expect(differences.take([known.totals(RULES), young.totals(RULES)], 400)('v2').canary.total).toBe(1)
})

test('one that was out of sight for a while goes on where it was', () => {
  const differences = new Differences()
  const tally = new Tally('a', 0)
  differences.take([tally.totals(RULES)], 100)
  tally.count('v2', 'canary', good)
  differences.take([], 200)
  expect(differences.take([tally.totals(RULES)], 300)('v2').canary.total).toBe(1)
  // After ten minutes nobody remembers it.
  tally.count('v2', 'canary', good)
  differences.take([], 1_000_000)
  expect(differences.take([tally.totals(RULES)], 1_000_100)('v2').canary.total).toBe(0)
})

test('after somebody else decided the first look says nothing again', () => {
  const differences = new Differences()
  const tally = new Tally('a', 0)
  differences.take([tally.totals(RULES)], 0)
  differences.forget()
  tally.count('v2', 'canary', good)
  expect(differences.take([tally.totals(RULES)], 0)('v2').canary.total).toBe(0)
})

test('breaches of all gateways stand side by side, each once; what is no text is left out', () => {
  const tallies = (...texts: unknown[]) => ({
    ...new Tally('a', 0).totals(RULES),
    breaches: { v2: texts as string[] },
  })
  const without = new Tally('b', 0).totals(RULES)
  expect(breachesIn([tallies('b', 'a'), without, tallies('a', 7, 'c')], 'v2')).toEqual(['a', 'b', 'c'])
  expect(breachesIn([tallies('b')], 'v3')).toEqual([])
  expect(breachesIn([tallies(...Array.from({ length: 90 }, (_, i) => `${i}`))], 'v2')).toHaveLength(50)
})
