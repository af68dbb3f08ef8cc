import { expect, test } from 'vitest'
import type { HistoryEntry } from '../../../src/core/monitor-view.ts'
import { Flapping } from '../../../src/health/flapping.ts'

const MINUTE = 60_000
const rule = { changes: 5, within: 10 * MINUTE }
type Step = Pick<HistoryEntry, 'what' | 'to'> & Partial<HistoryEntry>

const entry = (at: number, step: Step): HistoryEntry => ({
  at,
  service: 'shop',
  key: 'a',
  address: '10.0.0.1:80',
  ...step,
})

/** Notes the steps one a second from `start`; gives what was told. */
function run(flapping: Flapping, steps: readonly Step[], start = 0, everyMs = 1000) {
  return steps.flatMap((step, i) => flapping.note(entry(start + i * everyMs, step)) ?? [])
}

const down: Step = { what: 'changed', from: 'passing', to: 'critical' }
const up: Step = { what: 'changed', from: 'critical', to: 'passing' }
const mark: Step = { what: 'changed', from: 'passing', to: 'draining' }
const ejected: Step = { what: 'ejected', from: 'passing', to: 'ejected' }
const returned: Step = { what: 'returned', from: 'ejected', to: 'passing' }

test('begins with the fifth change within ten minutes, and is told once', () => {
  const flapping = new Flapping(rule)
  expect(run(flapping, [down, up, down, up])).toEqual([])
  expect(flapping.keys.size).toBe(0)
  expect(run(flapping, [down, up], 4000)).toEqual([
    { state: 'begin', service: 'shop', key: 'a', address: '10.0.0.1:80', changes: 5, since: 4000 },
  ])
  expect([...flapping.keys]).toEqual(['a'])
  expect(flapping.view(5000)).toMatchObject([{ key: 'a', changes: 6, since: 4000 }])
})

test('slower changes are no flapping', () => {
  const flapping = new Flapping(rule)
  expect(run(flapping, [down, up, down, up, down, up, down, up], 0, 2.6 * MINUTE)).toEqual([])
})

test('ends when it was quiet for ten minutes, not sooner', () => {
  const flapping = new Flapping(rule)
  run(flapping, [down, up, down, up, down])
  expect(flapping.review(9 * MINUTE)).toEqual([])
  run(flapping, [up], 9 * MINUTE)
  expect(flapping.review(18 * MINUTE)).toEqual([])
  expect(flapping.view(18 * MINUTE)).toMatchObject([{ changes: 1 }])
  expect(flapping.review(19 * MINUTE)).toMatchObject([{ state: 'end', key: 'a', since: 4000 }])
  expect(flapping.review(20 * MINUTE)).toEqual([])
  expect(flapping.keys.size).toBe(0)
})

test('an ejection and the failed check of the same crash are one change', () => {
  const flapping = new Flapping(rule)
  const crash = [ejected, down, up, returned]
  expect(run(flapping, [...crash, ...crash])).toEqual([])
  expect(run(flapping, crash, 8000)).toHaveLength(1)
})

test('releases under the same id do not flap', () => {
  const flapping = new Flapping(rule)
  const release: Step[] = [
    mark,
    { what: 'left', from: 'draining', to: 'gone' },
    { what: 'appeared', to: 'passing' },
  ]
  for (let i = 0; i < 10; i++) expect(run(flapping, release, i * 3000)).toEqual([])
  const upkeep: Step[] = [
    { what: 'changed', from: 'passing', to: 'maintenance' },
    { what: 'changed', from: 'maintenance', to: 'passing' },
  ]
  for (let i = 0; i < 10; i++) expect(run(flapping, upkeep, 40_000 + i * 2000)).toEqual([])
})

test('one that vanishes and comes back without a drain does', () => {
  const flapping = new Flapping(rule)
  const crash: Step[] = [
    { what: 'left', from: 'passing', to: 'gone' },
    { what: 'appeared', to: 'passing' },
  ]
  expect(run(flapping, [...crash, ...crash])).toEqual([])
  expect(run(flapping, crash, 4000)).toHaveLength(1)
})

test('passing and warning in turn is flapping, too', () => {
  const flapping = new Flapping(rule)
  const worse: Step = { what: 'changed', from: 'passing', to: 'warning' }
  const better: Step = { what: 'changed', from: 'warning', to: 'passing' }
  expect(run(flapping, [worse, better, worse, better, worse])).toHaveLength(1)
})

test('what is found at a start does not count', () => {
  const flapping = new Flapping(rule)
  const away = [down, up, down, up, down, up].map((step) => ({ ...step, away: true as const }))
  expect(run(flapping, away)).toEqual([])
})

test('forgets whom nothing is heard of', () => {
  const flapping = new Flapping({ changes: 2, within: 1000 })
  run(flapping, [down, up], 0, 10)
  flapping.review(5000)
  // It left long ago: one that comes now is new.
  run(flapping, [{ what: 'left', from: 'passing', to: 'gone' }], 6000)
  flapping.review(10_000)
  expect(run(flapping, [{ what: 'appeared', to: 'passing' }, down], 10_000, 10)).toEqual([])
})
