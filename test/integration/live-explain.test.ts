import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { LiveExplanation } from '../../plugins/request-trace.ts'
import { createDebugToken } from '../../src/core/debug-token.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { httpServer, type Scripted } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const KEY = 'a-key-of-thirty-two-bytes-or-more'

let gateway: GatewayProcess
let plain: GatewayProcess
let stable: Scripted
let canary: Scripted
let sockets: WebSocketServer
/** Names of the headers that services got. */
const seen = new Set<string>()

const register = async (name: string, id: string, port: number, version?: string) => {
  const answer = await fetch(`${gateway.adminUrl}/v1/agent/service/register`, {
    method: 'PUT',
    body: JSON.stringify({
      ID: id,
      Name: name,
      Address: '127.0.0.1',
      Port: port,
      Meta: version === undefined ? {} : { version },
    }),
  })
  expect(answer.status).toBe(200)
}

beforeAll(async () => {
  const answer = (version: string) =>
    httpServer((request, response) => {
      for (const name of Object.keys(request.headers)) seen.add(name)
      response.setHeader('cache-control', 'public, max-age=60')
      response.end(version)
    })
  stable = await answer('1.0')
  canary = await answer('2.0')
  sockets = new WebSocketServer({ server: createServer().listen(0, '127.0.0.1') })
  sockets.on('connection', (_socket, request) => {
    for (const name of Object.keys(request.headers)) seen.add(name)
  })
  const socketPort = () => (sockets.options.server?.address() as { port: number } | null)?.port
  await waitFor(() => socketPort() !== undefined)
  const routes = {
    'shop.yaml': `filters:
  few: { type: rate-limit, rules: [{ name: few, rate: 1/h, key: [constant], algorithm: fixed-window }] }
routes:
  - name: catalog
    match: { hosts: [shop.example.com], pathPrefix: /catalog }
    service: catalog
    filters: [{ type: ip-allow, networks: [127.0.0.0/8] }, { type: ip-deny, networks: [127.0.0.0/8], mode: dryRun }, { type: security-headers }]
  - { name: tested, match: { hosts: [shop.example.com], pathPrefix: /catalog, headers: { x-test: "1" } }, service: catalog }
  - name: guarded
    match: { pathPrefix: /guarded }
    service: catalog
    filters: [few, { type: security-headers }, { type: ip-deny, networks: [10.0.0.0/8] }]
  - { name: shaky, match: { pathPrefix: /shaky }, service: shaky }
  - { name: many, match: { pathPrefix: /many }, service: many }
  - { name: live, match: { pathPrefix: /live }, upstreams: ["http://127.0.0.1:${socketPort()}"] }
`,
  }
  const yaml = `registries: { local: { type: embedded } }
canaries: [{ name: v2, service: catalog, canary: { version: "2.*" }, percent: 100, key: ["header.x-user"] }]
`
  gateway = await startGateway({ yaml, routes, env: { SLUICE_ADMIN_DEBUG_KEY: KEY } })
  plain = await startGateway({
    routes: {
      'a.yaml': `routes: [{ name: a, match: { pathPrefix: / }, upstreams: ["http://127.0.0.1:${stable.port}"] }]`,
    },
  })
  await register('catalog', 'c-1', stable.port, '1.0')
  await register('catalog', 'c-2', canary.port, '2.0')
  await register('shaky', 's-1', await freePort())
  await register('shaky', 's-2', stable.port)
  for (let i = 0; i < 80; i++) await register('many', `many-instance-number-${i}`, stable.port, '1.0')
  await waitFor(async () => {
    const { services } = await gateway.admin<{ services: { name: string; available: number }[] }>(
      '/api/services',
    )
    return services.find(({ name }) => name === 'many')?.available === 80
  })
})
afterAll(async () => {
  await gateway?.stop()
  await plain?.stop()
  for (const one of [stable, canary]) await one?.close()
  sockets?.options.server?.close()
  sockets?.close()
})

const ask = (
  path: string,
  headers: Record<string, string> = {},
  token = createDebugToken(KEY, Date.now(), 60_000),
) => fetch(gateway.publicUrl + path, { headers: { 'x-sluice-debug': token, ...headers } })

type Told = Partial<LiveExplanation> & { id: string }

function decoded(header: unknown): Told {
  const value = String(header ?? '')
  expect(value.length).toBeLessThanOrEqual(4096)
  return JSON.parse(Buffer.from(value, 'base64url').toString()) as Told
}

/** What the answer says of itself. */
const explained = (answer: Response): Told => decoded(answer.headers.get('x-sluice-explain'))

/** The same with the Host of the shop, which fetch does not send. */
async function askShop(path: string, headers: Record<string, string>) {
  const outgoing = request(gateway.publicUrl + path, {
    headers: {
      host: 'shop.example.com',
      'x-sluice-debug': createDebugToken(KEY, Date.now(), 60_000),
      ...headers,
    },
  }).end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  return { headers: response.headers, body: await text(response) }
}

/** The same on the admin side, when it is over. */
const recorded = (id: string) =>
  waitFor(async () => {
    const answer = await fetch(`${gateway.adminUrl}/api/requests/${id}`)
    return answer.ok ? ((await answer.json()) as LiveExplanation) : undefined
  })

test('a request with a token is explained in its answer and on the admin side', async () => {
  const answer = await askShop('/catalog/7?sort=up&token=hush', { 'x-user': 'u-1' })
  expect(answer.body).toBe('2.0')
  const told = decoded(answer.headers['x-sluice-explain'])
  expect(answer.headers['cache-control']).toBe('private, no-store')
  expect(told).toMatchObject({
    result: 'route',
    route: 'catalog',
    service: 'catalog',
    candidates: expect.arrayContaining([
      { route: 'tested', result: 'lost', reason: expect.stringContaining('header x-test') },
      expect.objectContaining({ route: 'catalog', result: 'won' }),
    ]),
    filters: [
      { name: 'ip-allow', verdict: 'passed', ms: expect.any(Number) },
      { name: 'ip-deny', isDryRun: true, verdict: 'would refuse', code: 'GW_AUTH_IP' },
      {
        name: 'security-headers',
        verdict: 'passed',
        outbound: { verdict: 'passed', ms: expect.any(Number) },
      },
    ],
    canary: { rule: 'v2', side: 'canary', bucket: expect.any(Number) },
    attempts: [{ outcome: 'answering', status: 200, version: '2.0', address: `127.0.0.1:${canary.port}` }],
    status: 200,
  })
  const full = await recorded(told.id)
  expect(full).toMatchObject({
    id: told.id,
    client: '127.0.0.1',
    status: 200,
    outcome: 'ok',
    request: { method: 'GET', target: '/catalog/7?sort=up&token=redacted' },
    upstreamTarget: '/catalog/7?sort=up&token=redacted',
    filters: [{ verdict: 'passed' }, { verdict: 'would refuse' }, { verdict: 'passed' }],
    instances: expect.arrayContaining([
      expect.objectContaining({ eligible: false, reason: expect.stringContaining('not of side canary') }),
      expect.objectContaining({ eligible: true }),
    ]),
    attempts: [{ outcome: 'ok', status: 200, ms: expect.any(Number) }],
  })
  expect(JSON.stringify(full)).not.toContain('hush')
  expect((await recorded(full.requestId)).id).toBe(full.id)
  const { requests, isEnabled } = await gateway.admin<{ requests: LiveExplanation[]; isEnabled: boolean }>(
    '/api/requests',
  )
  expect(isEnabled).toBe(true)
  expect(requests[0]?.id).toBe(full.id)
  expect(seen).not.toContain('x-sluice-debug')
})

test('a request that no route takes says why each candidate lost', async () => {
  const told = explained(await ask('/catalog'))
  expect(told).toMatchObject({ result: 'refuse', code: 'GW_ROUTE_NOT_FOUND', status: 404, attempts: [] })
  expect(await recorded(told.id)).toMatchObject({ status: 404, outcome: 'no_route' })
})

test('a filter that refuses says so with its reason; those behind it were not reached', async () => {
  await fetch(`${gateway.publicUrl}/guarded`)
  const answer = await ask('/guarded')
  expect(answer.status).toBe(429)
  const told = explained(answer)
  expect(told).toMatchObject({
    result: 'route',
    route: 'guarded',
    status: 429,
    code: 'GW_RATE_LIMITED',
    filters: [
      {
        name: 'few',
        type: 'rate-limit',
        verdict: 'refused',
        status: 429,
        code: 'GW_RATE_LIMITED',
        reason: 'few: more than 1 in 3600 s',
      },
      { name: 'security-headers' },
      { name: 'ip-deny', verdict: 'not reached' },
    ],
    attempts: [],
  })
  expect(told.canary).toBeUndefined()
})

test('each try is there, also the one that failed', async () => {
  const all = await Promise.all(Array.from({ length: 6 }, () => ask('/shaky')))
  const retried = all.map(explained).filter(({ attempts }) => attempts?.length === 2)
  expect(retried.length).toBeGreaterThan(0)
  const [told] = retried as [LiveExplanation]
  expect(told.attempts).toMatchObject([
    { outcome: 'connect_failed' },
    { outcome: 'answering', status: 200, address: `127.0.0.1:${stable.port}` },
  ])
  expect((await recorded(told.id)).attempts).toMatchObject([{ outcome: 'connect_failed' }, { outcome: 'ok' }])
  const after = await waitFor(async () => {
    const { instances = [] } = await recorded(explained(await ask('/shaky')).id)
    return instances.find(({ eligible }) => !eligible)
  })
  expect(after.reason).toContain('connect')
})

test('an explanation that is too long for a header is an id', async () => {
  const answer = await ask('/many')
  const told = explained(answer)
  expect(told).toEqual({ id: expect.any(String) })
  expect((await recorded(told.id)).instances).toHaveLength(80)
})

test('without a token, or with a bad one, nothing is explained and nothing is passed on', async () => {
  const bad = [
    createDebugToken(KEY, Date.now() - 120_000, 60_000),
    createDebugToken('another-key-of-thirty-two-bytes-it-is', Date.now(), 60_000),
    'nonsense',
  ]
  const { requests: before } = await gateway.admin<{ requests: object[] }>('/api/requests')
  for (const token of bad) {
    const answer = await ask('/shaky', {}, token)
    expect([answer.status, answer.headers.get('x-sluice-explain')]).toEqual([200, null])
    expect(answer.headers.get('cache-control')).toBe('public, max-age=60')
  }
  expect((await fetch(`${gateway.publicUrl}/shaky`)).headers.get('x-sluice-explain')).toBeNull()
  const { requests: after } = await gateway.admin<{ requests: object[] }>('/api/requests')
  expect(after).toHaveLength(before.length)
  expect(seen).not.toContain('x-sluice-debug')
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  expect(metrics).toContain('sluice_debug_tokens_total{result="expired"} 1')
  expect(metrics).toContain('sluice_debug_tokens_total{result="invalid"} 2')
})

test('a WebSocket is explained when it is over', async () => {
  const token = createDebugToken(KEY, Date.now(), 60_000)
  const socket = new WebSocket(`${gateway.publicUrl.replace('http', 'ws')}/live`, {
    headers: { 'x-sluice-debug': token },
  })
  await new Promise((resolve) => socket.once('open', resolve))
  socket.close()
  const found = await waitFor(async () => {
    const { requests } = await gateway.admin<{ requests: LiveExplanation[] }>('/api/requests')
    return requests.find(({ route }) => route === 'live')
  })
  expect(found).toMatchObject({ status: 101, outcome: 'ok', attempts: [{ status: 101, outcome: 'ok' }] })
  expect(seen).not.toContain('x-sluice-debug')
})

test('without a key the header is taken off, too, and nothing is explained', async () => {
  seen.clear()
  const answer = await fetch(plain.publicUrl, {
    headers: { 'x-sluice-debug': createDebugToken(KEY, Date.now(), 60_000) },
  })
  expect([answer.status, answer.headers.get('x-sluice-explain')]).toEqual([200, null])
  expect(seen).toContain('host')
  expect(seen).not.toContain('x-sluice-debug')
  expect(await plain.admin('/api/requests')).toEqual({ requests: [], isEnabled: false })
})
