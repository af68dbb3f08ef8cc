import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { CanaryMetrics } from '../../plugins/canary-metrics.ts'
import type { RequestRecord } from '../../src/core/record.ts'
import type { HealthEvent } from '../../src/proxy/upstream-stats.ts'
import { anInstance } from '../support/canary.ts'
import { useCleanups } from '../support/cleanup.ts'
import { httpServer } from '../support/scripted-server.ts'
import { gatewayFor, get, startVersion } from '../support/versions.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()

const start = async (...args: Parameters<typeof startVersion>) => opened(await startVersion(...args))
const rule = (percent: number) =>
  `canaries: [{ name: v2, service: catalog, canary: { version: "2.*" }, percent: ${percent} }]`
const user = (n: number) => ({ 'x-test-user': `user-${n}` })

/** One whose answers have the status that it is told. */
async function failing(version: string) {
  const state = { status: 200 }
  const server = await opened(
    httpServer((request, response) => {
      request.resume()
      response.writeHead(state.status, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ service: 'catalog', version, headers: {} }))
    }),
  )
  return Object.assign(state, {
    instance: anInstance('catalog', `failing-${version}`, { version, port: server.port }),
  })
}

test('one that answers 503 is ejected for another of the version; with all of it out stable answers, counted', async () => {
  const old = [await start('catalog', '1.0'), await start('catalog', '1.0')]
  const [bad, good] = [await failing('2.0'), await failing('2.1')]
  const gateway = await proxy(gatewayFor(rule(50), [...old, bad, good]))
  const events: HealthEvent[] = []
  later(gateway.upstreams.health.subscribe((event) => events.push(event)))
  const ask = async (count: number) => {
    const { length } = gateway.records
    for (let i = 0; i < count; i++) await get(gateway, '/catalog', user(i))
    return gateway.records.slice(length)
  }
  const wants = (records: readonly RequestRecord[]) =>
    records.filter(({ canary }) => canary?.side === 'canary' || canary?.wanted === 'canary')
  await ask(40)
  bad.status = 503
  await waitFor(async () => (await ask(20)) && events.length === 1)
  expect(events).toMatchObject([{ kind: 'ejected', instanceKey: bad.instance.key, cause: 'gateway-errors' }])
  const withOne = wants(await ask(40))
  expect(withOne.length).toBeGreaterThan(10)
  expect(new Set(withOne.map(({ instanceKey }) => instanceKey))).toEqual(new Set([good.instance.key]))
  expect(withOne.every(({ status, canary }) => status === 200 && canary?.side === 'canary')).toBe(true)

  good.status = 503
  await waitFor(async () => (await ask(20)) && events.length === 2)
  expect(events).toMatchObject([{}, { kind: 'ejected', instanceKey: good.instance.key }])
  const withNone = wants(await ask(40))
  expect(withNone.length).toBe(withOne.length)
  for (const { status, canary, attempts } of withNone) {
    expect([status, attempts.length]).toEqual([200, 1])
    expect(canary).toEqual({ rule: 'v2', side: 'stable', wanted: 'canary', others: [] })
  }
  const metrics = new CanaryMetrics()
  for (const record of withNone) metrics.record(record)
  const registry = new Registry()
  metrics.registerIn(registry, { canaries: () => [], decidesCanaries: () => false })
  expect(await registry.metrics()).toContain(
    `sluice_canary_empty_total{canary="v2",side="canary"} ${withNone.length}`,
  )
})

test('an open breaker is of the service: it refuses every side, and says of none that it is empty', async () => {
  const [old, fresh] = [await start('catalog', '1.0'), await failing('2.0')]
  const breaker = 'breaker: { minRequests: 10, openFor: 200ms, halfOpenProbes: 1 }'
  const own = `services: { catalog: { ${breaker}, outlier: { gatewayErrors: 0, serverErrors: 0 } } }\n${rule(100)}`
  const gateway = await proxy(gatewayFor(own, [old, fresh]))
  fresh.status = 500
  for (let i = 0; i < 10; i++) expect((await get(gateway, '/catalog', user(i))).status).toBe(500)
  expect((await get(gateway, '/catalog', user(1))).status).toBe(503)
  expect(gateway.records.at(-1)).toMatchObject({
    outcome: 'breaker_open',
    attempts: [],
    canary: { rule: 'v2', side: 'canary', others: [] },
  })
  expect(gateway.records.at(-1)?.canary?.wanted).toBeUndefined()
  fresh.status = 200
  await waitFor(async () => (await get(gateway, '/catalog', user(1))).status === 200)
  expect(gateway.upstreams.serviceStats()[0]?.breaker).toBe('closed')
  expect(old.requests()).toBe(0)
})
