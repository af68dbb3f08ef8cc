import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bucketOf, hash53, layShares, seedOf, shareAt } from '../../../src/routing/bucket.ts'

describe('the hash', () => {
  // These must never change: another value moves the users of every running release.
  test.each([
    ['', 8370024961704129],
    ['a', 788053665582912],
    ['u-1007', 6599543258644673],
    ['héllo ☃', 2388406979269423],
  ])('of %j is %i', (text, value) => expect(hash53(text)).toBe(value))

  test('a bucket of a known key', () => expect(bucketOf('u1', seedOf('salt'))).toBe(5228))

  test.each([
    ['numbered users', (i: number) => `u-${i}`],
    ['addresses', (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`],
    ['plain numbers', String],
    ['hex ids', (i: number) => i.toString(16).padStart(32, '0')],
  ])('spreads %s evenly over 10,000 buckets', (_what, keyOf) => {
    const counts = new Uint32Array(10_000)
    const seed = seedOf('rule:catalog-v2')
    for (let i = 0; i < 300_000; i++) {
      const bucket = bucketOf(keyOf(i), seed)
      counts[bucket] = (counts[bucket] ?? 0) + 1
    }
    let chi = 0
    for (const count of counts) chi += (count - 30) ** 2 / 30
    // Chi square over its degrees of freedom: 1 ± 0.014 for chance.
    expect(chi / 9999).toBeGreaterThan(0.93)
    expect(chi / 9999).toBeLessThan(1.07)
  })

  test('two salts split independently', () => {
    const [a, b] = [seedOf('rule:a'), seedOf('rule:b')]
    let [one, both] = [0, 0]
    for (let i = 0; i < 100_000; i++) {
      if (bucketOf(`u-${i}`, a) >= 1000) continue
      one++
      if (bucketOf(`u-${i}`, b) < 1000) both++
    }
    expect(both / one).toBeGreaterThan(0.085)
    expect(both / one).toBeLessThan(0.115)
  })
})

describe('shares', () => {
  const percents = fc
    .array(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 6 })
    .map((list) => {
      const sum = list.reduce((a, b) => a + b, 0)
      return sum <= 10_000 ? list : list.map((one) => Math.floor((one * 10_000) / sum))
    })

  test('everybody gets exactly what is due, and no bucket is given twice', () => {
    fc.assert(
      fc.property(percents, (list) => {
        const shares = layShares(list)
        const got = list.map(() => 0)
        for (const { index, from, to } of shares) got[index] = (got[index] ?? 0) + to - from
        expect(got).toEqual(list)
        const sorted = shares.toSorted((a, b) => a.from - b.from)
        sorted.forEach((share, i) => {
          expect(share.from).toBeGreaterThanOrEqual(sorted[i - 1]?.to ?? 0)
          expect(share.to).toBeLessThanOrEqual(10_000)
        })
      }),
    )
  })

  test('a growing percentage only adds users', () => {
    const share = fc.integer({ min: 0, max: 10_000 })
    fc.assert(
      fc.property(fc.string(), fc.string(), share, share, (salt, key, a, b) => {
        const bucket = bucketOf(key, seedOf(salt))
        const [small, large] = [layShares([Math.min(a, b)]), layShares([Math.max(a, b)])]
        if (shareAt(small, bucket) === 0) expect(shareAt(large, bucket)).toBe(0)
      }),
    )
  })

  test('a variant that grows in its place takes from stable alone', () => {
    const place = fc.integer({ min: 0, max: 2500 })
    fc.assert(
      fc.property(place, place, place, fc.integer({ min: 0, max: 9999 }), (a, b, more, bucket) => {
        const before = shareAt(layShares([a, b, 0, 100]), bucket)
        const after = shareAt(layShares([Math.min(2500, a + more), b, 0, 100]), bucket)
        if (before !== -1) expect(after).toBe(before)
      }),
    )
  })
})
