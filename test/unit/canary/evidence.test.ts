import { expect, test } from 'vitest'
import {
  againstLimit,
  againstStable,
  type Evidence,
  noComparison,
  noExcess,
  strength,
} from '../../../src/canary/evidence.ts'
import { seeded } from '../../support/seeded.ts'

function draw(random: () => number, total: number, share: number) {
  let bad = 0
  for (let i = 0; i < total; i++) if (random() < share) bad++
  return { total, bad }
}

const ALARM = Math.log(1 / 0.001)

/** Looks every 5 s at 200 requests a second, 5 % of them canary. Returns the look that alarms. */
function firstAlarm(seed: number, looks: number, stable: number, canary: number): number | undefined {
  const random = seeded(seed)
  let evidence: Evidence = noComparison()
  for (let look = 1; look <= looks; look++) {
    evidence = againstStable(evidence, draw(random, 50, canary), draw(random, 950, stable))
    if (strength(evidence) > ALARM) return look
  }
  return undefined
}

test.each([0.0005, 0.01, 0.2])(
  'a canary like stable (%d bad) raises no alarm however often it is looked at',
  (share) => {
    const alarms = Array.from({ length: 40 }, (_, seed) => firstAlarm(seed, 300, share, share))
    expect(alarms.filter((each) => each !== undefined)).toEqual([])
  },
)

test('a better canary raises none, either', () => {
  const alarms = Array.from({ length: 40 }, (_, seed) => firstAlarm(seed, 300, 0.05, 0.01))
  expect(alarms.filter((each) => each !== undefined)).toEqual([])
})

test('3 % more errors are found within some hundred requests of the canary', () => {
  const looks = Array.from({ length: 40 }, (_, seed) => firstAlarm(seed, 300, 0.01, 0.04))
  expect(looks).not.toContain(undefined)
  const sorted = (looks as number[]).sort((a, b) => a - b)
  expect((sorted[20] as number) * 50).toBeLessThan(1000)
  expect((sorted[39] as number) * 50).toBeLessThan(3000)
})

test('no data is no evidence', () => {
  const none = { total: 0, bad: 0 }
  expect(strength(againstStable(noComparison(), none, none))).toBeCloseTo(0)
  expect(strength(againstLimit(noExcess(), none, 0.02))).toBeCloseTo(0)
  // One side alone can not differ from the other.
  expect(strength(againstStable(noComparison(), { total: 50, bad: 50 }, none))).toBeCloseTo(0)
})

test('a share above a limit is found, one at the limit is not', () => {
  const run = (seed: number, share: number) => {
    const random = seeded(seed)
    let evidence = noExcess()
    for (let look = 0; look < 200; look++) {
      evidence = againstLimit(evidence, draw(random, 50, share), 0.05)
      if (strength(evidence) > ALARM) return look
    }
    return undefined
  }
  const seeds = Array.from({ length: 30 }, (_, seed) => seed)
  expect(seeds.map((seed) => run(seed, 0.05)).filter((each) => each !== undefined)).toEqual([])
  expect(seeds.map((seed) => run(seed, 0.1))).not.toContain(undefined)
})
