import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { httpServer } from '../support/scripted-server.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()

async function h2Gateway(service: ReturnType<typeof httpServer>, own: Parameters<typeof oneRoute>[1] = {}) {
  const server = await opened(service)
  const files = await opened(tlsFiles('shop.example'))
  const gateway = await proxy({ yaml: oneRoute([server.port], own), tls: { pairs: [files] } })
  const open = () => {
    const session = connect(`https://127.0.0.1:${gateway.port}`, { ca: files.ca, servername: 'shop.example' })
    later(() => session.destroy())
    session.on('error', () => {})
    return session
  }
  return { server, gateway, files, open }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders | undefined
  readonly body: string
}

async function read(stream: ClientHttp2Stream): Promise<Answer> {
  let trailers: IncomingHttpHeaders | undefined
  stream.on('trailers', (fields) => {
    trailers = fields
  })
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }]
  let body = ''
  for await (const chunk of stream) body += String(chunk)
  return { status: headers[':status'], headers, trailers, body }
}

function send(session: ClientHttp2Session, fields: OutgoingHttpHeaders = {}, body?: string): Promise<Answer> {
  const stream = session.request(
    { ':path': '/', ':authority': 'shop.example', ...fields },
    { endStream: body === undefined },
  )
  if (body !== undefined) stream.end(body)
  return read(stream)
}

describe('HTTP/2 from clients', () => {
  test('requests pass to an HTTP/1.1 service with path, host, cookies and body', async () => {
    let seen: IncomingMessage | undefined
    const { gateway, open } = await h2Gateway(
      httpServer((request, response) => {
        seen = request
        request.pipe(response)
      }),
    )
    const fields = { ':method': 'POST', ':path': '/a?b=c', cookie: ['a=1', 'b=2'], 'x-a': 'b' }
    const answer = await send(open(), fields, 'hello')
    expect([answer.status, answer.body]).toEqual([200, 'hello'])
    expect([seen?.method, seen?.url, seen?.headers.host, seen?.headers['x-a']]).toEqual([
      'POST',
      '/a?b=c',
      'shop.example',
      'b',
    ])
    const at = seen?.rawHeaders.map((name) => name.toLowerCase()).indexOf('cookie') ?? -1
    expect(seen?.rawHeaders[at + 1]).toBe('a=1; b=2')
    expect(seen?.headers['x-forwarded-proto']).toBe('https')
    expect(await gateway.record()).toMatchObject({ httpVersion: '2.0', scheme: 'https', status: 200 })
  })

  test('a GET has no body for the service either', async () => {
    let framing: unknown
    const { open } = await h2Gateway(
      httpServer(({ headers }, response) => {
        framing = [headers['content-length'], headers['transfer-encoding']]
        response.end()
      }),
    )
    expect((await send(open())).status).toBe(200)
    expect(framing).toEqual([undefined, undefined])
  })

  test('streams of one connection run side by side', async () => {
    const release: (() => void)[] = []
    const { open } = await h2Gateway(
      httpServer((request, response) => void release.push(() => response.end(request.url))),
    )
    const session = open()
    const answers = Array.from({ length: 20 }, (_, i) => send(session, { ':path': `/${i}` }))
    await waitFor(() => release.length === 20)
    for (const let_ of release.reverse()) let_()
    expect((await Promise.all(answers)).map(({ body }) => body)).toEqual(
      Array.from({ length: 20 }, (_, i) => `/${i}`),
    )
  })

  test('trailers pass; connection fields do not', async () => {
    const { open } = await h2Gateway(
      httpServer((_request, response) => {
        response.writeHead(200, { trailer: 'x-sum', connection: 'close', 'keep-alive': 'timeout=1' })
        response.write('body')
        response.addTrailers({ 'x-sum': '42' })
        response.end()
      }),
    )
    const { body, trailers, headers } = await send(open())
    expect([body, trailers?.['x-sum'], headers['connection']]).toEqual(['body', '42', undefined])
  })

  test('103 Early Hints comes before the answer', async () => {
    const { open } = await h2Gateway(
      httpServer((_request, response) => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' })
        response.end('page')
      }),
    )
    const stream = open().request({ ':authority': 'shop.example' })
    const hints: unknown[] = []
    stream.on('headers', (fields) => hints.push([fields[':status'], fields['link']]))
    expect((await read(stream)).body).toBe('page')
    expect(hints).toEqual([[103, '</a.css>; rel=preload']])
  })

  test('a large answer is not read ahead of a client that does not read', async () => {
    let sent = 0
    const { open } = await h2Gateway(
      httpServer((_request, response) => {
        const chunk = Buffer.alloc(65_536)
        const more = () => {
          while (sent < 100_000_000) {
            sent += chunk.length
            if (!response.write(chunk)) return void response.once('drain', more)
          }
          response.end()
        }
        more()
      }),
    )
    const stream = open().request({ ':authority': 'shop.example' })
    await once(stream, 'response')
    stream.pause()
    let last = -1
    await waitFor(async () => {
      last = sent
      await new Promise((resolve) => setTimeout(resolve, 300))
      return sent === last
    })
    expect(sent).toBeLessThan(40_000_000)
    let size = 0
    for await (const chunk of stream) size += (chunk as Buffer).length
    expect(size).toBe(sent)
  })

  test('a stream that the client cancels ends the request to the service; the others go on', async () => {
    const { server, gateway, open } = await h2Gateway(
      httpServer((request, response) => {
        if (request.url === '/hang') response.write('first')
        else response.end('fine')
      }),
    )
    const session = open()
    const stream = session.request({ ':path': '/hang', ':authority': 'shop.example' })
    stream.on('error', () => {})
    await once(stream, 'data')
    stream.close(constants.NGHTTP2_CANCEL)
    expect(await gateway.record()).toMatchObject({ status: 499, outcome: 'client_gone' })
    await waitFor(() => server.sockets.size === 0)
    expect((await send(session)).body).toBe('fine')
  })

  test('a service that breaks off resets the stream', async () => {
    const { gateway, open } = await h2Gateway(
      httpServer((_request, response) => {
        response.write('half')
        setTimeout(() => response.destroy(), 50)
      }),
    )
    const stream = open().request({ ':authority': 'shop.example' })
    await expect(read(stream)).rejects.toThrow(/NGHTTP2_INTERNAL_ERROR/)
    expect(await gateway.record()).toMatchObject({ outcome: 'reset' })
  })

  test('refusals: no route, body too large, Expect', async () => {
    const { gateway, open } = await h2Gateway(
      httpServer((request, response) => request.pipe(response)),
      { route: 'maxBody: 10B' },
    )
    const session = open()
    expect((await send(session, { ':path': '/%zz' })).status).toBe(400)
    const declared = await send(session, { ':method': 'POST', 'content-length': 11 }, 'x'.repeat(11))
    expect([declared.status, JSON.parse(declared.body).code]).toEqual([413, 'GW_REQUEST_BODY_TOO_LARGE'])
    const unknown = session.request({ ':method': 'POST', ':authority': 'shop.example' })
    unknown.write('x'.repeat(8))
    unknown.end('x'.repeat(8))
    expect((await read(unknown)).status).toBe(413)
    const expecting = session.request({
      ':method': 'POST',
      ':authority': 'shop.example',
      'content-length': 4,
      expect: '100-continue',
    })
    await once(expecting, 'continue')
    expecting.end('body')
    expect((await read(expecting)).body).toBe('body')
    expect(gateway.records.map(({ status }) => status)).toEqual([400, 413, 413, 200])
  })

  test('CONNECT and unknown methods get answers of the gateway', async () => {
    const { open, gateway } = await h2Gateway(httpServer((_request, response) => response.end('fine')))
    const session = open()
    const tunnel = session.request({ ':method': 'CONNECT', ':authority': 'shop.example:443' })
    const refused = await read(tunnel)
    expect([refused.status, JSON.parse(refused.body).code]).toEqual([405, 'GW_ROUTE_METHOD_REFUSED'])
    const odd = await send(session, { ':method': 'BREW' })
    expect([odd.status, odd.body]).not.toContain('BREW')
    expect(gateway.malformed).toEqual(['GW_ROUTE_METHOD_REFUSED'])
  })

  test('a drain: GOAWAY, running streams finish, no stream is refused', async () => {
    const release: (() => void)[] = []
    const { gateway, open } = await h2Gateway(
      httpServer((_request, response) => void release.push(() => response.end('fine'))),
    )
    const session = open()
    let goaway: number | undefined
    session.on('goaway', (code) => {
      goaway = code
    })
    const running = send(session)
    await waitFor(() => release.length === 1)
    gateway.drain()
    const closed = once(session, 'close')
    await waitFor(() => goaway !== undefined)
    expect(goaway).toBe(constants.NGHTTP2_NO_ERROR)
    release[0]?.()
    expect((await running).body).toBe('fine')
    await closed
    const late = send(open())
    await waitFor(() => release.length === 2)
    release[1]?.()
    expect((await late).status).toBe(200)
  })

  test('a connection that is opened during a drain is told to go with its first request', async () => {
    const { gateway, open } = await h2Gateway(httpServer((_request, response) => response.end('fine')))
    gateway.drain()
    const session = open()
    const told = once(session, 'goaway')
    expect((await send(session)).body).toBe('fine')
    expect((await told)[0]).toBe(constants.NGHTTP2_NO_ERROR)
  })

  test('an idle connection is closed; a stream that is silent for as long goes on', async () => {
    const release: (() => void)[] = []
    const { open } = await h2Gateway(
      httpServer((_request, response) => void release.push(() => response.end('fine'))),
      { top: 'limits: { keepAliveTimeout: 200ms }' },
    )
    const idle = open()
    const silent = open()
    const answer = send(silent)
    await Promise.all([once(idle, 'close'), once(silent, 'goaway')])
    release[0]?.()
    expect((await answer).body).toBe('fine')
  })

  test('a client that knows only HTTP/1.1 is served on the same port', async () => {
    const { gateway, files } = await h2Gateway(httpServer((request, response) => response.end(request.url)))
    const outgoing = httpsRequest(`${gateway.url}/x`, { ca: files.ca, servername: 'shop.example' })
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    let body = ''
    for await (const chunk of response) body += String(chunk)
    expect([response.statusCode, response.httpVersion, body]).toEqual([200, '1.1', '/x'])
    expect(await gateway.record()).toMatchObject({ httpVersion: '1.1', scheme: 'https' })
  })
})
