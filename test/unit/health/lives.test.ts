import { expect, test } from 'vitest'
import type { HistoryEntry } from '../../../src/core/monitor-view.ts'
import type { Instance, InstanceState } from '../../../src/core/types.ts'
import type { InstanceEvent } from '../../../src/core/views.ts'
import { Lives } from '../../../src/health/lives.ts'

const LIMITS = { maxEntries: 1000, maxAge: 0 }
const RULE = { changes: 3, within: 10_000 }
const KEY = 'consul/dc1/n1/a'
const event = (fields: Partial<InstanceEvent> & Pick<InstanceEvent, 'kind'>): InstanceEvent => ({
  service: 'shop',
  key: KEY,
  id: 'a',
  address: '10.0.0.1:80',
  version: '1.0',
  ...fields,
})
const first = (key: string, state: InstanceState) => ({
  service: 'shop',
  address: '10.0.0.1:80',
  instance: { key, state, version: '1.0' } as Instance,
})
const begun = (state: InstanceState = 'passing') => {
  const lives = new Lives(LIMITS, RULE)
  lives.begin([first(KEY, state)], () => true, 0)
  return lives
}
const all = (lives: Lives) => lives.history.entries({ limit: 100 }, 1e9).reverse()
const steps = (entries: readonly HistoryEntry[]) => entries.map(({ what, from, to }) => [what, from, to])

test('the first table is no change', () => {
  expect(all(begun())).toEqual([])
})

test('appeared, changed, left; idle and closed are none of its state', () => {
  const lives = begun()
  lives.instance(event({ kind: 'appeared', key: 'b', to: 'passing' }), 1)
  lives.instance(event({ kind: 'changed', from: 'passing', to: 'critical', reason: 'a: 503' }), 2)
  expect(lives.instance(event({ kind: 'idle' }), 3)).toBeUndefined()
  expect(lives.instance(event({ kind: 'closed' }), 3)).toBeUndefined()
  lives.instance(event({ kind: 'left', from: 'critical' }), 4)
  expect(steps(all(lives))).toEqual([
    ['appeared', undefined, 'passing'],
    ['changed', 'passing', 'critical'],
    ['left', 'critical', 'gone'],
  ])
  expect(all(lives)[1]).toEqual({
    at: 2,
    service: 'shop',
    key: KEY,
    address: '10.0.0.1:80',
    version: '1.0',
    from: 'passing',
    to: 'critical',
    what: 'changed',
    reason: 'a: 503',
  })
})

test('ejections name the instance as it was last known, each once', () => {
  const lives = begun('warning')
  const eject = (kind: 'ejected' | 'kept' | 'returned', at: number) =>
    lives.ejection({ kind, service: 'shop', instanceKey: KEY, reason: 'refused' }, at)
  expect(eject('kept', 1)).toBeUndefined()
  expect(eject('returned', 1)).toBeUndefined()
  expect(eject('ejected', 2)?.entry).toMatchObject({
    address: '10.0.0.1:80',
    version: '1.0',
    reason: 'refused',
  })
  expect(eject('ejected', 3), 'for a second reason').toBeUndefined()
  lives.instance(event({ kind: 'changed', from: 'warning', to: 'passing' }), 4)
  eject('returned', 5)
  expect(steps(all(lives))).toEqual([
    ['ejected', 'warning', 'ejected'],
    ['changed', 'warning', 'passing'],
    ['returned', 'ejected', 'passing'],
  ])
})

test('one that flaps is told with the change that makes it flap', () => {
  const lives = begun()
  const change = (from: InstanceState, to: InstanceState, at: number) =>
    lives.instance(event({ kind: 'changed', from, to }), at)?.flapping
  expect(change('passing', 'critical', 1)).toBeUndefined()
  expect(change('critical', 'passing', 2)).toBeUndefined()
  expect(change('passing', 'critical', 3)).toMatchObject({ state: 'begin', key: KEY, changes: 3 })
})

test('after a restart: the history goes on, and what changed meanwhile is found', () => {
  const before = new Lives(LIMITS, RULE)
  before.begin(
    ['a', 'b', 'c', 'd', 'e'].map((id) => first(`consul/dc1/n1/${id}`, 'passing')),
    () => true,
    0,
  )
  const change = (id: string, to: InstanceState, at: number) =>
    before.instance(event({ kind: 'changed', key: `consul/dc1/n1/${id}`, from: 'passing', to }), at)
  change('a', 'critical', 1)
  change('b', 'critical', 2)
  change('c', 'critical', 3)
  before.ejection({ kind: 'ejected', service: 'shop', instanceKey: 'consul/dc1/n1/e', reason: 'refused' }, 4)
  before.instance(event({ kind: 'appeared', key: 'other/dc1/n1/x', to: 'passing' }), 5)

  const after = new Lives(LIMITS, RULE)
  after.restore(all(before), 100)
  expect(all(after)).toEqual(all(before))
  const found = after.begin(
    [
      first('consul/dc1/n1/a', 'critical'),
      first('consul/dc1/n1/b', 'passing'),
      first('consul/dc1/n1/d', 'passing'),
      first('consul/dc1/n1/e', 'passing'),
      first('consul/dc1/n1/new', 'passing'),
    ],
    (registry) => registry !== 'other',
    200,
  )
  expect(found.every(({ away, at }) => away === true && at === 200)).toBe(true)
  expect(found.map(({ key, what, to }) => [key.slice(-1), what, to])).toEqual([
    ['b', 'changed', 'passing'],
    ['e', 'returned', 'passing'],
    ['c', 'left', 'gone'],
  ])
  expect(
    after.begin([], (registry) => registry === 'other', 300),
    'now its registry answers',
  ).toMatchObject([{ key: 'other/dc1/n1/x', what: 'left' }])
})

test('after a restart one that flapped still does; one that is long quiet does not', () => {
  const before = begun()
  for (let i = 0; i < 4; i++) {
    const [from, to] = i % 2 === 0 ? (['passing', 'critical'] as const) : (['critical', 'passing'] as const)
    before.instance(event({ kind: 'changed', from, to }), 1000 + i)
  }
  const soon = new Lives(LIMITS, RULE)
  soon.restore(all(before), 5000)
  expect(soon.flapping.view(5000)).toMatchObject([{ key: KEY, changes: 4 }])
  const late = new Lives(LIMITS, RULE)
  late.restore(all(before), 12_000)
  expect(late.flapping.view(12_000)).toEqual([])
  expect(late.flapping.keys.size).toBe(0)
})

test('registries: only another state is a change, over restarts too', () => {
  const lives = begun()
  const lastError = { at: 1, code: 'X', message: 'connect\nrefused' }
  expect(lives.registry('consul', { state: 'live' }, 1)).toEqual({ at: 1, registry: 'consul', to: 'live' })
  expect(lives.registry('consul', { state: 'stale', lastError }, 2)).toEqual({
    at: 2,
    registry: 'consul',
    from: 'live',
    to: 'stale',
    reason: 'connect refused',
  })
  expect(lives.registry('consul', { state: 'stale' }, 3)).toBeUndefined()
  const after = new Lives(LIMITS, RULE)
  after.restore([...lives.history.registries({ limit: 10 })].reverse(), 4)
  expect(after.registry('consul', { state: 'stale' }, 5)).toBeUndefined()
  expect(after.registry('consul', { state: 'live', lastError }, 6)).toEqual({
    at: 6,
    registry: 'consul',
    from: 'stale',
    to: 'live',
  })
})
