import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()
const TEXT = 'squeeze me '.repeat(20_000)

async function behind(service: ReturnType<typeof httpServer>, filters: string, own: { route?: string } = {}) {
  const server = await opened(service)
  const gateway = await proxy(oneRoute([server.port], { route: `filters: [${filters}]\n${own.route ?? ''}` }))
  return { server, gateway }
}

const text = () =>
  httpServer((_request, response) => {
    response.setHeader('content-type', 'text/plain')
    response.end(TEXT)
  })

describe('compression on the way out', () => {
  test('the body is smaller on the wire and the same in the end', async () => {
    const { gateway } = await behind(text(), '{ type: compression }')
    const answer = await rawExchange(
      gateway.port,
      'GET / HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n',
    )
    expect([answer.status, answer.headers['content-encoding'], answer.headers['content-length']]).toEqual([
      200,
      'gzip',
      undefined,
    ])
    expect(answer.body.length).toBeLessThan(20_000)
    expect(gunzipSync(Buffer.from(answer.body, 'latin1')).toString()).toBe(TEXT)
    expect((await gateway.record()).outcome).toBe('ok')
  })

  test('HEAD has no body, and the connection lives on', async () => {
    const { gateway } = await behind(text(), '{ type: compression }')
    const client = rawClient(gateway.port)
    const head = 'HEAD / HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n'
    client.send(head)
    await waitFor(() => gateway.records.length === 1)
    client.send(head)
    await waitFor(() => client.text().split('HTTP/1.1 200').length === 3)
    expect(client.text().split('\r\n\r\n')).toHaveLength(3)
    client.socket.destroy()
  })

  test('a service that breaks off breaks the compressed answer off', async () => {
    const { gateway } = await behind(
      httpServer((_request, response) => {
        response.setHeader('content-type', 'text/plain')
        response.write(TEXT)
        setTimeout(() => response.destroy(), 50)
      }),
      '{ type: compression }',
    )
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n')
    expect(await client.closed()).not.toMatch(/\r\n0\r\n\r\n$/)
    expect(await gateway.record()).toMatchObject({ outcome: 'reset' })
    client.socket.destroy()
  })

  test('a client that leaves ends the request to the service', async () => {
    const { server, gateway } = await behind(
      httpServer((_request, response) => {
        response.setHeader('content-type', 'text/plain')
        response.write(TEXT)
      }),
      '{ type: compression }',
    )
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n')
    await waitFor(() => client.text().includes('\r\n\r\n'))
    client.socket.destroy()
    expect((await gateway.record()).status).toBe(499)
    await waitFor(() => server.sockets.size === 0)
  })

  test('a slow reader holds the service back through the filter, too', async () => {
    let sent = 0
    const { gateway } = await behind(
      httpServer((_request, response) => {
        response.setHeader('content-type', 'text/plain')
        const more = () => {
          while (sent < 100_000_000) {
            const chunk = Buffer.from(Array.from({ length: 16_384 }, () => Math.random() * 256))
            sent += chunk.length
            if (!response.write(chunk)) return void response.once('drain', more)
          }
          response.end()
        }
        more()
      }),
      '{ type: compression }',
    )
    const client = rawClient(gateway.port)
    client.socket.pause()
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n')
    let before = -1
    await waitFor(async () => {
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 400))
      return sent > 0 && sent === before
    })
    expect(sent).toBeLessThan(40_000_000)
    client.socket.destroy()
    expect((await gateway.record()).status).toBe(499)
  })
})

describe('filters that refuse', () => {
  test('an inbound filter answers before the service is asked; outbound ones see the answer', async () => {
    const { server, gateway } = await behind(
      text(),
      '{ type: headers, response: { set: { x-seen: by-gateway } } }, { type: ip-deny, networks: [127.0.0.0/8] }',
    )
    const response = await fetch(gateway.url, { method: 'POST', body: TEXT })
    expect([response.status, response.headers.get('x-seen')]).toEqual([403, 'by-gateway'])
    expect(server.connections()).toBe(0)
    expect(await gateway.record()).toMatchObject({
      status: 403,
      outcome: 'filter_refused',
      code: 'GW_AUTH_IP',
    })
  })

  test('outbound filters see the gateway’s own errors, too', async () => {
    const gateway = await proxy(
      oneRoute([1], { route: 'filters: [{ type: headers, response: { set: { x-seen: by-gateway } } }]' }),
    )
    const response = await fetch(gateway.url)
    expect([response.status, response.headers.get('x-seen')]).toEqual([502, 'by-gateway'])
  })

  test('a body limit of a filter holds for chunks', async () => {
    const { gateway } = await behind(
      httpServer((request, response) => request.pipe(response)),
      '{ type: size-limit, requestBody: 10B }',
    )
    const answer = await rawExchange(
      gateway.port,
      `POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n${'a'.repeat(20)}\r\n0\r\n\r\n`,
    )
    expect(answer.status).toBe(413)
    expect(await gateway.record()).toMatchObject({ status: 413, outcome: 'body_too_large' })
  })

  test('an answer over a filter’s limit is replaced before a byte of it went out', async () => {
    const { server, gateway } = await behind(text(), '{ type: size-limit, responseBody: 10B }')
    for (let i = 0; i < 3; i++) {
      const response = await fetch(gateway.url)
      expect(response.status).toBe(502)
      expect(await response.text()).not.toContain('squeeze')
    }
    await waitFor(() => gateway.records.length === 3)
    expect(gateway.records[0]).toMatchObject({ status: 502, outcome: 'filter_refused' })
    await waitFor(() => server.sockets.size === 0)
    expect(gateway.upstreams.stats()[0]?.inFlight).toBe(0)
  })

  test('an answer of unknown length that grows over it is broken off', async () => {
    const { gateway } = await behind(
      httpServer((_request, response) => {
        for (let i = 0; i < 100; i++) response.write(TEXT)
        response.end()
      }),
      '{ type: size-limit, responseBody: 1KiB }',
    )
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    expect(await client.closed()).not.toMatch(/\r\n0\r\n\r\n$/)
    await gateway.record()
    client.socket.destroy()
  })
})
