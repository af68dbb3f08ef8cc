import fc from 'fast-check'
import { compileLimit, type Limit, type LimitSpec } from '../../src/limits/limit.ts'

export const aLimit = (own: Partial<LimitSpec> = {}): Limit => {
  const spec = { algorithm: 'token-bucket' as const, limit: 10, windowMs: 1000, ...own }
  return compileLimit({ burst: spec.limit, ...spec })
}

/** Limits as somebody might write them, with a burst of their own. */
export const limits = (...algorithms: LimitSpec['algorithm'][]) =>
  fc
    .record({
      algorithm: fc.constantFrom(...algorithms),
      limit: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5000 })),
      windowMs: fc.constantFrom(1000, 7000, 60_000, 3_600_000, 86_400_000),
      burst: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 6000 })),
    })
    .map(compileLimit)

export interface Visit {
  /** Since the one before. */
  readonly afterUs: number
  readonly cost: number
}

/** Crowds, pauses, and moments around the ends of windows. */
export const visits = () =>
  fc.array(
    fc.record({
      afterUs: fc.oneof(
        fc.constantFrom(0, 1, 999, 1000, 999_999, 1_000_000, 7_000_000, 60_000_000),
        fc.integer({ min: 0, max: 3_000_000 }),
        fc.integer({ min: 0, max: 200_000_000_000 }),
      ),
      cost: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 7000 })),
    }),
    { minLength: 1, maxLength: 60 },
  )
