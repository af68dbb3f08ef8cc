import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import type { HealthEvent } from '../../src/proxy/upstream-stats.ts'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import type { RunningProxy } from '../support/proxy.ts'
import { rawExchange } from '../support/raw.ts'
import { httpServer, rawServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()

/** An instance that answers with this status and counts what it was asked. */
async function instance(status: () => number) {
  const asked: string[] = []
  const server = await opened(
    httpServer((request, response) => {
      asked.push(request.url ?? '')
      response.writeHead(status()).end('x')
    }),
  )
  return { ...server, asked }
}
const good = () => instance(() => 200)

function eventsOf(gateway: RunningProxy): HealthEvent[] {
  const events: HealthEvent[] = []
  later(gateway.upstreams.health.subscribe((event) => events.push(event)))
  return events
}

async function ask(gateway: RunningProxy, count: number, path = '/'): Promise<number[]> {
  const statuses: number[] = []
  for (let i = 0; i < count; i++) statuses.push((await fetch(gateway.url + path)).status)
  return statuses
}

test('one of three answers 503: ejected within a few of its requests, the others untouched, back later', async () => {
  let status = 200
  const [bad, one, two] = [await instance(() => status), await good(), await good()]
  const gateway = await proxy(
    oneRoute([bad.port, one.port, two.port], { service: 'outlier: { baseTime: 400ms, jitter: 0 }' }),
  )
  const events = eventsOf(gateway)
  await ask(gateway, 60)
  status = 503
  const statuses = await ask(gateway, 60)
  expect(statuses.filter((one) => one === 503).length).toBeLessThanOrEqual(6)
  expect(new Set(statuses.slice(30))).toEqual(new Set([200]))
  expect(events).toMatchObject([{ kind: 'ejected', cause: 'gateway-errors' }])
  expect(events[0]?.reason).toMatch(/^\d+ of \d+ answers were 503, ejected for 400 ms, 1 of 3 instances$/)
  expect(gateway.upstreams.stats().map(({ ejected }) => ejected === undefined)).toEqual([false, true, true])
  status = 200
  await waitFor(() => events.length === 2)
  expect(events[1]).toMatchObject({ kind: 'returned', reason: 'its time is over' })
  const before = bad.asked.length
  await ask(gateway, 9)
  expect(bad.asked.length - before).toBeGreaterThan(1)
})

test('with a retry on its answers no client sees any of it', async () => {
  const [bad, one, two] = [await instance(() => 503), await good(), await good()]
  const service = 'retries: { on: [connect-failure, reset, gateway-error] }'
  const gateway = await proxy(oneRoute([bad.port, one.port, two.port], { service }))
  expect(new Set(await ask(gateway, 60))).toEqual(new Set([200]))
  expect(bad.asked.length).toBeLessThanOrEqual(12)
  expect(gateway.upstreams.stats()[0]?.ejected).toBeDefined()
})

test('one that resets, one that hangs: both out, no request is lost', async () => {
  const reset = await opened(rawServer((socket) => socket.resetAndDestroy()))
  const hanging = await opened(httpServer(() => {}))
  const rest = [await good(), await good(), await good()]
  const service = `timeouts: { perTry: 60ms }
retries: { on: [reset, timeout] }
outlier: { localFailures: 3 }`
  const gateway = await proxy(
    oneRoute([reset.port, hanging.port, ...rest.map(({ port }) => port)], { service }),
  )
  const events = eventsOf(gateway)
  expect(new Set(await ask(gateway, 80))).toEqual(new Set([200]))
  expect(events.map(({ kind }) => kind)).toEqual(['ejected', 'ejected'])
  const reasons = events.map(({ reason }) => reason).sort()
  expect(reasons[0]).toMatch(
    /^\d+ of \d+ requests failed: (no answer in time|read ECONNRESET|other side closed)/,
  )
  expect(reasons.some((reason) => reason.includes('no answer in time'))).toBe(true)
  const asked = reset.connections() + hanging.connections()
  await ask(gateway, 20)
  expect(reset.connections() + hanging.connections()).toBe(asked)
})

test('requests in parallel while one is ejected: none is lost', async () => {
  let isBad = false
  const bad = await opened(
    httpServer((request, response) => {
      if (isBad) request.socket.resetAndDestroy()
      else response.end('x')
    }),
  )
  const rest = [await good(), await good()]
  const gateway = await proxy(oneRoute([bad.port, ...rest.map(({ port }) => port)]))
  const statuses: number[] = []
  const client = async () => void statuses.push(...(await ask(gateway, 100)))
  await client()
  isBad = true
  await Promise.all(Array.from({ length: 6 }, client))
  expect(statuses).toHaveLength(700)
  expect(new Set(statuses)).toEqual(new Set([200]))
  expect(gateway.upstreams.stats()[0]?.ejected).toMatch(/requests failed/)
})

test('a URL that fails on every instance ejects nobody', async () => {
  const all = await Promise.all(
    Array.from({ length: 3 }, () =>
      opened(httpServer((request, response) => response.writeHead(request.url === '/bad' ? 500 : 200).end())),
    ),
  )
  const gateway = await proxy(oneRoute(all.map(({ port }) => port)))
  const events = eventsOf(gateway)
  await ask(gateway, 30)
  await ask(gateway, 60, '/bad')
  await Promise.all([ask(gateway, 60, '/bad'), ask(gateway, 60)])
  expect(events).toEqual([])
})

test('never the last one: with both of two failing one stays, and is asked', async () => {
  const one = await good()
  const gateway = await proxy(oneRoute([await freePort(), one.port]))
  const events = eventsOf(gateway)
  await ask(gateway, 2)
  await one.close()
  expect(new Set(await ask(gateway, 5))).toEqual(new Set([502]))
  expect(events.map(({ kind }) => kind)).toEqual(['ejected', 'kept'])
})

test('4xx, and clients that leave, never count', async () => {
  const held: ServerResponse[] = []
  const odd = await opened(
    httpServer((request, response) => {
      if (request.url === '/hold') held.push(response)
      else response.writeHead(429).end()
    }),
  )
  const gateway = await proxy(oneRoute([odd.port, (await good()).port, (await good()).port]))
  const events = eventsOf(gateway)
  await ask(gateway, 60)
  for (let i = 0; i < 20; i++) {
    const socket = connect(gateway.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('GET /hold HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await waitFor(() => held.length + gateway.records.length > 60 + i)
    socket.destroy()
    await gateway.record(60 + i)
  }
  expect(held.length).toBeGreaterThan(5)
  expect(events).toEqual([])
  expect(gateway.upstreams.stats().every(({ ejected }) => ejected === undefined)).toBe(true)
})

test('a request that runs into its time limit counts like one without an answer', async () => {
  const hanging = await opened(httpServer(() => {}))
  const service = 'timeouts: { total: 60ms }'
  const gateway = await proxy(oneRoute([hanging.port, (await good()).port, (await good()).port], { service }))
  const events = eventsOf(gateway)
  const statuses = await ask(gateway, 60)
  expect(statuses.filter((status) => status === 504).length).toBeLessThanOrEqual(12)
  expect(events).toMatchObject([{ kind: 'ejected', cause: 'local' }])
})

test('upgrades: how the connect and the answer to it go counts, too', async () => {
  const refusing = await instance(() => 503)
  const gateway = await proxy(
    oneRoute([await freePort(), refusing.port, (await good()).port, (await good()).port]),
  )
  const events = eventsOf(gateway)
  const upgrade = 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  for (let i = 0; i < 40; i++) await rawExchange(gateway.port, upgrade)
  expect(events).toMatchObject([
    { kind: 'ejected', cause: 'connect' },
    { kind: 'ejected', cause: 'gateway-errors' },
  ])
})
