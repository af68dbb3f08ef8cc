import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { InstanceView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { startLoad } from '../support/load.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()

/** A service whose answers name it; resolves with its port. */
async function serve(name: string): Promise<number> {
  const server = createServer((_request, response) => response.end(name))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function consulServer(): Promise<TestConsul> {
  const consul = await startConsul()
  later(() => consul.stop())
  return consul
}

const register = (consul: TestConsul, id: string, port: number, name = 'shop') =>
  consul.register({ Name: name, ID: id, Address: '127.0.0.1', Port: port })

/** A gateway that reads a Consul first, then a file of instances. */
async function gatewayWith(
  consul: TestConsul,
  file: object,
  service: string,
  spare = '',
): Promise<GatewayProcess> {
  const gateway = await startGateway({
    routes: {
      'shop.yaml': `routes:
  - { name: shop, match: { pathPrefix: / }, service: shop }
  - { name: other, match: { pathPrefix: /other }, service: old-shop }`,
    },
    yaml: `registries:
  main: { type: consul, url: "${consul.url}" }
  spare: { type: file, path: instances.json ${spare} }
services: { shop: { ${service} } }
`,
    prepare: (folder) => writeFileSync(join(folder, 'instances.json'), JSON.stringify(file)),
  })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

const instances = async (gateway: GatewayProcess, service = 'shop') =>
  (await gateway.admin<{ instances: InstanceView[] }>(`/api/services/${service}`)).instances
const useOf = async (gateway: GatewayProcess, id: string) =>
  (await instances(gateway)).find((instance) => instance.id === id)?.use
const answers = async (gateway: GatewayProcess, path = '/', times = 20) => {
  const seen = new Set<string>()
  for (let n = 0; n < times; n++) seen.add(await (await fetch(new URL(path, gateway.publicUrl))).text())
  return [...seen].sort()
}

test('the first registry loses its instances under load and gets them back: no request fails, and it returns late', async () => {
  const consul = await consulServer()
  const [one, two, spare] = [await serve('one'), await serve('two'), await serve('spare')]
  await register(consul, 'one', one)
  await register(consul, 'two', two)
  const gateway = await gatewayWith(
    consul,
    { services: { shop: [{ url: `http://127.0.0.1:${spare}`, id: 'spare' }] } },
    'registryMode: failover, registryReturn: 2s',
  )
  expect(await answers(gateway)).toEqual(['one', 'two'])
  expect((await instances(gateway)).find(({ id }) => id === 'spare')).toMatchObject({
    use: 'reserve',
    reason: 'registry main has the lead',
  })
  const load = startLoad({
    requests: [{ method: 'GET', url: gateway.publicUrl }],
    rps: 200,
    maxMs: 30_000,
    label: (_status, body) => body,
  })
  await waitFor(() => load.sent() > 200)
  await consul.deregister('one')
  await consul.deregister('two')
  await waitFor(async () => (await useOf(gateway, 'spare')) === 'rotation')
  const without = load.sent()
  await waitFor(() => load.sent() > without + 400)
  await register(consul, 'one', one)
  await register(consul, 'two', two)
  const began = performance.now()
  await waitFor(async () =>
    (await instances(gateway)).some(({ reason }) => reason?.includes('back in the lead')),
  )
  expect(await useOf(gateway, 'spare')).toBe('rotation')
  await waitFor(async () => (await useOf(gateway, 'one')) === 'rotation')
  expect(performance.now() - began).toBeGreaterThan(1900)
  expect(await useOf(gateway, 'spare')).toBe('reserve')
  const after = load.sent()
  await waitFor(() => load.sent() > after + 100)
  const report = await load.stop()
  expect(report.failures).toEqual([])
  expect(report.seen.get('spare')).toBeGreaterThan(300)
  expect(report.seen.get('one')).toBeGreaterThan(100)
  const tables = JSON.stringify(await gateway.admin('/api/tables'))
  expect(tables).toContain('~ service shop lead main -> spare')
  expect(tables).toContain('~ service shop lead spare -> main')
})

test('by default the instances of all registries are one service', async () => {
  const consul = await consulServer()
  await register(consul, 'one', await serve('one'))
  const spare = await serve('spare')
  const gateway = await gatewayWith(
    consul,
    { services: { shop: [`http://127.0.0.1:${spare}`] } },
    'slowStart: 0',
  )
  expect(await answers(gateway)).toEqual(['one', 'spare'])
})

test('registries with an order of their own: the file first', async () => {
  const consul = await consulServer()
  await register(consul, 'one', await serve('one'))
  const spare = await serve('spare')
  const gateway = await gatewayWith(
    consul,
    { services: { shop: [`http://127.0.0.1:${spare}`] } },
    'registry: [spare, main], registryMode: failover',
  )
  expect(await answers(gateway)).toEqual(['spare'])
  const file = join(gateway.folder, 'instances.json')
  writeFileSync(`${file}.new`, '{"services":{}}')
  renameSync(`${file}.new`, file)
  await waitFor(async () => (await answers(gateway, '/', 3)).join() === 'one')
})

test('with a namespace the shop of one registry is not the shop of the other', async () => {
  const consul = await consulServer()
  await register(consul, 'one', await serve('one'))
  const spare = await serve('spare')
  const gateway = await gatewayWith(
    consul,
    { services: { shop: [`http://127.0.0.1:${spare}`] } },
    'slowStart: 0',
    ', serviceName: { prefix: old- }',
  )
  expect(await answers(gateway)).toEqual(['one'])
  expect(await answers(gateway, '/other')).toEqual(['spare'])
  expect((await instances(gateway, 'old-shop')).map(({ key }) => key)).toEqual([
    `spare/file/shop/127.0.0.1:${spare}`,
  ])
})
