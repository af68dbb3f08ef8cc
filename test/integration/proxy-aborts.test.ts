import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient } from '../support/raw.ts'
import { httpServer, rawServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()
const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'

function expectIdle(gateway: Awaited<ReturnType<typeof proxy>>): Promise<unknown> {
  return waitFor(() => gateway.upstreams.stats().every((one) => one.inFlight === 0))
}

describe('the client leaves', () => {
  test('while it waits for the answer: the service sees its request end', async () => {
    const server = await opened(rawServer(() => {}))
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send(GET)
    await waitFor(() => server.sockets.size === 1)
    client.socket.destroy()
    await waitFor(() => server.sockets.size === 0)
    expect(await gateway.record()).toMatchObject({
      status: 499,
      outcome: 'client_gone',
      attempts: [{ status: undefined, outcome: 'client_gone' }],
    })
    await expectIdle(gateway)
  })

  test('in the middle of the answer', async () => {
    const server = await opened(httpServer((_request, response) => void response.write('first')))
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send(GET)
    await waitFor(() => client.text().includes('first'))
    client.socket.destroy()
    await waitFor(() => server.sockets.size === 0)
    expect(await gateway.record()).toMatchObject({ status: 499, outcome: 'client_gone', bytesOut: 5 })
    await expectIdle(gateway)
  })

  test('in the middle of its body: the service does not take it for complete', async () => {
    const events: string[] = []
    const server = await opened(
      httpServer((request) => {
        request.on('data', () => events.push('data'))
        request.on('end', () => events.push('end'))
        request.on('error', () => events.push('error'))
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    for (const framing of [
      'Content-Length: 100\r\n\r\nabc',
      'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    ]) {
      const client = rawClient(gateway.port)
      client.send(`POST / HTTP/1.1\r\nHost: a.example\r\n${framing}`)
      await waitFor(() => events.includes('data'))
      client.socket.destroy()
      await waitFor(() => events.length === 2)
      expect(events.splice(0)).toEqual(['data', 'error'])
    }
    await waitFor(() => gateway.records.length === 2)
    expect(gateway.records.map(({ status }) => status)).toEqual([499, 499])
    await expectIdle(gateway)
  })

  test('while its request waits for a free socket', async () => {
    const held: ServerResponse[] = []
    const server = await opened(httpServer((_request, response) => void held.push(response)))
    const gateway = await proxy(oneRoute([server.port], { service: 'maxConnections: 1' }))
    const first = rawClient(gateway.port)
    first.send(GET)
    await waitFor(() => held.length === 1)
    const second = rawClient(gateway.port)
    second.send(GET)
    await waitFor(() => gateway.upstreams.stats()[0]?.inFlight === 2)
    second.socket.destroy()
    expect((await gateway.record()).status).toBe(499)
    held[0]?.end('fine')
    expect((await first.answers(1))[0]?.body).toBe('fine')
    await expectIdle(gateway)
    expect(held).toHaveLength(1)
    first.socket.destroy()
  })
})

describe('the service breaks off', () => {
  test.each([
    ['a declared length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('after %s: the client sees a broken answer, never a complete one', async (_name, bytes) => {
    const server = await opened(
      rawServer((socket) => {
        socket.write(bytes)
        setTimeout(() => socket.destroy(), 50)
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const outgoing = httpRequest(gateway.url)
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    await expect(async () => {
      for await (const _ of response) void _
    }).rejects.toThrow('aborted')
    expect(await gateway.record()).toMatchObject({ status: 200, outcome: 'reset' })
    await expectIdle(gateway)
  })

  test('for an HTTP/1.0 client, to whom the end of the connection is the end of the answer', async () => {
    const server = await opened(
      rawServer((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
        setTimeout(() => socket.destroy(), 50)
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.0\r\nHost: a.example\r\n\r\n')
    await expect(once(client.socket, 'end')).rejects.toThrow('ECONNRESET')
    expect(await gateway.record()).toMatchObject({ outcome: 'reset' })
  })

  test('silence in the middle of an answer is a broken answer', async () => {
    const server = await opened(httpServer((_request, response) => void response.write('half')))
    const gateway = await proxy(oneRoute([server.port], { route: 'timeouts: { idle: 200ms }' }))
    const client = rawClient(gateway.port)
    client.send(GET)
    const text = await client.closed()
    expect(text).not.toContain('\r\n0\r\n')
    expect(await gateway.record()).toMatchObject({ outcome: 'idle_timeout' })
    await waitFor(() => server.sockets.size === 0)
  })

  test('the deadline in the middle of an answer is a broken answer', async () => {
    const server = await opened(httpServer((_request, response) => void response.write('half')))
    const gateway = await proxy(oneRoute([server.port], { route: 'timeouts: { total: 150ms }' }))
    const client = rawClient(gateway.port)
    client.send(GET)
    const text = await client.closed()
    expect(text).not.toContain('\r\n0\r\n')
    expect(await gateway.record()).toMatchObject({ outcome: 'deadline' })
  })

  test('an answer before the body was read: it arrives, and the connection stays in step', async () => {
    const server = await opened(
      httpServer((request, response) => {
        if (request.method === 'POST') response.writeHead(401, { connection: 'close' }).end('no')
        else response.end('next')
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n12345')
    expect(await client.answers(1)).toMatchObject([{ status: 401, body: 'no' }])
    client.send(`67890${GET}`)
    expect(await client.answers(2)).toMatchObject([{ status: 401 }, { status: 200, body: 'next' }])
    client.socket.destroy()
  })

  test('a client that does not read is not waited for longer than the idle limit', async () => {
    const server = await opened(
      httpServer((_request, response) => void response.end(Buffer.alloc(100_000_000))),
    )
    const gateway = await proxy(oneRoute([server.port], { route: 'timeouts: { idle: 300ms, total: 0 }' }))
    const client = rawClient(gateway.port)
    client.socket.pause()
    client.send(GET)
    expect(await gateway.record()).toMatchObject({ outcome: 'client_timeout' })
    client.socket.destroy()
    await expectIdle(gateway)
  })
})
