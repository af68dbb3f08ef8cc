import { afterAll, beforeAll, expect, test } from 'vitest'
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
      'shop.yaml': `routes:
  - { name: shop, match: { pathPrefix: / }, upstreams: ["http://127.0.0.1:${upstream.port}"] }
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
  const [{ name = '' } = {}] = (await gateway.admin<{ services: { name: string }[] }>('/api/services'))
    .services
  expect(view.bucketMs).toBe(5000)
  expect(view.services[name]).toMatchObject({ errorRatio: 0.2, p50: expect.any(Number) })
  expect(view.total.series.requests).toHaveLength(60)
  expect(view.routes['shop']?.services[name]).toBe(view.routes['shop']?.rps)
  const [instance] = Object.values(view.instances)
  expect(instance).toMatchObject({ errorRatio: 0.2, p99: expect.any(Number) })
  expect(Object.keys(view.instances)).toHaveLength(1)
})
