import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { httpServer, rawServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()

/** Starts a service and a gateway with one route to it. */
async function behind(service: ReturnType<typeof httpServer>, own: Parameters<typeof oneRoute>[1] = {}) {
  const server = await opened(service)
  return { server, gateway: await proxy(oneRoute([server.port], own)) }
}

async function textOf(stream: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

describe('bodies', () => {
  test('a request and its answer pass with method, path, query and body', async () => {
    const { gateway } = await behind(
      httpServer((request, response) => {
        void textOf(request).then((body) => response.end(`${request.method} ${request.url} ${body}`))
      }),
    )
    const response = await fetch(`${gateway.url}/a/b?x=1&x=2`, { method: 'POST', body: 'hello' })
    expect([response.status, await response.text()]).toEqual([200, 'POST /a/b?x=1&x=2 hello'])
    expect(await gateway.record()).toMatchObject({
      status: 200,
      outcome: 'ok',
      route: 'all',
      service: 'shop',
      bytesIn: 5,
      bytesOut: 23,
      attempts: [{ status: 200, outcome: 'ok' }],
    })
  })

  test.each([0, 1, 65_536, 3_000_000])(
    'a body of %i bytes comes back whole, length declared',
    async (size) => {
      const { gateway } = await behind(httpServer((request, response) => request.pipe(response)))
      const body = Buffer.alloc(size, 'ab')
      const response = await fetch(gateway.url, { method: 'PUT', body })
      expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true)
    },
  )

  test('a chunked request arrives chunk by chunk, without a length', async () => {
    const seen: string[] = []
    let headers: IncomingMessage['headers'] = {}
    const { gateway } = await behind(
      httpServer((request, response) => {
        headers = request.headers
        request.on('data', (chunk) => seen.push(String(chunk)))
        request.on('end', () => response.end('done'))
      }),
    )
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n')
    await waitFor(() => seen.length === 1)
    client.send('3\r\ntwo\r\n0\r\n\r\n')
    expect(await client.answers(1)).toMatchObject([{ status: 200, body: 'done' }])
    expect(seen).toEqual(['one', 'two'])
    expect([headers['transfer-encoding'], headers['content-length']]).toEqual(['chunked', undefined])
    client.socket.destroy()
  })

  test('a slow reader holds the service back instead of filling memory', async () => {
    let sent = 0
    const { gateway } = await behind(
      httpServer((_request, response) => {
        const chunk = Buffer.alloc(65_536)
        const more = () => {
          while (sent < 200_000_000) {
            sent += chunk.length
            if (!response.write(chunk)) return void response.once('drain', more)
          }
          response.end()
        }
        more()
      }),
    )
    const client = rawClient(gateway.port)
    client.socket.pause()
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    let last = -1
    await waitFor(async () => {
      const before = sent
      await new Promise((resolve) => setTimeout(resolve, 200))
      const isStill = sent === before && sent > 0 && before === last
      last = before
      return isStill
    })
    expect(sent).toBeLessThan(60_000_000)
    client.socket.destroy()
    expect(await gateway.record()).toMatchObject({ status: 499, outcome: 'client_gone' })
  })

  test('a service that does not read holds the client back', async () => {
    const { gateway } = await behind(
      httpServer((request) => void request.pause()),
      { route: 'timeouts: { headers: 2s }' },
    )
    const sending = httpRequest(gateway.url, { method: 'POST' })
    sending.on('error', () => {})
    const chunk = Buffer.alloc(65_536)
    let sent = 0
    while (sent < 200_000_000 && sending.write(chunk)) sent += chunk.length
    let isStuck = false
    while (!isStuck && sent < 200_000_000) {
      const wait = new Promise<string>((resolve) => setTimeout(() => resolve('stuck'), 500))
      isStuck = (await Promise.race([once(sending, 'drain').then(() => 'drained'), wait])) === 'stuck'
      while (!isStuck && sent < 200_000_000 && sending.write(chunk)) sent += chunk.length
    }
    expect(isStuck).toBe(true)
    expect(sent).toBeLessThan(60_000_000)
    const [response] = (await once(sending, 'response')) as [IncomingMessage]
    expect([response.statusCode, (await gateway.record()).outcome]).toEqual([504, 'header_timeout'])
    sending.destroy()
  })

  test('server-sent events arrive one by one', async () => {
    let tell: (text: string) => void = () => {}
    const { gateway } = await behind(
      httpServer((_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.flushHeaders()
        tell = (text) => void response.write(`data: ${text}\n\n`)
      }),
      { route: 'timeouts: { idle: 0, total: 0 }' },
    )
    const abort = new AbortController()
    const response = await fetch(gateway.url, { signal: abort.signal })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    for (const text of ['one', 'two', 'three']) {
      tell(text)
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe(`data: ${text}\n\n`)
    }
    abort.abort()
    expect((await gateway.record()).status).toBe(499)
  })
})

describe('answers without a body', () => {
  test.each([
    ['HEAD', 200, '5'],
    ['GET', 304, undefined],
    ['GET', 204, undefined],
  ] as const)('%s %i leaves the connection ready for the next request', async (method, status, length) => {
    const { gateway } = await behind(
      httpServer((_request, response) => {
        response.writeHead(status, {
          etag: '"1"',
          ...(length === undefined ? {} : { 'content-length': length }),
        })
        response.end()
      }),
    )
    const client = rawClient(gateway.port)
    for (let i = 0; i < 2; i++) client.send(`${method} / HTTP/1.1\r\nHost: a.example\r\n\r\n`)
    await waitFor(() => gateway.records.length === 2)
    await waitFor(() => client.text().split('HTTP/1.1 ').length === 3)
    const heads = client.text().split('\r\n\r\n')
    expect(heads).toHaveLength(3)
    for (const head of heads.slice(0, 2)) {
      expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
      expect(head).toContain('etag: "1"')
      expect(head).not.toMatch(/transfer-encoding/i)
      if (length !== undefined) expect(head).toMatch(/content-length: 5/i)
    }
    client.socket.destroy()
  })
})

describe('beside the body', () => {
  test('trailers pass', async () => {
    const { gateway } = await behind(
      httpServer((_request, response) => {
        response.writeHead(200, { trailer: 'x-sum' })
        response.write('body')
        response.addTrailers({ 'x-sum': '42' })
        response.end()
      }),
    )
    const outgoing = httpRequest(gateway.url, { headers: { te: 'trailers' } })
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(await textOf(response)).toBe('body')
    expect(response.trailers).toEqual({ 'x-sum': '42' })
  })

  test('103 Early Hints comes before the answer', async () => {
    const { gateway } = await behind(
      httpServer((_request, response) => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' })
        response.end('page')
      }),
    )
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    expect(await client.answers(2)).toMatchObject([
      { status: 103, headers: { link: '</a.css>; rel=preload' } },
      { status: 200, body: 'page' },
    ])
    client.socket.destroy()
  })

  test('Expect: 100-continue: the body is asked for, and the service sees no Expect', async () => {
    let expected: string | undefined
    const { gateway } = await behind(
      httpServer((request, response) => {
        expected = request.headers.expect
        request.pipe(response)
      }),
    )
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n')
    await client.answers(1)
    client.send('body')
    expect(await client.answers(2)).toMatchObject([{ status: 100 }, { status: 200, body: 'body' }])
    expect(expected).toBeUndefined()
    client.socket.destroy()
  })

  test('Expect: 100-continue: a refusal comes before the body was sent', async () => {
    const { server, gateway } = await behind(
      httpServer((request, response) => request.pipe(response)),
      { top: 'limits: { bodyBytes: 10B }' },
    )
    const answer = await rawExchange(
      gateway.port,
      'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n',
    )
    expect([answer.status, answer.headers['connection']]).toEqual([413, 'close'])
    expect(server.connections()).toBe(0)
  })

  test('another expectation is refused with 417', async () => {
    const { gateway } = await behind(httpServer((_request, response) => response.end()))
    const answer = await rawExchange(gateway.port, 'GET / HTTP/1.1\r\nHost: a.example\r\nExpect: tea\r\n\r\n')
    expect([answer.status, gateway.malformed]).toEqual([417, ['GW_REQUEST_EXPECT']])
  })

  test('an answer without a length ends where the service closes', async () => {
    const { gateway } = await behind(
      rawServer((socket) => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end')),
    )
    const response = await fetch(gateway.url)
    expect(await response.text()).toBe('until the end')
  })

  test('an HTTP/1.0 client gets its answer and the connection is closed', async () => {
    const { gateway } = await behind(httpServer((_request, response) => response.end('old')))
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.0\r\nHost: a.example\r\n\r\n')
    expect(await client.closed()).toMatch(/^HTTP\/1\.1 200 [\s\S]*old$/)
    expect(client.text()).not.toMatch(/transfer-encoding/i)
  })
})

describe('one connection', () => {
  test('pipelined requests are answered in their order', async () => {
    const { gateway } = await behind(
      httpServer((request, response) => {
        setTimeout(() => response.end(request.url), request.url === '/0' ? 100 : 0)
      }),
    )
    const client = rawClient(gateway.port)
    client.send([0, 1, 2, 3].map((i) => `GET /${i} HTTP/1.1\r\nHost: a.example\r\n\r\n`).join(''))
    const answers = await client.answers(4)
    expect(answers.map(({ body }) => body)).toEqual(['/0', '/1', '/2', '/3'])
    client.socket.destroy()
  })

  test('carries many requests, with and without bodies, and the service sees few connections', async () => {
    const { server, gateway } = await behind(
      httpServer(
        (request, response) => void textOf(request).then((body) => response.end(request.url + body)),
      ),
    )
    const client = rawClient(gateway.port)
    for (let i = 0; i < 100; i++) {
      client.send(`POST /${i} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi`)
      const answers = await client.answers(i + 1)
      expect(answers[i]?.body).toBe(`/${i}hi`)
    }
    expect(server.connections()).toBeLessThanOrEqual(3)
    expect(gateway.records).toHaveLength(100)
    client.socket.destroy()
  })
})
