import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { type GatewayOptions, type GatewayProcess, startGateway, startService } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
const ROUTES = { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' }

async function consulServer(...options: Parameters<typeof startConsul>): Promise<TestConsul> {
  const consul = await startConsul(...options)
  later(() => consul.stop())
  return consul
}

async function gatewayWith(options: GatewayOptions): Promise<GatewayProcess> {
  const gateway = await startGateway({ routes: ROUTES, ...options })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

async function shopService(registry: string) {
  const service = await startService({ registry, name: 'shop' })
  later(() => service.kill9())
  return service
}

interface Ready {
  status: string
  warnings: string[]
}
const answers = async (gateway: GatewayProcess) => (await fetch(gateway.publicUrl)).ok

test('the gateway registers itself once it serves, and deregisters before it stops accepting', async () => {
  const consul = await consulServer()
  const gateway = await gatewayWith({
    yaml: `registries: { consul: { type: consul, url: "${consul.url}" } }
self: { registry: consul, name: edge, tags: [public] }
drain: { acceptGrace: 2s, timeout: 5s }`,
  })
  const edges = () =>
    consul.get<{ Service: { Port: number; Tags: string[] } }[]>('/v1/health/service/edge?passing')
  const [edge] = await waitFor(async () => {
    const found = await edges()
    return found.length === 1 && found
  }).then((found) => found as { Service: { Port: number; Tags: string[] } }[])
  expect(`http://127.0.0.1:${edge?.Service.Port}`).toBe(gateway.publicUrl)
  expect(edge?.Service.Tags).toEqual(['public'])
  gateway.signal('SIGTERM')
  await waitFor(async () => (await edges()).length === 0, {
    timeoutMs: 1900,
    what: 'the gateway to leave Consul',
  })
  expect((await fetch(gateway.publicUrl)).status).toBe(503)
  expect(await gateway.exited()).toBe(0)
})

test('with Consul down it starts from its snapshot; when Consul is back, live instances take over', async () => {
  const consul = await consulServer()
  const yaml = `registries: { consul: { type: consul, url: "${consul.url}" } }\nsnapshot: { path: snapshot.json, interval: 10ms }`
  const first = await gatewayWith({ yaml })
  await shopService(consul.url)
  await waitFor(() => answers(first))
  const file = join(first.folder, 'snapshot.json')
  const saved = await waitFor(() => (existsSync(file) ? readFileSync(file, 'utf8') : ''))
  await consul.kill9()
  await first.stop()

  const second = await gatewayWith({
    yaml,
    prepare: (folder) => writeFileSync(join(folder, 'snapshot.json'), saved),
  })
  expect(await answers(second)).toBe(true)
  const warnings = async () => (await second.admin<Ready>('/health/ready')).warnings.join('\n')
  expect(await warnings()).toContain('from the snapshot on disk')
  await consul.restart()
  await waitFor(async () => (await warnings()) === '', { timeoutMs: 20_000, what: 'live data' })
  expect(await answers(second)).toBe(true)
})

test('a gateway that started without Consul and without a snapshot becomes ready when Consul comes', async () => {
  const consul = await consulServer({ isDown: true })
  const gateway = await gatewayWith({
    yaml: `registries: { consul: { type: consul, url: "${consul.url}" } }`,
    waitReady: false,
  })
  await waitFor(async () => (await gateway.admin<Ready>('/health/ready')).status === 'unready')
  await consul.restart()
  await shopService(consul.url)
  await waitFor(() => answers(gateway), { timeoutMs: 30_000, what: 'a routed answer' })
  expect((await gateway.admin<Ready>('/health/ready')).status).toBe('ready')
})

test('CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN are honoured, and the token is nowhere to be seen', async () => {
  const consul = await consulServer({ acl: true })
  const gateway = await gatewayWith({
    yaml: 'registries: { consul: { type: consul } }',
    env: { CONSUL_HTTP_ADDR: consul.url, CONSUL_HTTP_TOKEN: consul.masterToken },
  })
  await consul.register({ Name: 'shop', ID: 'shop-1', Address: '127.0.0.1', Port: await freePort() })
  await waitFor(async () => (await fetch(gateway.publicUrl)).status === 502)
  const shown = JSON.stringify(await gateway.admin('/api/topology')) + gateway.output()
  expect(shown).not.toContain(consul.masterToken)
})

test('several registries at once: one that fails does not touch the services of the other', async () => {
  const port = await freePort()
  const gateway = await gatewayWith({
    yaml: `registries:
  gone: { type: consul, url: "http://127.0.0.1:${port}" }
  local: { type: embedded }`,
    waitReady: false,
  })
  await waitFor(async () => (await gateway.admin<Ready>('/health/ready')).status === 'ready', {
    timeoutMs: 20_000,
  })
  await shopService(gateway.adminUrl)
  await waitFor(() => answers(gateway))
  const { warnings } = await gateway.admin<Ready>('/health/ready')
  expect(warnings.join()).toContain('registry gone is failed')
})
