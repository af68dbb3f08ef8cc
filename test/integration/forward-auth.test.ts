import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { rawExchange } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'
import { wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()

type Answer = (request: IncomingMessage, response: ServerResponse) => void

async function setUp(filter = '', path = '/verify?x=1') {
  const asked: IncomingMessage[] = []
  const service = { answer: ((_, response) => response.end()) as Answer }
  const auth = await opened(
    httpServer((request, response) => {
      asked.push(request)
      service.answer(request, response)
    }),
  )
  const tap = await opened(wireTap())
  const upstreams = `upstreams: ["http://127.0.0.1:${tap.port}"]`
  const counted: string[] = []
  const gateway = await proxy({
    yaml: `
routes:
  - name: guarded
    match: { pathPrefix: / }
    filters: [{ type: forward-auth, url: "http://127.0.0.1:${auth.port}${path}"${filter} }]
    ${upstreams}
  - name: open
    match: { pathPrefix: /open }
    ${upstreams}
`,
    environment: {
      metrics: { count: (_, labels) => void counted.push(labels.join(' ')), set: () => {} },
    },
  })
  async function send(lines = '', target = '/') {
    tap.forget()
    const bytes = `GET ${target} HTTP/1.1\r\nHost: Shop.Example:8080\r\n${lines}\r\n`
    return { ...(await rawExchange(gateway.port, bytes)), seen: tap.seen() }
  }
  return { auth, asked, service, send, gateway, counted }
}

test('the service is told what is asked, by whom, and gets the named headers only', async () => {
  const { send, asked, counted } = await setUp(', requestHeaders: [authorization, x-tenant]')
  const { status, seen } = await send(
    'Authorization: Bearer t\r\nX-Tenant: a\r\nX-Other: b\r\nX-Forwarded-Uri: /evil\r\nX-Forwarded-For: 6.6.6.6\r\n',
    '/a/../b?q=%41',
  )
  expect(status).toBe(200)
  expect(asked).toHaveLength(1)
  expect(asked[0]).toMatchObject({ method: 'GET', url: '/verify?x=1' })
  expect(asked[0]?.headers).toMatchObject({
    authorization: 'Bearer t',
    'x-tenant': 'a',
    'x-forwarded-method': 'GET',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': 'shop.example:8080',
    'x-forwarded-uri': '/b?q=%41',
    'x-forwarded-for': '127.0.0.1',
  })
  expect(asked[0]?.headers).not.toHaveProperty('x-other')
  expect(seen).toContain('Authorization: Bearer t')
  expect(counted).toEqual(['forward-auth anonymous'])
})

test('its headers go to the service behind, a client’s own copies never', async () => {
  const { send, service, gateway, counted } = await setUp(
    ', passHeaders: [x-user, x-roles, authorization], principal: { id: x-user, roles: x-roles }',
  )
  service.answer = (_, response) =>
    response
      .setHeader('x-user', 'alice')
      .setHeader('x-roles', 'a, b')
      .setHeader('x-else', 'no')
      .end('ignored')
  const spoofed = 'X-User: root\r\nx_user: root\r\nX-Roles: root\r\nAuthorization: Bearer root\r\n'
  const guarded = await send(spoofed)
  expect(guarded.seen).toContain('x-user: alice')
  expect(guarded.seen).toContain('x-roles: a, b')
  expect(guarded.seen).not.toMatch(/root|x-else|ignored/)
  expect((await gateway.record()).principal).toEqual({ id: 'alice', kind: 'forward-auth' })
  expect(counted).toEqual(['forward-auth ok'])
  const open = await send(spoofed, '/open/')
  expect(open.seen).toContain('Authorization: Bearer root')
  expect(open.seen.toLowerCase()).not.toMatch(/x.user|x.roles/)
})

describe('a refusal', () => {
  test('goes to the client with its body and the named headers', async () => {
    const { send, service, gateway, counted } = await setUp()
    service.answer = (_, response) => {
      response.writeHead(401, {
        'www-authenticate': 'Basic realm="x"',
        'set-cookie': ['a=1', 'b=2'],
        'content-type': 'text/plain',
        'x-secret': 'internal',
      })
      response.end('who are you')
    }
    const { status, headers, body, seen } = await send()
    expect([status, body, seen]).toEqual([401, 'who are you', ''])
    expect(headers).toMatchObject({ 'www-authenticate': 'Basic realm="x"', 'set-cookie': 'a=1, b=2' })
    expect(headers).not.toHaveProperty('x-secret')
    expect(await gateway.record()).toMatchObject({ code: 'GW_AUTH_FORWARD', refusedBy: 'forward-auth' })
    expect(counted).toEqual(['forward-auth refused'])
  })

  test('a redirect is passed on, not followed', async () => {
    const { send, service, asked } = await setUp()
    service.answer = (_, response) => response.writeHead(302, { location: 'https://id/login' }).end()
    const { status, headers } = await send()
    expect([status, headers['location'], asked.length]).toEqual([302, 'https://id/login', 1])
  })
})

describe('a failure', () => {
  const failures: [string, Answer][] = [
    ['an error', (_, response) => void response.writeHead(500).end()],
    ['not found', (_, response) => void response.writeHead(404).end()],
    ['not modified', (_, response) => void response.writeHead(304).end()],
    ['too many', (_, response) => void response.writeHead(429).end()],
    ['silence', () => {}],
    ['half an answer', (_, response) => void response.writeHead(200, { 'content-length': 9 }).write('a')],
    ['a reset', (request) => void request.socket.destroy()],
    ['too much', (_, response) => void response.end('x'.repeat(70_000))],
  ]
  test.each(failures)('%s: 503, nothing of it reaches the client', async (_, answer) => {
    const { send, service, gateway, counted } = await setUp(', timeout: 200ms')
    service.answer = answer
    const { status, headers, body, seen } = await send()
    expect([status, seen, headers['retry-after']]).toEqual([503, '', '2'])
    expect(JSON.parse(body)).toMatchObject({ code: 'GW_AUTH_UNAVAILABLE' })
    expect(counted).toEqual(['forward-auth unavailable'])
    expect(gateway.warnings.join()).toContain('cannot be asked')
  })

  test('with onFailure open not even a client’s own Authorization stands in for what the service would have set', async () => {
    const { send, service } = await setUp(', onFailure: open, passHeaders: [authorization]')
    service.answer = (_, response) => response.writeHead(500).end()
    const { status, seen } = await send('Authorization: Bearer root\r\n')
    expect(status).toBe(200)
    expect(seen).not.toContain('root')
  })

  test('a service that is gone: 503', async () => {
    const { send, auth } = await setUp()
    await auth.close()
    expect((await send()).status).toBe(503)
  })

  test.each(failures)(
    'with onFailure open %s lets pass, without the headers it might have set',
    async (_, answer) => {
      const { send, service } = await setUp(', timeout: 200ms, onFailure: open, passHeaders: [x-user]')
      service.answer = answer
      const { status, seen } = await send('X-User: root\r\n')
      expect(status).toBe(200)
      expect(seen).not.toContain('root')
    },
  )

  test('questions beyond the limit are failures', async () => {
    const { send, service } = await setUp(', maxInFlight: 1, timeout: 5s')
    let release = () => {}
    const isAsked = new Promise<void>((resolve) => {
      service.answer = (_, response) => {
        release = () => void response.end()
        resolve()
      }
    })
    const first = send()
    await isAsked
    expect((await send()).status).toBe(503)
    release()
    expect((await first).status).toBe(200)
  })
})

describe('a cache', () => {
  const CACHE = ', cache: { ttl: 1m }, passHeaders: [x-user]'

  test('asks once for what is alike, again for what is not', async () => {
    const { send, service, asked } = await setUp(CACHE)
    service.answer = (request, response) =>
      response.setHeader('x-user', `u:${request.headers.authorization}`).end()
    for (let i = 0; i < 3; i++)
      expect((await send('Authorization: a\r\n', '/x?1')).seen).toContain('x-user: u:a')
    expect(asked).toHaveLength(1)
    await send('Authorization: b\r\n', '/x?1')
    await send('Authorization: a\r\n', '/x?2')
    await send('Authorization: a\r\nCookie: c=1\r\n', '/x?1')
    await send('Authorization: a\r\nAuthorization: a\r\n', '/x?1')
    expect(asked).toHaveLength(5)
  })

  test('never for strangers, never for refusals', async () => {
    const { send, service, asked } = await setUp(CACHE)
    await send()
    await send()
    expect(asked).toHaveLength(2)
    service.answer = (_, response) => response.writeHead(403).end()
    expect((await send('Authorization: a\r\n')).status).toBe(403)
    service.answer = (_, response) => response.end()
    expect((await send('Authorization: a\r\n')).status).toBe(200)
    expect(asked).toHaveLength(4)
  })

  test('not for longer than it says', async () => {
    const { send, asked } = await setUp(', cache: { ttl: 50ms }')
    await send('Authorization: a\r\n')
    await waitFor(
      async () => {
        await send('Authorization: a\r\n')
        return asked.length === 2
      },
      { what: 'a second question' },
    )
  })
})
