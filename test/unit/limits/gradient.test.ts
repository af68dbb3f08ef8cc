import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GradientLimit, type GradientOptions } from '../../../src/limits/gradient.ts'
import { exponential, Simulation, seeded } from '../../support/queueing.ts'

const OPTIONS: GradientOptions = {
  initial: 20,
  min: 3,
  max: 1000,
  tolerance: 1.25,
  windowMs: 500,
  minSamples: 50,
  probeIntervalMs: 30_000,
}

/** The same time for each request. */
const constant = (mean: number) => mean

/** Lognormal, σ = 1.5: half of the requests take less than a third of the mean, one in a hundred ten times as long. */
const uneven = (mean: number, random: () => number) => {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return mean * Math.exp(1.5 * normal - 1.125)
}

function simulate(slots: number, own: Partial<GradientOptions> = {}, draw?: typeof constant) {
  const random = seeded(slots)
  const limit = new GradientLimit({ ...OPTIONS, ...own }, random)
  const simulation = new Simulation(limit, { slots, serviceMs: 20 }, random, draw)
  /** At twice what the service can do. */
  return {
    limit,
    simulation,
    overload: (seconds: number) => simulation.run(seconds, (2 * slots * 1000) / 20),
  }
}

describe('over a service with K slots, at twice its load', () => {
  test.each([4, 10, 20, 60])('the limit settles near K = %i, and the slots stay busy', (slots) => {
    const { overload } = simulate(slots)
    const { limit, goodput } = overload(120)
    expect(limit).toBeGreaterThan(slots)
    // tolerance × K + √limit, and a little noise.
    expect(limit).toBeLessThan(1.25 * slots + 2 * Math.sqrt(slots) + 4)
    expect(goodput / (slots * 50)).toBeGreaterThan(0.93)
  })

  test.each([10, 60])('also when it began far above: K = %i, 200 at first', (slots) => {
    const { overload } = simulate(slots, { initial: 200 })
    const { limit, medianMs } = overload(120)
    expect(limit).toBeLessThan(2 * slots)
    expect(medianMs).toBeLessThan(2 * 20)
  })

  test('also when it began far below: K = 60, 3 at first', () => {
    const { overload } = simulate(60, { initial: 3 })
    expect(overload(120).goodput).toBeGreaterThan(0.93 * 60 * 50)
  })

  test('it finds by itself, before a probe is due, that there is no queue when requests become slower', () => {
    const { simulation, overload } = simulate(20, { initial: 30, probeIntervalMs: 1e9 }, constant)
    expect(overload(60).goodput / 1000).toBeGreaterThan(0.95)
    simulation.model.serviceMs = 60
    const slow = simulation.run(20, 2000)
    expect(slow.goodput / (1000 / 3)).toBeGreaterThan(0.9)
  })

  test('it is near K again when they became quick again', () => {
    const { simulation, overload } = simulate(20, {}, constant)
    overload(60)
    simulation.model.serviceMs = 60
    simulation.run(90, 2000)
    simulation.model.serviceMs = 20
    const again = simulation.run(60, 2000)
    expect(again.goodput / 1000).toBeGreaterThan(0.95)
    expect(again.limit).toBeLessThan(40)
  })

  test('it falls when slots are lost, and rises when they come back', () => {
    const { simulation, overload } = simulate(40, {}, constant)
    overload(60)
    simulation.model.slots = 10
    expect(simulation.run(90, 2000).limit).toBeLessThan(25)
    simulation.model.slots = 40
    const again = simulation.run(90, 4000)
    expect(again.limit).toBeGreaterThan(40)
    expect(again.goodput).toBeGreaterThan(0.95 * 2000)
  })

  test.each([
    ['uneven', exponential, 0.93, 0.9],
    ['very uneven', uneven, 0.8, 0.75],
  ] as const)(
    'a slow service with %s times is not starved by its quick requests',
    (_what, draw, least, leastSlow) => {
      const shares = [1, 2, 3, 4, 5, 6].map((seed) => {
        const random = seeded(seed)
        const limit = new GradientLimit(OPTIONS, random)
        const simulation = new Simulation(limit, { slots: 50, serviceMs: 500 }, random, draw)
        const before = simulation.run(120, 200).goodput / 100
        simulation.model.serviceMs = 1500
        return [before, simulation.run(120, 67).goodput / (100 / 3)] as const
      })
      const meanOf = (which: 0 | 1) => shares.reduce((sum, share) => sum + share[which], 0) / shares.length
      expect(meanOf(0)).toBeGreaterThan(least)
      expect(meanOf(1)).toBeGreaterThan(leastSlow)
    },
  )

  test('probes cost little', () => {
    const { overload } = simulate(20, { probeIntervalMs: 5000 }, constant)
    overload(60)
    expect(overload(120).goodput / 1000).toBeGreaterThan(0.93)
  })
})

test('without overload nobody is refused: a limit that is not used does not fall', () => {
  const { limit, simulation } = simulate(100)
  const { goodput, lowest } = simulation.run(60, 100)
  expect(lowest).toBe(20)
  expect(goodput).toBeGreaterThan(90)
  expect(limit.limit).toBe(20)
})

const answers = (limit: GradientLimit, from: number, count: number, ms: number, inFlight = limit.limit) => {
  for (let i = 0; i < count; i++) limit.answered(from + i * 20, { ms, inFlight })
  return from + count * 20
}

test('a few slow requests do not move it', () => {
  const limit = new GradientLimit(OPTIONS, seeded(1))
  let now = answers(limit, 0, 300, 20)
  const before = limit.limit
  for (let i = 0; i < 10; i++) {
    limit.answered(now, { ms: 30_000, inFlight: before })
    now = answers(limit, now, 100, 20)
  }
  expect(limit.limit).toBeGreaterThanOrEqual(before)
})

test('few samples judge nothing, however slow they are and however long it takes', () => {
  const limit = new GradientLimit(OPTIONS, seeded(1))
  answers(limit, 0, 300, 20, 1)
  const before = limit.limit
  // One each two minutes: each is alone in its window.
  for (let i = 0; i < 200; i++) limit.answered(100_000 + i * 120_000, { ms: 5000, inFlight: before })
  expect(limit.limit).toBe(before)
})

test('answers that have to be collected for long judge nothing before there are enough', () => {
  const limit = new GradientLimit(OPTIONS, seeded(1))
  const now = answers(limit, 0, 300, 20, 1)
  const before = limit.limit
  for (let i = 0; i < 49; i++) limit.answered(now + i * 20_000, { ms: 5000, inFlight: before })
  expect(limit.limit).toBe(before)
})

test('of five samples one lost is no sign', () => {
  const limit = new GradientLimit({ ...OPTIONS, minSamples: 5, probeIntervalMs: 1e9 }, seeded(1))
  let now = answers(limit, 0, 300, 20, 1)
  const before = limit.limit
  for (let i = 0; i < 20; i++) {
    limit.dropped(now, 1)
    for (let j = 1; j < 5; j++) limit.answered(now + j * 200, { ms: 20, inFlight: 1 })
    now += 1000
  }
  expect(limit.limit).toBe(before)
})

test('losses lower it, one alone does not', () => {
  const limit = new GradientLimit({ ...OPTIONS, probeIntervalMs: 1e9 }, seeded(1))
  let now = answers(limit, 0, 600, 20)
  const before = limit.limit
  limit.dropped(now, before)
  now = answers(limit, now, 100, 20)
  expect(limit.limit).toBeGreaterThanOrEqual(before)
  for (let i = 0; i < 200; i++) limit.dropped(now + i * 20, before)
  expect(limit.limit).toBeLessThan(0.8 * before)
})

test('losses also outweigh that what is answered is quick', () => {
  const limit = new GradientLimit(OPTIONS, seeded(1))
  let now = answers(limit, 0, 600, 20)
  for (let i = 0; i < 3000; i++) {
    now += 20
    if (i % 4 === 0) limit.dropped(now, limit.limit)
    else limit.answered(now, { ms: 1, inFlight: limit.limit })
  }
  expect(limit.limit).toBe(OPTIONS.min)
})

test('other options keep what was learnt, within their bounds', () => {
  const limit = new GradientLimit(OPTIONS, seeded(1))
  answers(limit, 0, 3000, 20)
  const learnt = limit.limit
  expect(learnt).toBeGreaterThan(25)
  limit.configure({ ...OPTIONS, initial: 4 })
  expect(limit.limit).toBe(learnt)
  limit.configure({ ...OPTIONS, max: 10 })
  expect(limit.limit).toBe(10)
})

test('whatever is told, it is a whole number within its bounds', () => {
  const event = fc.record({
    gapMs: fc.double({ min: 0, max: 5000, noNaN: true }),
    ms: fc.oneof(
      fc.double({ min: 0, max: 60_000 }),
      fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY),
    ),
    inFlight: fc.nat(500),
    isDrop: fc.boolean(),
  })
  fc.assert(
    fc.property(
      fc.array(event, { minLength: 50, maxLength: 400 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 5, max: 40 }),
      (events, min, more, minSamples) => {
        const options = { ...OPTIONS, min, max: min + more, minSamples, probeIntervalMs: 3000 }
        const limit = new GradientLimit(options, seeded(7))
        let now = 0
        for (const { gapMs, ms, inFlight, isDrop } of events) {
          now += gapMs
          if (isDrop) limit.dropped(now, inFlight)
          else limit.answered(now, { ms, inFlight })
          if (!Number.isInteger(limit.limit) || limit.limit < min || limit.limit > min + more) return false
        }
        return true
      },
    ),
  )
})

test('one window lowers it by no more than half of what it is', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.001, max: 1e9, noNaN: true }),
      fc.integer({ min: 0, max: 1e6 }),
      (ms, seed) => {
        const limit = new GradientLimit({ ...OPTIONS, initial: 100, probeIntervalMs: 1e9 }, seeded(seed))
        const now = answers(limit, 0, 200, 20)
        const before = limit.limit
        for (let i = 0; i < 60; i++) limit.answered(now + i * 20, { ms, inFlight: before })
        return limit.limit >= before / 2
      },
    ),
    { numRuns: 50 },
  )
})
