import type { Clock } from '../../src/core/duration.ts'

/** A clock that stands until it is moved. */
export class FakeClock implements Clock {
  /** ms; both clocks show it. */
  at = 1_000_000

  now(): number {
    return this.at
  }

  monotonic(): number {
    return this.at
  }

  advance(ms: number): void {
    this.at += ms
  }
}

/** Numbers that look random and are the same in each run. In [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed | 0
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}
