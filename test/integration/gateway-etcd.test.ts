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
import { startEtcd, startEtcdCluster } from '../support/etcd.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { startLoad } from '../support/load.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
const ROUTES = { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' }

async function gatewayWith(endpoints: readonly string[], more = ''): Promise<GatewayProcess> {
  const gateway = await startGateway({
    routes: ROUTES,
    yaml: `registries: { main: { type: etcd, endpoints: ${JSON.stringify(endpoints)}, probeInterval: 1s } }\n${more}`,
  })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

async function etcdServer() {
  const etcd = await startEtcd()
  later(() => etcd.stop())
  return etcd
}

/** A service whose answers name it, registered by the library's lease. */
async function service(endpoints: readonly string[], id: string): Promise<Lease> {
  const server = createServer((_request, response) => response.end(id))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const given = { registry: { type: 'etcd' as const, endpoints }, service: 'shop', id }
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
  const etcd = await etcdServer()
  const one = await gatewayWith([etcd.url])
  const two = await gatewayWith([etcd.url])
  await service([etcd.url], 'a')
  await service([etcd.url], 'b')
  await waitFor(async () => (await instances(two)).length === 2 && (await instances(one)).length === 2)
  const drained = await sluice(one, 'drain', 'a')
  expect(drained).toMatchObject({ code: 0 })
  expect(drained.output).toContain('etcd was told at /sluice/services/shop/a/drain')
  await waitFor(async () => (await stateOf(two, 'a')) === 'draining')
  for (let n = 0; n < 10; n++) expect(await (await fetch(two.publicUrl)).text()).toBe('b')
  expect(await sluice(two, 'drain', 'a', '--undo')).toMatchObject({ code: 0 })
  await waitFor(async () => (await stateOf(two, 'a')) === 'passing')
  await waitFor(async () => (await stateOf(one, 'a')) === 'passing')
})

test('the last instance of a service that drains and leaves is gone at once: no guard holds it', async () => {
  const etcd = await etcdServer()
  const gateway = await gatewayWith([etcd.url])
  const lease = await service([etcd.url], 'a')
  await waitFor(async () => (await fetch(gateway.publicUrl)).ok)
  await lease.drain('SIGTERM')
  await waitFor(async () => (await stateOf(gateway, 'a')) === 'draining')
  await lease.release()
  await waitFor(async () => (await fetch(gateway.publicUrl)).status === 503)
})

test('the gateway registers itself once it serves, and leaves before it stops accepting', async () => {
  const etcd = await etcdServer()
  const gateway = await gatewayWith(
    [etcd.url],
    'self: { registry: main, name: edge, tags: [public] }\ndrain: { acceptGrace: 2s, timeout: 5s }',
  )
  const edges = () => etcd.list('/sluice/services/edge/')
  await waitFor(async () => (await edges()).length === 1)
  expect(JSON.parse((await edges())[0]?.value ?? '')).toMatchObject({
    url: gateway.publicUrl,
    state: 'passing',
    tags: ['public'],
  })
  gateway.signal('SIGTERM')
  await waitFor(async () => (await edges())[0]?.value.includes('"draining"') ?? true, {
    timeoutMs: 1900,
    what: 'the gateway to leave',
  })
  expect((await fetch(gateway.publicUrl)).status).toBe(503)
  expect(await gateway.exited()).toBe(0)
  expect(await edges()).toEqual([])
})

test('the leader of etcd is killed under load: no request fails, and news still come', async () => {
  const cluster = await startEtcdCluster()
  later(() => cluster.stop())
  const endpoints = cluster.members.map(({ url }) => url)
  const gateway = await gatewayWith(endpoints)
  await service(endpoints, 'a')
  await service(endpoints, 'b')
  await waitFor(async () => (await instances(gateway)).length === 2)
  const load = startLoad({ requests: [{ method: 'GET', url: gateway.publicUrl }], rps: 200, maxMs: 20_000 })
  await waitFor(() => load.sent() > 100)
  const leader = await cluster.leader()
  await leader.kill9()
  await service(endpoints, 'c')
  await waitFor(async () => (await stateOf(gateway, 'c')) === 'passing', { timeoutMs: 20_000 })
  const at = load.sent()
  await waitFor(() => load.sent() > at + 100)
  const report = await load.stop()
  expect(report.failures).toEqual([])
  expect(report.sent).toBeGreaterThan(200)
})
