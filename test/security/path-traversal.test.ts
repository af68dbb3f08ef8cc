import { beforeEach, describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import type { RunningProxy } from '../support/proxy.ts'
import { rawExchange } from '../support/raw.ts'
import { type WireTap, wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()
let open: WireTap
let secret: WireTap
let gateway: RunningProxy

beforeEach(async () => {
  open = await opened(wireTap('open'))
  secret = await opened(wireTap('secret'))
  gateway = await proxy(`
services:
  open: { upstreams: ["http://127.0.0.1:${open.port}"] }
  secret: { upstreams: ["http://127.0.0.1:${secret.port}"] }
routes:
  - { name: public, match: { pathPrefix: /public }, service: open }
  - { name: admin, match: { pathPrefix: /admin }, service: secret }
  - name: guarded
    match: { pathPrefix: /guarded }
    filters: [{ type: ip-deny, networks: [127.0.0.0/8] }]
    service: open
  - { name: rest, match: { pathPrefix: /site }, service: open }
  - { name: any, match: { hosts: [any.example], pathPrefix: / }, service: open }
  - name: anyGuarded
    match: { hosts: [any.example], pathPrefix: /guarded }
    filters: [{ type: ip-deny, networks: [127.0.0.0/8] }]
    service: open
`)
})

const get = (target: string, host = 'a.example') =>
  rawExchange(gateway.port, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)

/** The path as the most generous server would read it. */
function readGenerously(path: string): string {
  let text = path.replace(/\?.*/, '')
  for (let i = 0; i < 2; i++)
    text = text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  const out: string[] = []
  for (const segment of text.replaceAll('\\', '/').split('/')) {
    const name = segment.split(';')[0] as string
    if (name === '..') out.pop()
    else if (name !== '.' && name !== '') out.push(name)
  }
  return `/${out.join('/')}`
}

const CLIMBS = [
  '/public/../admin',
  '/public/..//admin',
  '/public/./../admin',
  '/public/x/../../admin',
  '/public/%2e%2e/admin',
  '/public/%2E%2E/admin',
  '/public/.%2e/admin',
  '/public/%2e./admin',
  '/public/..%2fadmin',
  '/public/..%2Fadmin',
  '/public%2f..%2fadmin',
  '/public/%2e%2e%2fadmin',
  '/public/..;/admin',
  '/public/..;a=b/admin',
  '/public/%2e%2e;/admin',
  '/public/..\\admin',
  '/public\\..\\admin',
  '/public/..%5cadmin',
  '/public%5c..%5cadmin',
  '/public/..%00/admin',
  '/public/%00/../admin',
  '/public/..%0d%0a/admin',
  '/public/%c0%ae%c0%ae/admin',
  '/public/..%c0%afadmin',
  '/public/%u002e%u002e/admin',
  '/public/..%',
  '/public/%zz/../admin',
  '/../admin/../public/../admin',
  '/public/../../admin',
  'http://a.example/public/../admin',
]

describe('from one route’s prefix into another one’s', () => {
  test.each(CLIMBS)('%s', async (target) => {
    const answer = await get(target)
    if (answer.status === 200 && answer.body === 'secret') {
      // Only by the route that is meant for it: the path is the normalised one.
      expect(gateway.records.map(({ route }) => route)).toEqual(['admin'])
      expect(secret.requestLines()).toEqual(['GET /admin HTTP/1.1'])
    } else {
      expect(secret.seen()).toBe('')
    }
    for (const line of open.requestLines()) {
      const path = line.split(' ')[1] as string
      expect(path).not.toMatch(/\/\.\.?(\/|$)|\\|%00|%2e/i)
      if (!path.includes('%25') && !path.includes('%C0')) expect(readGenerously(path)).toMatch(/^\/public/)
    }
  })

  test.each([
    '/public/%252e%252e/admin',
    '/public/%252e%252e%252fadmin',
    '/public/..%252fadmin',
    '/public/%25%32%65%25%32%65/admin',
  ])('double-encoded: %s stays what it is', async (target) => {
    await get(target)
    expect(secret.seen()).toBe('')
    for (const line of open.requestLines()) expect(line).toMatch(/^GET \/public\//)
  })
})

describe('around a filter, with the same service behind a wider route', () => {
  test.each([
    '/guarded',
    '/guarded/',
    '//guarded',
    '///guarded/x',
    '/./guarded',
    '/x/../guarded',
    '/%67uarded',
    '/guarded%2f',
    '/guarded%2Fx',
    '/x/..%2fguarded',
    '/guarded;a=b',
    '/;a/guarded',
    '/guarded\\x',
    '\\guarded',
    '/guarded%5cx',
    '/x%2f..%2fguarded',
    '/guarded/..;/guarded',
    '/guarded%00',
    '/guarded%20',
    '/guarded?x=/../y',
    'http://any.example/guarded',
    'http://any.example//guarded',
  ])('%s', async (target) => {
    const answer = await get(target, 'any.example')
    const paths = open.requestLines().map((line) => readGenerously(line.split(' ')[1] as string))
    for (const path of paths) expect(path).not.toMatch(/^\/guarded(\/|$)/)
    if (paths.length === 0) expect([400, 403]).toContain(answer.status)
  })

  test('a neighbour of the prefix is not below it', async () => {
    expect((await get('/adminfoo')).status).toBe(404)
    expect((await get('/guardedfoo', 'any.example')).status).toBe(200)
    expect(secret.seen()).toBe('')
  })
})

test('what was matched is what is sent: the service gets the normalised path and the query untouched', async () => {
  await get('/site/a/./b//c/../d%7e?x=/../y&z=%2e%2E')
  expect(open.requestLines()).toEqual(['GET /site/a/b/d~?x=/../y&z=%2e%2E HTTP/1.1'])
})

test('a rewrite does not climb', async () => {
  await gateway.swap(`
services: { open: { upstreams: ["http://127.0.0.1:${open.port}"] } }
routes:
  - { name: strip, match: { pathPrefix: /api }, rewrite: { stripPrefix: /api }, service: open }
  - { name: put, match: { pathPrefix: /v1 }, rewrite: { prefix: /inner/v1 }, service: open }
`)
  for (const target of [
    '/api/../x',
    '/api//evil.example/x',
    '/v1/../../x',
    '/v1/%2e%2e/x',
    '/v1/..%2fx',
    '/api',
  ]) {
    await get(target)
  }
  for (const line of open.requestLines()) {
    const path = line.split(' ')[1] as string
    expect(path).not.toMatch(/^\/\/|\.\.|%2e/i)
    expect(path).toMatch(/^\/(inner\/v1|evil\.example|$)/)
  }
})
