import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawExchange } from '../support/raw.ts'
import { httpServer, rawServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()
const BREAKER = 'breaker: { minRequests: 10, failurePercent: 50, openFor: 300ms, halfOpenProbes: 2 }'

/** Fails until told otherwise; `hold` keeps what comes. */
async function service() {
  const state = { status: 500, asked: 0, hold: false, held: [] as ServerResponse[], most: 0 }
  const server = await opened(
    httpServer((_request, response) => {
      state.asked++
      if (!state.hold) {
        response.writeHead(state.status).end()
        return
      }
      state.held.push(response)
      state.most = Math.max(state.most, state.held.length)
    }),
  )
  return { state, port: server.port }
}

test('open: refused at once with Retry-After; half-open: exactly as many as may try; then closed', async () => {
  const { state, port } = await service()
  const gateway = await proxy(oneRoute([port], { service: BREAKER }))
  const breaker = () => gateway.upstreams.serviceStats()[0]?.breaker
  for (let i = 0; i < 10; i++) expect((await fetch(gateway.url)).status).toBe(500)
  expect(breaker()).toBe('open')
  const refused = await fetch(gateway.url)
  expect(refused.status).toBe(503)
  expect(await refused.json()).toMatchObject({ code: 'GW_UPSTREAM_BREAKER_OPEN' })
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(state.asked).toBe(10)
  expect(gateway.records.at(-1)).toMatchObject({ outcome: 'breaker_open', attempts: [] })

  state.hold = true
  state.status = 200
  const pending: Promise<Response>[] = []
  await waitFor(async () => {
    pending.push(fetch(gateway.url))
    return state.held.length === 2
  })
  const more = await Promise.all(Array.from({ length: 20 }, () => fetch(gateway.url)))
  expect(new Set(more.map(({ status }) => status))).toEqual(new Set([503]))
  expect(breaker()).toBe('half-open')
  expect(state.most).toBe(2)
  state.hold = false
  for (const response of state.held) response.writeHead(200).end()
  await Promise.all(pending)
  await waitFor(() => breaker() === 'closed')
  expect((await fetch(gateway.url)).status).toBe(200)
  expect(gateway.upstreams.serviceStats()[0]?.breakerRefusals).toBeGreaterThan(20)
})

test('half-open: a failure opens it again', async () => {
  const { state, port } = await service()
  const gateway = await proxy(oneRoute([port], { service: BREAKER }))
  for (let i = 0; i < 10; i++) await fetch(gateway.url)
  await waitFor(async () => (await fetch(gateway.url)).status === 500)
  expect(gateway.upstreams.serviceStats()[0]?.breaker).toBe('open')
  const { asked } = state
  expect((await fetch(gateway.url)).status).toBe(503)
  expect(state.asked).toBe(asked)
})

test('a probe whose client leaves gives its place back', async () => {
  const { state, port } = await service()
  const gateway = await proxy(oneRoute([port], { service: BREAKER }))
  for (let i = 0; i < 10; i++) await fetch(gateway.url)
  state.hold = true
  const leave = new AbortController()
  const left: Promise<unknown>[] = []
  await waitFor(async () => {
    left.push(fetch(gateway.url, { signal: leave.signal }).catch(() => {}))
    return state.held.length === 2
  })
  leave.abort()
  await Promise.all(left)
  state.hold = false
  state.status = 200
  await waitFor(async () => (await fetch(gateway.url)).status === 200)
})

test('4xx never open it, and the state outlives tables; without a breaker there is none', async () => {
  const { state, port } = await service()
  state.status = 404
  const gateway = await proxy(oneRoute([port], { service: BREAKER }))
  for (let i = 0; i < 30; i++) await fetch(gateway.url)
  expect(gateway.upstreams.serviceStats()[0]?.breaker).toBe('closed')
  state.status = 500
  for (let i = 0; i < 40; i++) await fetch(gateway.url)
  expect(gateway.upstreams.serviceStats()[0]?.breaker).toBe('open')
  await gateway.swap(oneRoute([port], { service: `${BREAKER}\nslowStart: 1s` }))
  expect(gateway.upstreams.serviceStats()[0]?.breaker).toBe('open')
  await gateway.swap(oneRoute([port]))
  expect(gateway.upstreams.serviceStats()[0]?.breaker).toBeUndefined()
  expect((await fetch(gateway.url)).status).toBe(500)
})

test('upgrades are refused, too', async () => {
  const { port } = await service()
  const gateway = await proxy(oneRoute([port], { service: BREAKER }))
  for (let i = 0; i < 10; i++) await fetch(gateway.url)
  const answer = await rawExchange(
    gateway.port,
    'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
  expect(answer.status).toBe(503)
  expect(answer.body).toContain('GW_UPSTREAM_BREAKER_OPEN')
})

test('sockets that went stale in the pool are no failures', async () => {
  const stale = await opened(
    rawServer((socket, _request, count) => {
      if (count === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      else socket.resetAndDestroy()
    }),
  )
  const gateway = await proxy(
    oneRoute([stale.port], { service: 'breaker: { minRequests: 5, failurePercent: 10 }' }),
  )
  for (let i = 0; i < 20; i++) {
    expect((await fetch(gateway.url)).status).toBe(200)
    await waitFor(() => gateway.upstreams.stats()[0]?.pool.running === 0)
  }
  expect(gateway.records.flatMap(({ attempts }) => attempts.map(({ outcome }) => outcome))).toContain('reset')
  expect(gateway.upstreams.serviceStats()[0]?.breaker).toBe('closed')
})
