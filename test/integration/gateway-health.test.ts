import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ServiceView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import { followEvents } from '../support/events.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, later } = useCleanups()

async function instance() {
  const state = { status: 200, asked: 0 }
  const server = await opened(
    httpServer((_request, response) => {
      state.asked++
      response.writeHead(state.status).end()
    }),
  )
  return { state, port: server.port }
}

interface Listed {
  readonly port: number
  readonly zone?: string
  readonly state?: 'critical' | 'draining'
}

/** A gateway with a registry file that lists these; `list` writes it again. */
async function gatewayOf(instances: readonly Listed[], service: string, top = '') {
  const text = (all: readonly Listed[]) =>
    JSON.stringify({
      services: {
        shop: all.map(({ port, zone, state }) => ({
          url: `http://127.0.0.1:${port}`,
          ...(zone === undefined ? {} : { zone }),
          ...(state === undefined ? {} : { state }),
        })),
      },
    })
  const gateway = await startGateway({
    yaml: `${top}
registries: { list: { type: file, path: instances.json } }
services: { shop: { balance: round-robin, ${service} } }
routes: [{ name: all, match: { pathPrefix: / }, service: shop }]`,
    prepare: (folder) => writeFileSync(join(folder, 'instances.json'), text(instances)),
  })
  later(() => gateway.stop())
  return {
    gateway,
    list: (all: readonly Listed[]) => writeFileSync(join(gateway.folder, 'instances.json'), text(all)),
  }
}

const ask = async (gateway: GatewayProcess, count: number) => {
  for (let i = 0; i < count; i++) await (await fetch(gateway.publicUrl)).arrayBuffer()
}
const shop = (gateway: GatewayProcess) => gateway.admin<ServiceView>('/api/services/shop')
const metricsOf = async (gateway: GatewayProcess) => (await fetch(`${gateway.adminUrl}/metrics`)).text()

test('an ejection is in events, log, views, explain and metrics, and survives refreshes of the registry', async () => {
  const [bad, one, two] = [await instance(), await instance(), await instance()]
  const all = [bad, one, two].map(({ port }) => ({ port }))
  const { gateway, list } = await gatewayOf(all, 'outlier: { baseTime: 10m }')
  const events = await followEvents(gateway.adminUrl)
  later(() => events.close())
  await ask(gateway, 60)
  bad.state.status = 503
  const ejection = () => events.seen.find(({ type }) => type === 'ejection')
  await waitFor(async () => {
    await ask(gateway, 3)
    return ejection()
  })
  expect(ejection()?.data).toMatchObject({ kind: 'ejected', cause: 'gateway-errors', service: 'shop' })
  expect(String(ejection()?.data['reason'])).toMatch(
    /^\d+ of \d+ answers were 503, ejected for 6\d\d s, 1 of 3 instances$/,
  )
  await waitFor(() => gateway.output().includes('instance ejected'), { what: 'the log line' })

  // A new table: the same instances, one more.
  const fresh = await instance()
  list([...all, { port: fresh.port }])
  await waitFor(async () => (await shop(gateway)).instances.length === 4)
  const { asked } = bad.state
  await ask(gateway, 20)
  expect(bad.state.asked).toBe(asked)
  const view = (await shop(gateway)).instances.find(({ address }) => address.endsWith(`:${bad.port}`))
  expect(view).toMatchObject({
    use: 'ejected',
    reason: expect.stringMatching(/answers were 503; back in \d+ s$/),
  })
  expect(view?.ejectedUntil).toBeGreaterThan(Date.now() + 500_000)
  const explained = await gateway.admin<{ instances: { eligible: boolean; reason: string }[] }>(
    '/api/explain',
    {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ url: 'http://a.example/' }),
    },
  )
  expect(explained.instances.filter(({ eligible }) => !eligible)).toMatchObject([
    { reason: expect.stringContaining('answers were 503') },
  ])
  const metrics = await metricsOf(gateway)
  expect(metrics).toContain('sluice_ejections_total{service="shop",kind="ejected"} 1')
  expect(metrics).toContain('sluice_instances_ejected{service="shop"} 1')
  expect(metrics).toContain('sluice_panic{service="shop"} 0')
  expect(metrics).not.toContain('sluice_breaker_state{')
})

test('panic and breaker are in events, views and metrics', async () => {
  const one = await instance()
  const gone = await Promise.all(Array.from({ length: 3 }, () => freePort()))
  const { gateway } = await gatewayOf(
    [...gone, one.port].map((port) => ({ port })),
    'outlier: { maxEjected: 1, connectTime: 10m }, retries: { attempts: 0 }, breaker: { minRequests: 30, openFor: 10m }',
  )
  const events = await followEvents(gateway.adminUrl)
  later(() => events.close())
  await ask(gateway, 12)
  await waitFor(() => events.seen.some(({ type }) => type === 'panic'))
  expect(events.seen.find(({ type }) => type === 'panic')?.data).toMatchObject({
    kind: 'entered',
    reason: '1 of 4 instances in rotation, less than 50 %: ejections are ignored',
  })
  one.state.status = 500
  await ask(gateway, 60)
  await waitFor(() => events.seen.some(({ type }) => type === 'breaker'))
  expect(await shop(gateway)).toMatchObject({ isPanic: true, breaker: 'open', available: 1 })
  const metrics = await metricsOf(gateway)
  expect(metrics).toContain('sluice_panic{service="shop"} 1')
  expect(metrics).toContain('sluice_breaker_state{service="shop",state="open"} 1')
  expect(metrics).toContain('sluice_breaker_state{service="shop",state="closed"} 0')
  expect(metrics).toMatch(/sluice_breaker_refusals_total\{service="shop"\} [1-9]/)
})

test('strict zones: instances elsewhere are out, and the views say why', async () => {
  const [near, far] = [await instance(), await instance()]
  const { gateway } = await gatewayOf(
    [
      { port: near.port, zone: 'a' },
      { port: far.port, zone: 'b' },
    ],
    'zone: strict',
    'zone: a',
  )
  await ask(gateway, 10)
  expect([near.state.asked, far.state.asked]).toEqual([10, 0])
  const { instances, available } = await shop(gateway)
  expect(available).toBe(1)
  expect(instances.find(({ zone }) => zone === 'b')).toMatchObject({
    use: 'out',
    reason: 'in zone b; the service keeps to zone a',
  })
})

test('zones: the own one first; the other one when it fails; no request is lost', async () => {
  const [near, far] = [await instance(), await instance()]
  const { gateway, list } = await gatewayOf(
    [
      { port: near.port, zone: 'a' },
      { port: far.port, zone: 'b' },
    ],
    'zone: prefer',
    'zone: a',
  )
  await ask(gateway, 20)
  expect([near.state.asked, far.state.asked]).toEqual([20, 0])
  const gone = await freePort()
  list([
    { port: gone, zone: 'a' },
    { port: far.port, zone: 'b' },
  ])
  await waitFor(async () =>
    (await shop(gateway)).instances.some(({ address }) => address.endsWith(`:${gone}`)),
  )
  for (let i = 0; i < 10; i++) expect((await fetch(gateway.publicUrl)).status).toBe(200)
  expect(far.state.asked).toBe(10)
})

/** Four instances in the gateway's zone, two elsewhere. */
async function twoZones(service: string) {
  const near = await Promise.all([0, 1, 2, 3].map(instance))
  const far = await Promise.all([0, 1].map(instance))
  const listed = (states: readonly Listed['state'][] = []): Listed[] => [
    ...near.map(({ port }, i) => ({
      port,
      zone: 'a',
      ...(states[i] === undefined ? {} : { state: states[i] }),
    })),
    ...far.map(({ port }) => ({ port, zone: 'b' })),
  ]
  const { gateway, list } = await gatewayOf(listed(), `zone: prefer, ${service}`, 'zone: a')
  const asked = (all: typeof near) => all.reduce((sum, { state }) => sum + state.asked, 0)
  return {
    gateway,
    near,
    /** The zone's instances get these states. */
    async put(states: readonly Listed['state'][]) {
      list(listed(states))
      const out = states.filter((state) => state !== undefined).length
      await waitFor(
        async () => (await shop(gateway)).instances.filter(({ use }) => use !== 'rotation').length === out,
      )
    },
    /** Of so many requests, how many left the zone. */
    async leaving(count: number) {
      const before = asked(far)
      await ask(gateway, count)
      return asked(far) - before
    },
  }
}

test('zones: when the registry has too few of the own one, a part goes elsewhere, all of it when nobody is left, and comes back', async () => {
  const { put, leaving } = await twoZones('panic: 0')
  expect(await leaving(40)).toBe(0)
  // One of four out: 1.4 × 3/4 is still all of it.
  await put(['critical'])
  expect(await leaving(40)).toBe(0)
  // 1.4 × 2/4 stays; of 200 requests about 60 leave.
  await put(['critical', 'draining'])
  const some = await leaving(200)
  expect(some).toBeGreaterThan(25)
  expect(some).toBeLessThan(100)
  await put(['critical', 'critical', 'critical', 'critical'])
  expect(await leaving(20)).toBe(20)
  await put([])
  expect(await leaving(40)).toBe(0)
})

test('zones: what ejections take from the own one goes elsewhere until they are over', async () => {
  const { gateway, near, leaving } = await twoZones('outlier: { baseTime: 2s, jitter: 0, gatewayErrors: 3 }')
  const out = async () => (await shop(gateway)).instances.filter(({ use }) => use === 'ejected').length
  await ask(gateway, 40)
  for (const { state } of near.slice(0, 2)) state.status = 503
  await waitFor(async () => {
    await ask(gateway, 4)
    return (await out()) === 2
  })
  expect(await leaving(100)).toBeGreaterThan(0)
  for (const { state } of near) state.status = 200
  await waitFor(async () => (await out()) === 0)
  expect(await leaving(40)).toBe(0)
})
