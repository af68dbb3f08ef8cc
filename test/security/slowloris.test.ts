import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()

/** Sends a byte now and then until the other side has had enough. */
function drip(client: ReturnType<typeof rawClient>, bytes: string): void {
  const timer = setInterval(() => {
    if (!client.isClosed() && client.socket.writable) client.send(bytes)
  }, 50)
  later(() => {
    clearInterval(timer)
    client.socket.destroy()
  })
}

const echo = () => opened(httpServer((request, response) => request.pipe(response)))

describe('a client that is slow on purpose', () => {
  test('headers byte by byte: 408, all of them, while others are served', async () => {
    const server = await echo()
    const gateway = await proxy(oneRoute([server.port], { top: 'limits: { headersTimeout: 400ms }' }))
    const slow = Array.from({ length: 50 }, () => {
      const client = rawClient(gateway.port)
      client.send('GET / HTTP/1.1\r\nHost: a.example\r\nX-')
      drip(client, 'a')
      return client
    })
    await waitFor(async () => (await gateway.server.connections()) >= 50)
    expect((await fetch(gateway.url)).status).toBe(200)
    await Promise.all(slow.map((client) => client.closed()))
    for (const client of slow) expect(client.text()).toMatch(/^HTTP\/1\.1 408 /)
    expect(gateway.malformed).toEqual(slow.map(() => 'GW_REQUEST_TIMEOUT'))
    await waitFor(async () => (await gateway.server.connections()) <= 1)
  })

  test('no byte at all: the connection is ended', async () => {
    const gateway = await proxy(oneRoute([1], { top: 'limits: { headersTimeout: 200ms }' }))
    const client = rawClient(gateway.port)
    await client.closed()
    client.socket.destroy()
  })

  test('slow headers of a later request on the same connection', async () => {
    const server = await echo()
    const gateway = await proxy(oneRoute([server.port], { top: 'limits: { headersTimeout: 300ms }' }))
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await client.answers(1)
    client.send('GET / HTTP/1.1\r\nX-')
    drip(client, 'a')
    await client.closed()
    expect((await client.answers(2)).map(({ status }) => status)).toEqual([200, 408])
  })

  test('a body byte by byte is bounded by the whole time', async () => {
    const server = await opened(httpServer((request) => void request.resume()))
    const gateway = await proxy(oneRoute([server.port], { route: 'timeouts: { idle: 5s, total: 400ms }' }))
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n')
    drip(client, 'a')
    expect((await client.answers(1))[0]?.status).toBe(504)
    await waitFor(() => server.sockets.size === 0)
    await client.closed()
  })

  test('a whole request that takes too long: 408', async () => {
    const server = await opened(httpServer((request) => void request.resume()))
    const gateway = await proxy(
      oneRoute([server.port], { top: 'limits: { headersTimeout: 200ms, requestTimeout: 300ms }' }),
    )
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n')
    drip(client, 'a')
    await client.closed()
    expect(client.text()).toMatch(/^HTTP\/1\.1 408 /)
    await waitFor(() => server.sockets.size === 0)
    expect((await gateway.record()).status).toBe(499)
  })

  test('a refused client that goes on sending is cut off', async () => {
    const server = await echo()
    const gateway = await proxy(oneRoute([server.port], { route: 'maxBody: 10B' }))
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000000\r\n\r\n')
    drip(client, 'a'.repeat(1000))
    expect((await client.answers(1))[0]?.status).toBe(413)
    await waitFor(async () => (await gateway.server.connections()) === 0)
    expect(server.connections()).toBe(0)
  })

  test('a limit on connections holds', async () => {
    const server = await echo()
    const gateway = await proxy(oneRoute([server.port], { top: 'limits: { connections: 3 }' }))
    const clients = Array.from({ length: 6 }, () => rawClient(gateway.port))
    later(() => {
      for (const client of clients) client.socket.destroy()
    })
    await waitFor(() => clients.filter((client) => client.isClosed()).length === 3)
    const open = clients.find((client) => !client.isClosed())
    open?.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    expect((await open?.answers(1))?.[0]?.status).toBe(200)
  })
})
