import { expect, test } from 'vitest'
import { FleetTraffic } from '../../../src/fleet/traffic.ts'
import { aReport } from '../../support/fleet.ts'

const NOW = 1_000_000_000
const shop = { rps: 10, errorRatio: 0.1, p50: 5, p99: null }

test('what several gateways do is added up by service, route and instance', () => {
  const traffic = new FleetTraffic()
  const seen = { use: 'rotation', inFlight: 0, rps: 10, errorRatio: 0.1, p99: 4 } as const
  traffic.sample(
    [
      aReport({
        services: { shop },
        routes: { all: { rps: 10, errorRatio: 0.1, services: { shop: 10 } } },
        instances: { k: seen },
      }),
      aReport({
        id: 'b',
        services: { shop: { rps: 30, errorRatio: 0, p50: 3, p99: 9 }, other: shop },
        routes: { all: { rps: 40, errorRatio: 0, services: { shop: 30, other: 10 } } },
        instances: { k: { ...seen, rps: 30, errorRatio: 0, p99: 8 }, idle: { use: 'ejected', inFlight: 0 } },
      }),
    ],
    NOW,
  )
  const view = traffic.view(NOW + 5000)
  expect(view.services['shop']).toMatchObject({ rps: 40, errorRatio: 0.025, p50: 5, p99: 9 })
  expect(view.total).toMatchObject({ rps: 50, errorRatio: 0.04, p99: 9 })
  expect(view.routes['all']).toEqual({ rps: 50, errorRatio: 0.02, services: { shop: 40, other: 10 } })
  expect(view.instances['k']).toEqual({ rps: 40, errorRatio: 0.025, p50: null, p99: 8 })
  expect(view.services['shop']?.series.requests.at(-1)).toBe(200)
  expect(view.services['shop']?.series.errors.at(-1)).toBe(5)
})

test('the past is kept for five minutes, also of services that are idle now', () => {
  const traffic = new FleetTraffic()
  traffic.sample([aReport({ services: { shop } })], NOW)
  traffic.sample([], NOW + 5000)
  const { services } = traffic.view(NOW + 10_000)
  expect(services['shop']?.rps).toBe(0)
  expect(services['shop']?.series.requests.slice(-3)).toEqual([0, 50, 0])
  expect(services['shop']?.series.from).toBe(NOW + 10_000 - 300_000)
  traffic.sample([], NOW + 400_000)
  expect(traffic.view(NOW + 400_000).services).toEqual({})
})
