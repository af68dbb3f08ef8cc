import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Headers } from '../../../src/core/headers.ts'
import { Recorder, type RecorderOptions } from '../../../src/preview/recorder.ts'
import { chosenCookies, clientOf, networkOf, redactTarget } from '../../../src/preview/redact.ts'
import { aRecord } from '../../support/records.ts'

const OPTIONS: RecorderOptions = {
  size: 3,
  bytes: 100_000,
  sample: 1,
  headers: [],
  cookies: [],
  client: 'network',
}

function recorder(own: Partial<RecorderOptions> = {}, random = () => 0) {
  return new Recorder({ ...OPTIONS, ...own }, { random, salt: 'salt' })
}

function take(into: Recorder, target: string, fields: string[] = [], own = {}): void {
  const incoming = { method: 'GET', target, authority: 'shop.example.com', headers: new Headers(fields) }
  const draft = into.begin(incoming)
  if (draft !== undefined) into.end(draft, incoming, aRecord({ clientIp: '192.0.2.77', ...own }))
}

describe('redaction', () => {
  test.each([
    ['/a?b=1&token=geheim', '/a?b=1&token=redacted'],
    [
      '/a?access_token=x&API_KEY=y&apikey=z&code=1',
      '/a?access_token=redacted&API_KEY=redacted&apikey=redacted&code=redacted',
    ],
    ['/a?to%6ben=geheim&%zz=x', '/a?to%6ben=redacted&%zz=redacted'],
    ['/a?X-Amz-Signature=1&user.mail=a%40b', '/a?X-Amz-Signature=redacted&user.mail=redacted'],
    ['/a?monkey=1&keyword=2&flag', '/a?monkey=1&keyword=2&flag'],
    ['/a?token=a?token=b', '/a?token=redacted'],
    ['http://user:pw@h/a?sig=1', 'http://h/a?sig=redacted'],
    ['/a', '/a'],
  ])('%s becomes %s', (from, to) => expect(redactTarget(from)).toBe(to))

  test('no value of a parameter with a secret name is left, wherever it stands', () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,8}$/)
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word), { maxLength: 5 }), fc.nat(5), (pairs, at) => {
        const all = pairs.map(([name, value]) => `${name}=${value}`)
        all.splice(at, 0, 'password=GEHEIM')
        expect(redactTarget(`/x?${all.join('&')}`)).not.toContain('GEHEIM')
      }),
    )
  })

  test.each([
    ['192.0.2.77', '192.0.2.0'],
    ['::ffff:192.0.2.77', '192.0.2.0'],
    ['2001:db8:1:2::7', '2001:db8:1::'],
    ['2001:db8::7', '2001:db8:0::'],
    ['::1', '0:0:0::'],
    ['', ''],
  ])('the network of %s is %s', (address, network) => expect(networkOf(address)).toBe(network))

  test('one client is an address of IPv4, a /64 of IPv6, however it is written', () => {
    expect(clientOf('::ffff:192.0.2.7')).toBe(clientOf('192.0.2.7'))
    expect(clientOf('192.0.2.7')).not.toBe(clientOf('192.0.2.8'))
    expect(clientOf('2001:DB8:0:1::7')).toBe(clientOf('2001:db8::0001:ffff:0:0:8'))
    expect(clientOf('2001:db8:0:1::7')).not.toBe(clientOf('2001:db8:0:2::7'))
  })

  test('only chosen cookies are kept', () => {
    expect(chosenCookies('a=1; session=geheim;beta=2', new Set(['beta', 'a']))).toBe('a=1; beta=2')
    expect(chosenCookies('session=geheim', new Set(['beta']))).toBeUndefined()
  })
})

test('keeps the form of a request, and of its headers only the chosen ones', () => {
  const one = recorder({ headers: ['x-beta'], cookies: ['lane'] })
  const fields = ['X-Beta', '1', 'Authorization', 'Bearer geheim', 'Cookie', 'sid=geheim; lane=blue']
  take(one, '/a?token=geheim', fields, { principal: { id: 'ann@example.com', kind: 'jwt' }, status: 404 })
  const [kept] = one.requests()
  expect(kept).toMatchObject({
    method: 'GET',
    authority: 'shop.example.com',
    target: '/a?token=redacted',
    headers: { 'x-beta': '1', cookie: 'lane=blue' },
    client: '192.0.2.0',
    status: 404,
  })
  expect(kept?.principal).toMatch(/^jwt:[\w-]{16}$/)
  expect(kept?.clientKey).toMatch(/^[\w-]{16}$/)
  expect(JSON.stringify(kept)).not.toMatch(/geheim|ann@/)
})

test('the same sender has the same hash, another one another; another process has others', () => {
  const hashes = (salt: string) => {
    const one = new Recorder(OPTIONS, { random: () => 0, salt })
    for (const id of ['ann', 'ann', 'bob']) take(one, '/', [], { principal: { id, kind: 'jwt' } })
    return one.requests().map(({ principal }) => principal)
  }
  const [a, b, c] = hashes('x')
  expect([a === b, a === c]).toEqual([true, false])
  expect(hashes('y')[0]).not.toBe(a)
})

test('is bounded in number and bytes; the oldest go first', () => {
  const few = recorder()
  for (let i = 0; i < 10; i++) take(few, `/${i}`)
  expect(few.requests().map(({ target }) => target)).toEqual(['/7', '/8', '/9'])
  const small = recorder({ size: 1000, bytes: 5000 })
  for (let i = 0; i < 100; i++) take(small, `/${'x'.repeat(700)}`)
  expect(small.size).toBe(4)
  expect(small.bytes).toBeLessThanOrEqual(5000)
  take(small, `/${'x'.repeat(100_000)}`)
  expect(small.bytes).toBeLessThanOrEqual(5000)
  expect(small.requests().at(-1)?.target).toHaveLength(2048)
})

test('size 0 keeps nothing, and a sample leaves requests out', () => {
  const off = recorder({ size: 0 })
  take(off, '/')
  expect(off.requests()).toEqual([])
  let at = 0
  const half = recorder({ size: 100, sample: 0.5 }, () => (at++ % 2) * 0.9)
  for (let i = 0; i < 10; i++) take(half, '/')
  expect(half.size).toBe(5)
})
