import { once } from 'node:events'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { OverloadReading } from '../../src/limits/overload.ts'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()

const CALM: OverloadReading = { delayMs: 1, utilization: 0.2, heap: 0.1, rss: 0 }
const LATE: OverloadReading = { ...CALM, delayMs: 2000, utilization: 1 }
const STUCK: OverloadReading = { ...CALM, delayMs: 9000, utilization: 1 }

/** A gateway whose state the test sets. */
async function gatewayIn(yaml: string) {
  let reading = CALM
  const gateway = await proxy({ yaml, sensor: { read: () => reading, close: () => {} } })
  const become = (next: OverloadReading, readings = 3) => {
    reading = next
    for (let i = 0; i < readings; i++) gateway.overload.tick()
  }
  return { gateway, become }
}

const statusOf = async (url: string, headers: Record<string, string> = {}) =>
  (await fetch(url, { headers })).status
const KNOWN = { authorization: 'Bearer t' }

test('strangers are refused first, then those with credentials; health never; afterwards all are served', async () => {
  const server = await opened(httpServer((_request, response) => void response.end('ok')))
  const yaml = `${oneRoute([server.port])}
  - { name: probe, match: { path: /health }, class: health, service: shop }
`
  const { gateway, become } = await gatewayIn(yaml)
  const statuses = async () => [
    await statusOf(gateway.url, { 'user-agent': 'x-bot/1' }),
    await statusOf(gateway.url),
    await statusOf(gateway.url, KNOWN),
    await statusOf(gateway.url, { 'x-api-key': 'k' }),
    await statusOf(`${gateway.url}/health`),
  ]
  expect(await statuses()).toEqual([200, 200, 200, 200, 200])
  become(LATE)
  expect(await statuses()).toEqual([503, 503, 200, 200, 200])
  become(STUCK)
  expect(await statuses()).toEqual([503, 503, 503, 503, 200])
  become(CALM, 10)
  expect(await statuses()).toEqual([200, 200, 200, 200, 200])
  expect(gateway.overload.inFlight).toBe(0)
})

test('the refusal is a problem document with Retry-After, and nothing of the request goes anywhere', async () => {
  let requests = 0
  const server = await opened(
    httpServer((_request, response) => {
      requests++
      response.end('ok')
    }),
  )
  const { gateway, become } = await gatewayIn(oneRoute([server.port]))
  become(STUCK)
  const answer = await fetch(gateway.url)
  expect(answer.status).toBe(503)
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(5)
  expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(10)
  expect(await answer.json()).toMatchObject({ code: 'GW_GATEWAY_OVERLOADED', status: 503 })
  expect(await gateway.record()).toMatchObject({
    status: 503,
    outcome: 'overload',
    code: 'GW_GATEWAY_OVERLOADED',
  })
  // A body is not waited for.
  const client = rawClient(gateway.port)
  client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n')
  expect((await client.answers(1))[0]?.status).toBe(503)
  expect(requests).toBe(0)
})

test('WebSockets are refused, too', async () => {
  const server = await opened(httpServer((_request, response) => void response.end('ok')))
  const { gateway, become } = await gatewayIn(oneRoute([server.port]))
  become(STUCK)
  const socket = new WebSocket(gateway.url.replace('http', 'ws'))
  socket.on('error', () => {})
  const [, response] = await once(socket, 'unexpected-response')
  expect(response.statusCode).toBe(503)
  expect(Number(response.headers['retry-after'])).toBeGreaterThanOrEqual(5)
  await waitFor(() => gateway.overload.inFlight === 0)
})

test('maxRequests: exactly so many are in flight, and places come back', async () => {
  const held: (() => void)[] = []
  const server = await opened(httpServer((_request, response) => void held.push(() => response.end('ok'))))
  const { gateway } = await gatewayIn(oneRoute([server.port], { top: 'overload: { maxRequests: 5 }' }))
  const pending = Array.from({ length: 12 }, () => fetch(gateway.url, { headers: KNOWN }))
  await waitFor(() => gateway.records.length === 7)
  await waitFor(() => held.length === 5)
  expect(gateway.overload.inFlight).toBe(5)
  for (const answer of held.splice(0)) answer()
  const statuses = (await Promise.all(pending)).map(({ status }) => status)
  expect(statuses.filter((status) => status === 200)).toHaveLength(5)
  await waitFor(() => gateway.overload.inFlight === 0)
  gateway.overload.tick()
  expect(gateway.overload.view).toMatchObject({ level: 1, reason: 'requests', shed: 7 })
  for (let i = 0; i < 4; i++) gateway.overload.tick()
  expect(gateway.overload.view.level).toBe(0)
})

test('enabled: false refuses nobody', async () => {
  const server = await opened(httpServer((_request, response) => void response.end('ok')))
  const { gateway, become } = await gatewayIn(
    oneRoute([server.port], { top: 'overload: { enabled: false, maxRequests: 1 }' }),
  )
  become(STUCK)
  expect(await statusOf(gateway.url)).toBe(200)
})

test('what was never routed counts as over, too', async () => {
  const { gateway } = await gatewayIn(oneRoute([1]))
  await rawExchange(gateway.port, 'GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await rawExchange(
    gateway.port,
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\n',
  )
  await waitFor(() => gateway.records.length === 2)
  expect(gateway.overload.inFlight).toBe(0)
})
