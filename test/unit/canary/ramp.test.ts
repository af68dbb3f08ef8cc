import { expect, test } from 'vitest'
import { act, advance, isOpen, newRelease } from '../../../src/canary/ramp.ts'
import type { Block, Guard, Ramp, RampStep, ReleaseState } from '../../../src/canary/release.ts'
import { LogHistogram } from '../../../src/core/log-histogram.ts'

const GUARD: Guard = {
  checks: [
    { kind: 'share', name: 'error-ratio', maxIncrease: 0.005 },
    { kind: 'latency', name: 'latency-p95', quantile: 0.95, maxRatio: 1.3 },
  ],
  falseAlarm: 0.001,
  minRequests: 100,
  failures: 3,
  onFail: 'rollback',
  contract: 'hold',
}
const aStep = (percent: number, own: Partial<RampStep> = {}): RampStep => ({
  percent: percent * 100,
  forMs: 60_000,
  minRequests: 200,
  hold: false,
  ...own,
})
const aRamp = (own: Partial<Ramp> = {}): Ramp => ({
  steps: [aStep(1), aStep(25), aStep(100)],
  windows: [],
  guard: GUARD,
  ...own,
})

function side(total: number, bad = 0, ms = 20) {
  const histogram = new LogHistogram()
  for (let i = 0; i < total; i++) histogram.add(ms)
  return { total, bad, latency: histogram.take(), headers: {} }
}
const block = (canary = side(100), stable = side(1000), values: Record<string, number> = {}): Block => ({
  canary,
  stable,
  values,
  breaches: [],
})
const QUIET = block(side(0), side(0))

function run(ramp: Ramp, blocks: readonly Block[], state = newRelease('v2', 'a', ramp, 0)): ReleaseState {
  let [current, now] = [state, state.since]
  for (const each of blocks) {
    now += 30_000
    current = advance(ramp, current, each, now)
  }
  return current
}
const repeat = (each: Block, count: number) => Array.from({ length: count }, () => each)
const brief = ({ status, percent, step }: ReleaseState) => ({ status, percent, step })

test('of a service with few requests each look has one side only: they wait for the other one', () => {
  const ramp = aRamp()
  const good = repeat(block(side(0), side(10)), 5)
  const bad = repeat(block(side(25, 25), side(0)), 4)
  expect(run(ramp, [...good, ...bad])).toMatchObject({ status: 'aborted' })
  // A canary that is asked by nobody gathers nothing for ever.
  const idle = run(ramp, repeat(block(side(0), side(10)), 100))
  expect(idle.checks['error-ratio']?.pending?.stable.total ?? 0).toBeLessThan(250)
})

test('what is ten minutes apart is not compared', () => {
  const ramp = aRamp()
  const good = [block(side(0), side(50)), ...repeat(QUIET, 20)]
  const state = run(ramp, [...good, ...repeat(block(side(25, 25), side(0)), 4)])
  expect(state).toMatchObject({ status: 'ramping', percent: 100 })
})

test('a good canary goes up step by step to its end, each step with its time and its requests', () => {
  const ramp = aRamp()
  expect(brief(run(ramp, [QUIET]))).toEqual({ status: 'ramping', percent: 100, step: 0 })
  expect(brief(run(ramp, repeat(block(), 2)))).toEqual({ status: 'ramping', percent: 100, step: 0 })
  expect(brief(run(ramp, repeat(block(), 3)))).toEqual({ status: 'ramping', percent: 2500, step: 1 })
  const end = run(ramp, repeat(block(), 20))
  expect(brief(end)).toEqual({ status: 'finished', percent: 10_000, step: 2 })
  expect(end.history.map(({ status, percent }) => [status, percent])).toEqual([
    ['ramping', 100],
    ['ramping', 2500],
    ['promoted', 10_000],
    ['finished', 10_000],
  ])
})

test('too few requests hold it where it is, without an end', () => {
  const end = run(aRamp(), repeat(block(side(1), side(1000)), 50))
  expect(brief(end)).toEqual({ status: 'ramping', percent: 100, step: 0 })
  expect(end.reason).toContain('49 of 100 requests of the canary')
})

test('silence neither promotes nor aborts', () => {
  expect(brief(run(aRamp(), repeat(QUIET, 500)))).toEqual({ status: 'ramping', percent: 100, step: 0 })
  const noStable = run(aRamp(), repeat(block(side(1000), side(0)), 50))
  expect(brief(noStable)).toEqual({ status: 'ramping', percent: 100, step: 0 })
  expect(noStable.reason).toContain('stable to compare with')
})

test('more errors than stable: back to nothing at once, with the numbers', () => {
  const ramp = aRamp()
  const end = run(ramp, [...repeat(block(), 3), ...repeat(block(side(100, 6), side(1000, 8)), 8)])
  expect(brief(end)).toEqual({ status: 'aborted', percent: 0, step: -1 })
  expect(end.reason).toMatch(/^error-ratio: canary \d+ of \d+ \(6 %\), stable \d+ of \d+ \(0\.8 %\)$/)
  const { counts, reason } = end.history.at(-1) ?? {}
  expect(reason).toBe(end.reason)
  expect(counts?.canary.bad).toBeGreaterThan(0)
  expect(brief(run(ramp, repeat(block(), 20), end))).toEqual(brief(end))
})

test('both sides bad is not the canary’s fault', () => {
  expect(run(aRamp(), repeat(block(side(100, 30), side(1000, 300)), 30)).status).toBe('finished')
})

test('slower than stable: the same', () => {
  const end = run(aRamp(), repeat(block(side(100, 0, 80), side(1000, 0, 20)), 30))
  expect(brief(end)).toEqual({ status: 'aborted', percent: 0, step: -1 })
  expect(end.reason).toContain('latency-p95')
})

test('with onFail hold it stays where it is and says why', () => {
  const ramp = aRamp({ guard: { ...GUARD, onFail: 'hold' } })
  const end = run(ramp, repeat(block(side(100, 50), side(1000)), 20))
  expect(brief(end)).toEqual({ status: 'holding', percent: 100, step: 0 })
  expect(end.reason).toContain('error-ratio')
})

test('a value from elsewhere has to be bad so many times in a row', () => {
  const guard: Guard = {
    ...GUARD,
    checks: [{ kind: 'value', name: 'lost', query: 'up', max: 3, optional: false }],
  }
  const ramp = aRamp({ guard })
  const values = (...all: (number | undefined)[]) =>
    all.map((lost) => block(side(100), side(1000), lost === undefined ? {} : { lost }))
  expect(run(ramp, values(1, 9, 9, 1, 9, 9)).status).toBe('ramping')
  expect(run(ramp, values(1, 9, 9, 9))).toMatchObject({
    status: 'aborted',
    reason: 'lost: 9, 3 times in a row; allowed is at most 3',
  })
  const unanswered = run(ramp, values(...new Array<undefined>(20).fill(undefined)))
  expect(brief(unanswered)).toEqual({ status: 'ramping', percent: 100, step: 0 })
})

test('a step with hold waits for a person', () => {
  const ramp = aRamp({ steps: [aStep(1), aStep(50, { hold: true }), aStep(100)] })
  const held = run(ramp, repeat(block(), 50))
  expect(brief(held)).toEqual({ status: 'holding', percent: 5000, step: 1 })
  const promoted = act(ramp, held, { kind: 'promote' }, 'ada', 9, 'looks fine')
  expect(promoted).toMatchObject({ status: 'promoted', percent: 10_000, by: 'ada', reason: 'looks fine' })
})

test('it waits for its start and for the times of steps upwards', () => {
  const later = aRamp({ start: 10 * 60_000 })
  expect(run(later, repeat(block(), 19)).status).toBe('waiting')
  expect(run(later, repeat(block(), 20)).status).toBe('ramping')
  const never = aRamp({ windows: [{ days: [6], from: 0, to: 1440, zone: 'UTC' }] })
  expect(run(never, repeat(block(), 100)).status).toBe('waiting')
})

test('times of the week are those of their zone', () => {
  const hours = [{ days: [1, 2, 3, 4, 5], from: 9 * 60, to: 17 * 60, zone: 'Asia/Shanghai' }]
  expect(isOpen(hours, Date.parse('2026-11-25T01:00:00Z'))).toBe(true)
  expect(isOpen(hours, Date.parse('2026-11-25T00:59:00Z'))).toBe(false)
  expect(isOpen(hours, Date.parse('2026-11-25T09:00:00Z'))).toBe(false)
  expect(isOpen(hours, Date.parse('2026-11-28T02:00:00Z'))).toBe(false)
})

test('a person may always go down, and up only step by step or by force', () => {
  const ramp = aRamp()
  const state = run(ramp, repeat(block(), 4))
  expect(state.percent).toBe(2500)
  const set = (percent: number, force = false) =>
    act(ramp, state, { kind: 'set', percent, force }, 'ada', 1, 'because')
  expect(set(10)).toMatchObject({ percent: 10, status: 'paused' })
  expect(set(10_000)).toMatchObject({ percent: 10_000 })
  const early = run(ramp, [QUIET])
  expect(act(ramp, early, { kind: 'set', percent: 9000, force: false }, 'ada', 1, '')).toContain('25 %')
  expect(act(ramp, early, { kind: 'set', percent: 9000, force: true }, 'ada', 1, '')).toMatchObject({
    percent: 9000,
  })
  expect(act(ramp, state, { kind: 'abort' }, 'ada', 1, 'smells')).toMatchObject({
    status: 'aborted',
    percent: 0,
  })
})

test('paused it stays, and goes on where it was; aborted it begins anew', () => {
  const ramp = aRamp()
  const state = run(ramp, repeat(block(), 4))
  const paused = act(ramp, state, { kind: 'pause' }, 'ada', state.since, 'lunch') as ReleaseState
  expect(brief(run(ramp, repeat(block(), 30), paused))).toEqual({
    status: 'paused',
    percent: 2500,
    step: 1,
  })
  const resumed = act(ramp, paused, { kind: 'resume' }, 'ada', paused.since, 'back') as ReleaseState
  expect(run(ramp, repeat(block(), 30), resumed).status).toBe('finished')
  expect(act(ramp, state, { kind: 'resume' }, 'ada', 1, '')).toBe('the release is ramping, not paused')
  const aborted = act(ramp, state, { kind: 'abort' }, 'ada', 1, 'no') as ReleaseState
  expect(act(ramp, aborted, { kind: 'resume' }, 'ada', 2, 'fixed')).toMatchObject({ step: 0, percent: 100 })
})

test('while it is paused the guard still watches', () => {
  const ramp = aRamp()
  const state = run(ramp, repeat(block(), 4))
  const paused = act(ramp, state, { kind: 'pause' }, 'ada', state.since, 'lunch') as ReleaseState
  expect(run(ramp, repeat(block(side(100, 40), side(1000)), 20), paused).status).toBe('aborted')
})

test('with all of the traffic on the canary nothing is left to compare with, and the release still ends', () => {
  const ramp = aRamp()
  const whole = run(ramp, repeat(block(), 5))
  expect(brief(whole)).toEqual({ status: 'promoted', percent: 10_000, step: 2 })
  expect(run(ramp, repeat(block(side(100), side(0)), 5), whole).status).toBe('finished')
})

test('a value that is bad for the first time, or cannot be had any more, holds the step', () => {
  const checks = [{ kind: 'value', name: 'lost', query: 'up', max: 3, optional: false }] as const
  const ramp = aRamp({ guard: { ...GUARD, checks } })
  const good = block(side(100), side(1000), { lost: 1 })
  const before = run(ramp, [good, good])
  expect(run(ramp, [good, block()], before).percent).toBe(2500)
  const bad = run(ramp, [block(side(100), side(1000), { lost: 9 }), block()], before)
  expect([bad.percent, bad.reason]).toEqual([100, 'waits for: lost: bad 1 of 3 times'])
  const gone = run(ramp, [block(side(100), side(1000), { lost: Number.NaN }), block()], before)
  expect([gone.percent, gone.reason]).toEqual([100, 'waits for: lost: no value'])
})
