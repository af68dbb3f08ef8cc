import { buffer } from 'node:stream/consumers'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { aRouted } from '../../support/exchange.ts'
import { aContext, aResponse, chainOf, through, use } from '../../support/filters.ts'

const object = (headers: { names(): readonly string[]; get(name: string): string | undefined }) =>
  Object.fromEntries([...headers.names()].map((name) => [name, headers.get(name)]))

test('request-id goes upstream and back, under the wanted name', async () => {
  const { request, response } = await through('request-id', { header: 'x-correlation' }, aContext())
  expect([request.get('x-correlation'), response.get('x-correlation')]).toEqual(['r-1', 'r-1'])
  const silent = await through('request-id', { response: false }, aContext())
  expect(silent.response.has('x-request-id')).toBe(false)
})

test('headers are removed, set and added, with values of the request', async () => {
  const options = {
    request: { remove: ['X-A'], set: { 'x-b': '{client.ip} {route} {param.id}' }, add: { 'x-c': '2' } },
    response: { remove: ['server'], set: { 'x-id': '{request.id}' } },
  }
  const ctx = aContext({
    headers: { 'x-a': '1', 'x-b': 'old', 'x-c': '1' },
    decision: aRouted(undefined, { params: { id: '7' } }),
  })
  const { request, response } = await through('headers', options, ctx, aResponse({ server: 'nginx' }))
  expect(object(request)).toEqual({ 'x-b': '192.0.2.1 shop 7', 'x-c': '1, 2' })
  expect(object(response)).toEqual({ 'x-id': 'r-1' })
})

test.each([{ set: { 'content-length': '1' } }, { set: { 'x-a': 'a\r\nb' } }, { set: { 'x-a': '{nobody}' } }])(
  'headers refuses %o in the configuration',
  (request) => {
    expect(() => chainOf([use('headers', { request })])).toThrow(/filter headers/)
  },
)

test.each([
  ['request-id', { header: 'transfer-encoding' }],
  ['security-headers', { headers: { 'content-length': '1' } }],
  ['security-headers', { headers: { 'x-a': 'a\nb' } }],
  ['cors', { origins: ['*'], exposeHeaders: ['a\nb'] }],
  ['cors', { origins: ['*'], headers: ['a b'] }],
])('%s refuses a header that no answer can have: %o', (type, options) => {
  expect(() => chainOf([use(type, options)])).toThrow(`filter ${type}`)
})

test.each([
  ['ip-allow', '10.1.2.3', undefined],
  ['ip-allow', '11.1.2.3', 403],
  ['ip-allow', '::ffff:10.1.2.3', undefined],
  ['ip-allow', 'nonsense', 403],
  ['ip-deny', '10.1.2.3', 403],
  ['ip-deny', '11.1.2.3', undefined],
])('%s with 10.0.0.0/8 answers %s with %s', async (type, clientIp, status) => {
  const { reply } = await through(type, { networks: ['10.0.0.0/8'] }, aContext({ clientIp }))
  expect(reply?.status).toBe(status)
})

const CORS = {
  origins: ['https://a.example', 'https://*.b.example'],
  credentials: true,
  exposeHeaders: ['x-total'],
}

test.each([
  ['https://a.example', true],
  ['https://x.b.example', true],
  ['https://b.example', false],
  ['https://x.y.b.example', false],
  ['https://a.example.evil.test', false],
  ['https://evil-a.example', false],
  ['null', false],
])('cors: the origin %s may read: %s', async (origin, isAllowed) => {
  const upstream = aResponse({ 'access-control-allow-origin': '*', vary: 'Accept' })
  const { response, reply } = await through('cors', CORS, aContext({ headers: { origin } }), upstream)
  expect(reply).toBeUndefined()
  expect(response.get('access-control-allow-origin')).toBe(isAllowed ? origin : undefined)
  expect(response.get('vary')).toBe('Accept, Origin')
  expect(response.get('access-control-expose-headers')).toBe(isAllowed ? 'x-total' : undefined)
})

test('cors answers a preflight itself', async () => {
  const headers = {
    origin: 'https://a.example',
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'x-a',
  }
  const { reply, response } = await through('cors', CORS, aContext({ method: 'OPTIONS', headers }))
  expect(reply).toEqual({ status: 204 })
  expect(object(response)).toMatchObject({
    'access-control-allow-origin': 'https://a.example',
    'access-control-allow-credentials': 'true',
    'access-control-allow-headers': 'x-a',
    'access-control-max-age': '600',
  })
})

test('cors with refuse turns other origins away, and never allows credentials for all', async () => {
  const evil = aContext({ headers: { origin: 'https://evil.test' } })
  expect((await through('cors', { ...CORS, refuse: true }, evil)).reply).toMatchObject({
    code: 'GW_CORS_REFUSED',
  })
  expect(() => chainOf([use('cors', { origins: ['*'], credentials: true })])).toThrow(/every site/)
})

test('security headers fill in what is missing and leave the rest, unless told to override', async () => {
  const upstream = () => aResponse({ 'x-frame-options': 'SAMEORIGIN' })
  const options = { preset: 'api', headers: { 'referrer-policy': false }, hsts: {} }
  const plain = await through('security-headers', options, aContext(), upstream())
  expect(object(plain.response)).toEqual({
    'x-frame-options': 'SAMEORIGIN',
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
  })
  const secure = await through(
    'security-headers',
    { ...options, override: true },
    aContext({ scheme: 'https' }),
    upstream(),
  )
  expect(secure.response.get('x-frame-options')).toBe('DENY')
  expect(secure.response.get('strict-transport-security')).toBe('max-age=31536000; includeSubDomains')
})

test('size-limit refuses declared bodies, lowers the limit of others, and bounds answers', async () => {
  const options = { requestBody: '10B', requestHeaders: '20B', responseBody: '10B' }
  const big = await through('size-limit', options, aContext({ contentLength: 11 }))
  expect(big.reply).toMatchObject({ status: 413 })
  const wordy = await through('size-limit', options, aContext({ headers: { 'x-a': 'x'.repeat(30) } }))
  expect(wordy.reply).toMatchObject({ status: 431 })
  const chunked = aContext({ contentLength: undefined, maxBodyBytes: 1000 })
  expect((await through('size-limit', options, chunked)).reply).toBeUndefined()
  expect(chunked.maxBodyBytes).toBe(10)
  const answer = await through('size-limit', options, aContext(), aResponse({ 'content-length': '11' }))
  expect(answer.replaced).toMatchObject({ status: 502, code: 'GW_UPSTREAM_RESPONSE_TOO_LARGE' })
  const { transforms } = await through('size-limit', options, aContext())
  const [counting] = transforms
  counting?.end(Buffer.alloc(11))
  await expect(buffer(counting as never)).rejects.toMatchObject({ code: 'GW_UPSTREAM_RESPONSE_TOO_LARGE' })
})

const TEXT = 'compress me '.repeat(200)

async function compressed(
  accept: string | undefined,
  headers: Record<string, string> = {},
  own: object = {},
) {
  const ctx = aContext({ headers: accept === undefined ? {} : { 'accept-encoding': accept }, ...own })
  const upstream = aResponse({
    'content-type': 'text/plain',
    'content-length': String(TEXT.length),
    ...headers,
  })
  const { response, transforms } = await through('compression', {}, ctx, upstream)
  const [transform] = transforms
  transform?.end(TEXT)
  return { response, body: transform === undefined ? undefined : await buffer(transform) }
}

test('compression takes what the client likes best', async () => {
  const br = await compressed('gzip, br')
  expect(br.response.get('content-encoding')).toBe('br')
  expect(brotliDecompressSync(br.body as Buffer).toString()).toBe(TEXT)
  const gzip = await compressed('gzip, br;q=0')
  expect(gzip.response.get('content-encoding')).toBe('gzip')
  expect(gunzipSync(gzip.body as Buffer).toString()).toBe(TEXT)
  expect(gzip.response.has('content-length')).toBe(false)
  expect(gzip.response.get('vary')).toBe('Accept-Encoding')
  expect((await compressed('gzip', { etag: '"v1"' })).response.get('etag')).toBe('W/"v1"')
})

test.each([
  ['nothing accepted', undefined, {}, {}],
  ['identity preferred', 'gzip;q=0.5, identity', {}, {}],
  ['already compressed', 'gzip', { 'content-encoding': 'br' }, {}],
  ['an image', 'gzip', { 'content-type': 'image/png' }, {}],
  ['too short', 'gzip', { 'content-length': '20' }, {}],
  ['a part', 'gzip', { 'content-range': 'bytes 0-9/20' }, {}],
  ['no-transform', 'gzip', { 'cache-control': 'public, no-transform' }, {}],
  ['events', 'gzip', { 'content-type': 'text/event-stream' }, {}],
  ['HEAD', 'gzip', {}, { method: 'HEAD' }],
])('compression leaves an answer alone: %s', async (_why, accept, headers, own) => {
  const { body, response } = await compressed(accept, headers as Record<string, string>, own)
  expect(body).toBeUndefined()
  expect(response.get('content-encoding')).toBe((headers as Record<string, string>)['content-encoding'])
})
