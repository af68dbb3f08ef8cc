import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { httpServer, rawServer } from '../support/scripted-server.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()

/** A WebSocket service that echoes; `refuse` may answer the upgrade itself. */
async function echoService(
  options: {
    perMessageDeflate?: boolean
    refuse?: (request: IncomingMessage, socket: Socket) => boolean
  } = {},
) {
  const requests: IncomingMessage[] = []
  const wss = new WebSocketServer({
    noServer: true,
    perMessageDeflate: options.perMessageDeflate ?? false,
    handleProtocols: (offered) => (offered.has('v2') ? 'v2' : false),
  })
  wss.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const server = createServer((_request, response) => response.end('plain'))
  server.on('upgrade', (request, socket, head) => {
    requests.push(request)
    if (options.refuse?.(request, socket as Socket) === true) return
    wss.handleUpgrade(request, socket, head, (one) => wss.emit('connection', one, request))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    for (const one of wss.clients) one.terminate()
    server.closeAllConnections()
    server.close()
  })
  return { wss, requests, port: (server.address() as AddressInfo).port }
}

function open(url: string, protocols: string[] = [], options: object = {}): WebSocket {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), protocols, options)
  later(() => socket.terminate())
  socket.on('error', () => {})
  return socket
}

async function echoed(socket: WebSocket, text: string): Promise<string> {
  socket.send(text)
  const [data] = await once(socket, 'message')
  return String(data)
}

/** What `ws` says of a refused upgrade: status and body. */
async function refusal(
  socket: WebSocket,
): Promise<{ status: number | undefined; body: string; headers: object }> {
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return { status: response.statusCode, body, headers: response.headers }
}

const UPGRADE = (to: string, fields = '', path = '/') =>
  `GET ${path} HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: ${to}\r\n${fields}\r\n`

describe('WebSocket', () => {
  test('messages of every size pass both ways', async () => {
    const service = await echoService()
    const gateway = await proxy(oneRoute([service.port]))
    const socket = open(`${gateway.url}/chat?room=1`)
    await once(socket, 'open')
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      expect((await echoed(socket, 'x'.repeat(size))).length).toBe(size)
    }
    expect(service.requests[0]?.url).toBe('/chat?room=1')
    expect(gateway.tunnels.size).toBe(1)
    socket.close(1000, 'bye')
    const [code, reason] = await once(socket, 'close')
    expect([code, String(reason)]).toEqual([1000, 'bye'])
    const record = await gateway.record()
    expect(record).toMatchObject({ status: 101, outcome: 'ok', isUpgrade: true, service: 'shop' })
    expect(record.bytesIn).toBeGreaterThan(1_000_000)
    expect(record.bytesOut).toBeGreaterThan(1_000_000)
    expect([gateway.tunnels.size, gateway.upstreams.stats()[0]?.inFlight]).toEqual([0, 0])
  })

  test('subprotocols, extensions, Authorization, Cookie and Origin reach the service', async () => {
    const service = await echoService({ perMessageDeflate: true })
    const gateway = await proxy(oneRoute([service.port]))
    const socket = open(gateway.url, ['v1', 'v2'], {
      perMessageDeflate: true,
      origin: 'https://page.example',
      headers: { authorization: 'Bearer t', cookie: 'a=b', 'x-forwarded-for': '6.6.6.6' },
    })
    await once(socket, 'open')
    expect(socket.protocol).toBe('v2')
    expect(socket.extensions).toContain('permessage-deflate')
    expect(await echoed(socket, 'squeeze '.repeat(1000))).toHaveLength(8000)
    const { headers } = service.requests[0] as IncomingMessage
    expect([headers.authorization, headers.cookie, headers.origin]).toEqual([
      'Bearer t',
      'a=b',
      'https://page.example',
    ])
    expect(headers['sec-websocket-protocol']).toBe('v1,v2')
    expect([headers['x-forwarded-for'], headers['x-forwarded-proto']]).toEqual(['127.0.0.1', 'http'])
  })

  test('a refusal of the service passes with status, headers and body', async () => {
    const service = await echoService({
      refuse(_request, socket) {
        socket.end(
          'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 7\r\nKeep-Alive: x\r\n\r\nno pass',
        )
        return true
      },
    })
    const gateway = await proxy(oneRoute([service.port]))
    const answer = await refusal(open(gateway.url))
    expect(answer).toMatchObject({
      status: 401,
      body: 'no pass',
      headers: { 'www-authenticate': 'Bearer', connection: 'close' },
    })
    expect(answer.headers).not.toHaveProperty('keep-alive')
    expect(await gateway.record()).toMatchObject({ status: 401, outcome: 'ok', bytesOut: 7 })
    await waitFor(() => gateway.tunnels.size === 0)
  })

  test('a service that refuses in chunks', async () => {
    const service = await echoService({
      refuse(_request, socket) {
        socket.end('HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n')
        return true
      },
    })
    const answer = await refusal(open((await proxy(oneRoute([service.port]))).url))
    expect([answer.status, answer.body]).toEqual([403, 'no!'])
  })

  test('an instance that refuses the connection: another one is asked', async () => {
    const service = await echoService()
    const gateway = await proxy(oneRoute([await freePort(), service.port]))
    const socket = open(gateway.url)
    await once(socket, 'open')
    expect(await echoed(socket, 'hi')).toBe('hi')
    socket.close()
    const { attempts } = await gateway.record()
    expect(attempts.map(({ outcome }) => outcome)).toEqual(['connect_failed', 'ok'])
  })

  test.each([
    ['nobody listens', () => freePort(), 502, 'GW_UPSTREAM_CONNECT'],
    [
      'it resets',
      async () => (await opened(rawServer((socket) => socket.resetAndDestroy()))).port,
      502,
      'GW_UPSTREAM_RESET',
    ],
    ['it is silent', async () => (await opened(rawServer(() => {}))).port, 504, 'GW_UPSTREAM_TIMEOUT'],
  ] as const)('%s: a problem document', async (_name, port, status, code) => {
    const gateway = await proxy(oneRoute([await port()], { service: 'timeouts: { headers: 200ms }' }))
    const answer = await refusal(open(gateway.url))
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([status, code])
    expect(answer.body).not.toContain('127.0.0.1')
    expect((await gateway.record()).code).toBe(code)
    expect(gateway.upstreams.stats()[0]?.inFlight).toBe(0)
  })

  test('a tunnel in which nothing moves is ended', async () => {
    const service = await echoService()
    const gateway = await proxy(oneRoute([service.port], { route: 'timeouts: { idle: 300ms }' }))
    const socket = open(gateway.url)
    await once(socket, 'open')
    for (let i = 0; i < 4; i++) expect(await echoed(socket, 'hi')).toBe('hi')
    await once(socket, 'close')
    expect(await gateway.record()).toMatchObject({ outcome: 'idle_timeout' })
    await waitFor(() => service.wss.clients.size === 0)
  })

  test('when the gateway goes away, clients are told 1001', async () => {
    const service = await echoService()
    const gateway = await proxy(oneRoute([service.port]))
    const socket = open(gateway.url)
    await once(socket, 'open')
    expect(await echoed(socket, 'hi')).toBe('hi')
    gateway.tunnels.goAway()
    const [code] = await once(socket, 'close')
    expect(code).toBe(1001)
    await waitFor(() => service.wss.clients.size === 0)
    await waitFor(() => gateway.tunnels.size === 0)
  })

  test('the farewell waits for the end of a frame', async () => {
    let service: Socket | undefined
    const server = await opened(
      rawServer((socket) => {
        service = socket
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
        socket.write(Buffer.from([0x82, 4, 1, 2]))
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send(UPGRADE('websocket'))
    await waitFor(() => client.text().endsWith('\x82\x04\x01\x02'))
    gateway.tunnels.goAway()
    service?.write(Buffer.from([3, 4]))
    expect(await client.closed()).toMatch(/\x82\x04\x01\x02\x03\x04\x88\x02\x03\xe9$/)
    client.socket.destroy()
  })

  test('a WebSocket that is accepted after the farewell is told 1001, too', async () => {
    let accept: (() => void) | undefined
    const server = await opened(
      rawServer((socket) => {
        accept = () =>
          socket.write(
            'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
          )
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send(UPGRADE('websocket'))
    await waitFor(() => accept !== undefined)
    gateway.tunnels.goAway()
    accept?.()
    expect(await client.closed()).toMatch(/\x88\x02\x03\xe9$/)
    client.socket.destroy()
  })

  test('a refusal that is on its way when the gateway goes away arrives whole', async () => {
    let service: Socket | undefined
    const server = await opened(
      rawServer((socket) => {
        service = socket
        socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nfirst')
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send(UPGRADE('websocket'))
    await waitFor(() => client.text().endsWith('first'))
    gateway.tunnels.goAway()
    service?.write(' last')
    expect(await client.closed()).toMatch(/first last$/)
    client.socket.destroy()
  })

  test('a service that crashes closes its clients', async () => {
    const service = await echoService()
    const gateway = await proxy(oneRoute([service.port]))
    const socket = open(gateway.url)
    await once(socket, 'open')
    for (const one of service.wss.clients) one.terminate()
    const [code] = await once(socket, 'close')
    expect(code).toBe(1006)
    await gateway.record()
    expect(gateway.tunnels.size).toBe(0)
  })

  test('a client that vanishes closes its side of the service', async () => {
    const service = await echoService()
    const gateway = await proxy(oneRoute([service.port]))
    const socket = open(gateway.url)
    await once(socket, 'open')
    socket.terminate()
    await waitFor(() => service.wss.clients.size === 0)
    expect((await gateway.record()).status).toBe(101)
  })

  test('a slow reader holds the service back', async () => {
    const service = await echoService()
    const gateway = await proxy(oneRoute([service.port]))
    const socket = open(gateway.url)
    await once(socket, 'open')
    socket.pause()
    const [peer] = service.wss.clients
    for (let i = 0; i < 500; i++) peer?.send(Buffer.alloc(100_000))
    let before = -1
    await waitFor(async () => {
      before = peer?.bufferedAmount ?? 0
      await new Promise((resolve) => setTimeout(resolve, 200))
      return before === peer?.bufferedAmount
    })
    expect(before).toBeGreaterThan(20_000_000)
    let received = 0
    socket.on('message', (data: Buffer) => {
      received += data.length
    })
    socket.resume()
    await waitFor(() => received === 50_000_000, { timeoutMs: 20_000 })
  })

  test('over TLS on both sides', async () => {
    const files = await opened(tlsFiles('shop.example'))
    const service = await echoService()
    const gateway = await proxy({ yaml: oneRoute([service.port]), tls: { pairs: [files] } })
    const socket = open(gateway.url, [], { ca: files.ca, servername: 'shop.example' })
    await once(socket, 'open')
    expect(await echoed(socket, 'hi')).toBe('hi')
    expect(service.requests[0]?.headers['x-forwarded-proto']).toBe('https')
  })
})

describe('other upgrades', () => {
  test('any protocol passes, bytes unchanged in both directions, also those sent at once', async () => {
    const server = await opened(
      rawServer((socket, _request, count) => {
        if (count > 1) return
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nhello')
        socket.removeAllListeners('data').on('data', (chunk) => socket.write(chunk))
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send(UPGRADE('foo'))
    await waitFor(() => client.text().endsWith('\r\n\r\nhello'))
    expect(client.text()).toMatch(/^HTTP\/1.1 101 Switching Protocols\r\n[\s\S]*Upgrade: foo/)
    client.send('\x00\x01bytes')
    await waitFor(() => client.text().endsWith('hello\x00\x01bytes'))
    client.socket.end()
    await waitFor(() => server.sockets.size === 0)
    expect(await gateway.record()).toMatchObject({ status: 101, bytesOut: 12, bytesIn: 7 })
  })

  test('no route: 404 before anybody is asked', async () => {
    const service = await echoService()
    const yaml = oneRoute([service.port]).replace('pathPrefix: /', 'pathPrefix: /ws')
    const gateway = await proxy(yaml)
    const answer = await refusal(open(`${gateway.url}/other`))
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([404, 'GW_ROUTE_NOT_FOUND'])
    expect(service.requests).toHaveLength(0)
  })

  test('filters decide before anybody is asked', async () => {
    const service = await echoService()
    const gateway = await proxy(
      oneRoute([service.port], { route: 'filters: [{ type: ip-deny, networks: [127.0.0.0/8] }]' }),
    )
    expect((await refusal(open(gateway.url))).status).toBe(403)
    expect(await gateway.record()).toMatchObject({ status: 403, outcome: 'filter_refused', isUpgrade: true })
    expect(service.requests).toHaveLength(0)
  })

  test('an upgrade with a body is refused', async () => {
    const service = await echoService()
    const gateway = await proxy(oneRoute([service.port]))
    const answer = await rawExchange(gateway.port, `${UPGRADE('websocket', 'Content-Length: 5\r\n')}hello`)
    expect(answer.status).toBe(400)
    expect(service.requests).toHaveLength(0)
  })

  test('Upgrade without Connection is an ordinary request', async () => {
    const server = await opened(
      httpServer((request, response) => response.end(request.headers.upgrade ?? 'plain')),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const answer = await rawExchange(
      gateway.port,
      'GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n',
    )
    expect(answer).toMatchObject({ status: 200, body: 'plain' })
  })
})
