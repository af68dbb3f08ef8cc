import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { httpServer, type Scripted } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

let gateway: GatewayProcess
let guarded: GatewayProcess
let upstream: Scripted
const TOKEN = 'a-token-of-some-length'

beforeAll(async () => {
  upstream = await httpServer((_request, response) => response.end('shop'))
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    routes: {
      'shop.yaml': `routes:
  - name: shop
    class: authenticated
    match: { hosts: [shop.example.com], pathPrefix: /cart }
    filters: [{ type: security-headers }]
    upstreams: ["http://127.0.0.1:${upstream.port}"]
`,
    },
  })
  guarded = await startGateway({ env: { SLUICE_ADMIN_TOKEN: TOKEN }, waitReady: false })
  await waitFor(async () => (await fetch(`${guarded.adminUrl}/health/ready`)).ok)
})
afterAll(async () => {
  for (const one of [gateway, guarded]) {
    one?.signal('SIGKILL')
    await one?.exited()
  }
  await upstream?.close()
})

const post = (path: string, body: unknown) =>
  fetch(gateway.adminUrl + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

test('lists routes, services, topology and tables', async () => {
  const { routes } = await gateway.admin<{ routes: { name: string; filters: string[] }[] }>('/api/routes')
  expect(routes).toMatchObject([
    { name: 'shop', hosts: ['shop.example.com'], path: { kind: 'prefix', value: '/cart' } },
  ])
  const service = await gateway.admin<{ name: string }>('/api/services/shop')
  expect(service).toMatchObject({ title: 'No such admin endpoint or object' })
  const { services } = await gateway.admin<{ services: { name: string }[] }>('/api/services')
  expect(services).toMatchObject([{ source: 'static', available: 1, routes: ['shop'] }])
  const topology = await gateway.admin<object>('/api/topology')
  expect(topology).toMatchObject({
    gateway: { state: 'ready', table: 1 },
    registries: [{ name: 'local', type: 'embedded', status: { state: 'live' } }],
  })
  const tables = await gateway.admin<{ versions: { version: number }[] }>('/api/tables')
  expect(tables).toMatchObject({ current: 1, versions: [{ version: 1, cause: 'start', isCurrent: true }] })
  expect(await gateway.admin('/api/tables/1')).toMatchObject({ version: 1 })
  expect(await gateway.admin('/api/tables/99')).toMatchObject({ code: 'GW_ADMIN_NOT_FOUND' })
  expect(await gateway.admin('/api/routes/shop')).toMatchObject({ name: 'shop', class: 'authenticated' })
})

test('explains a request by the table in force', async () => {
  const won = await post('/api/explain', { url: 'http://shop.example.com/cart/7' })
  expect(await won.json()).toMatchObject({ result: 'route', route: 'shop', upstreamTarget: '/cart/7' })
  const lost = await post('/api/explain', { method: 'POST', url: 'http://other.example.com/cart' })
  expect(await lost.json()).toMatchObject({ result: 'refuse', code: 'GW_ROUTE_NOT_FOUND' })
  const bad = await post('/api/explain', { url: 'shop.example.com/cart' })
  expect(bad.status).toBe(400)
  expect(await bad.json()).toMatchObject({ code: 'GW_ADMIN_BAD_REQUEST' })
  const unknown = await post('/api/explain', { url: 'http://a/', hedders: {} })
  expect(unknown.status).toBe(400)
})

test('validates a candidate without taking it', async () => {
  const good = await post('/api/validate', {
    files: {
      'routes.d/more.yaml': 'routes: [{ name: more, match: { path: /more }, respond: { status: 204 } }]',
    },
  })
  expect(await good.json()).toEqual({ valid: true, problems: [], changes: ['+ route more'] })
  const bad = await post('/api/validate', { files: { 'routes.d/more.yaml': 'routes: [{ nam: more }]' } })
  expect(await bad.json()).toMatchObject({
    valid: false,
    problems: expect.arrayContaining([
      expect.objectContaining({ line: 1, column: 12, message: 'unknown key "nam"' }),
    ]),
  })
  const outside = await post('/api/validate', { files: { '../../etc/passwd': 'x' } })
  expect(outside.status).toBe(400)
  expect((await gateway.admin<{ current: number }>('/api/tables')).current).toBe(1)
})

test('rolls back to an earlier table until the files change again, and tells it as an event', async () => {
  const abort = new AbortController()
  const stream = await fetch(`${gateway.adminUrl}/api/events`, { signal: abort.signal })
  let events = ''
  const reading = (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of stream.body as unknown as AsyncIterable<Uint8Array>)
      events += decoder.decode(chunk)
  })().catch(() => {})
  const before = (await gateway.admin<{ current: number }>('/api/tables')).current
  gateway.writeRoutes(
    'extra.yaml',
    'routes: [{ name: extra, match: { path: /x }, respond: { status: 204 } }]',
  )
  await waitFor(async () => (await fetch(`${gateway.publicUrl}/x`)).status === 204)
  await waitFor(() => events.includes('+ route extra'))
  const answer = await post(`/api/tables/${before}/rollback`, {})
  expect(await answer.json()).toMatchObject({ cause: `rollback to ${before}`, changes: ['- route extra'] })
  expect((await fetch(`${gateway.publicUrl}/x`)).status).toBe(404)
  await waitFor(() => events.includes('- route extra'))
  gateway.writeRoutes(
    'extra.yaml',
    'routes: [{ name: extra, match: { path: /x }, respond: { status: 200 } }]',
  )
  await waitFor(async () => (await fetch(`${gateway.publicUrl}/x`)).status === 200)
  expect((await post('/api/tables/999/rollback', {})).status).toBe(404)
  abort.abort()
  await reading
})

test('events go on after an id, begin anew after one of another process, and end when nobody wants to follow', async () => {
  const read = async (lastId?: string) => {
    const headers = lastId === undefined ? {} : { 'last-event-id': lastId }
    const text = await (await fetch(`${gateway.adminUrl}/api/events?follow=false`, { headers })).text()
    return [...text.matchAll(/^id: (.+)\nevent: /gm)].map(([, id = '']) => id)
  }
  const all = await read()
  // The place in the row is told before the first event.
  const last = await fetch(`${gateway.adminUrl}/api/events?follow=false`, {
    headers: { 'last-event-id': all.at(-1) ?? '' },
  })
  expect(await last.text()).toBe(`retry: 2000\nid: ${all.at(-1)}\n\n`)
  expect(all.length).toBeGreaterThan(1)
  const [epoch] = (all[0] ?? '').split('-')
  expect(all).toEqual(all.map((_, i) => `${epoch}-${i + 1}`))
  expect(await read(all.at(-2))).toEqual(all.slice(-1))
  expect(await read('1')).toEqual(all.slice(1))
  for (const other of ['0', `older-${all.length}`, 'nonsense']) expect(await read(other)).toEqual(all)
})

test('a rejected change shows in readiness, metrics and tables until the file is mended', async () => {
  gateway.writeRoutes('bad.yaml', 'routes: [{ name: bad, match: { path: /bad } }]')
  await waitFor(async () => {
    const { rejection } = await gateway.admin<{ rejection?: { message: string } }>('/api/tables')
    return rejection?.message.includes('bad.yaml:1:10')
  })
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  expect(metrics).toContain('sluice_config_last_reload_successful 0')
  expect(metrics).toContain('sluice_table_rejected 1')
  expect((await post('/api/reload', {})).status).toBe(422)
  gateway.writeRoutes('bad.yaml', 'routes: []')
  await waitFor(async () => {
    const { rejection } = await gateway.admin<{ rejection?: object }>('/api/tables')
    return rejection === undefined
  })
  const after = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  expect(after).toContain('sluice_config_last_reload_successful 1')
})

test('a scanner creates no series, and known routes have theirs', async () => {
  for (let i = 0; i < 20; i++)
    await fetch(`${gateway.publicUrl}/scan/${i}`, { method: i % 2 ? 'GET' : 'POST' })
  await fetch(gateway.publicUrl, { method: 'BREW' }).catch(() => {})
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  const lines = metrics.split('\n').filter((line) => line.startsWith('sluice_requests_total'))
  expect(lines.join('\n')).not.toContain('scan')
  expect(lines.filter((line) => line.includes('route="_none"')).length).toBeLessThanOrEqual(4)
})

test('the admin side asks for its token, in constant time, on everything that tells something', async () => {
  for (const path of ['/api/routes', '/metrics', '/api/events', '/v1/agent/services']) {
    const refused = await fetch(guarded.adminUrl + path)
    expect([path, refused.status]).toEqual([path, 401])
    expect(refused.headers.get('www-authenticate')).toContain('Bearer')
    const wrong = await fetch(guarded.adminUrl + path, { headers: { authorization: 'Bearer wrong' } })
    expect([path, wrong.status]).toEqual([path, 401])
  }
  const allowed = await fetch(`${guarded.adminUrl}/api/routes`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  })
  expect(allowed.status).toBe(200)
  expect((await fetch(`${guarded.adminUrl}/health/ready`)).status).toBe(200)
  expect((await fetch(`${guarded.adminUrl}/`)).status).toBe(200)
  expect(guarded.output()).not.toContain(TOKEN)
})

test('a page of another origin cannot use the admin side of this machine', async () => {
  const rebound = await new Promise<number>((resolve) => {
    void import('node:http').then(({ get }) =>
      get(`${gateway.adminUrl}/api/routes`, { headers: { host: 'evil.example' } }, (answer) => {
        answer.resume()
        resolve(answer.statusCode ?? 0)
      }),
    )
  })
  expect(rebound).toBe(401)
  const crossed = await fetch(`${gateway.adminUrl}/api/reload`, {
    method: 'POST',
    headers: { origin: 'http://evil.example' },
  })
  expect(crossed.status).toBe(401)
})

test('the access log has one line a request with what it took', async () => {
  const id = `probe-${Date.now()}`
  await fetch(`${gateway.publicUrl}/nowhere/${id}?secret=1`)
  const line = await waitFor(() =>
    gateway
      .output()
      .split('\n')
      .find((text) => text.includes(id)),
  )
  expect(JSON.parse(line)).toMatchObject({
    msg: 'request',
    status: 404,
    outcome: 'no_route',
    code: 'GW_ROUTE_NOT_FOUND',
    path: `/nowhere/${id}`,
    ip: '127.0.0.1',
    trace: expect.stringMatching(/^[0-9a-f]{32}$/),
  })
  expect(line).not.toContain('secret')
})
