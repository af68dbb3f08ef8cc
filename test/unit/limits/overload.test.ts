import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PRIORITY_CLASSES, type PriorityClass } from '../../../src/core/priority-class.ts'
import {
  OverloadController,
  type OverloadLimits,
  type OverloadReading,
} from '../../../src/limits/overload.ts'
import { seeded } from '../../support/queueing.ts'

const LIMITS: OverloadLimits = {
  delayMs: { from: 1000, full: 3000 },
  utilization: 0.9,
  heap: { from: 0.92, full: 0.99 },
  rss: { from: 0, full: 0 },
  maxRequests: 0,
}
const QUIET: OverloadReading = { delayMs: 2, utilization: 0.3, heap: 0.2, rss: 1e9 }

function controllerAfter(...readings: Partial<OverloadReading>[]) {
  const controller = new OverloadController(LIMITS, seeded(1))
  for (const reading of readings) controller.read({ ...QUIET, utilization: 1, ...reading })
  return controller
}
const late = (delayMs: number) => Array.from({ length: 3 }, () => ({ delayMs }))

/** Of 1000 requests of a class, how many are refused. */
function shedOf(controller: OverloadController, name: PriorityClass): number {
  let shed = 0
  for (let i = 0; i < 1000; i++) if (controller.sheds(name, 1) !== undefined) shed++
  return shed
}
const shares = (controller: OverloadController) => PRIORITY_CLASSES.map((name) => shedOf(controller, name))

test('a quiet process refuses nobody', () => {
  const controller = controllerAfter(...Array.from({ length: 20 }, () => QUIET))
  expect([controller.level, shares(controller)]).toEqual([0, [0, 0, 0, 0]])
})

test('one long pause, and two, are a garbage collection and no overload', () => {
  const controller = controllerAfter(QUIET, { delayMs: 10_000 }, { delayMs: 10_000 }, QUIET)
  expect([controller.level, shares(controller)]).toEqual([0, [0, 0, 0, 0]])
})

test('a process that is not given the processor while it has nothing to do is not overloaded', () => {
  const controller = controllerAfter(...late(5000).map((one) => ({ ...one, utilization: 0.5 })))
  expect(controller.level).toBe(0)
})

describe('the longer the loop is late', () => {
  test('first bots', () => {
    const controller = controllerAfter(...late(1500))
    expect(controller.level).toBe(1)
    const [health, authenticated, anonymous, bots] = shares(controller)
    expect([health, authenticated, bots]).toEqual([0, 0, 1000])
    expect(anonymous).toBeGreaterThan(400)
    expect(anonymous).toBeLessThan(600)
  })

  test('then strangers', () => {
    const controller = controllerAfter(...late(2000))
    expect([controller.level, shares(controller)]).toEqual([1, [0, 0, 1000, 1000]])
  })

  test('then those we know, in part', () => {
    const controller = controllerAfter(...late(2500))
    expect(controller.level).toBe(2)
    const authenticated = shedOf(controller, 'authenticated')
    expect(authenticated).toBeGreaterThan(400)
    expect(authenticated).toBeLessThan(600)
  })

  test('at last all but health', () => {
    expect(shares(controllerAfter(...late(9000)))).toEqual([0, 1000, 1000, 1000])
  })
})

test('relief is gradual and has its hysteresis', () => {
  const controller = controllerAfter(...late(3000))
  const pressures: number[] = []
  for (let i = 0; i < 12; i++) {
    controller.read({ ...QUIET, utilization: 1 })
    pressures.push(controller.pressure)
  }
  expect(pressures[0]).toBeCloseTo(0.9)
  expect(pressures[8]).toBeCloseTo(0.1)
  expect(pressures.slice(9)).toEqual([0, 0, 0])

  const lingering = controllerAfter(...late(1500))
  for (let i = 0; i < 20; i++) lingering.read({ ...QUIET, utilization: 1, delayMs: 900 })
  expect(lingering.level).toBe(1)
  for (let i = 0; i < 20; i++) lingering.read({ ...QUIET, utilization: 1, delayMs: 790 })
  expect(lingering.level).toBe(0)
})

test('memory counts whether the loop is busy or not, and the reason is what is shortest', () => {
  const full = Array.from({ length: 3 }, () => ({ heap: 0.99, utilization: 0.1 }))
  const controller = controllerAfter(...full)
  expect([controller.level, controller.reason, controller.sheds('bots', 1)]).toEqual([2, 'heap', 'heap'])
  const both = controllerAfter(...full.map((one) => ({ ...one, heap: 0.93, delayMs: 2500, utilization: 1 })))
  expect(both.reason).toBe('event_loop')
})

test('from = full is a switch', () => {
  const limits = { ...LIMITS, rss: { from: 100, full: 100 } }
  const controller = new OverloadController(limits, seeded(1))
  for (let i = 0; i < 3; i++) controller.read({ ...QUIET, rss: 99 })
  expect(controller.pressure).toBe(0)
  for (let i = 0; i < 3; i++) controller.read({ ...QUIET, rss: 100 })
  expect(controller.pressure).toBe(1)
})

test('maxRequests lets in exactly so many, of lower classes fewer, of health any number', () => {
  const controller = new OverloadController({ ...LIMITS, maxRequests: 10 }, seeded(1))
  const most = (name: PriorityClass) => {
    let inFlight = 1
    while (inFlight < 50 && controller.sheds(name, inFlight) === undefined) inFlight++
    return inFlight - 1
  }
  expect(PRIORITY_CLASSES.map(most)).toEqual([49, 10, 9, 7])
  expect(controller.sheds('bots', 8)).toBe('requests')
})

test('whatever is read: pressure is 0 to 1, health is served, and who is less important is refused no less', () => {
  const reading = fc.record({
    delayMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
    utilization: fc.double({ min: 0, max: 1, noNaN: true }),
    heap: fc.double({ min: 0, max: 1.5, noNaN: true }),
    rss: fc.double({ min: 0, max: 1e12, noNaN: true }),
  })
  fc.assert(
    fc.property(
      fc.array(reading, { maxLength: 40 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (all, roll) => {
        const controller = new OverloadController(LIMITS, () => roll)
        return all.every((one) => {
          controller.read(one)
          const refused = PRIORITY_CLASSES.map((name) => controller.sheds(name, 1) !== undefined)
          const isOrdered = refused.every((is, i) => i === 0 || is || !refused[i - 1])
          return controller.pressure >= 0 && controller.pressure <= 1 && !refused[0] && isOrdered
        })
      },
    ),
  )
})
