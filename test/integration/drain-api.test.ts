import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { runProgram } from '../../src/cli/program.ts'
import type { DrainView, InstanceView, TopologyView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startConsul, startConsulCluster } from '../support/consul.ts'
import { type GatewayOptions, type GatewayProcess, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
const ROUTES = { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' }
const EMBEDDED = 'registries: { local: { type: embedded } }'

async function gatewayWith(options: GatewayOptions): Promise<GatewayProcess> {
  const gateway = await startGateway({ routes: ROUTES, ...options })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

/** A service whose answers name it. */
async function service(name: string): Promise<number> {
  const server = createServer((_request, response) => response.end(name))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const agent = (gateway: GatewayProcess, path: string, body?: unknown) =>
  fetch(`${gateway.adminUrl}/v1/agent/service/${path}`, {
    method: 'PUT',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
const post = (gateway: GatewayProcess, instance: string, body: unknown = {}, headers: object = {}) =>
  fetch(`${gateway.adminUrl}/api/instances/${encodeURIComponent(instance)}/drain`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
const drain = async (...args: Parameters<typeof post>) => (await (await post(...args)).json()) as DrainView
const instances = async (gateway: GatewayProcess) =>
  (await gateway.admin<{ instances: InstanceView[] }>('/api/services/shop')).instances
const one = async (gateway: GatewayProcess, id: string) =>
  (await instances(gateway)).find((instance) => instance.id === id)

test('embedded registry: out at once, in the registry with its reason, and back by undo', async () => {
  const gateway = await gatewayWith({ yaml: EMBEDDED })
  const ports = [await service('a'), await service('b')]
  await agent(gateway, 'register', { ID: 'a', Name: 'shop', Port: ports[0] })
  await agent(gateway, 'register', { ID: 'b', Name: 'shop', Port: ports[1] })
  await waitFor(async () => (await instances(gateway)).length === 2)

  const answer = await drain(gateway, 'a', { reason: 'new disk' })
  expect(answer).toMatchObject({ instance: 'local/local/a', state: 'draining', scope: 'registry' })
  expect(await one(gateway, 'a')).toMatchObject({
    state: 'draining',
    use: 'out',
    reason: 'drained through this gateway: new disk',
  })
  for (let i = 0; i < 6; i++) expect(await (await fetch(gateway.publicUrl)).text()).toBe('b')

  const back = await drain(gateway, `127.0.0.1:${ports[0]}`, { undo: true })
  expect(back).toMatchObject({ instance: 'local/local/a', state: 'passing', scope: 'registry' })
  expect(await one(gateway, 'a')).toMatchObject({ state: 'passing', use: 'rotation' })
  expect(await drain(gateway, 'a', { undo: true })).toMatchObject({ detail: 'it was not draining' })
})

test('the mark of this gateway outlives other changes, and ends when the registry ends its own', async () => {
  const gateway = await gatewayWith({ yaml: EMBEDDED })
  for (const id of ['a', 'b'])
    await agent(gateway, 'register', { ID: id, Name: 'shop', Port: await freePort() })
  await waitFor(async () => (await instances(gateway)).length === 2)
  await drain(gateway, 'local/local/a')
  await agent(gateway, 'register', { ID: 'c', Name: 'shop', Port: await freePort() })
  await waitFor(async () => (await instances(gateway)).length === 3)
  expect((await one(gateway, 'a'))?.state).toBe('draining')
  await agent(gateway, 'maintenance/a?enable=false')
  await waitFor(async () => (await one(gateway, 'a'))?.state === 'passing')
  // Gone for good: a successor with the same id starts without it.
  await drain(gateway, 'a')
  await agent(gateway, 'deregister/a')
  await waitFor(async () => (await instances(gateway)).length === 2)
  await agent(gateway, 'register', { ID: 'a', Name: 'shop', Port: await freePort() })
  await waitFor(async () => (await one(gateway, 'a'))?.state === 'passing')
})

test('unknown is 404, a name of several 409 with their keys, somebody else’s maintenance is not undone', async () => {
  const port = await freePort()
  const gateway = await gatewayWith({ yaml: EMBEDDED })
  for (const id of ['a', 'b']) await agent(gateway, 'register', { ID: id, Name: 'shop', Port: port })
  await waitFor(async () => (await instances(gateway)).length === 2)
  expect((await post(gateway, 'nobody')).status).toBe(404)
  const several = await post(gateway, `127.0.0.1:${port}`)
  expect(several.status).toBe(409)
  expect(await several.text()).toMatch(/local\/local\/a, local\/local\/b/)
  await agent(gateway, 'maintenance/a?enable=true&reason=disk')
  await waitFor(async () => (await one(gateway, 'a'))?.state === 'maintenance')
  expect((await post(gateway, 'a', { undo: true })).status).toBe(409)
  expect(await drain(gateway, 'a')).toMatchObject({ state: 'maintenance', scope: 'registry' })
  expect((await post(gateway, 'b', { reason: 'x\ny' })).status).toBe(400)
  expect((await post(gateway, 'b', { because: 'x' })).status).toBe(400)
})

test('a fixed address is drained in this gateway alone, which the answer says', async () => {
  const [a, b] = [await service('a'), await service('b')]
  const gateway = await gatewayWith({
    yaml: `services: { shop: { upstreams: ["http://127.0.0.1:${a}", "http://127.0.0.1:${b}"] } }`,
  })
  const answer = await drain(gateway, `127.0.0.1:${a}`)
  expect(answer).toMatchObject({ state: 'draining', scope: 'gateway' })
  expect(answer.detail).toContain('run it against each gateway')
  for (let i = 0; i < 4; i++) expect(await (await fetch(gateway.publicUrl)).text()).toBe('b')
  expect(await drain(gateway, `127.0.0.1:${a}`, { undo: true })).toMatchObject({ state: 'unknown' })
})

test('it needs the token like every change', async () => {
  const env = { SLUICE_ADMIN_TOKEN: 'a-token-of-some-length' }
  const gateway = await gatewayWith({ yaml: EMBEDDED, env })
  const headers = { authorization: `Bearer ${env.SLUICE_ADMIN_TOKEN}` }
  expect((await post(gateway, 'a')).status).toBe(401)
  expect((await post(gateway, 'a', {}, headers)).status).toBe(404)
})

test('Consul: maintenance with the reason, seen by another gateway, and out again', async () => {
  const consul = await startConsul({ acl: true })
  later(() => consul.stop())
  const policy = await consul.createPolicy(
    'gateway',
    'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }',
  )
  const token = await consul.createToken(policy)
  const yaml = `registries: { consul: { type: consul, url: "${consul.url}", token: ${token} } }`
  const [first, second] = [await gatewayWith({ yaml }), await gatewayWith({ yaml })]
  await consul.register({ ID: 'a', Name: 'shop', Address: '127.0.0.1', Port: await freePort() })
  for (const gateway of [first, second])
    await waitFor(async () => (await one(gateway, 'a'))?.use === 'rotation')
  expect(await drain(first, 'a', { reason: 'new kernel' })).toMatchObject({
    instance: 'consul/dc1/n1/a',
    state: 'draining',
    scope: 'registry',
  })
  await waitFor(async () => (await one(second, 'a'))?.state === 'draining')
  const checks = await consul.get<Record<string, { Notes: string }>>('/v1/agent/checks')
  expect(checks['_service_maintenance:a']?.Notes).toBe('draining: new kernel')
  // Through the other one: the first must not keep its own mark.
  expect(await drain(second, 'a', { undo: true })).toMatchObject({ scope: 'registry' })
  for (const gateway of [first, second])
    await waitFor(async () => (await one(gateway, 'a'))?.use === 'rotation')
})

test('Consul: without the right, or without the agent, only this gateway knows, and says so', async () => {
  const consul = await startConsul({ acl: true })
  later(() => consul.stop())
  const policy = await consul.createPolicy(
    'reader',
    'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
  )
  const token = await consul.createToken(policy)
  const gateway = await gatewayWith({
    yaml: `registries: { consul: { type: consul, url: "${consul.url}", token: ${token} } }`,
  })
  await consul.register({ ID: 'a', Name: 'shop', Address: '127.0.0.1', Port: await freePort() })
  await waitFor(async () => (await one(gateway, 'a'))?.use === 'rotation')
  const refused = await drain(gateway, 'a')
  expect(refused).toMatchObject({ state: 'draining', scope: 'gateway' })
  expect(refused.detail).toMatch(/could not be told.*run it against each gateway, or on the node/s)
  await consul.kill9()
  expect(await drain(gateway, 'a', { undo: true })).toMatchObject({ state: 'passing', scope: 'gateway' })
})

test('Consul: an instance at another agent is told there, also when the own one has the same id', async () => {
  const cluster = await startConsulCluster()
  later(() => cluster.stop())
  const [n1, n2, n3] = cluster.nodes
  const gateway = await gatewayWith({ yaml: `registries: { consul: { type: consul, url: "${n1?.url}" } }` })
  for (const node of [n1, n2]) await node?.register({ ID: 'shop', Name: 'shop', Port: 7777 })
  await n3?.register({ ID: 'third', Name: 'shop', Port: 7777 })
  await waitFor(async () => (await instances(gateway)).length === 3, { timeoutMs: 20_000 })
  expect((await post(gateway, 'shop')).status).toBe(409)
  expect(await drain(gateway, 'consul/dc1/n2/shop')).toMatchObject({ state: 'draining', scope: 'registry' })
  const isMarked = async (node: typeof n1, id: string) =>
    `_service_maintenance:${id}` in ((await node?.get<object>('/v1/agent/checks')) ?? {})
  expect([await isMarked(n1, 'shop'), await isMarked(n2, 'shop')]).toEqual([false, true])
  expect(await drain(gateway, 'third')).toMatchObject({ scope: 'registry' })
  expect(await isMarked(n3, 'third')).toBe(true)
})

test('sluice drain: waits until nothing is under way, and undoes it', async () => {
  const gateway = await gatewayWith({ yaml: EMBEDDED })
  const answers: ServerResponse[] = []
  const server = createServer((_request, response) => void answers.push(response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  await agent(gateway, 'register', { ID: 'a', Name: 'shop', Port: (server.address() as AddressInfo).port })
  await waitFor(async () => (await instances(gateway)).length === 1)
  const running = fetch(gateway.publicUrl)
  await waitFor(() => answers.length === 1)

  const sluice = async (...args: string[]) => {
    const lines: string[] = []
    const note = (text: string) => void lines.push(text)
    const terminal = { env: {}, hasColor: false, out: note, err: note }
    const code = await runProgram(['node', 'sluice', 'drain', ...args, '--admin', gateway.adminUrl], terminal)
    return { code, output: lines.join('\n') }
  }
  expect(await sluice('a', '--wait', '300ms')).toMatchObject({ code: 1 })
  expect((await one(gateway, 'a'))?.state).toBe('draining')
  const waiting = sluice('a', '--wait', '20s')
  answers[0]?.end('fine')
  expect(await (await running).text()).toBe('fine')
  expect((await waiting).output).toContain('nothing is under way there any more')
  expect(await sluice('a', '--undo')).toMatchObject({ code: 0 })
  await waitFor(async () => (await one(gateway, 'a'))?.state === 'passing')
  expect(await sluice('no-such')).toMatchObject({ code: 1 })
  expect(await sluice('a', '--wait', 'long')).toMatchObject({ code: 2 })
})

test('health of one instance, by path and by query, as JSON and as one word', async () => {
  const gateway = await gatewayWith({ yaml: EMBEDDED })
  const check = { CheckID: 'beat-a', TTL: '1m', Status: 'passing' }
  await agent(gateway, 'register', { ID: 'a', Name: 'shop', Port: await freePort(), Check: check })
  await agent(gateway, 'register', { ID: 'b', Name: 'shop', Port: await freePort() })
  await waitFor(async () => (await instances(gateway)).length === 2)
  await fetch(`${gateway.adminUrl}/v1/agent/check/fail/beat-a?note=no%20database`, { method: 'PUT' })
  await waitFor(async () => (await one(gateway, 'a'))?.state === 'critical')
  const ask = async (path: string, accept = 'application/json') => {
    const answer = await fetch(`${gateway.adminUrl}/api/health/${path}`, { headers: { accept } })
    return [answer.status, await answer.text()] as const
  }
  for (const path of ['shop/a', 'shop?instance=a']) {
    expect(await ask(path, 'text/plain')).toEqual([503, 'unhealthy\n'])
    expect(JSON.parse((await ask(path))[1])).toMatchObject({ verdict: 'unhealthy', state: 'critical' })
  }
  expect(await ask('shop?instance=b', 'text/plain')).toEqual([200, 'healthy\n'])
  expect(await ask('shop', 'text/plain')).toEqual([200, 'healthy\n'])
  expect(await ask('shop?instance=nobody', 'text/plain')).toEqual([200, 'unknown\n'])
  expect((await ask('shop?instance=nobody&strict=1', 'text/plain'))[0]).toBe(503)
  expect((await ask('shop?instance=nobody&strict=true', 'text/plain'))[0]).toBe(503)
  expect((await ask('shop?instance=nobody&strict=0', 'text/plain'))[0]).toBe(200)
  expect((await ask('shop/a', 'application/json;q=0.5, text/plain'))[1]).toBe('unhealthy\n')
  for (const accept of ['*/*', 'application/json, text/plain;q=0.9']) {
    expect(JSON.parse((await ask('shop/a', accept))[1])).toMatchObject({ verdict: 'unhealthy' })
  }
  const probe = await fetch(`${gateway.adminUrl}/api/health/shop/a`, { method: 'HEAD' })
  expect([probe.status, probe.headers.get('cache-control')]).toEqual([503, 'no-store'])

  // Nothing is routed to it, and still it is asked for.
  await agent(gateway, 'register', { ID: 'job-1', Name: 'job', Port: await freePort() })
  await waitFor(async () => (await ask('job/job-1', 'text/plain'))[1] === 'healthy\n')
  expect(await ask('job', 'text/plain')).toEqual([200, 'healthy\n'])
  const { services } = await gateway.admin<TopologyView>('/api/topology')
  expect(services.find(({ name }) => name === 'job')).toMatchObject({
    isInTable: false,
    routes: [],
    instances: [{ id: 'job-1', use: 'rotation' }],
  })
})
