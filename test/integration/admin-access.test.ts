import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AuditEntry } from '../../src/core/audit-view.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { httpServer, type Scripted } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const TOKEN = 'may-write-everything'
const READ = 'may-only-look-at-it'
const asWriter = { authorization: `Bearer ${TOKEN}` }
const asReader = { authorization: `Bearer ${READ}` }

let gateway: GatewayProcess
let upstream: Scripted
let seenCookies: (string | undefined)[] = []

beforeAll(async () => {
  upstream = await httpServer((request, response) => {
    seenCookies.push(request.headers.cookie)
    response.end('shop')
  })
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    env: { SLUICE_ADMIN_TOKEN: TOKEN, SLUICE_ADMIN_READ_TOKEN: READ },
    routes: {
      'shop.yaml': `routes:
  - { name: shop, match: { pathPrefix: / }, upstreams: ["http://127.0.0.1:${upstream.port}"] }
`,
    },
    prepare: (folder) => {
      const file = join(folder, 'sluice.yaml')
      const yaml = readFileSync(file, 'utf8')
      writeFileSync(file, yaml.replace(/admin: \{/, 'admin: { audit: { file: audit.jsonl },'))
    },
  })
})
afterAll(async () => {
  await gateway?.stop()
  await upstream?.close()
})

const send = (method: string, path: string, headers: Record<string, string>, body?: unknown) =>
  fetch(gateway.adminUrl + path, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })

const codeOf = async (answer: Response) => ((await answer.json()) as { code?: string }).code

const audit = async () =>
  ((await (await send('GET', '/api/audit', asReader)).json()) as { entries: AuditEntry[] }).entries

async function signIn(token: string, by?: string): Promise<{ cookie: string; answer: Response }> {
  const answer = await send('POST', '/api/session', {}, { token, ...(by === undefined ? {} : { by }) })
  return { answer, cookie: (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? '' }
}

test('the read token sees everything and changes nothing', async () => {
  for (const path of ['/api/routes', '/api/audit', '/metrics', '/api/session', '/v1/agent/services']) {
    expect([path, (await send('GET', path, asReader)).status]).toEqual([path, 200])
  }
  for (const path of ['/api/explain', '/api/validate', '/api/preview']) {
    const answer = await send('POST', path, asReader, path === '/api/explain' ? { url: 'http://a/' } : {})
    expect([path, answer.status]).toEqual([path, 200])
  }
  const writes = [
    ['POST', '/api/reload'],
    ['POST', '/api/tables/1/rollback'],
    ['POST', '/api/instances/x/drain'],
    ['POST', '/api/canary/x'],
    ['POST', '/api/mirror/x/reset'],
    ['DELETE', '/api/contracts/x'],
    ['PUT', '/v1/agent/service/register'],
    ['PUT', '/v1/agent/service/deregister/x'],
    ['PUT', '/v1/agent/check/pass/x'],
  ] as const
  for (const [method, path] of writes) {
    const answer = await send(method, path, asReader, {})
    expect([path, answer.status, await codeOf(answer)]).toEqual([path, 403, 'GW_ADMIN_READ_ONLY'])
  }
  expect(await (await send('GET', '/api/session', asReader)).json()).toEqual({
    who: 'read token',
    canWrite: false,
    via: 'token',
    hasSignIn: true,
  })
  expect((await send('GET', '/api/routes', { authorization: `Bearer ${READ}x` })).status).toBe(401)
})

test('a browser signs in with a cookie that no script sees, and out', async () => {
  const { answer, cookie } = await signIn(TOKEN, 'Alice')
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({ who: 'Alice', canWrite: true, via: 'session' })
  const given = answer.headers.get('set-cookie') ?? ''
  expect(given).toMatch(/^sluice_session_\d+=[\w.-]+; Max-Age=28800; Path=\/; HttpOnly; SameSite=Strict$/)
  expect(given).not.toContain(TOKEN)
  expect(await (await send('GET', '/api/session', { cookie })).json()).toMatchObject({ who: 'Alice' })
  const over = await send('DELETE', '/api/session', { cookie, origin: gateway.adminUrl })
  expect(over.status).toBe(204)
  expect(over.headers.get('set-cookie')).toMatch(/^sluice_session_\d+=; Max-Age=0;/)
})

test('what is no token, and a session that was touched, are refused', async () => {
  const wrong = await signIn(`${TOKEN}x`)
  expect([wrong.answer.status, wrong.cookie]).toEqual([401, ''])
  const { cookie } = await signIn(READ)
  expect((await send('GET', '/api/routes', { cookie })).status).toBe(200)
  const touched = [
    cookie.replace('=r.', '=w.'),
    cookie.replace(/\.(\d+)\./, (_, at: string) => `.${Number(at) + 1000}.`),
    cookie.slice(0, -1) + (cookie.endsWith('A') ? 'B' : 'A'),
    cookie.replace(/_\d+=/, '_1='),
    `${cookie.split('=')[0]}=`,
  ]
  for (const one of touched) {
    expect([one, (await send('GET', '/api/routes', { cookie: one })).status]).toEqual([one, 401])
  }
})

test('a change by a signed-in browser must come from the page of this gateway', async () => {
  const { cookie } = await signIn(TOKEN)
  const reload = (headers: Record<string, string>) =>
    send('POST', '/api/reload', { cookie, ...headers }, {}).then(({ status }) => status)
  expect(await reload({ origin: gateway.adminUrl })).toBe(200)
  expect(await reload({})).toBe(401)
  expect(await reload({ origin: 'http://evil.example' })).toBe(401)
  expect(await reload({ origin: 'null' })).toBe(401)
  expect(await reload({ origin: gateway.publicUrl })).toBe(401)
  const reader = await signIn(READ)
  const answer = await send('POST', '/api/reload', { cookie: reader.cookie, origin: gateway.adminUrl }, {})
  expect([answer.status, await codeOf(answer)]).toEqual([403, 'GW_ADMIN_READ_ONLY'])
})

test('the cookie of the admin side reaches no service', async () => {
  const { cookie } = await signIn(TOKEN)
  seenCookies = []
  await fetch(gateway.publicUrl, { headers: { cookie: `a=1; ${cookie}; b=2` } })
  await fetch(gateway.publicUrl, { headers: { cookie } })
  await fetch(gateway.publicUrl, { headers: { cookie: `a=1; __Host-${cookie}` } })
  expect(seenCookies).toEqual(['a=1; b=2', undefined, 'a=1'])
})

test('each change is in the audit: who, what, the outcome, and what it changed', async () => {
  gateway.writeRoutes(
    'more.yaml',
    'routes: [{ name: more, match: { path: /more }, respond: { status: 204 } }]',
  )
  await waitFor(async () => (await fetch(`${gateway.publicUrl}/more`)).status === 204)
  const { cookie } = await signIn(TOKEN, 'Alice')
  await send('POST', '/api/tables/1/rollback', { cookie, origin: gateway.adminUrl }, {})
  await send('POST', '/api/reload', asWriter, { by: 'deploy\u0007' })
  await send('POST', '/api/reload', asWriter, { by: 'deploy', force: true })
  await send('POST', '/api/instances/nobody/drain', asWriter, { reason: 'disk is full' })
  await send('POST', '/api/reload', asReader, {})
  await send('PUT', '/v1/agent/service/register', asWriter, { ID: 's-1', Name: 's', Port: 9 })
  await send('PUT', '/v1/agent/check/pass/service:s-1', asWriter)
  await send('POST', '/api/explain', asWriter, { url: 'http://a/' })
  const entries = await audit()
  const { address, at, ...latest } = entries[0] as AuditEntry
  expect(address).toBe('127.0.0.1')
  expect(Math.abs(Date.now() - at)).toBeLessThan(60_000)
  expect(latest).toEqual({
    who: 'admin token',
    action: 'register',
    target: 's-1',
    detail: '',
    outcome: 'done',
  })
  expect(entries.slice(1, 6).map(({ at: _at, address: _address, ...rest }) => rest)).toEqual([
    { who: 'read token', action: 'reload', target: '', detail: '', outcome: 'refused' },
    { who: 'admin token', action: 'drain', target: 'nobody', detail: 'disk is full', outcome: 'failed' },
    {
      who: 'deploy (admin token)',
      action: 'reload',
      target: '',
      detail: 'forced',
      outcome: 'done',
      diff: expect.any(Array),
    },
    { who: 'deploy  (admin token)', action: 'reload', target: '', detail: '', outcome: 'failed' },
    {
      who: 'Alice',
      action: 'rollback',
      target: 'table 1',
      detail: '',
      outcome: 'done',
      diff: ['- route more'],
    },
  ])
  expect(entries.slice(5).some(({ action, who }) => action === 'sign in' && who === 'Alice')).toBe(true)
  const lines = () =>
    gateway
      .output()
      .split('\n')
      .filter((line) => line.includes('"audit: rollback table 1 by Alice"'))
  await waitFor(() => lines().length === 1)
})

test('the audit file has a line for each, may be renamed away, and is nobody else’s to read', async () => {
  const file = join(gateway.folder, 'audit.jsonl')
  await waitFor(() => readFileSync(file, 'utf8').includes('"rollback"'))
  const entries = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as AuditEntry)
  expect(entries.filter(({ action, who }) => action === 'rollback' && who === 'Alice')).toHaveLength(1)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  renameSync(file, `${file}.1`)
  await send('POST', '/api/reload', asWriter, {})
  await waitFor(() => readFileSync(file, 'utf8').trim().split('\n').length === 1)
})
