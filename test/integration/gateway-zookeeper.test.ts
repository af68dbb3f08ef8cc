import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { runProgram } from '../../src/cli/program.ts'
import { systemClock } from '../../src/core/duration.ts'
import type { InstanceView } from '../../src/core/views.ts'
import { Lease } from '../../src/register/lease.ts'
import { resolveSettings } from '../../src/register/settings.ts'
import { useCleanups } from '../support/cleanup.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { startLoad } from '../support/load.ts'
import { waitFor } from '../support/wait.ts'
import { startZooKeeper, startZooKeeperEnsemble } from '../support/zookeeper.ts'

const { later } = useCleanups()
const ROUTES = { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' }

async function gatewayWith(servers: readonly string[], more = ''): Promise<GatewayProcess> {
  const gateway = await startGateway({
    routes: ROUTES,
    yaml: `registries: { main: { type: zookeeper, servers: ${JSON.stringify(servers)}, sessionTimeout: 4s } }\n${more}`,
  })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

async function zooKeeperServer() {
  const zookeeper = await startZooKeeper()
  later(() => zookeeper.stop())
  return zookeeper
}

/** A service whose answers name it, registered by the library's lease. */
async function service(servers: readonly string[], id: string): Promise<Lease> {
  const server = createServer((_request, response) => response.end(id))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const given = { registry: { type: 'zookeeper' as const, servers }, service: 'shop', id, ttl: 4000 }
  const settings = resolveSettings(given, {}, { address: '127.0.0.1', port })
  const lease = new Lease(settings, { clock: systemClock, random: Math.random, onEvent: () => {} })
  lease.start()
  later(() => lease.release())
  return lease
}

const instances = async (gateway: GatewayProcess) =>
  (await gateway.admin<{ instances: InstanceView[] }>('/api/services/shop')).instances
const stateOf = async (gateway: GatewayProcess, id: string) =>
  (await instances(gateway)).find((instance) => instance.id === id)?.state

async function sluice(gateway: GatewayProcess, ...args: string[]) {
  const lines: string[] = []
  const note = (text: string) => void lines.push(text)
  const terminal = { env: {}, hasColor: false, out: note, err: note }
  const code = await runProgram(['node', 'sluice', ...args, '--admin', gateway.adminUrl], terminal)
  return { code, output: lines.join('\n') }
}

test('sluice drain at one gateway is seen by another, and undone by it', async () => {
  const zookeeper = await zooKeeperServer()
  const one = await gatewayWith([zookeeper.server])
  const two = await gatewayWith([zookeeper.server])
  await service([zookeeper.server], 'a')
  await service([zookeeper.server], 'b')
  await waitFor(async () => (await instances(two)).length === 2 && (await instances(one)).length === 2)
  const drained = await sluice(one, 'drain', 'a')
  expect(drained).toMatchObject({ code: 0 })
  expect(drained.output).toContain('ZooKeeper was told at /services/shop/a')
  await waitFor(async () => (await stateOf(two, 'a')) === 'draining')
  for (let n = 0; n < 10; n++) expect(await (await fetch(two.publicUrl)).text()).toBe('b')
  expect(await sluice(two, 'drain', 'a', '--undo')).toMatchObject({ code: 0 })
  await waitFor(async () => (await stateOf(two, 'a')) === 'passing')
  await waitFor(async () => (await stateOf(one, 'a')) === 'passing')
})

test('the last instance of a service that drains and leaves is gone at once: no guard holds it', async () => {
  const zookeeper = await zooKeeperServer()
  const gateway = await gatewayWith([zookeeper.server])
  const lease = await service([zookeeper.server], 'a')
  await waitFor(async () => (await fetch(gateway.publicUrl)).ok)
  await lease.drain('SIGTERM')
  await waitFor(async () => (await stateOf(gateway, 'a')) === 'draining')
  await lease.release()
  await waitFor(async () => (await fetch(gateway.publicUrl)).status === 503)
})

test('the gateway registers itself once it serves, and leaves before it stops accepting', async () => {
  const zookeeper = await zooKeeperServer()
  const gateway = await gatewayWith(
    [zookeeper.server],
    'self: { registry: main, name: edge, tags: [public] }\ndrain: { acceptGrace: 2s, timeout: 5s }',
  )
  const edges = async () => {
    const ids = (await zookeeper.client.getChildren('/services/edge')) ?? []
    const found = await Promise.all(ids.map((id) => zookeeper.client.getData(`/services/edge/${id}`)))
    return found.flatMap((one) => (one === undefined ? [] : [one.data.toString()]))
  }
  const { hostname, port } = new URL(gateway.publicUrl)
  await waitFor(async () => (await edges())[0]?.includes('"passing"'))
  expect(JSON.parse((await edges())[0] ?? '')).toMatchObject({
    address: hostname,
    port: Number(port),
    payload: { metadata: { state: 'passing', tags: '["public"]' } },
  })
  gateway.signal('SIGTERM')
  await waitFor(async () => (await edges())[0]?.includes('"draining"') ?? true, {
    timeoutMs: 1900,
    what: 'the gateway to leave',
  })
  expect((await fetch(gateway.publicUrl)).status).toBe(503)
  expect(await gateway.exited()).toBe(0)
  expect(await edges()).toEqual([])
})

test('the leader of ZooKeeper is killed under load: no request fails, and news still come', async () => {
  const ensemble = await startZooKeeperEnsemble()
  later(() => ensemble.stop())
  const { servers } = ensemble
  const gateway = await gatewayWith(servers)
  await service(servers, 'a')
  await service(servers, 'b')
  await waitFor(async () => (await instances(gateway)).length === 2)
  const load = startLoad({ requests: [{ method: 'GET', url: gateway.publicUrl }], rps: 200, maxMs: 40_000 })
  await waitFor(() => load.sent() > 100)
  await ensemble.killLeader()
  await service(servers, 'c')
  await waitFor(async () => (await stateOf(gateway, 'c')) === 'passing', { timeoutMs: 30_000 })
  const at = load.sent()
  await waitFor(() => load.sent() > at + 100)
  const report = await load.stop()
  expect(report.failures).toEqual([])
  expect(report.sent).toBeGreaterThan(200)
})
