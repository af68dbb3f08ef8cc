import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawExchange } from '../support/raw.ts'
import { rawServer } from '../support/scripted-server.ts'

const { opened, proxy } = useCleanups()

/** A service that keeps each request as it stood on the wire, and answers with `fields`. */
async function listener(fields = '', own: Parameters<typeof oneRoute>[1] = {}) {
  const seen: string[] = []
  const server = await opened(
    rawServer((socket, request) => {
      seen.push(request)
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${fields}\r\n`)
    }),
  )
  const gateway = await proxy(oneRoute([server.port], own))
  return {
    gateway,
    port: server.port,
    /** Sends a request with these fields; the fields that arrived, by lower-case name. */
    async send(sent: string, host = 'a.example') {
      const answer = await rawExchange(gateway.port, `GET /x HTTP/1.1\r\nHost: ${host}\r\n${sent}\r\n`)
      const [, ...lines] = (seen.at(-1) as string).split('\r\n')
      const arrived = new Map<string, string[]>()
      for (const line of lines) {
        const colon = line.indexOf(':')
        const name = line.slice(0, colon).toLowerCase()
        arrived.set(name, [...(arrived.get(name) ?? []), line.slice(colon + 1).trim()])
      }
      return { answer, lines, get: (name: string) => arrived.get(name)?.join(' | ') }
    },
  }
}

describe('requests', () => {
  test('end-to-end fields pass with case, order and duplicates', async () => {
    const { send } = await listener()
    const { lines } = await send(
      'X-One: 1\r\nCookie: a=b; c=d\r\nx-TWO: a\r\nX-Two: b\r\nAuthorization: Basic eA==\r\n',
    )
    expect(lines.slice(lines.indexOf('X-One: 1')).slice(0, 5)).toEqual([
      'X-One: 1',
      'Cookie: a=b; c=d',
      'x-TWO: a',
      'X-Two: b',
      'Authorization: Basic eA==',
    ])
  })

  test('hop-by-hop fields and those that Connection names end here', async () => {
    const { send } = await listener()
    const { get } = await send(
      'Connection: x-secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers, deflate\r\n' +
        'Proxy-Authorization: Basic eA==\r\nProxy-Connection: close\r\nTrailer: x\r\nX-Kept: 1\r\n',
    )
    for (const name of ['x-secret', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'trailer']) {
      expect([name, get(name)]).toEqual([name, undefined])
    }
    expect([get('te'), get('x-kept'), get('connection')]).toEqual(['trailers', '1', 'keep-alive'])
  })

  test.each([
    ['preserve', 'a.example:8080'],
    ['upstream', undefined],
    ['inner.example', 'inner.example'],
  ])('Host: %s', async (mode, expected) => {
    const { send, port } = await listener('', { route: `host: ${mode}` })
    const { get } = await send('', 'A.example:8080')
    expect(get('host')).toBe(expected ?? `127.0.0.1:${port}`)
    expect(get('x-forwarded-host')).toBe('a.example:8080')
  })

  test('a stranger’s forwarding fields are replaced', async () => {
    const { send, gateway } = await listener()
    const { get } = await send(
      'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n' +
        'X-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n',
    )
    expect([get('x-forwarded-for'), get('x-forwarded-proto'), get('x-forwarded-host')]).toEqual([
      '127.0.0.1',
      'http',
      'a.example',
    ])
    expect([get('x-forwarded-port'), get('x-real-ip'), get('forwarded')]).toEqual([
      String(gateway.port),
      '127.0.0.1',
      'for=127.0.0.1;host=a.example;proto=http',
    ])
    expect((await gateway.record()).clientIp).toBe('127.0.0.1')
  })

  test('a trusted peer’s forwarding fields are continued', async () => {
    const { send, gateway } = await listener('', { top: 'trustedProxies: [127.0.0.0/8]' })
    const { get } = await send(
      'X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n',
    )
    expect([get('x-forwarded-for'), get('x-forwarded-proto'), get('x-forwarded-host')]).toEqual([
      '6.6.6.6, 203.0.113.9, 127.0.0.1',
      'https',
      'shop.example',
    ])
    expect([get('x-real-ip'), get('forwarded')]).toEqual([
      '203.0.113.9',
      'for=127.0.0.1;host=a.example;proto=https',
    ])
    expect(await gateway.record()).toMatchObject({ clientIp: '203.0.113.9', scheme: 'https' })
  })

  test('a trace is begun, and continued only for a trusted peer', async () => {
    const sent = `traceparent: 00-${'a'.repeat(32)}-${'b'.repeat(16)}-01\r\nX-Request-Id: mine\r\n`
    const stranger = await listener()
    const first = await stranger.send(sent)
    expect(first.get('traceparent')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    expect(first.get('traceparent')).not.toContain('a'.repeat(32))
    expect((await stranger.gateway.record()).requestId).not.toBe('mine')
    const trusted = await listener('', { top: 'trustedProxies: [127.0.0.1]' })
    const second = await trusted.send(sent)
    expect(second.get('traceparent')).toContain('a'.repeat(32))
    expect(await trusted.gateway.record()).toMatchObject({ requestId: 'mine', traceId: 'a'.repeat(32) })
  })

  test('a route edits what goes in and what comes out', async () => {
    const { send } = await listener('X-Powered-By: x\r\nX-Old: y\r\n', {
      route: `requestHeaders: { remove: [x-a], set: { x-b: gateway }, add: { x-c: "2" } }
responseHeaders: { remove: [x-powered-by], set: { x-old: new } }`,
    })
    const { get, answer } = await send('X-A: 1\r\nX-B: 1\r\nX-C: 1\r\n')
    expect([get('x-a'), get('x-b'), get('x-c')]).toEqual([undefined, 'gateway', '1 | 2'])
    expect([answer.headers['x-powered-by'], answer.headers['x-old']]).toEqual([undefined, 'new'])
  })

  test('each try says which one it is; a stranger cannot', async () => {
    const { send } = await listener()
    expect((await send('X-Sluice-Attempt: 7\r\n')).get('x-sluice-attempt')).toBe('1')
  })
})

describe('answers', () => {
  test('hop-by-hop fields end here; the client’s connection lives on', async () => {
    const { gateway } = await listener(
      'Connection: close, X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=1\r\nProxy-Authenticate: x\r\nX-Kept: 1\r\n',
    )
    const outgoing = httpRequest(gateway.url, { headers: { connection: 'keep-alive' } })
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    response.resume()
    const { headers } = response
    expect([headers['x-inner'], headers['proxy-authenticate'], headers['x-kept']]).toEqual([
      undefined,
      undefined,
      '1',
    ])
    expect(headers.connection).toBe('keep-alive')
    expect(headers['keep-alive']).not.toBe('timeout=1')
    outgoing.destroy()
  })

  test('several Set-Cookie stay several', async () => {
    const { gateway } = await listener('Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n')
    expect((await fetch(gateway.url)).headers.getSetCookie()).toEqual(['a=1; Path=/', 'b=2'])
  })

  test('a drain closes connections after their answers, and still serves', async () => {
    const { gateway } = await listener()
    gateway.drain()
    const answer = await rawExchange(gateway.port, 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    expect([answer.status, answer.headers['connection']]).toEqual([200, 'close'])
  })
})
