import { expect, test } from 'vitest'
import type { HistoryEntry } from '../../../src/core/monitor-view.ts'
import { cutReason, History } from '../../../src/health/history.ts'

const entry = (at: number, fields: Partial<HistoryEntry> = {}): HistoryEntry => ({
  at,
  service: 'shop',
  key: 'consul/dc1/n1/shop-1',
  address: '10.0.0.1:80',
  from: 'passing',
  to: 'critical',
  what: 'changed',
  ...fields,
})

test('gives the newest first, narrowed by service, instance and time', () => {
  const history = new History({ maxEntries: 100, maxAge: 0 })
  history.add(entry(1))
  history.add(entry(2, { key: 'consul/dc1/n2/shop-2', address: '10.0.0.2:80' }))
  history.add(entry(3, { service: 'cart', key: 'consul/dc1/n1/cart-1', address: '10.0.0.1:81' }))
  const at = (query: object) => history.entries({ limit: 100, ...query }, 10).map((one) => one.at)
  expect(at({})).toEqual([3, 2, 1])
  expect(at({ limit: 2 })).toEqual([3, 2])
  expect(at({ limit: 0 })).toEqual([])
  expect(at({ service: 'shop' })).toEqual([2, 1])
  expect(at({ since: 1 })).toEqual([3, 2])
  for (const instance of ['consul/dc1/n2/shop-2', 'shop-2', '10.0.0.2:80'])
    expect(at({ instance })).toEqual([2])
  expect(at({ instance: 'op-2' })).toEqual([])
  expect(history.oldest(10)).toBe(1)
})

test('one instance that flaps does not push out the others', () => {
  const history = new History({ maxEntries: 1000, maxAge: 0 })
  history.add(entry(1, { key: 'quiet' }))
  for (let i = 0; i < 5000; i++) history.add(entry(2 + i))
  expect(history.size).toBeLessThanOrEqual(1000 + 126)
  expect(history.entries({ instance: 'quiet', limit: 10 }, 6000)).toHaveLength(1)
  const own = history.entries({ service: 'shop', limit: 5000 }, 6000)
  expect(own.filter(({ key }) => key !== 'quiet')).toHaveLength(100)
  expect(own[0]?.at).toBe(5001)
})

test('is bounded in all and by age', () => {
  const history = new History({ maxEntries: 100, maxAge: 50 })
  for (let i = 0; i < 500; i++) history.add(entry(i, { key: `one-${i}` }))
  expect(history.entries({ limit: 1000 }, 460)).toHaveLength(90)
  expect(history.oldest(460)).toBe(410)
  expect(history.entries({ limit: 1000 }, 1000)).toEqual([])
  expect(history.oldest(1000)).toBeUndefined()
  const forever = new History({ maxEntries: 100, maxAge: 0 })
  for (let i = 0; i < 500; i++) forever.add(entry(i, { key: `one-${i}` }))
  expect(forever.entries({ limit: 1000 }, 1e9)).toHaveLength(100)
})

test('keeps what became of registries apart', () => {
  const history = new History({ maxEntries: 100, maxAge: 0 })
  for (let at = 1; at <= 600; at++) history.addRegistry({ at, registry: 'consul', from: 'live', to: 'stale' })
  expect(history.registries({ limit: 1000 })).toHaveLength(500)
  expect(history.registries({ limit: 2, since: 10 }).map(({ at }) => at)).toEqual([600, 599])
  expect(history.entries({ limit: 10 }, 0)).toEqual([])
})

test('a reason is one bounded line', () => {
  expect(cutReason(' HTTP GET:\n  503\t x ')).toBe('HTTP GET: 503 x')
  expect(cutReason('x'.repeat(1000))).toHaveLength(300)
})
