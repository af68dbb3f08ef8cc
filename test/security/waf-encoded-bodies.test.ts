import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { wafGateway } from '../support/waf-gateway.ts'

const cleanups = useCleanups()
const ATTACK = JSON.stringify({ q: "1' union select password from users--" })
const CLEAN = JSON.stringify({ q: 'shoes' })

const post = (body: Buffer | string, encoding: string): RequestInit => ({
  method: 'POST',
  body: typeof body === 'string' ? body : new Uint8Array(body),
  headers: { 'content-type': 'application/json', 'content-encoding': encoding },
})

describe('an attack in a compressed body', () => {
  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['identity', (text: string) => Buffer.from(text)],
  ] as const)('%s: refused; a clean one reaches the service as it was sent', async (encoding, compress) => {
    const { send, served } = await wafGateway(cleanups)
    expect((await send('/', post(compress(ATTACK), encoding))).status).toBe(403)
    expect((await send('/', post(compress(CLEAN), encoding))).status).toBe(200)
    expect(served.map(({ body }) => body)).toEqual([compress(CLEAN).toString('latin1')])
  })

  test('two codings, one in the other', async () => {
    const { send } = await wafGateway(cleanups)
    const body = brotliCompressSync(gzipSync(ATTACK))
    expect((await send('/', post(body, 'gzip, br'))).status).toBe(403)
  })

  test.each(['gzip', 'foo', 'gzip, gzip, gzip, gzip'])(
    'plain, but called %s: a service that ignores the field would read it',
    async (encoding) => {
      const { send, served } = await wafGateway(cleanups)
      expect((await send('/', post(ATTACK, encoding))).status).toBe(403)
      expect(served).toEqual([])
    },
  )

  test('a decompression bomb is refused without being unpacked', async () => {
    const { send, served, lines } = await wafGateway(cleanups)
    const bomb = gzipSync(Buffer.alloc(100 * 1024 * 1024, 0x20))
    const before = process.memoryUsage.rss()
    expect((await send('/', post(bomb, 'gzip'))).status).toBe(403)
    expect(process.memoryUsage.rss() - before).toBeLessThan(50 * 1024 * 1024)
    expect(served).toEqual([])
    expect(lines.map(({ message }) => message)).toContain(
      'The request body grows beyond measure when it is decoded',
    )
  })
})

describe('a body that says one thing and is another', () => {
  test('broken JSON', async () => {
    const { send } = await wafGateway(cleanups)
    const answer = await send('/', {
      method: 'POST',
      body: '{"a": "1\' union select password from users--"',
      headers: { 'content-type': 'application/json' },
    })
    expect(answer.status).toBe(403)
  })

  test('a type that is not listed', async () => {
    const { send } = await wafGateway(cleanups)
    const answer = await send('/', {
      method: 'POST',
      body: ATTACK,
      headers: { 'content-type': 'application/x-evil' },
    })
    expect(answer.status).toBe(403)
  })

  test('multipart with a boundary that it does not keep to', async () => {
    const { send } = await wafGateway(cleanups)
    const answer = await send('/', {
      method: 'POST',
      body: '--a\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--ab\r\n',
      headers: { 'content-type': 'multipart/form-data; boundary=a' },
    })
    expect(answer.status).toBe(403)
  })

  test('an attack behind the part that is looked at passes in partial mode, and is 413 in refuse mode', async () => {
    const body = JSON.stringify({ pad: 'x'.repeat(2000), q: "1' union select password from users--" })
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
    const partial = await wafGateway(cleanups, { filter: 'requestBody: { maxBytes: 1KiB }' })
    expect((await partial.send('/', init)).status).toBe(200)
    expect(partial.served[0]?.body).toBe(body)
    const refuse = await wafGateway(cleanups, { filter: 'requestBody: { maxBytes: 1KiB, larger: refuse }' })
    expect((await refuse.send('/', init)).status).toBe(413)
    expect((await refuse.send('/', post(gzipSync(body), 'gzip'))).status).toBe(413)
    expect(refuse.served).toEqual([])
  })
})
