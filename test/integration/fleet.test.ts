import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FleetView } from '../../src/core/fleet-view.ts'
import type { TrafficView } from '../../src/core/traffic-view.ts'
import type { CanaryView, ServiceView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { type GatewayOptions, type GatewayProcess, startGateway } from '../support/gateway.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { later, opened } = useCleanups()
let consul: TestConsul

beforeAll(async () => {
  consul = await startConsul()
})
afterAll(() => consul.stop())

async function started(options: GatewayOptions): Promise<GatewayProcess> {
  const gateway = await startGateway(options)
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

/** Configuration of a fleet of its own. */
const yamlOf = (prefix: string, service: string, more = '') => `
registries: { consul: { type: consul, url: "${consul.url}" } }
fleet: { store: consul, prefix: ${prefix}/, interval: 200ms }
services: { ${service}: { outlier: { gatewayErrors: 3 } } }
routes: [{ name: shop, match: { pathPrefix: / }, service: ${service} }]
${more}`

const fleetOf = (gateway: GatewayProcess) => gateway.admin<FleetView>('/api/fleet')

/** An instance in the registry with a server behind it. */
async function anInstance(service: string, id: string, answer: () => number) {
  const server = await opened(
    await httpServer((_request, response) => {
      response.writeHead(answer()).end(id)
    }),
  )
  await consul.register({ Name: service, ID: id, Address: '127.0.0.1', Port: server.port })
  return server
}

test('a monitor shows what each gateway sees, and services that no gateway routes to', {
  timeout: 60_000,
}, async () => {
  const bad = { status: 200 }
  await anInstance('fleet-shop', 'shop-good', () => 200)
  await anInstance('fleet-shop', 'shop-bad', () => bad.status)
  await anInstance('fleet-lonely', 'lonely-1', () => 200)
  const yaml = yamlOf('fleet-a', 'fleet-shop')
  const [one, other] = [await started({ yaml }), await started({ yaml })]
  const monitor = await started({ yaml, verb: 'monitor' })
  const seen = await waitFor(async () => {
    const { gateways } = await fleetOf(monitor)
    const isWhole = gateways.filter(({ isStale, role }) => role === 'gateway' && !isStale).length === 2
    return isWhole ? gateways : undefined
  })
  expect(seen.map(({ role, isSelf }) => [role, isSelf])).toEqual([
    ['monitor', true],
    ['gateway', false],
    ['gateway', false],
  ])
  expect(new Set(seen.slice(1).map(({ admin }) => admin))).toEqual(new Set([one.adminUrl, other.adminUrl]))
  // Same configuration, same registry: the same table.
  expect(new Set(seen.map(({ table }) => table?.id)).size).toBe(1)
  // It serves no clients.
  await expect(fetch(monitor.publicUrl)).rejects.toThrow()

  const { services } = await monitor.admin<{ services: ServiceView[] }>('/api/services')
  const lonely = services.find(({ name }) => name === 'fleet-lonely')
  expect([lonely?.isInTable, lonely?.available]).toEqual([false, 1])
  const health = await fetch(`${monitor.adminUrl}/api/health/fleet-lonely`)
  expect([health.status, await health.json()]).toMatchObject([200, { verdict: 'healthy' }])

  // Only the one with the traffic ejects it; the monitor says which.
  bad.status = 503
  await waitFor(async () => {
    await (await fetch(one.publicUrl)).text()
    const { instances } = await fleetOf(monitor)
    const views = Object.values(instances).flat()
    return views.some(({ use, reason }) => use === 'ejected' && reason?.includes('503'))
  })
  await waitFor(async () => {
    const { services } = await monitor.admin<TrafficView>('/api/traffic')
    return (services['fleet-shop']?.rps ?? 0) > 0
  })
  const { gateways, instances } = await fleetOf(monitor)
  const ejected = Object.values(instances)
    .flat()
    .filter(({ use }) => use === 'ejected')
  expect(ejected.map(({ gateway }) => gateways.find(({ id }) => id === gateway)?.admin)).toEqual([
    one.adminUrl,
  ])
})

test('a gateway that is killed is stale soon, one that goes is stale at once', {
  timeout: 60_000,
}, async () => {
  await anInstance('fleet-end', 'end-1', () => 200)
  const yaml = yamlOf('fleet-b', 'fleet-end', 'drain: { acceptGrace: 0s }')
  const [killed, leaving] = [await started({ yaml }), await started({ yaml })]
  const monitor = await started({ yaml, verb: 'monitor' })
  const others = async () => (await fleetOf(monitor)).gateways.filter(({ isSelf }) => !isSelf)
  await waitFor(async () => (await others()).filter(({ isStale }) => !isStale).length === 2)
  killed.signal('SIGKILL')
  await leaving.stop()
  await waitFor(async () => (await others()).filter(({ isStale }) => isStale).length === 2)
})

test('gateways without a consul tell a monitor directly; it wants its token', {
  timeout: 60_000,
}, async () => {
  const server = await opened(await httpServer((_request, response) => response.end('static')))
  const token = 'a-token-that-is-long-enough'
  const shop = `services: { shop: { upstreams: ["http://127.0.0.1:${server.port}"] } }
routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]`
  const monitor = await started({ yaml: shop, verb: 'monitor', env: { SLUICE_ADMIN_TOKEN: token } })
  const told = await started({
    yaml: `${shop}\nfleet: { interval: 200ms, name: front-1, push: [{ url: "${monitor.adminUrl}", token: ${token} }] }`,
  })
  const headers = { authorization: `Bearer ${token}` }
  await waitFor(async () => {
    const { gateways } = await monitor.admin<FleetView>('/api/fleet', { headers })
    return gateways.some(({ name, isStale }) => name === 'front-1' && !isStale)
  })
  const refused = await started({
    yaml: `${shop}\nfleet: { interval: 200ms, push: [{ url: "${monitor.adminUrl}", token: wrong }] }`,
  })
  await waitFor(async () => (await fleetOf(refused)).problem?.includes('401'))
  expect((await fleetOf(told)).problem).toBeUndefined()
  const nonsense = await fetch(`${monitor.adminUrl}/api/fleet/reports`, {
    method: 'POST',
    headers,
    body: '{}',
  })
  expect(nonsense.status).toBe(400)
})

test('a monitor never decides on a release', { timeout: 60_000 }, async () => {
  await anInstance('fleet-release', 'release-1', () => 200)
  const yaml = yamlOf(
    'fleet-c',
    'fleet-release',
    `canary: { interval: 100ms, prefix: fleet-c/ }
canaries:
  - name: v2
    service: fleet-release
    canary: { version: "2.*" }
    ramp: { steps: [{ percent: 10, for: 0s }, { percent: 20, hold: true }] }`,
  )
  const monitor = await started({ yaml, verb: 'monitor' })
  const canary = async (of: GatewayProcess) => of.admin<CanaryView>('/api/canaries/v2')
  const gateway = await started({ yaml })
  await waitFor(async () => (await canary(gateway)).release !== undefined)
  await waitFor(
    async () => (await canary(monitor)).release?.percent === (await canary(gateway)).release?.percent,
  )
  expect((await monitor.admin<{ decides: boolean }>('/api/canaries')).decides).toBe(false)
  expect((await gateway.admin<{ decides: boolean }>('/api/canaries')).decides).toBe(true)
})
