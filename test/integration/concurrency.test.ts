import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'
import { defineFilter } from '../../src/filters/filter.ts'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { notingMetrics } from '../support/filter-metrics.ts'
import { seeded } from '../support/queueing.ts'
import { rawClient } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()

const IN_FLIGHT = 'sluice_concurrency_in_flight|concurrency|shop'
const QUEUED = 'sluice_concurrency_queued|concurrency|shop'

/** Comes after `concurrency` and says no, or fails, when the request asks for it. */
const later403 = defineFilter({
  name: 'later',
  summary: 'For tests.',
  options: z.strictObject({}),
  create: () => ({
    inbound(ctx) {
      if (ctx.headers.has('x-refuse')) return { status: 403, code: 'GW_AUTH_IP' }
      if (ctx.headers.has('x-throw')) throw new TypeError('broken')
      return undefined
    },
  }),
})

/** The gateway before `ports`, with the filter and what it counts. */
async function gatewayTo(ports: readonly number[], options: string, more = '') {
  const noted = notingMetrics()
  const gateway = await proxy({
    yaml: oneRoute(ports, {
      route: `filters: [{ type: concurrency, ${options} }, { type: later }]\n${more}`,
    }),
    definitions: [later403],
    environment: { metrics: noted.metrics },
  })
  return { ...noted, gateway }
}

/** A service that answers when it is told, and counts how many it has at a time. */
async function heldService() {
  const held: (() => void)[] = []
  let [now, most] = [0, 0]
  const server = await opened(
    httpServer((_request, response) => {
      most = Math.max(most, ++now)
      response.on('close', () => now--)
      held.push(() => response.end('done'))
    }),
  )
  return {
    port: server.port,
    held,
    most: () => most,
    release: () => {
      for (const answer of held.splice(0)) answer()
    },
  }
}

test('the service never sees more than the limit; the others get 503 with the reason', async () => {
  const service = await heldService()
  const { gateway, value, highest } = await gatewayTo([service.port], 'limit: 5, shares: { anonymous: 100 }')
  const pending = Array.from({ length: 20 }, () => fetch(gateway.url))
  await waitFor(() => gateway.records.length === 15)
  await waitFor(() => service.held.length === 5)
  expect(value(IN_FLIGHT)).toBe(5)
  service.release()
  const answers = await Promise.all(pending)
  const refused = answers.filter(({ status }) => status === 503)
  expect([answers.filter(({ ok }) => ok).length, refused.length]).toEqual([5, 15])
  expect(refused[0]?.headers.get('retry-after')).toMatch(/^[12]$/)
  expect(await refused[0]?.json()).toMatchObject({
    status: 503,
    code: 'GW_RATE_CONCURRENCY',
    detail: 'too many requests at a time',
  })
  await waitFor(() => value(IN_FLIGHT) === 0)
  expect([service.most(), highest(IN_FLIGHT)]).toEqual([5, 5])
})

test('a problem document of a client at its own limit says 429, too', async () => {
  const service = await heldService()
  const { gateway } = await gatewayTo([service.port], 'limit: 1, key: client-ip')
  const first = fetch(gateway.url)
  await waitFor(() => service.held.length === 1)
  const answer = await fetch(gateway.url)
  expect([answer.status, await answer.json()]).toMatchObject([
    429,
    { status: 429, code: 'GW_RATE_CONCURRENCY' },
  ])
  service.release()
  expect((await first).status).toBe(200)
})

test('requests that wait are let in one after the other', async () => {
  const service = await heldService()
  const { gateway, value, highest } = await gatewayTo(
    [service.port],
    'limit: 1, queue: { length: 3, timeout: 20s }',
  )
  const pending = Array.from({ length: 4 }, () => fetch(gateway.url))
  await waitFor(() => value(QUEUED) === 3)
  for (let i = 0; i < 4; i++) {
    await waitFor(() => service.held.length === 1)
    service.release()
  }
  for (const answer of await Promise.all(pending)) expect(answer.status).toBe(200)
  await waitFor(() => value(IN_FLIGHT) === 0)
  expect([service.most(), highest(IN_FLIGHT), value(QUEUED)]).toEqual([1, 1, 0])
})

test('a client that leaves the queue never reaches the service', async () => {
  const service = await heldService()
  const { gateway, value } = await gatewayTo([service.port], 'limit: 1, queue: { length: 3, timeout: 20s }')
  const first = fetch(gateway.url)
  await waitFor(() => service.held.length === 1)
  const client = rawClient(gateway.port)
  client.send('GET /gone HTTP/1.1\r\nHost: a.example\r\n\r\n')
  await waitFor(() => value(QUEUED) === 1)
  client.socket.destroy()
  await waitFor(() => value(QUEUED) === 0)
  service.release()
  expect((await first).status).toBe(200)
  await waitFor(() => value(IN_FLIGHT) === 0)
  expect(service.held).toEqual([])
  expect(gateway.records.map(({ outcome }) => outcome)).toEqual(['client_gone', 'ok'])
})

test('a dry run refuses and delays nobody', async () => {
  const service = await heldService()
  const { gateway, value } = await gatewayTo(
    [service.port],
    'mode: dryRun, limit: 1, queue: { length: 1, timeout: 20s }',
  )
  const pending = Array.from({ length: 5 }, () => fetch(gateway.url))
  await waitFor(() => service.held.length === 5)
  service.release()
  for (const answer of await Promise.all(pending)) expect(answer.status).toBe(200)
  await waitFor(() => value(IN_FLIGHT) === 0 && value(QUEUED) === 0)
})

/** Answers, resets, hangs or speaks WebSocket, as the request asks. */
async function moodyService() {
  const server = createServer((request, response) => {
    const [, mood, ms] = (request.url ?? '').split('/')
    if (mood === 'reset') request.socket.destroy()
    else if (mood === 'half') response.write('half', () => request.socket.destroy())
    else if (mood === 'hang') request.resume()
    else setTimeout(() => response.end('done'), Number(ms))
  })
  const wss = new WebSocketServer({ server })
  wss.on('connection', (socket) => socket.on('error', () => {}).on('message', (data) => socket.send(data)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    for (const one of wss.clients) one.terminate()
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

describe('whatever happens to requests, each gives its place back once', () => {
  const KINDS = [
    'ok',
    'post',
    'reset',
    'half',
    'hang',
    'abort',
    'refuse',
    'throw',
    'socket',
    'noUpgrade',
  ] as const

  async function send(kind: (typeof KINDS)[number], url: string, port: number, ms: number): Promise<void> {
    if (kind === 'socket' || kind === 'noUpgrade') {
      const path = kind === 'socket' ? '/' : '/reset'
      const socket = new WebSocket(url.replace('http', 'ws') + path)
      later(() => socket.terminate())
      await new Promise<void>((resolve) => {
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        socket.on('open', () => {
          socket.send('x')
          socket.on('message', () => (ms > 15 ? socket.close() : socket.terminate()))
        })
      })
      return
    }
    if (kind === 'abort') {
      const client = rawClient(port)
      client.send(`GET /ok/200 HTTP/1.1\r\nHost: a.example\r\n\r\n`)
      await new Promise((resolve) => setTimeout(resolve, ms))
      client.socket.destroy()
      return
    }
    const path = kind === 'reset' || kind === 'half' || kind === 'hang' ? `/${kind}` : `/ok/${ms}`
    const headers: Record<string, string> =
      kind === 'refuse' || kind === 'throw' ? { [`x-${kind}`]: '1' } : {}
    const init = kind === 'post' ? { method: 'POST', body: 'x'.repeat(10_000) } : {}
    await fetch(url + path, { ...init, headers })
      .then((answer) => answer.arrayBuffer())
      .catch(() => {})
  }

  test.each([
    ['a fixed limit', 'limit: 8'],
    ['a fixed limit with a queue', 'limit: 8, queue: { length: 10, timeout: 100ms }'],
    [
      'an adaptive limit',
      'adaptive: { initial: 8, min: 2, max: 8, minSamples: 5, window: 50ms }, queue: { length: 5 }',
    ],
    ['a limit per client', 'limit: 8, key: client-ip, queue: { length: 5, timeout: 50ms }'],
  ])('%s', async (_what, options) => {
    const ports = [await moodyService(), await moodyService()]
    const { gateway, value, highest } = await gatewayTo(
      ports,
      options,
      'timeouts: { headers: 300ms }\nretries: { attempts: 2, on: [reset, timeout] }',
    )
    const random = seeded(options.length)
    const all: Promise<void>[] = []
    for (let i = 0; i < 250; i++) {
      const kind = KINDS[Math.floor(random() * KINDS.length)] ?? 'ok'
      all.push(send(kind, gateway.url, gateway.port, Math.floor(random() * 30)))
      if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, random() * 20))
    }
    await Promise.all(all)
    await waitFor(() => gateway.records.length === 250, { what: 'every request to be over' })
    expect([value(IN_FLIGHT), value(QUEUED)]).toEqual([0, 0])
    expect(highest(IN_FLIGHT)).toBeLessThanOrEqual(8)
    // All of it did happen.
    const outcomes = new Set(gateway.records.map(({ outcome }) => outcome))
    for (const one of ['ok', 'reset', 'client_gone', 'filter_refused', 'filter_error', 'header_timeout'])
      expect(outcomes).toContain(one)
    expect(gateway.records.some(({ attempts }) => attempts.length > 1)).toBe(true)
  })
})

test('a WebSocket holds its place until it is closed', async () => {
  const { gateway, value } = await gatewayTo([await moodyService()], 'limit: 1')
  const socket = new WebSocket(gateway.url.replace('http', 'ws'))
  later(() => socket.terminate())
  await once(socket, 'open')
  expect(value(IN_FLIGHT)).toBe(1)
  expect((await fetch(`${gateway.url}/ok/1`)).status).toBe(503)
  socket.close()
  await waitFor(() => value(IN_FLIGHT) === 0)
  expect((await fetch(`${gateway.url}/ok/1`)).status).toBe(200)
})

test('what is in flight stays counted over an edit of the configuration', async () => {
  const service = await heldService()
  const { gateway, value } = await gatewayTo([service.port], 'limit: 2, shares: { anonymous: 100 }')
  const pending = [fetch(gateway.url), fetch(gateway.url)]
  await waitFor(() => service.held.length === 2)
  await gateway.swap(
    oneRoute([service.port], {
      route: 'filters: [{ type: concurrency, limit: 3, shares: { anonymous: 100 } }]',
    }),
  )
  pending.push(fetch(gateway.url))
  await waitFor(() => service.held.length === 3)
  expect((await fetch(gateway.url)).status).toBe(503)
  service.release()
  for (const answer of await Promise.all(pending)) expect(answer.status).toBe(200)
  await waitFor(() => value(IN_FLIGHT) === 0)
})
