import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runProgram } from '../../src/cli/program.ts'
import type { PreviewView } from '../../src/core/views.ts'
import { configFolder } from '../support/config.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { httpServer, type Scripted } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

let gateway: GatewayProcess
let upstream: Scripted

const routes = (more = '') => `services:
  shop: { upstreams: ["http://127.0.0.1:${upstream.port}"] }
  next: { upstreams: ["http://127.0.0.1:${upstream.port}"] }
routes:
  - { name: shop, match: { pathPrefix: / }, service: shop }
${more}`
const ITEMS = '  - { name: items, match: { pathPrefix: /items }, service: next }\n'

beforeAll(async () => {
  upstream = await httpServer((_request, response) => response.end('shop'))
  gateway = await startGateway({
    yaml: 'guard: { maxChangedPercent: 20 }\nrecorder: { headers: [x-beta] }',
    routes: { 'shop.yaml': routes() },
  })
  for (let i = 0; i < 60; i++) {
    const path = i % 2 === 0 ? `/items/${i}?token=geheim` : '/about'
    await (await fetch(gateway.publicUrl + path, { headers: { 'x-beta': '1', cookie: 'sid=geheim' } })).text()
  }
})
afterAll(async () => {
  await gateway?.stop()
  await upstream?.close()
})

async function preview(body: object): Promise<PreviewView> {
  return gateway.admin<PreviewView>('/api/preview', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

async function cli(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await runProgram(['node', 'sluice', ...args], {
    env: {},
    hasColor: false,
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

test('says how many requests another table would send elsewhere, with examples and without secrets', async () => {
  const answer = await preview({ files: { 'routes.d/shop.yaml': routes(ITEMS) }, examples: 2 })
  expect(answer).toMatchObject({
    valid: true,
    table: { version: 1 },
    changes: ['+ route items'],
    needsRestart: false,
    preview: { total: 60, changed: 30, changedPercent: 50 },
  })
  const { changes, notes } = answer.preview ?? { changes: undefined, notes: [] }
  expect(changes?.route).toMatchObject({ count: 30, percent: 50 })
  expect(changes?.route.examples).toHaveLength(2)
  expect(changes?.route.examples[0]).toMatchObject({
    request: expect.stringMatching(/^GET http:\/\/127\.0\.0\.1:\d+\/items\/0\?token=redacted$/),
    before: { route: 'shop', service: 'shop', answer: 'proxied' },
    after: { route: 'items', service: 'next', answer: 'proxied' },
  })
  expect(notes).toEqual([])
  expect(JSON.stringify(answer)).not.toContain('geheim')
  expect((await gateway.admin<{ current: number }>('/api/tables')).current).toBe(1)
})

test('says what a network list would refuse, and what it cannot tell', async () => {
  const shop = `  - { name: items, match: { pathPrefix: /items, cookies: { lane: blue } }, service: next,
      filters: [{ type: ip-deny, networks: [127.0.0.0/8] }, { type: cors, origins: ["https://a.example"] }] }
  - { name: about, match: { path: /about }, service: shop, filters: [{ type: ip-deny, networks: [127.0.0.0/8] }] }\n`
  const { preview: report } = await preview({ files: { 'routes.d/shop.yaml': routes(shop) } })
  expect(report?.changes.refused).toMatchObject({ count: 30 })
  expect(report?.refusals).toEqual([
    { filter: 'ip-deny', before: 0, after: 30, beforePercent: 0, afterPercent: 50 },
  ])
  expect(report?.notes).toEqual([
    'cors: what these filters refuse cannot be told from what is remembered',
    'lane: routes match on these cookies: name them in recorder.cookies',
  ])
})

test('says what a limit would have refused', async () => {
  const limited = routes().replace(
    'service: shop }',
    'service: shop, filters: [{ type: rate-limit, rules: [{ rate: 20/1h, algorithm: fixed-window, key: [client-ip] }] }] }',
  )
  const { preview: report, changes } = await preview({ files: { 'routes.d/shop.yaml': limited } })
  expect(changes).toEqual(['~ route shop (filters +rate-limit)'])
  expect(report?.refusals).toEqual([
    { filter: 'rate-limit', before: 0, after: 40, beforePercent: 0, afterPercent: 66.67 },
  ])
  expect(report?.changes.refused.examples[0]?.after).toMatchObject({ route: 'shop', refusedBy: 'rate-limit' })
  expect(report?.notes).toEqual([])
})

test('what is not valid is no preview; what is not named stays, unless the files are the whole', async () => {
  const bad = await preview({ files: { 'routes.d/x.yaml': 'routes: [{ nam: x }]' } })
  expect(bad).toMatchObject({ valid: false, changes: [] })
  expect(bad.preview).toBeUndefined()
  expect((await preview({})).changes).toEqual([])
  const whole = await preview({ files: { 'sluice.yaml': 'version: 1' }, whole: true })
  expect(whole.changes).toContain('- route shop')
  expect(whole).toMatchObject({ needsRestart: true, preview: { changes: { answer: { count: 60 } } } })
})

test('sluice diff: against the gateway and against files; exit codes 0, 1, 2', async () => {
  const admin = ['--admin', gateway.adminUrl]
  expect(await cli('diff', '-c', gateway.folder, ...admin)).toMatchObject({ code: 0, err: '' })
  const part = configFolder({ 'shop.yaml': routes(ITEMS) })
  const online = await cli('diff', '-c', join(part.folder, 'shop.yaml'), ...admin, '--examples', '1')
  expect(online.code).toBe(1)
  expect(online.out).toMatch(
    /^\+ route items\n1 change against .*, table 1\nof 60 remembered requests \(.* UTC\) 30 change \(50 %\)\n/,
  )
  expect(online.out).toMatch(/ {2}route {4}30 \(50 %\)\n {4}GET http:.*: shop > shop -> items > next\n/)
  const { code, out } = await cli('diff', '-c', join(part.folder, 'shop.yaml'), ...admin, '--json')
  expect([code, (JSON.parse(out) as PreviewView).preview?.changed]).toEqual([1, 30])

  const filters = (networks: string, name: string) =>
    `filters: { deny: { type: ip-deny, networks: [${networks}] }, more: { type: request-id } }
routes: [{ name: a, match: { path: /a }, respond: { status: 200 }, filters: [deny${name}] }]`
  const [from, to] = [
    configFolder({ 'sluice.yaml': filters('10.0.0.0/8', '') }),
    configFolder({ 'sluice.yaml': `${filters('10.0.0.0/9', ', more')}\nlog: { level: warn }` }),
  ]
  const offline = await cli('diff', '-c', to.folder, '--from', from.folder)
  expect(offline.out.split('\n').slice(0, -1)).toEqual([
    '~ static part (needs a restart)',
    '~ route a (filters +more)',
    '~ filter deny (networks)',
  ])
  expect(offline.code).toBe(1)
  expect((await cli('diff', '-c', from.folder, '--from', from.folder)).code).toBe(0)

  writeFileSync(join(part.folder, 'bad.yaml'), 'routes: [{ nam: x }]')
  const bad = await cli('diff', '-c', join(part.folder, 'bad.yaml'), ...admin)
  expect([bad.code, bad.out]).toEqual([2, ''])
  expect(bad.err).toContain('unknown key "nam"')
  expect((await cli('diff', '-c', '/none/sluice.yaml', ...admin)).code).toBe(2)
  expect((await cli('diff', '-c', part.folder, '--admin', 'http://127.0.0.1:1')).code).toBe(2)
  expect((await cli('diff', '-c', gateway.folder, ...admin, '--examples', 'x')).code).toBe(2)
  for (const one of [part, from, to]) one.remove()
})

test('a reload that changes too much is rejected with the numbers, and taken when it is forced', async () => {
  gateway.writeRoutes('shop.yaml', routes(ITEMS))
  const rejection = await waitFor(async () => {
    const tables = await gateway.admin<{ rejection?: { message: string } }>('/api/tables')
    return tables.rejection?.message
  })
  expect(rejection).toContain(
    '30 of 60 remembered requests (50 %) would change, more than guard.maxChangedPercent 20',
  )
  expect(rejection).not.toContain('geheim')
  const again = await cli('reload', '--admin', gateway.adminUrl)
  expect([again.code, again.out.slice(0, 9)]).toEqual([1, 'rejected:'])
  expect((await gateway.admin<{ current: number }>('/api/tables')).current).toBe(1)
  expect(await cli('reload', '--force', '--admin', gateway.adminUrl)).toMatchObject({
    code: 0,
    out: 'applied',
  })
  expect(await gateway.admin('/api/tables')).toMatchObject({
    current: 2,
    versions: [{ changes: ['+ route items'] }, {}],
  })
  expect((await gateway.admin<{ rejection?: object }>('/api/tables')).rejection).toBeUndefined()
  // A small change goes through by itself.
  gateway.writeRoutes(
    'more.yaml',
    'routes: [{ name: more, match: { path: /more }, respond: { status: 204 } }]',
  )
  await waitFor(async () => (await gateway.admin<{ current: number }>('/api/tables')).current === 3)
})
