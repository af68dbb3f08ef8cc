import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RefusalsView } from '../../src/core/refusal-view.ts'
import type { TrafficView } from '../../src/core/traffic-view.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { httpServer, type Scripted } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

let gateway: GatewayProcess
let upstream: Scripted

beforeAll(async () => {
  upstream = await httpServer((request, response) => {
    response.statusCode = request.url === '/bad' ? 500 : 200
    response.end('shop')
  })
  gateway = await startGateway({
    routes: {
      'shop.yaml': `filters:
  slow-down:
    type: rate-limit
    rules: [{ name: few, rate: 2/m, key: [constant], algorithm: fixed-window }]
routes:
  - { name: shop, match: { pathPrefix: / }, upstreams: ["http://127.0.0.1:${upstream.port}"] }
  - name: guarded
    match: { pathPrefix: /guarded }
    upstreams: ["http://127.0.0.1:${upstream.port}"]
    filters: [slow-down]
  - name: keyed
    match: { pathPrefix: /keyed }
    upstreams: ["http://127.0.0.1:${upstream.port}"]
    filters: [{ type: cors, origins: ["https://a.example"] }, { type: api-key, keys: [{ id: k1, owner: a, sha256: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" }] }]
  - name: small
    match: { pathPrefix: /small }
    maxBody: 10B
    upstreams: ["http://127.0.0.1:${upstream.port}"]
`,
    },
  })
})
afterAll(async () => {
  await gateway?.stop()
  await upstream?.close()
})

test('requests are in the traffic of their route, service and instance within moments', async () => {
  for (let i = 0; i < 8; i++) await fetch(gateway.publicUrl)
  for (let i = 0; i < 2; i++) await fetch(`${gateway.publicUrl}/bad`)
  const view = await waitFor(async () => {
    const now = await gateway.admin<TrafficView>('/api/traffic')
    return now.total.errorRatio === 0.2 ? now : undefined
  })
  const { services } = await gateway.admin<{ services: { name: string; routes: string[] }[] }>(
    '/api/services',
  )
  const name = services.find(({ routes }) => routes.includes('shop'))?.name ?? ''
  expect(view.bucketMs).toBe(5000)
  expect(view.services[name]).toMatchObject({ errorRatio: 0.2, p50: expect.any(Number) })
  expect(view.total.series.requests).toHaveLength(60)
  expect(view.routes['shop']?.services[name]).toBe(view.routes['shop']?.rps)
  const [instance] = Object.values(view.instances)
  expect(instance).toMatchObject({ errorRatio: 0.2, p99: expect.any(Number) })
  expect(Object.keys(view.instances)).toHaveLength(1)
})

test('refusals say which filter, for whom and why, and nothing that the client sent', async () => {
  for (let i = 0; i < 5; i++) await fetch(`${gateway.publicUrl}/guarded?token=hush-hush`)
  await fetch(`${gateway.publicUrl}/keyed`, { headers: { 'x-api-key': 'hush-hush-hush' } })
  await fetch(`${gateway.publicUrl}/keyed`, {
    method: 'OPTIONS',
    headers: { origin: 'https://a.example', 'access-control-request-method': 'GET' },
  })
  await fetch(`${gateway.publicUrl}/small`, { method: 'POST', body: 'more than ten bytes' })
  const { refusals, counts } = await waitFor(async () => {
    const now = await gateway.admin<RefusalsView>('/api/refusals')
    return now.refusals.length === 5 ? now : undefined
  })
  expect(
    refusals.map(({ route, filter, type, code, status }) => [route, filter, type, code, status]),
  ).toEqual([
    ['small', 'limits', 'limits', 'GW_REQUEST_BODY_TOO_LARGE', 413],
    ['keyed', 'api-key', 'api-key', 'GW_AUTH_INVALID', 401],
    ...new Array(3).fill(['guarded', 'slow-down', 'rate-limit', 'GW_RATE_LIMITED', 429]),
  ])
  expect(refusals[4]).toMatchObject({ client: '127.0.0.1', reason: 'few: more than 2 in 60 s' })
  expect(refusals[4]?.requestId).toMatch(/^[0-9a-f]{32}$/)
  expect(counts[0]).toEqual({
    route: 'guarded',
    filter: 'slow-down',
    code: 'GW_RATE_LIMITED',
    total: 3,
    lastMinute: 3,
  })
  expect(JSON.stringify(refusals)).not.toContain('hush')
  const { refusals: last } = await gateway.admin<RefusalsView>('/api/refusals?limit=1')
  expect(last).toMatchObject([{ route: 'small' }])
})
