import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { type GatewayProcess, startGateway, startService } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function gatewayWith(...options: Parameters<typeof startGateway>): Promise<GatewayProcess> {
  const gateway = await startGateway(...options)
  cleanups.push(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

interface Ready {
  status: string
  reasons: string[]
  warnings: string[]
}

test('a drain turns readiness off, serves on for its grace, finishes what is under way, then exits 0', async () => {
  let release: () => void = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  const upstream = await httpServer(async (request, response) => {
    if (request.url === '/slow') await slow
    response.end('done')
  })
  cleanups.push(() => upstream.close())
  const gateway = await gatewayWith({
    yaml: 'drain: { acceptGrace: 600ms, timeout: 10s }',
    routes: {
      'all.yaml': `routes: [{ name: all, match: { pathPrefix: / }, upstreams: ["http://127.0.0.1:${upstream.port}"] }]`,
    },
  })
  const pending = fetch(`${gateway.publicUrl}/slow`)
  pending.catch(() => {})
  await waitFor(() => upstream.sockets.size > 0)
  gateway.signal('SIGTERM')
  await waitFor(async () => (await gateway.admin<Ready>('/health/ready')).status === 'draining')
  const during = await fetch(`${gateway.publicUrl}/fast`)
  expect(during.status).toBe(200)
  expect(during.headers.get('connection')).toBe('close')
  expect((await gateway.admin<{ status: string }>('/health/live')).status).toBe('live')
  await waitFor(
    async () => {
      try {
        await fetch(`${gateway.publicUrl}/late`)
        return false
      } catch {
        return true
      }
    },
    { what: 'the listener to close' },
  )
  release()
  expect(await (await pending).text()).toBe('done')
  expect(await gateway.exited()).toBe(0)
  expect(gateway.output()).toContain('"left":0')
})

test('a second signal ends the gateway at once', async () => {
  const gateway = await gatewayWith({ yaml: 'drain: { acceptGrace: 30s, timeout: 30s }' })
  gateway.signal('SIGTERM')
  await waitFor(async () => (await gateway.admin<Ready>('/health/ready')).status === 'draining')
  gateway.signal('SIGTERM')
  expect(await gateway.exited()).toBe(1)
})

test('a drain ends WebSockets with code 1001', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  cleanups.push(() => server.close())
  const { port } = server.address() as { port: number }
  const gateway = await gatewayWith({
    yaml: 'drain: { acceptGrace: 10ms, timeout: 5s }',
    routes: {
      'ws.yaml': `routes: [{ name: ws, match: { pathPrefix: / }, upstreams: ["http://127.0.0.1:${port}"] }]`,
    },
  })
  const client = new WebSocket(gateway.publicUrl.replace('http', 'ws'))
  await once(client, 'open')
  const closed = once(client, 'close')
  gateway.signal('SIGTERM')
  const [code] = (await closed) as [number]
  expect(code).toBe(1001)
  expect(await gateway.exited()).toBe(0)
})

test('an address that is taken is named, and the exit code says misuse', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  cleanups.push(() => taken.close())
  const { port } = taken.address() as { port: number }
  const gateway = await gatewayWith({
    waitReady: false,
    env: { SLUICE_LISTEN_HTTP: `127.0.0.1:${port}` },
  })
  expect(await gateway.exited()).toBe(2)
  expect(gateway.output()).toContain(`GW_LISTEN_FAILED: listen.http 127.0.0.1:${port}`)
})

test('an invalid configuration is shown with every mistake, and the exit code is 1', async () => {
  const gateway = await gatewayWith({
    waitReady: false,
    yaml: 'limits: { urlBites: 1KiB }\nlog: { level: loud }\n',
  })
  expect(await gateway.exited()).toBe(1)
  expect(gateway.output()).toContain('limits.urlBites')
  expect(gateway.output()).toContain('did you mean "urlBytes"?')
  expect(gateway.output()).toContain('log.level')
})

test('a defect is logged, and what is under way is finished before the gateway leaves', async () => {
  let release: () => void = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  const upstream = await httpServer(async (_request, response) => {
    await slow
    response.end('done')
  })
  cleanups.push(() => upstream.close())
  const boom = 'process.on("SIGUSR2",()=>{throw new TypeError("boom")})'
  const gateway = await gatewayWith({
    env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(boom)}` },
    yaml: 'drain: { acceptGrace: 10ms, timeout: 10s }',
    routes: {
      'all.yaml': `routes: [{ name: all, match: { pathPrefix: / }, upstreams: ["http://127.0.0.1:${upstream.port}"] }]`,
    },
  })
  const pending = fetch(gateway.publicUrl).then((answer) => answer.text())
  await waitFor(() => upstream.sockets.size > 0)
  gateway.signal('SIGUSR2')
  await waitFor(async () => (await gateway.admin<Ready>('/health/ready')).status === 'draining')
  release()
  expect(await pending).toBe('done')
  expect(await gateway.exited()).toBe(1)
  expect(gateway.output()).toContain('"level":60')
  expect(gateway.output()).toContain('boom')
})

test('SIGHUP reads the files again', async () => {
  const gateway = await gatewayWith()
  gateway.signal('SIGHUP')
  await waitFor(() => gateway.output().includes('"result":"unchanged"'))
})

test('without its registry and without a snapshot it serves what needs none, and is not ready', async () => {
  const port = await freePort()
  const gateway = await gatewayWith({
    waitReady: false,
    yaml: `registries: { consul: { type: consul, url: "http://127.0.0.1:${port}" } }`,
    routes: {
      'all.yaml':
        'routes:\n- { name: fixed, match: { path: /fixed }, respond: { status: 200, body: here } }\n- { name: shop, match: { pathPrefix: /shop }, service: shop }\n',
    },
  })
  await waitFor(async () => (await gateway.admin<Ready>('/health/live')).status === 'live')
  const body = await waitFor(async () => (await fetch(`${gateway.publicUrl}/fixed`)).text(), {
    timeoutMs: 15_000,
  })
  expect(body).toBe('here')
  const ready = await gateway.admin<Ready>('/health/ready')
  expect(ready.status).toBe('unready')
  expect(ready.reasons).toContain('no registry has answered yet')
  const shop = await fetch(`${gateway.publicUrl}/shop`)
  expect(shop.status).toBe(503)
  expect(shop.headers.get('retry-after')).not.toBeNull()
})

test('with a snapshot on disk it starts while the registry is down, and says that it is stale', async () => {
  const gateway = await gatewayWith({
    yaml: 'registries: { reg: { type: embedded } }\nsnapshot: { path: snapshot.json, interval: 10ms }',
    routes: { 'all.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' },
  })
  const service = await startService({ registry: gateway.adminUrl, name: 'shop' })
  cleanups.push(() => service.kill9())
  await waitFor(async () => (await fetch(gateway.publicUrl)).ok)
  const file = join(gateway.folder, 'snapshot.json')
  const saved = await waitFor(() => (existsSync(file) ? readFileSync(file, 'utf8') : ''))
  gateway.signal('SIGKILL')
  await gateway.exited()

  const port = await freePort()
  const second = await gatewayWith({
    yaml: `registries: { reg: { type: consul, url: "http://127.0.0.1:${port}" } }\nsnapshot: { path: snapshot.json }`,
    routes: { 'all.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' },
    prepare: (folder) => writeFileSync(join(folder, 'snapshot.json'), saved),
  })
  const answer = await fetch(second.publicUrl)
  expect(await answer.json()).toMatchObject({ service: 'shop' })
  const ready = await second.admin<Ready>('/health/ready')
  expect(ready.status).toBe('ready')
  expect(ready.warnings.join()).toContain('service shop is stale: from the snapshot on disk')
})
