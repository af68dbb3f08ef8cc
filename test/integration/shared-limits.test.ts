import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
let service: Server
let upstream: string

beforeAll(async () => {
  service = createServer((_, response) => response.end('ok'))
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  upstream = `http://127.0.0.1:${(service.address() as AddressInfo).port}`
})
afterAll(() => service.close())

/** A route whose filter counts in Redis. */
const routes = (filter: string) => `
filters:
  shared: ${filter}
routes:
  - name: all
    match: { pathPrefix: / }
    filters: [shared]
    upstreams: ["${upstream}"]
`

async function gateway(redis: TestRedis, filter: string): Promise<GatewayProcess> {
  const yaml = `stores: { limits: { type: redis, url: "${redis.url}", commandTimeout: 100ms } }
drain: { acceptGrace: 0, timeout: 1s }`
  const one = await startGateway({ yaml, routes: { 'a.yaml': routes(filter) } })
  later(() => one.stop())
  return one
}

/** The value of one series of a gateway. */
async function metric(one: GatewayProcess, series: string): Promise<number> {
  const text = await (await fetch(`${one.adminUrl}/metrics`)).text()
  const line = text.split('\n').find((each) => each.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1) ?? Number.NaN)
}
const storeIs = (one: GatewayProcess, up: 0 | 1) =>
  waitFor(async () => (await metric(one, 'sluice_store_up{store="limits"}')) === up, {
    what: `the store to be ${up === 1 ? 'up' : 'down'}`,
  })

async function statusOf(one: GatewayProcess): Promise<number> {
  const response = await fetch(one.publicUrl)
  await response.arrayBuffer()
  return response.status
}

async function statuses(all: readonly GatewayProcess[], count: number): Promise<Map<number, number>> {
  const counts = new Map<number, number>()
  const clients = Array.from({ length: 10 }, async (_, client) => {
    for (let i = client; i < count; i += 10) {
      const status = await statusOf(all[i % all.length] as GatewayProcess)
      counts.set(status, (counts.get(status) ?? 0) + 1)
    }
  })
  await Promise.all(clients)
  return counts
}

describe('two gateways and one Redis', () => {
  let redis: TestRedis
  beforeEach(async () => {
    redis = await startRedis()
  })
  afterEach(() => redis.stop())

  const limit = (rate: string, more = '') =>
    `{ type: rate-limit, store: limits, gateways: 2, rules: [{ name: r, rate: ${rate}, key: [constant] ${more} }] }`

  test('let exactly the limit in; an edit keeps the counter, and a raised limit helps at once', async () => {
    const both = [await gateway(redis, limit('60/1h')), await gateway(redis, limit('60/1h'))] as const
    for (const one of both) await storeIs(one, 1)
    expect(await statuses(both, 200)).toEqual(
      new Map([
        [200, 60],
        [429, 140],
      ]),
    )

    for (const one of both) {
      one.writeRoutes('a.yaml', routes(limit('100/1h')))
      await waitFor(async () => (await one.admin<{ current: number }>('/api/tables')).current === 2)
    }
    const after = await statuses(both, 200)
    // One token comes back every 36 s, and an edit may last.
    expect(after.get(200)).toBeGreaterThanOrEqual(40)
    expect(after.get(200)).toBeLessThanOrEqual(42)
  })

  test('Redis killed and started again under load: no error, each lets its half in, back within 2 s', async () => {
    const filter = limit('40/1h')
    const [a, b] = [await gateway(redis, filter), await gateway(redis, filter)]
    for (const one of [a, b]) await storeIs(one, 1)
    // One after the other, so that both know where the counter stands.
    for (let i = 0; i < 20; i++) expect(await statusOf(i % 2 === 0 ? a : b)).toBe(200)

    const seen = new Map<number, number>()
    let isOver = false
    const load = [a, b].map(async (one) => {
      while (!isOver) {
        const status = await statusOf(one)
        seen.set(status, (seen.get(status) ?? 0) + 1)
      }
    })
    await redis.kill9()
    for (const one of [a, b]) await storeIs(one, 0)
    // Half of the limit each, of which half is used: 10 each, and no more for an hour.
    await waitFor(async () => (await metric(a, LOCAL_LIMITED)) > 5 && (await metric(b, LOCAL_LIMITED)) > 5)
    await redis.restart()
    const restarted = performance.now()
    for (const one of [a, b]) await storeIs(one, 1)
    expect(performance.now() - restarted).toBeLessThan(2000)
    // Empty as it is, it lets the limit in once.
    await waitFor(async () => (await metric(a, LIMITED)) > 0 && (await metric(b, LIMITED)) > 0)
    isOver = true
    await Promise.all(load)
    expect([...seen.keys()].sort()).toEqual([200, 429])
    const local = (await metric(a, LOCAL_ALLOWED)) + (await metric(b, LOCAL_ALLOWED))
    expect(local).toBeGreaterThan(0)
    expect(local).toBeLessThanOrEqual(21)
  })

  test('a Redis that stops answering: no error, and requests do not wait for it', async () => {
    const one = await gateway(redis, limit('100000/1s'))
    await storeIs(one, 1)
    redis.freeze()
    later(() => redis.thaw())
    expect(await statuses([one], 60)).toEqual(new Map([[200, 60]]))
    await storeIs(one, 0)
    const began = performance.now()
    expect(await statuses([one], 100)).toEqual(new Map([[200, 100]]))
    expect(performance.now() - began).toBeLessThan(2000)
    redis.thaw()
    await storeIs(one, 1)
  })

  test('a quota survives a restart of the gateway', async () => {
    const filter = '{ type: quota, store: limits, period: month, limit: 5, key: [constant] }'
    const first = await gateway(redis, filter)
    await storeIs(first, 1)
    expect(await statuses([first], 8)).toEqual(
      new Map([
        [200, 5],
        [429, 3],
      ]),
    )
    await first.stop()
    const second = await gateway(redis, filter)
    await storeIs(second, 1)
    expect(await statuses([second], 3)).toEqual(new Map([[429, 3]]))
  })
})

const series = (decision: string) =>
  `sluice_rate_limit_decisions_total{filter="shared",decision="${decision}"}`
const [LIMITED, LOCAL_LIMITED, LOCAL_ALLOWED] = [
  series('limited'),
  series('local_limited'),
  series('local_allowed'),
]
