import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Traffic } from '../../../plugins/traffic.ts'
import { BUCKET_MS, SERIES_BUCKETS } from '../../../src/core/traffic-window.ts'
import type { Table } from '../../../src/routing/table.ts'
import { FakeClock } from '../../support/clock.ts'
import { aRecord } from '../../support/records.ts'

const KEY = 'consul/dc1/n1/shop-1'

function tableOf(services: Record<string, readonly string[]>, routes: readonly string[] = ['shop']) {
  return {
    routes: new Map(routes.map((name) => [name, {}])),
    services: new Map(
      Object.entries(services).map(([name, keys]) => [name, { instances: keys.map((key) => ({ key })) }]),
    ),
  } as unknown as Table
}

function aTraffic(table = tableOf({ shop: [KEY] })) {
  const clock = new FakeClock()
  clock.at = 1_700_000_000_000
  const held = { table }
  return { clock, held, traffic: new Traffic({ now: () => clock.now(), table: () => held.table }) }
}

test('rates, errors and latencies are there by service, route and instance, at once', () => {
  const { clock, traffic } = aTraffic()
  clock.advance(10_000)
  for (let i = 0; i < 80; i++) traffic.record(aRecord({ totalMs: 10 }))
  for (let i = 0; i < 20; i++) traffic.record(aRecord({ totalMs: 800, status: 503, outcome: 'breaker_open' }))
  const view = traffic.view()
  const shop = view.services['shop']
  expect(shop).toMatchObject({ rps: 10, errorRatio: 0.2 })
  expect(shop?.p50).toBeGreaterThanOrEqual(10)
  expect(shop?.p50).toBeLessThan(12)
  expect(shop?.p99).toBeGreaterThanOrEqual(800)
  expect(shop?.p99).toBeLessThan(960)
  expect(view.total).toMatchObject({ rps: 10, errorRatio: 0.2 })
  expect(view.routes['shop']).toMatchObject({ rps: 10, errorRatio: 0.2, services: { shop: 10 } })
  expect(view.instances[KEY]).toMatchObject({ rps: 10, errorRatio: 0 })
  expect(view.instances[KEY]?.p50).toBeLessThan(3)
})

test('a series has whole buckets only, the oldest first', () => {
  const { clock, traffic } = aTraffic()
  const begin = Math.ceil(clock.at / BUCKET_MS) * BUCKET_MS
  for (let bucket = 0; bucket < 70; bucket++) {
    clock.at = begin + bucket * BUCKET_MS
    for (let i = 0; i <= bucket; i++) traffic.record(aRecord({ totalMs: 2 }))
  }
  traffic.record(aRecord({ status: 500 }))
  const { series } = traffic.view().total
  expect(series.from).toBe(begin + 9 * BUCKET_MS)
  expect(series.requests).toEqual(Array.from({ length: SERIES_BUCKETS }, (_, i) => i + 10))
  expect(series.errors).toEqual(new Array(SERIES_BUCKETS).fill(0))
  expect(series.p50.every((value) => value !== null && value >= 2 && value < 2.4)).toBe(true)
})

test('silence is 0 requests and no latency', () => {
  const { clock, traffic } = aTraffic()
  traffic.record(aRecord())
  clock.advance(3 * BUCKET_MS)
  const { rps, errorRatio, p50, p99, series } = traffic.view().total
  expect({ rps, errorRatio, p50, p99 }).toEqual({ rps: 0, errorRatio: 0, p50: null, p99: null })
  expect(series.requests.slice(-3)).toEqual([1, 0, 0])
  expect(series.p99.slice(-2)).toEqual([null, null])
  clock.advance(SERIES_BUCKETS * BUCKET_MS)
  expect(traffic.view().total.series.requests).toEqual(new Array(SERIES_BUCKETS).fill(0))
})

test('nothing is lost or counted twice, however time goes on', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 60 }), (steps) => {
      const { clock, traffic } = aTraffic()
      const begun = clock.at
      for (const step of steps) {
        traffic.record(aRecord())
        clock.advance(step)
      }
      const kept = clock.at - begun < (SERIES_BUCKETS - 1) * BUCKET_MS
      clock.advance(BUCKET_MS)
      const sum = traffic.view().total.series.requests.reduce((all, count) => all + count, 0)
      if (kept) expect(sum).toBe(steps.length)
      else expect(sum).toBeLessThanOrEqual(steps.length)
    }),
  )
})

test('a clock that is set back a little loses nothing; far, and counting begins anew', () => {
  const { clock, traffic } = aTraffic()
  clock.advance(60_000)
  traffic.record(aRecord())
  clock.advance(-BUCKET_MS)
  traffic.record(aRecord())
  expect(traffic.view().total.rps).toBeGreaterThan(0)
  clock.advance(2 * BUCKET_MS)
  expect(traffic.view().total.series.requests.reduce((all, count) => all + count, 0)).toBe(2)
  clock.advance(-3_600_000)
  traffic.record(aRecord())
  clock.advance(BUCKET_MS)
  expect(traffic.view().total.series.requests.reduce((all, count) => all + count, 0)).toBe(1)
})

test('names that no table has are not counted by, and those that leave it are forgotten', () => {
  const { clock, held, traffic } = aTraffic()
  for (let i = 0; i < 50; i++) traffic.record(aRecord({ route: `r${i}`, service: `s${i}` }))
  traffic.record(aRecord({ attempts: [{ instanceKey: 'gone', status: 200, outcome: 'ok', ms: 1 }] }))
  traffic.record(aRecord({ route: undefined, service: undefined, attempts: [], status: 404 }))
  const before = traffic.view()
  expect(Object.keys(before.services)).toEqual(['shop'])
  expect(Object.keys(before.routes)).toEqual(['shop'])
  expect(Object.keys(before.instances)).toEqual([])
  traffic.record(aRecord())
  clock.advance(1000)
  expect(Object.keys(traffic.view().instances)).toEqual([KEY])
  held.table = tableOf({ shop: [] })
  traffic.keepOnly(held.table)
  expect(Object.keys(traffic.view().instances)).toEqual([])
  held.table = tableOf({}, [])
  traffic.keepOnly(held.table)
  const after = traffic.view()
  expect([Object.keys(after.services), Object.keys(after.routes)]).toEqual([[], []])
})

test('a try that another instance made good is an error of the instance, not of the service', () => {
  const { traffic } = aTraffic(tableOf({ shop: [KEY, 'b'] }))
  traffic.record(
    aRecord({
      attempts: [
        { instanceKey: KEY, status: undefined, outcome: 'connect_failed', ms: 1 },
        { instanceKey: 'b', status: 200, outcome: 'ok', ms: 2 },
      ],
    }),
  )
  const { services, instances } = traffic.view()
  expect(services['shop']?.errorRatio).toBe(0)
  expect([instances[KEY]?.errorRatio, instances['b']?.errorRatio]).toEqual([1, 0])
})

test('a tunnel is a request without a latency; a redirect is a request of its route alone', () => {
  const { traffic } = aTraffic()
  traffic.record(aRecord({ isUpgrade: true, totalMs: 3_600_000, status: 101 }))
  traffic.record(aRecord({ service: undefined, attempts: [], status: 308, outcome: 'redirect' }))
  const { services, routes } = traffic.view()
  expect(services['shop']).toMatchObject({ rps: 1, p50: null })
  expect(routes['shop']).toMatchObject({ rps: 2, services: { shop: 1 } })
})

test('what broke off after its answer had begun is an error; a client that left is none', () => {
  const { traffic } = aTraffic()
  traffic.record(aRecord({ outcome: 'reset', status: 200 }))
  traffic.record(aRecord({ outcome: 'client_gone', status: 499 }))
  expect(traffic.view().total.errorRatio).toBe(0.5)
})
