import { afterEach, beforeEach, expect, test } from 'vitest'
import { type GatewayProcess, startGateway, startService } from '../support/gateway.ts'
import { waitFor } from '../support/wait.ts'

let gateway: GatewayProcess
const cleanups: (() => unknown)[] = []

beforeEach(async () => {
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }\ndeclaredRoutes: { enabled: true, fabio: true }',
    routes: { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: /shop }, service: shop }]' },
  })
  cleanups.push(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const put = (path: string, body?: unknown) =>
  fetch(`${gateway.adminUrl}/v1/agent/${path}`, {
    method: 'PUT',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })

interface Service {
  available: number
  instances: { id: string; state: string; use: string; reason?: string; weight: number }[]
}
const shop = () => gateway.admin<Service>('/api/services/shop')

test('an instance that registers is routed to, one that deregisters is gone at once', async () => {
  const first = await startService({ registry: gateway.adminUrl, name: 'shop' })
  cleanups.push(() => first.kill9())
  await waitFor(async () => (await fetch(`${gateway.publicUrl}/shop`)).ok)
  const second = await startService({ registry: gateway.adminUrl, name: 'shop' })
  cleanups.push(() => second.kill9())
  await waitFor(async () => (await shop()).available === 2)
  await first.stop()
  await waitFor(async () => (await shop()).instances.length === 1)
  await second.stop()
  const answer = await waitFor(async () => {
    const response = await fetch(`${gateway.publicUrl}/shop`)
    return response.status === 503 && response
  })
  expect(await (answer as Response).json()).toMatchObject({ code: 'GW_UPSTREAM_NO_INSTANCE' })
})

test('a TTL that runs out takes the instance out, a beat brings it back', async () => {
  const check = { CheckID: 'beat', TTL: '300ms', Status: 'passing' }
  await put('service/register', { ID: 'shop-1', Name: 'shop', Port: 9, Check: check })
  await put('service/register', { ID: 'shop-2', Name: 'shop', Port: 10 })
  await put('service/register', { ID: 'shop-3', Name: 'shop', Port: 11 })
  await waitFor(async () =>
    (await shop()).instances.some(
      ({ id, state, use }) => id === 'shop-1' && state === 'critical' && use === 'out',
    ),
  )
  expect((await put('check/pass/beat')).status).toBe(200)
  await waitFor(async () =>
    (await shop()).instances.some(({ id, use }) => id === 'shop-1' && use === 'rotation'),
  )
})

test('maintenance, warning with its weight, and explicit failure are taken at their word', async () => {
  const check = { CheckID: 'c', TTL: '60s', Status: 'passing' }
  const weights = { Passing: 10, Warning: 3 }
  await put('service/register', { ID: 'shop-1', Name: 'shop', Port: 9, Check: check, Weights: weights })
  const becomes = (expected: object) =>
    waitFor(async () => {
      expect((await shop()).instances[0]).toMatchObject(expected)
      return true
    })
  await becomes({ use: 'rotation', weight: 10 })
  await put('check/warn/c?note=slow')
  await becomes({ state: 'warning', use: 'rotation', weight: 3 })
  await put('check/update/c', { Status: 'critical', Output: 'broken' })
  await becomes({ state: 'critical', use: 'out' })
  await put('check/pass/c')
  await put('service/maintenance/shop-1?enable=true&reason=upgrade')
  await becomes({ state: 'maintenance', use: 'out' })
  await put('service/maintenance/shop-1?enable=false')
  await becomes({ state: 'passing', use: 'rotation' })
})

test("answers mistakes as Consul's agent does, so that clients register again", async () => {
  expect((await put('check/pass/unknown')).status).toBe(404)
  expect((await put('service/deregister/unknown')).status).toBe(404)
  const noPort = await put('service/register', { ID: 'x', Name: 'x', Port: 0 })
  expect(noPort.status).toBe(400)
  expect(await noPort.text()).toContain('Port')
  const http = await put('service/register', {
    Name: 'x',
    Port: 9,
    Check: { HTTP: 'http://x', Interval: '5s' },
  })
  expect(await http.text()).toContain('TTL checks only')
  expect((await put('service/maintenance/x')).status).toBe(400)
  const other = await fetch(`${gateway.adminUrl}/v1/health/service/shop`)
  expect(other.status).toBe(404)
  const broken = await fetch(`${gateway.adminUrl}/v1/agent/service/register`, { method: 'PUT', body: '{' })
  expect(broken.status).toBe(400)
})

test('a service may declare its route, also in the dialect of fabio, where the operator allows it', async () => {
  const routed = (path: string) => fetch(gateway.publicUrl + path).then((answer) => answer.status)
  await put('service/register', {
    ID: 'a',
    Name: 'a',
    Port: 9,
    Tags: ['sluice.route=/declared strip=/declared'],
  })
  await put('service/register', { ID: 'b', Name: 'b', Port: 9, Tags: ['urlprefix-/fabio'] })
  await put('service/register', { ID: 'c', Name: 'c', Port: 9, Tags: ['sluice.route=no-path'] })
  // Nobody listens on port 9: 502 says that a route took the request.
  await waitFor(async () => (await routed('/declared/x')) === 502 && (await routed('/fabio/x')) === 502)
  const { problems } = await gateway.admin<{ problems: string[] }>('/api/topology')
  expect(problems.join('\n')).toContain('"no-path" has no path')
  await put('service/deregister/a')
  await waitFor(async () => (await routed('/declared/x')) === 404)
})
