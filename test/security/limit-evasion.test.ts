import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { notingMetrics } from '../support/filter-metrics.ts'
import { rawClient } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()
const IN_FLIGHT = 'sluice_concurrency_in_flight|concurrency|shop'

/** A service that answers nobody, and a limit of one before it that is used up. */
async function fullGateway(options: string, top = '') {
  const server = await opened(httpServer(() => {}))
  const noted = notingMetrics()
  const gateway = await proxy({
    yaml: oneRoute([server.port], { top, route: `filters: [{ type: concurrency, limit: 1, ${options} }]` }),
    environment: { metrics: noted.metrics },
  })
  const client = rawClient(gateway.port)
  client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
  await waitFor(() => noted.value(IN_FLIGHT) === 1)
  return { gateway, client, ...noted }
}

const SPOOFS = [
  { 'x-forwarded-for': '203.0.113.7' },
  { forwarded: 'for=203.0.113.7' },
  { 'x-real-ip': '203.0.113.7' },
  { authorization: 'Bearer whatever' },
  { 'x-api-key': 'whatever' },
  { class: 'health', 'x-class': 'health', 'x-sluice-class': 'health' },
  { 'user-agent': 'kube-probe/1.30' },
  { 'user-agent': `${'a'.repeat(4000)}` },
] as const

describe('a client at its limit', () => {
  test.each(SPOOFS)('is no other client for sending %j', async (headers) => {
    const { gateway, client } = await fullGateway('key: [principal, client-ip]')
    expect((await fetch(gateway.url, { headers })).status).toBe(429)
    client.socket.destroy()
  })

  test('is another one only when a trusted proxy says so', async () => {
    const { gateway, client } = await fullGateway('key: client-ip', 'trustedProxies: [127.0.0.1]')
    const abort = new AbortController()
    const other = fetch(gateway.url, { headers: { 'x-forwarded-for': '203.0.113.7' }, signal: abort.signal })
    other.catch(() => {})
    const answer = await fetch(gateway.url)
    expect(answer.status).toBe(429)
    abort.abort()
    client.socket.destroy()
  })

  test('in a /64 of its own has one limit, not 2^64', async () => {
    const { gateway, client } = await fullGateway('key: client-ip', 'trustedProxies: [127.0.0.1]')
    const send = (address: string) => {
      const one = rawClient(gateway.port)
      one.send(`GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: ${address}\r\n\r\n`)
      return one
    }
    const first = send('2001:db8:1:2::1')
    await waitFor(() => gateway.records.length === 0 && gateway.overload.inFlight === 2)
    expect((await send('2001:db8:1:2:ffff:ffff:ffff:ffff').answers(1))[0]?.status).toBe(429)
    for (const one of [client, first]) one.socket.destroy()
  })
})

test.each(SPOOFS)('nobody raises the class by sending %j', async (headers) => {
  const { gateway, client, values } = await fullGateway('bots: ["^$"]')
  expect((await fetch(gateway.url, { headers })).status).toBe(503)
  const classes = [...values.keys()].filter((key) => key.includes('refusals')).map((key) => key.split('|')[2])
  expect(classes).toEqual(['anonymous'])
  client.socket.destroy()
})

test('clients that connect, wait and leave do not use the places up', async () => {
  const server = await opened(
    httpServer((request, response) => void (request.url === '/' && response.end('ok'))),
  )
  const noted = notingMetrics()
  const gateway = await proxy({
    yaml: oneRoute([server.port], {
      route: 'filters: [{ type: concurrency, limit: 3, queue: { length: 5, timeout: 20s } }]',
    }),
    environment: { metrics: noted.metrics },
  })
  for (let round = 0; round < 5; round++) {
    const clients = Array.from({ length: 8 }, () => rawClient(gateway.port))
    for (const client of clients) client.send('GET /hang HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await waitFor(() => noted.value('sluice_concurrency_queued|concurrency|shop') >= 5)
    for (const client of clients) client.socket.destroy()
    await waitFor(() => noted.value(IN_FLIGHT) === 0)
  }
  expect((await fetch(gateway.url)).status).toBe(200)
})
