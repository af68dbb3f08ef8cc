import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Clock } from '../../../src/core/duration.ts'
import type { Check, Instance, ServiceInstances, Snapshot } from '../../../src/core/types.ts'
import { type GuardOptions, Reducer } from '../../../src/registry/reducer.ts'
import { anInstance } from '../../support/exchange.ts'

const GUARD: GuardOptions = {
  maxLossRatio: 0.5,
  minLost: 2,
  lossWindow: 5000,
  holdFor: 30_000,
  maxStaleness: 0,
}
const clock: Clock = { now: () => Date.now(), monotonic: () => Date.now() }

let changes: { cause: string; isUrgent: boolean }[]
let reducer: Reducer

function createReducer(guard: Partial<GuardOptions> = {}): Reducer {
  reducer = new Reducer({
    guard: { ...GUARD, ...guard },
    clock,
    onChange: (cause, isUrgent) => changes.push({ cause, isUrgent }),
  })
  return reducer
}

beforeEach(() => {
  vi.useFakeTimers()
  changes = []
})
afterEach(() => {
  reducer.close()
  vi.useRealTimers()
})

const one = (service: string, id: string, own: Partial<Instance> = {}): Instance =>
  anInstance(id, 80, { service, key: `reg/dc1/node/${id}`, ...own })
const service = (name: string, ...instances: Instance[]): ServiceInstances => ({ name, instances })
const expired: Check = { id: 'ttl', state: 'critical', output: 'TTL expired', expired: true }
const broken: Check = { id: 'ttl', state: 'critical', output: 'cannot reach my database' }

function snapshot(services: readonly ServiceInstances[], failed: readonly string[] = []): Snapshot {
  return {
    services: new Map(services.map((each) => [each.name, each])),
    failed: new Set(failed),
    revision: '1',
    epoch: 0,
    problems: [],
  }
}

const many = (name: string, count: number) =>
  service(name, ...Array.from({ length: count }, (_, i) => one(name, `${name}-${i}`)))
const idsOf = (name: string) =>
  reducer
    .state()
    .services.get(name)
    ?.instances.map(({ id }) => id) ?? []
const heldOf = (name: string) =>
  reducer
    .state()
    .services.get(name)
    ?.instances.filter(({ held }) => held !== undefined)
    .map(({ id }) => id) ?? []

test('a service that did not change is the same object, and nothing is told', () => {
  createReducer()
  const shop = many('shop', 2)
  reducer.accept('reg', snapshot([shop]))
  const before = reducer.state()
  reducer.accept('reg', snapshot([shop]))
  expect(reducer.state()).toBe(before)
  expect(changes).toHaveLength(1)
})

test('keeps the last instances when one service’s read failed, and only of that service', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 2), many('cart', 2)]))
  reducer.accept('reg', snapshot([many('cart', 3)], ['shop']))
  expect(idsOf('shop')).toHaveLength(2)
  expect(idsOf('cart')).toHaveLength(3)
  expect(reducer.state().services.get('shop')).toMatchObject({ source: 'stale', reason: 'its read fails' })
  reducer.accept('reg', snapshot([many('shop', 1), many('cart', 3)]))
  expect(reducer.state().services.get('shop')?.source).toBe('live')
})

test('an empty answer that nobody announced is held, used last, and dropped after its time', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 1), many('cart', 9)]))
  reducer.accept('reg', snapshot([service('shop'), many('cart', 9)]))
  expect(heldOf('shop')).toEqual(['shop-0'])
  expect(reducer.state().services.get('shop')?.source).toBe('held')
  vi.advanceTimersByTime(GUARD.holdFor + 10)
  expect(idsOf('shop')).toEqual([])
  expect(changes.at(-1)?.isUrgent).toBe(true)
})

test.each<[string, Instance | undefined]>([
  ['maintenance', one('shop', 'shop-0', { state: 'maintenance' })],
  ['draining', one('shop', 'shop-0', { state: 'draining' })],
  ['a check that failed by its own word', one('shop', 'shop-0', { state: 'critical', checks: [broken] })],
])('%s is believed at once, also for the last instance', (_what, now) => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 1), many('cart', 9)]))
  reducer.accept('reg', snapshot([service('shop', ...(now === undefined ? [] : [now])), many('cart', 9)]))
  expect(heldOf('shop')).toEqual([])
})

test('an instance that drained before it vanished is not held', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 1), many('cart', 9)]))
  reducer.accept(
    'reg',
    snapshot([service('shop', one('shop', 'shop-0', { state: 'draining' })), many('cart', 9)]),
  )
  reducer.accept('reg', snapshot([many('cart', 9)]))
  expect(idsOf('shop')).toEqual([])
})

test('a TTL storm is held: an agent that was away looks just like that', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 3)]))
  const late = many('shop', 3).instances.map((each) => ({
    ...each,
    state: 'critical' as const,
    checks: [expired],
  }))
  reducer.accept('reg', snapshot([service('shop', ...late)]))
  expect(heldOf('shop')).toHaveLength(3)
  reducer.accept('reg', snapshot([many('shop', 3)]))
  expect(heldOf('shop')).toEqual([])
  expect(reducer.state().services.get('shop')?.source).toBe('live')
})

test('one lost instance of many is believed at once', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 4)]))
  reducer.accept('reg', snapshot([many('shop', 3)]))
  expect(idsOf('shop')).toHaveLength(3)
  expect(changes.at(-1)?.isUrgent).toBe(true)
})

test('a mass loss over the window is held, also when it comes in small steps', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 6)]))
  for (const left of [5, 4, 3, 2]) {
    vi.advanceTimersByTime(500)
    reducer.accept('reg', snapshot([many('shop', left)]))
  }
  expect(heldOf('shop')).toHaveLength(4)
  expect(idsOf('shop')).toHaveLength(6)
})

test('the same loss spread over a longer time is believed', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 6)]))
  for (const left of [5, 4, 3, 2]) {
    vi.advanceTimersByTime(GUARD.lossWindow + 1)
    reducer.accept('reg', snapshot([many('shop', left)]))
  }
  expect(idsOf('shop')).toHaveLength(2)
})

test('a registry in which nobody is left is not believed for as long as it says so', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 3), many('cart', 2)]))
  reducer.accept('reg', snapshot([]))
  vi.advanceTimersByTime(10 * GUARD.holdFor)
  expect(idsOf('shop')).toHaveLength(3)
  expect(idsOf('cart')).toHaveLength(2)
  reducer.accept('reg', snapshot([many('cart', 2)]))
  expect(heldOf('cart')).toEqual([])
  expect(heldOf('shop')).toHaveLength(3)
  vi.advanceTimersByTime(GUARD.holdFor + 10)
  expect(idsOf('shop')).toEqual([])
})

test('a held instance that refuses connections is dropped', () => {
  createReducer()
  reducer.accept('reg', snapshot([many('shop', 2)]))
  reducer.accept('reg', snapshot([]))
  reducer.refused('reg/dc1/node/shop-0')
  expect(heldOf('shop')).toEqual(['shop-1'])
  reducer.refused('reg/dc1/node/nobody')
  expect(heldOf('shop')).toEqual(['shop-1'])
})

test('what was saved serves until the registry speaks, whatever it says then', () => {
  createReducer()
  reducer.restore('reg', [many('shop', 2)], 5)
  expect(reducer.state().services.get('shop')).toMatchObject({ source: 'stale', lastGoodAt: 5 })
  reducer.accept('reg', snapshot([many('shop', 3)]))
  expect(reducer.state().services.get('shop')?.source).toBe('live')
  reducer.restore('reg', [many('shop', 1)], 5)
  expect(idsOf('shop')).toHaveLength(3)
})

test('a service of two registries has the instances of both, and each fails for itself', () => {
  createReducer()
  const other = service('shop', one('shop', 'b', { key: 'other/x/y/b' }))
  reducer.accept('reg', snapshot([many('shop', 2)]))
  reducer.accept('other', snapshot([other]))
  expect(idsOf('shop')).toHaveLength(3)
  reducer.accept('other', snapshot([], ['shop']))
  expect(idsOf('shop')).toHaveLength(3)
})

test('with maxStaleness what a failing registry said is dropped in time', () => {
  createReducer({ maxStaleness: 60_000 })
  reducer.accept('reg', snapshot([many('shop', 2)]))
  reducer.accept('reg', snapshot([], ['shop']))
  vi.advanceTimersByTime(59_000)
  expect(idsOf('shop')).toHaveLength(2)
  vi.advanceTimersByTime(2000)
  expect(idsOf('shop')).toEqual([])
})

test('the time of maxStaleness begins with the failure: a provider says nothing while nothing changes', () => {
  createReducer({ maxStaleness: 60_000 })
  reducer.accept('reg', snapshot([many('shop', 2)]))
  vi.advanceTimersByTime(3_600_000)
  reducer.accept('reg', snapshot([], ['shop']))
  vi.advanceTimersByTime(59_000)
  expect(idsOf('shop')).toHaveLength(2)
  vi.advanceTimersByTime(2000)
  expect(idsOf('shop')).toEqual([])
})

test('no failed read ever loses an instance, whatever came before', () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const step = fc.record({
    sizes: fc.dictionary(name, fc.integer({ min: 0, max: 4 })),
    failed: fc.subarray(['a', 'b', 'c']),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      createReducer()
      for (const { sizes, failed } of steps) {
        const before = new Map(failed.map((each) => [each, idsOf(each)]))
        const services = Object.entries(sizes)
          .filter(([each]) => !failed.includes(each))
          .map(([each, count]) => many(each, count))
        reducer.accept('reg', snapshot(services, failed))
        for (const [each, ids] of before) expect(idsOf(each)).toEqual(expect.arrayContaining(ids))
        vi.advanceTimersByTime(700)
      }
      reducer.close()
    }),
    { numRuns: 300 },
  )
})
