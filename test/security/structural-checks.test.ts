import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawExchange } from '../support/raw.ts'
import { wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()

/** Every route has these, with and without filters. */
async function setUp(limits = '') {
  const tap = await opened(wireTap())
  const gateway = await proxy(oneRoute([tap.port], { top: limits === '' ? '' : `limits: { ${limits} }` }))
  const send = (head: string, body = '') =>
    rawExchange(gateway.port, `${head}\r\nHost: a.example\r\n\r\n${body}`)
  return { tap, send }
}

const codeOf = ({ status, body }: { status: number; body: string }) => [
  status,
  body.startsWith('{') ? (JSON.parse(body) as { code: string }).code : '',
]

describe('a path that climbs when it is decoded once more', () => {
  test.each([
    '/files/%252e%252e/secret',
    '/files/%252E%252E%252Fsecret',
    '/files/..%252fsecret',
    '/files/%25%32%65%25%32%65/secret',
    '/files/%25252e%25252e/secret',
    '/files/.%252e/secret',
    '/files/%252e%252e%255csecret',
    '/files/%252e%252e;a=b/secret',
    '/files/x%252f%252e%252e%252f%252e%252e',
  ])('%s: 400', async (path) => {
    const { tap, send } = await setUp()
    expect(codeOf(await send(`GET ${path} HTTP/1.1`))).toEqual([400, 'GW_ROUTE_AMBIGUOUS_PATH'])
    expect(tap.seen()).toBe('')
  })

  test.each([
    '/files/100%25',
    '/files/a%252fb',
    '/files/a%252eb',
    '/files/%2525',
    '/files/%252e',
    '/files/..%252x',
  ])('%s climbs nowhere: passes as it is', async (path) => {
    const { tap, send } = await setUp()
    expect((await send(`GET ${path} HTTP/1.1`)).status).toBe(200)
    expect(tap.requestLines()).toEqual([`GET ${path} HTTP/1.1`])
  })

  test('in the query it is the service’s business', async () => {
    const { send } = await setUp()
    expect((await send('GET /?path=%252e%252e%252fx HTTP/1.1')).status).toBe(200)
  })
})

describe('control characters', () => {
  test.each(['/%00', '/a%0d%0ab', '/%1b', '/%7f', '/a\x01b', '/a\x7f'])(
    '%j in the path: 400',
    async (path) => {
      const { tap, send } = await setUp()
      expect((await send(`GET ${path} HTTP/1.1`)).status).toBe(400)
      expect(tap.seen()).toBe('')
    },
  )

  test.each(['X-A: a\x00b', 'X-A: a\x01b', 'X-A: a\rb', 'X-A: a\x7fb', 'X\x01: a'])(
    '%j as a field: 400',
    async (field) => {
      const { tap, send } = await setUp()
      expect((await send(`GET / HTTP/1.1\r\n${field}`)).status).toBe(400)
      expect(tap.seen()).toBe('')
    },
  )
})

describe('framing that can be read in two ways', () => {
  test.each([
    'Content-Length: 3\r\nContent-Length: 3',
    'Content-Length: 3\r\nContent-Length: 4',
    'Content-Length: 3\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Content-Length: +3',
    'Content-Length: 3, 3',
  ])('%j: 400', async (fields) => {
    const { tap, send } = await setUp()
    expect((await send(`POST / HTTP/1.1\r\n${fields}`, 'abc')).status).toBe(400)
    expect(tap.seen()).toBe('')
  })
})

describe('methods', () => {
  test.each(['CONNECT', 'TRACE', 'get', 'FOO', 'G@T'])('%s is refused', async (method) => {
    const { tap, send } = await setUp()
    expect((await send(`${method} / HTTP/1.1`)).status).toBeGreaterThanOrEqual(400)
    expect(tap.seen()).toBe('')
  })
})

describe('media types of bodies', () => {
  const post = (type: string) => `POST / HTTP/1.1\r\n${type}\r\nContent-Length: 3`

  test.each([
    'Content-Type: application/json\r\nContent-Type: text/plain',
    'Content-Type: application/json\r\nContent-Type: application/json',
    'Content-Type: multipart/form-data; boundary=a; boundary=b',
    'Content-Type: Multipart/form-data; boundary=a; Boundary*0=b',
  ])('%j can be read in two ways: 400', async (field) => {
    const { tap, send } = await setUp()
    expect(codeOf(await send(post(field), 'abc'))).toEqual([400, 'GW_REQUEST_MALFORMED'])
    expect(tap.seen()).toBe('')
  })

  test.each(['application/json', 'application/json; charset=utf-8', 'x', 'multipart/form-data; boundary=a'])(
    'without a list %s passes',
    async (type) => {
      const { send } = await setUp()
      expect((await send(post(`Content-Type: ${type}`), 'abc')).status).toBe(200)
    },
  )

  const LIST = 'contentTypes: [application/json, "application/*+json", "text/*"]'

  test.each(['application/json', 'Application/JSON; charset=utf-8', 'application/vnd.api+json', 'text/csv'])(
    'with a list %s passes',
    async (type) => {
      const { send } = await setUp(LIST)
      expect((await send(post(`Content-Type: ${type}`), 'abc')).status).toBe(200)
    },
  )

  test.each([
    'Content-Type: application/xml',
    'Content-Type: application/jsonx',
    'Content-Type: json',
    'Content-Type: application/json/x',
    'Content-Type: application/json, text/plain',
    'Content-Type:',
    'X-None: 1',
  ])('with a list %j: 415', async (field) => {
    const { tap, send } = await setUp(LIST)
    expect(codeOf(await send(post(field), 'abc'))).toEqual([415, 'GW_REQUEST_MEDIA_TYPE'])
    expect(tap.seen()).toBe('')
  })

  test('a request without a body needs no type', async () => {
    const { send } = await setUp(LIST)
    expect((await send('GET / HTTP/1.1')).status).toBe(200)
    expect((await send('POST / HTTP/1.1\r\nContent-Length: 0')).status).toBe(200)
  })
})
