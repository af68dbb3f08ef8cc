import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { AuditEntry } from '../../src/core/audit-view.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { httpServer, type Scripted } from '../support/scripted-server.ts'
import { type TlsFiles, tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const TOKEN = 'may-write-everything'
const READ = 'may-only-look-at-it'
const asWriter = { authorization: `Bearer ${TOKEN}` }
const asReader = { authorization: `Bearer ${READ}` }

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

let gateway: GatewayProcess
let tool: Scripted
let tls: TlsFiles
let secure: Server
let seen: Seen[] = []
/** Requests whose client left. */
let left = 0

function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
  const { url = '', method = '', headers } = request
  seen.push({ method, url, headers, body })
  const [path = ''] = url.split('?')
  if (path === '/busy') response.writeHead(503, { 'retry-after': '1' }).end('x'.repeat(200_000))
  else if (path === '/moved') response.writeHead(302, { location: '/ui/start' }).end()
  else if (path === '/silent') request.socket.on('close', () => left++)
  else if (path === '/page')
    response.writeHead(200, { 'content-type': 'text/html' }).end('<head><a href="/ui/x">')
  else if (path === '/reset') request.socket.destroy()
  else {
    response.writeHead(200, {
      'content-type': 'application/json',
      'set-cookie': ['own=1; Path=/; Domain=example.com; HttpOnly', 'other=2'],
      'access-control-allow-origin': '*',
      'strict-transport-security': 'max-age=1',
      'clear-site-data': '"*"',
      'content-security-policy': "script-src 'self'",
      'cache-control': 'public, max-age=60',
      'www-authenticate': 'Basic',
      'keep-alive': 'timeout=1',
    })
    response.end('{}')
  }
}

beforeAll(async () => {
  tool = await httpServer((incoming, response) => {
    void text(incoming).then(
      (body) => answer(incoming, response, body),
      () => {},
    )
  })
  tls = await tlsFiles('localhost')
  secure = createTlsServer({ cert: tls.ca, key: tls.keyText }, (_request, response) => response.end('secure'))
  secure.listen(0, '127.0.0.1')
  await once(secure, 'listening')
  const { port: securePort } = secure.address() as AddressInfo
  const gone = await freePort()
  gateway = await startGateway({
    env: { SLUICE_ADMIN_TOKEN: TOKEN, SLUICE_ADMIN_READ_TOKEN: READ },
    prepare: (folder) => {
      const file = join(folder, 'sluice.yaml')
      const own = `admin: { tools: {
  plain: { url: "http://127.0.0.1:${tool.port}/", title: A tool, cookies: [own], questions: [/ask], headers: { X-Consul-Token: t-1 } },
  deep: { url: "http://127.0.0.1:${tool.port}/base/path/" },
  led: { url: "http://127.0.0.1:${tool.port}", paths: [/ui/] },
  slow: { url: "http://127.0.0.1:${tool.port}", timeout: 300ms },
  trusted: { url: "https://localhost:${securePort}", ca: "${tls.cert}" },
  unknown: { url: "https://localhost:${securePort}" },
  gone: { url: "http://127.0.0.1:${gone}" } },`
      writeFileSync(file, readFileSync(file, 'utf8').replace('admin: {', own))
    },
  })
})
afterAll(async () => {
  await gateway?.stop()
  await tool?.close()
  secure?.close()
  await tls?.close()
})
beforeEach(() => {
  seen = []
})

const ask = (path: string, init: RequestInit = {}) =>
  fetch(gateway.adminUrl + path, { redirect: 'manual', ...init, headers: { ...asWriter, ...init.headers } })

test('tools are listed, and nobody gets to them without a token', async () => {
  const { tools } = (await (await ask('/api/tools')).json()) as { tools: object[] }
  expect(tools[0]).toEqual({ name: 'plain', title: 'A tool', path: '/tools/plain/' })
  expect(tools[1]).toEqual({ name: 'deep', title: 'deep', path: '/tools/deep/' })
  for (const path of ['/tools/plain/x', '/tools/plain', '/tools/led/-/lead.js', '/tools/%70lain/x']) {
    const refused = await ask(path, { headers: { authorization: '' } })
    expect([path, refused.status]).toEqual([path, 401])
  }
  const link = await ask('/tools/plain/', { headers: { authorization: '', accept: 'text/html,*/*' } })
  expect([link.status, await link.text()]).toEqual([401, expect.stringContaining('<a href="/">')])
  expect(seen).toEqual([])
})

test('a tool hears nothing of who is signed in here, and who really asks', async () => {
  await ask('/tools/plain/v1/x?a=1&a=2', {
    headers: {
      cookie: 'own=1; sluice_session_1=secret; foreign=2',
      origin: gateway.adminUrl,
      referer: `${gateway.adminUrl}/tools/plain/`,
      'x-forwarded-for': '6.6.6.6',
      'x-forwarded-user': 'root',
      forwarded: 'for=6.6.6.6',
      'x-consul-token': 'of-the-client',
    },
  })
  const [{ url, headers } = {} as Seen] = seen
  expect(url).toBe('/v1/x?a=1&a=2')
  expect(headers).toMatchObject({
    host: `127.0.0.1:${tool.port}`,
    cookie: 'own=1',
    'x-consul-token': 't-1',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-prefix': '/tools/plain',
  })
  for (const name of ['authorization', 'origin', 'referer', 'forwarded', 'x-forwarded-user']) {
    expect(headers).not.toHaveProperty(name)
  }
})

test('an answer of a tool cannot act on the whole host', async () => {
  const { headers } = await ask('/tools/plain/any')
  for (const name of [
    'access-control-allow-origin',
    'strict-transport-security',
    'clear-site-data',
    'www-authenticate',
  ]) {
    expect([name, headers.get(name)]).toEqual([name, null])
  }
  expect(headers.getSetCookie()).toEqual(['own=1; HttpOnly; Path=/tools/plain/'])
  expect(headers.get('cache-control')).toBe('private, max-age=60')
  const policy = headers.get('content-security-policy')
  expect(policy).toContain("script-src 'self', connect-src 127.0.0.1:")
  expect(policy).toContain('sandbox allow-scripts')
})

test('nothing below a tool, whatever it is, may be framed by its pages without a policy', async () => {
  const paths = [
    '/tools/plain',
    '/tools/led/-/lead.js',
    '/tools/gone/',
    '/tools/plain/%zz',
    '/tools/nothing/',
    '/metrics',
  ]
  for (const path of paths) {
    const { headers } = await ask(path)
    expect([path, headers.get('content-security-policy')]).toEqual([
      path,
      expect.stringContaining("frame-ancestors 'none'"),
    ])
  }
})

test('paths, redirects and pages are at home below the tool', async () => {
  await ask('/tools/deep/x/y?z=1')
  expect(seen[0]?.url).toBe('/base/path/x/y?z=1')
  const bare = await ask('/tools/plain')
  expect([bare.status, bare.headers.get('location')]).toEqual([308, '/tools/plain/'])
  expect((await ask('/tools/led/moved')).headers.get('location')).toBe('/tools/led/ui/start')
  expect(await (await ask('/tools/led/page')).text()).toBe(
    '<head><script src="/tools/led/-/lead.js"></script><a href="/tools/led/ui/x">',
  )
  expect(await (await ask('/tools/plain/page')).text()).toBe('<head><a href="/ui/x">')
  expect(await (await ask('/tools/led/-/lead.js')).text()).toContain('"/tools/led"')
})

test('nobody gets out of the path of a tool', async () => {
  const paths = [
    '/tools/deep/../../x',
    '/tools/deep/%2e%2e/%2e%2e/x',
    '/tools/deep/..%2f..%2fx',
    '/tools/deep//evil.example/',
  ]
  for (const path of paths) {
    const outgoing = request(gateway.adminUrl, { path, headers: asWriter }).end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    response.resume()
  }
  for (const { url } of seen) expect(url).toMatch(/^\/base\/path\//)
  expect(seen.map(({ headers }) => headers.host)).not.toContain('evil.example')
})

test('a tool that fails is asked once', async () => {
  const busy = await ask('/tools/plain/busy')
  expect([busy.status, (await busy.text()).length]).toEqual([503, 200_000])
  expect(seen).toHaveLength(1)
  const broken = await ask('/tools/plain/reset')
  expect([broken.status, ((await broken.json()) as { code: string }).code]).toEqual([
    502,
    'GW_UPSTREAM_CONNECT',
  ])
  expect(seen).toHaveLength(2)
  expect((await ask('/tools/gone/')).status).toBe(502)
  const late = await ask('/tools/slow/silent')
  expect([late.status, ((await late.json()) as { code: string }).code]).toEqual([504, 'GW_UPSTREAM_TIMEOUT'])
})

test('the certificate of a tool is checked', async () => {
  expect(await (await ask('/tools/trusted/')).text()).toBe('secure')
  const refused = await ask('/tools/unknown/')
  expect([refused.status, await refused.text()]).toEqual([502, expect.not.stringContaining('secure')])
})

test('a client that leaves takes its request along', async () => {
  const before = left
  const abort = new AbortController()
  const asked = ask('/tools/plain/silent', { signal: abort.signal }).catch(() => {})
  await waitFor(() => seen.length === 1)
  abort.abort()
  await asked
  await waitFor(() => left === before + 1)
})

test('a body goes through as it is, also one that waits for 100', async () => {
  const body = JSON.stringify({ text: 'x'.repeat(3_000_000) })
  const stored = await ask('/tools/plain/v1/kv/a', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body,
  })
  expect(stored.status).toBe(200)
  expect(seen[0]?.body === body).toBe(true)
  const outgoing = request(`${gateway.adminUrl}/tools/plain/v1/kv/b`, {
    method: 'PUT',
    headers: { ...asWriter, expect: '100-continue', 'keep-alive': '5', 'content-type': 'text/x-any' },
  })
  outgoing.flushHeaders()
  await once(outgoing, 'continue')
  outgoing.end('by and by')
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  response.resume()
  expect([response.statusCode, seen[1]?.body]).toEqual([200, 'by and by'])
})

test('a reader reads; what changes something needs the other token, and is in the audit', async () => {
  expect((await ask('/tools/plain/x', { headers: asReader })).status).toBe(200)
  for (const method of ['PUT', 'POST', 'DELETE', 'PATCH']) {
    const refused = await ask('/tools/plain/x', { method, headers: asReader })
    expect([method, refused.status]).toEqual([method, 403])
  }
  expect((await ask('/tools/plain/ask?a', { method: 'POST', headers: asReader, body: 'q' })).status).toBe(200)
  expect((await ask('/tools/plain/asked', { method: 'POST', headers: asReader })).status).toBe(403)
  expect((await ask('/tools/plain/v1/kv/a?secret=1', { method: 'DELETE' })).status).toBe(200)
  const { entries } = (await (await ask('/api/audit?limit=3')).json()) as { entries: AuditEntry[] }
  expect(entries).toMatchObject([
    { action: 'DELETE', target: '/tools/plain/v1/kv/a', outcome: 'done' },
    { action: 'POST', target: '/tools/plain/asked', outcome: 'refused' },
    { action: 'PATCH', target: '/tools/plain/x', outcome: 'refused' },
  ])
})

test('a signed-in browser follows links, and changes things only from a page of this gateway', async () => {
  const signedIn = await ask('/api/session', {
    method: 'POST',
    headers: { authorization: '', 'content-type': 'application/json' },
    body: JSON.stringify({ token: TOKEN }),
  })
  const cookie = (signedIn.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  const by = (headers: Record<string, string>, method = 'GET') =>
    ask('/tools/plain/x', { method, headers: { authorization: '', cookie, ...headers } }).then(
      ({ status }) => status,
    )
  expect(await by({ accept: 'text/html' })).toBe(200)
  // Consul's pages send it with each request, even empty.
  expect(await by({ 'x-consul-token': 'of-consul' })).toBe(200)
  expect(await by({ origin: gateway.adminUrl }, 'PUT')).toBe(200)
  expect(await by({}, 'PUT')).toBe(401)
  expect(await by({ origin: 'http://evil.example' }, 'PUT')).toBe(401)
  for (const { headers } of seen) expect(headers.cookie).toBeUndefined()
})
