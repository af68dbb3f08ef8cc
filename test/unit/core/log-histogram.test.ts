import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  bucketOf,
  countAbove,
  HISTOGRAM_BUCKETS,
  LogHistogram,
  mergeCounts,
  quantileOf,
  upperEdge,
} from '../../../src/core/log-histogram.ts'

test('a quantile is never too low and at most a bucket too high', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.6, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.5, 0.95, 0.99),
      (values, quantile) => {
        const histogram = new LogHistogram()
        for (const value of values) histogram.add(value)
        const sorted = values.toSorted((a, b) => a - b)
        const exact = sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] as number
        const found = quantileOf(histogram.take(), quantile) as number
        expect(found).toBeGreaterThanOrEqual(exact * 0.999_999)
        expect(found).toBeLessThanOrEqual(exact * 1.2)
      },
    ),
  )
})

test('what is counted as longer is longer', () => {
  const histogram = new LogHistogram()
  for (const ms of [1, 10, 100, 1000]) histogram.add(ms)
  const counts = histogram.take()
  expect([countAbove(counts, 0), countAbove(counts, 50), countAbove(counts, 5000)]).toEqual([4, 2, 0])
  expect(countAbove(counts, 100)).toBe(1)
})

test('odd durations do no harm, and nothing has no quantile', () => {
  for (const odd of [Number.NaN, -1, 0, Number.POSITIVE_INFINITY]) {
    expect(bucketOf(odd)).toBeGreaterThanOrEqual(0)
    expect(bucketOf(odd)).toBeLessThan(HISTOGRAM_BUCKETS)
  }
  expect(upperEdge(HISTOGRAM_BUCKETS - 1)).toBe(Number.POSITIVE_INFINITY)
  expect(quantileOf(new LogHistogram().take(), 0.5)).toBeUndefined()
})

test('taking empties it; counts of several add up', () => {
  const histogram = new LogHistogram()
  histogram.add(10)
  const first = histogram.take()
  histogram.add(10)
  expect(quantileOf(mergeCounts(first, histogram.take()), 0.5)).toBe(upperEdge(bucketOf(10)))
  expect(histogram.take().every((count) => count === 0)).toBe(true)
})
