import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Headers } from '../../../src/core/headers.ts'
import { createClientAddress } from '../../../src/proxy/client-address.ts'
import { type ForwardedInfo, setForwarded } from '../../../src/proxy/forwarded.ts'
import {
  cleanRequestHeaders,
  cleanResponseHeaders,
  cleanTrailers,
  fieldsForTry,
} from '../../../src/proxy/hop-headers.ts'

const of = (fields: Record<string, string>) => new Headers(Object.entries(fields).flat())
const object = (headers: Headers) =>
  Object.fromEntries(headers.names().map((name) => [name, headers.get(name)]))

test('fields of the connection end at the gateway', () => {
  const headers = of({
    Connection: 'keep-alive, X-Own',
    'X-Own': '1',
    'Keep-Alive': 'timeout=5',
    'Proxy-Connection': 'x',
    'Proxy-Authorization': 'secret',
    TE: 'gzip, trailers',
    Upgrade: 'h2c',
    'HTTP2-Settings': 'x',
    Expect: '100-continue',
    'X-Stays': '2',
  })
  cleanRequestHeaders(headers, '1.1')
  expect(object(headers)).toEqual({ 'x-stays': '2', te: 'trailers', via: '1.1 sluice' })
})

test('Connection cannot name what routing and security stand on', () => {
  const headers = of({
    connection: 'host, authorization, cookie, content-length, x-forwarded-for',
    host: 'a.example',
    authorization: 'Bearer x',
    cookie: 'a=1',
    'content-length': '3',
    'x-forwarded-for': '1.2.3.4',
  })
  cleanRequestHeaders(headers, '1.1')
  expect(headers.names()).toEqual(['host', 'authorization', 'cookie', 'content-length', 'via'])
})

test.each([
  [{ 'content-length': '3', 'transfer-encoding': 'chunked' }],
  [{ 'content-length': '3, 3' }],
  [{ 'content-length': '+3' }],
  [{ 'content-length': '-1' }],
  [{ 'content-length': '' }],
  [{ 'transfer-encoding': 'gzip, chunked' }],
  [{ 'transfer-encoding': 'identity' }],
])('framing that can be read in two ways is refused: %o', (fields) => {
  expect(() => cleanRequestHeaders(of(fields), '1.1')).toThrow(
    expect.objectContaining({ code: 'GW_REQUEST_MALFORMED' }),
  )
})

test('a Content-Length that stands twice is refused even when both agree', () => {
  const headers = new Headers(['content-length', '3', 'Content-Length', '3'])
  expect(() => cleanRequestHeaders(headers, '1.1')).toThrow(
    expect.objectContaining({ code: 'GW_REQUEST_MALFORMED' }),
  )
})

test('no hop-by-hop field survives, whatever the order and number', () => {
  const name = fc.constantFrom(
    'connection',
    'te',
    'upgrade',
    'keep-alive',
    'trailer',
    'proxy-connection',
    'x-a',
    'x-b',
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.constantFrom('x-a', 'close', 'x'))), (pairs) => {
      const headers = new Headers(pairs.flat())
      cleanResponseHeaders(headers)
      const left = headers.names().filter((each) => each !== 'x-a' && each !== 'x-b')
      expect(left).toEqual([])
    }),
  )
})

test('trailers cannot change what was framed or authorised', () => {
  const trailers = of({
    'grpc-status': '0',
    'content-length': '3',
    authorization: 'x',
    host: 'a',
    'set-cookie': 'a',
  })
  expect(object(cleanTrailers(trailers) as Headers)).toEqual({ 'grpc-status': '0' })
  expect(cleanTrailers(of({ 'content-length': '3' }))).toBeUndefined()
})

test('each try has one Host and one length, whatever the message carried', () => {
  const headers = of({ Host: 'evil', 'X-A': '1', 'Content-Length': '99', 'X-Sluice-Attempt': '7' })
  expect(fieldsForTry(headers, 'a.example', 3, 2)).toEqual([
    'X-A',
    '1',
    'host',
    'a.example',
    'content-length',
    '3',
    'x-sluice-attempt',
    '2',
  ])
})

const INFO: ForwardedInfo = {
  peerIp: '192.0.2.1',
  clientIp: '192.0.2.1',
  isTrustedPeer: false,
  scheme: 'http',
  host: 'shop.example:8080',
  port: 8080,
}

test('what a stranger says of where it comes from is replaced', () => {
  const headers = of({
    'x-forwarded-for': '10.0.0.1',
    'x-real-ip': '10.0.0.1',
    forwarded: 'for=10.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil',
    'x-original-url': '/admin',
    'true-client-ip': '10.0.0.1',
  })
  setForwarded(headers, INFO)
  expect(object(headers)).toEqual({
    'x-forwarded-for': '192.0.2.1',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': 'shop.example:8080',
    'x-forwarded-port': '8080',
    'x-real-ip': '192.0.2.1',
    forwarded: 'for=192.0.2.1;host="shop.example:8080";proto=http',
  })
})

test('the chain of a trusted peer goes on, and its words stay', () => {
  const headers = of({
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-proto': 'https',
    forwarded: 'for=203.0.113.9',
  })
  setForwarded(headers, {
    ...INFO,
    peerIp: '2001:db8::1',
    clientIp: '203.0.113.9',
    isTrustedPeer: true,
    scheme: 'https',
    host: 'shop.example',
  })
  expect(object(headers)).toMatchObject({
    'x-forwarded-for': '203.0.113.9, 2001:db8::1',
    'x-forwarded-proto': 'https',
    'x-forwarded-port': '443',
    'x-real-ip': '203.0.113.9',
    forwarded: 'for=203.0.113.9, for="[2001:db8::1]";host=shop.example;proto=https',
  })
})

test.each<[what: string, peer: string, headers: Record<string, string>, clientIp: string]>([
  ['a stranger’s word counts nothing', '203.0.113.1', { 'x-forwarded-for': '10.0.0.1' }, '203.0.113.1'],
  ['a trusted peer names the client', '10.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.9'],
  [
    'the walk is from the right',
    '10.0.0.1',
    { 'x-forwarded-for': '1.1.1.1, 203.0.113.9, 10.0.0.2' },
    '203.0.113.9',
  ],
  [
    'what stands left of a stranger is not read',
    '10.0.0.1',
    { 'x-forwarded-for': '10.0.0.9, 203.0.113.9' },
    '203.0.113.9',
  ],
  ['rubbish ends the walk', '10.0.0.1', { 'x-forwarded-for': '203.0.113.9, rubbish, 10.0.0.2' }, '10.0.0.2'],
  ['all trusted: the leftmost', '10.0.0.1', { 'x-forwarded-for': '10.0.0.3, 10.0.0.2' }, '10.0.0.3'],
  ['an IPv4-mapped peer is IPv4', '::ffff:10.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.9'],
  [
    'RFC 7239 is read, too',
    '10.0.0.1',
    { forwarded: 'for=1.1.1.1, for="[2001:db8::9]:4711";proto=https' },
    '2001:db8::9',
  ],
  ['no header: the peer', '10.0.0.1', {}, '10.0.0.1'],
])('client address: %s', (_what, peer, headers, clientIp) => {
  expect(createClientAddress(['10.0.0.0/8'])(peer, of(headers)).clientIp).toBe(clientIp)
})

test('the client address is never left of the first stranger from the right', () => {
  const trusted = fc.constantFrom('10.0.0.1', '10.9.9.9')
  const stranger = fc.constantFrom('203.0.113.1', '198.51.100.7', '2001:db8::1')
  fc.assert(
    fc.property(
      fc.array(fc.oneof(trusted, stranger), { minLength: 1, maxLength: 20 }),
      trusted,
      (chain, peer) => {
        const { clientIp } = createClientAddress(['10.0.0.0/8'])(
          peer,
          of({ 'x-forwarded-for': chain.join(', ') }),
        )
        const expected = chain.toReversed().find((one) => !one.startsWith('10.'))
        expect(clientIp).toBe(expected ?? chain[0])
      },
    ),
  )
})
