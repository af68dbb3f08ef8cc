import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { decodeBody } from '../../../src/mirror/decode.ts'

const TEXT = Buffer.from('{"a":1}'.repeat(100))

test.each([
  ['gzip', gzipSync(TEXT)],
  ['br', brotliCompressSync(TEXT)],
  ['deflate', deflateSync(TEXT)],
  ['zstd', zstdCompressSync(TEXT)],
  [' GZIP ', gzipSync(TEXT)],
  [undefined, TEXT],
  ['identity', TEXT],
])('unpacks %s', async (coding, body) => {
  expect((await decodeBody(body, coding, 1000))?.equals(TEXT)).toBe(true)
})

test('an unknown coding, several, a broken body and a bomb are no body', async () => {
  expect(await decodeBody(TEXT, 'compress', 1000)).toBeUndefined()
  expect(await decodeBody(gzipSync(TEXT), 'gzip, br', 1000)).toBeUndefined()
  expect(await decodeBody(TEXT, 'gzip', 1000)).toBeUndefined()
  const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024))
  expect(bomb.length).toBeLessThan(65_536)
  expect(await decodeBody(bomb, 'gzip', 65_536)).toBeUndefined()
})
