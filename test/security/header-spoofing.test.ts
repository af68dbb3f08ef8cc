import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawExchange } from '../support/raw.ts'
import { wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()

async function setUp(top = '', route = '') {
  const tap = await opened(wireTap())
  const gateway = await proxy(oneRoute([tap.port], { top, route }))
  return {
    gateway,
    tap,
    /** Sends these fields; returns what arrived under a name, each value by itself. */
    async send(fields: string) {
      tap.forget()
      const answer = await rawExchange(gateway.port, `GET / HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`)
      const lines = tap.seen().split('\r\n')
      return {
        status: answer.status,
        get: (name: string) =>
          lines
            .filter((line) => line.toLowerCase().startsWith(`${name}:`))
            .map((line) => line.slice(name.length + 1).trim()),
      }
    },
  }
}

describe('a stranger', () => {
  test.each([
    'X-Forwarded-For',
    'x-forwarded-for',
    'X-Real-IP',
    'Forwarded',
    'X-Client-IP',
    'True-Client-IP',
    'X-Cluster-Client-IP',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'X-Forwarded-Port',
    'X-Forwarded-Prefix',
    'X-Forwarded-Server',
    'X-Original-URL',
    'X-Rewrite-URL',
  ])('cannot pass %s', async (name) => {
    const { send } = await setUp()
    const { get } = await send(`${name}: 6.6.6.6\r\n${name}: for=6.6.6.6\r\n`)
    expect(get(name.toLowerCase()).join()).not.toContain('6.6.6.6')
    expect(get(name.toLowerCase()).length).toBeLessThanOrEqual(1)
  })

  test('cannot get past an address list by a forwarded address', async () => {
    const { send, tap } = await setUp('', 'filters: [{ type: ip-allow, networks: [6.6.6.6] }]')
    const { status } = await send(
      'X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n',
    )
    expect(status).toBe(403)
    expect(tap.seen()).toBe('')
  })

  test('cannot continue a trace, choose a request id or number the tries', async () => {
    const { send, gateway } = await setUp()
    const { get } = await send(
      `Traceparent: 00-${'6'.repeat(32)}-${'6'.repeat(16)}-01\r\nTracestate: evil=1\r\nX-Request-Id: evil\r\nX-Sluice-Attempt: 99\r\n`,
    )
    expect(get('traceparent').join()).not.toContain('6'.repeat(32))
    expect([get('tracestate'), get('x-sluice-attempt')]).toEqual([[], ['1']])
    expect((await gateway.record()).requestId).not.toBe('evil')
  })
})

describe('Connection names what must not be stripped', () => {
  test.each([
    'X-Forwarded-For',
    'X-Real-IP',
    'Forwarded',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'Traceparent',
  ])('what the gateway says in %s arrives all the same', async (name) => {
    const { send } = await setUp()
    const { get } = await send(`Connection: close, ${name}\r\n`)
    expect(get(name.toLowerCase())).toHaveLength(1)
  })

  test.each(['Authorization', 'Cookie', 'Content-Type', 'Cache-Control'])('%s arrives', async (name) => {
    const { send } = await setUp()
    const { get } = await send(`Connection: ${name}\r\n${name}: v\r\n`)
    expect(get(name.toLowerCase())).toEqual(['v'])
  })

  test('Host stays, and so does the framing', async () => {
    const { gateway, tap } = await setUp()
    await rawExchange(
      gateway.port,
      'POST / HTTP/1.1\r\nHost: a.example\r\nConnection: host, content-length\r\nContent-Length: 5\r\n\r\nhello',
    )
    expect(tap.seen()).toMatch(/host: a\.example\r\n/i)
    expect(tap.seen()).toMatch(/content-length: 5\r\n/i)
  })

  test('a route’s own header survives', async () => {
    const { send } = await setUp('', 'requestHeaders: { set: { x-tenant: gateway } }')
    const { get } = await send('Connection: x-tenant\r\nX-Tenant: evil\r\n')
    expect(get('x-tenant')).toEqual(['gateway'])
  })
})

describe('behind a trusted proxy', () => {
  const TRUST = 'trustedProxies: [127.0.0.0/8, 10.0.0.0/8]'

  test.each([
    ['a stranger’s own entry on the left', 'X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n', '203.0.113.9'],
    ['several fields', 'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\n', '203.0.113.9'],
    ['a trusted hop on the right', 'X-Forwarded-For: 203.0.113.9, 10.0.0.1\r\n', '203.0.113.9'],
    ['nonsense in the chain', 'X-Forwarded-For: 203.0.113.9, evil\r\n', '127.0.0.1'],
    ['an empty entry', 'X-Forwarded-For: 203.0.113.9,\r\n', '127.0.0.1'],
    ['Forwarded', 'Forwarded: for=6.6.6.6, for="203.0.113.9:99"\r\n', '203.0.113.9'],
    [
      'both: the one that proxies write',
      'X-Forwarded-For: 203.0.113.9\r\nForwarded: for=6.6.6.6\r\n',
      '203.0.113.9',
    ],
  ])('%s', async (_name, fields, expected) => {
    const { send, gateway } = await setUp(TRUST)
    const { get } = await send(fields)
    expect((await gateway.record()).clientIp).toBe(expected)
    expect(get('x-real-ip')).toEqual([expected])
  })

  test('a request id that could break a log line is not taken over', async () => {
    const { send, gateway } = await setUp(TRUST)
    await send('X-Request-Id: a" b\r\n')
    await send(`X-Request-Id: ${'a'.repeat(200)}\r\n`)
    await gateway.record(1)
    for (const { requestId } of gateway.records) expect(requestId).toMatch(/^[0-9a-f]{32}$/)
  })
})
