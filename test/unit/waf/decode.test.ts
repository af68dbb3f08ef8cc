import { brotliCompressSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { codingsOf, decodeBody } from '../../../src/waf/decode.ts'
import { mappedByte, unicodeMapText } from '../../../src/waf/unicode-map.ts'

const TEXT = Buffer.from('some text, '.repeat(100))

describe('codings of a body', () => {
  test('are taken off from the last to the first', async () => {
    expect(codingsOf(' GZIP , br,identity')).toEqual(['br', 'gzip'])
    expect(codingsOf(undefined)).toEqual([])
    const bytes = brotliCompressSync(gzipSync(TEXT))
    expect(await decodeBody(bytes, true, ['br', 'gzip'], 10_000)).toEqual({
      kind: 'plain',
      bytes: TEXT,
      isWhole: true,
    })
  })

  test('no more comes out than is wanted', async () => {
    const decoded = await decodeBody(gzipSync(TEXT), true, ['gzip'], 100)
    expect(decoded).toEqual({ kind: 'plain', bytes: TEXT.subarray(0, 100), isWhole: false })
  })

  test('of a body that was cut off the beginning is read', async () => {
    const random = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * i * 31) % 251))
    for (const [coding, bytes] of [
      ['gzip', gzipSync(random)],
      ['br', brotliCompressSync(random)],
    ] as const) {
      const decoded = await decodeBody(bytes.subarray(0, bytes.length / 2), false, [coding], 100_000)
      expect(decoded).toMatchObject({ kind: 'plain', isWhole: false })
      if (decoded.kind !== 'plain') return
      expect(decoded.bytes.length).toBeGreaterThan(0)
      expect(random.subarray(0, decoded.bytes.length).equals(decoded.bytes)).toBe(true)
    }
  })

  test('what is unknown or not what it says is looked at as it is', async () => {
    expect(await decodeBody(TEXT, true, ['gzip'], 1000)).toEqual({ kind: 'opaque' })
    expect(await decodeBody(TEXT, true, ['compress'], 1000)).toEqual({ kind: 'opaque' })
    expect(await decodeBody(TEXT, true, ['gzip', 'gzip', 'gzip'], 1000)).toEqual({ kind: 'opaque' })
  })

  test('a bomb is known by what it has grown to, not by its size', async () => {
    const bomb = gzipSync(Buffer.alloc(10_000_000))
    expect(await decodeBody(bomb, true, ['gzip'], 131_072)).toEqual({ kind: 'bomb' })
    const small = gzipSync(Buffer.alloc(10_000))
    expect(await decodeBody(small, true, ['gzip'], 131_072)).toMatchObject({ kind: 'plain' })
  })
})

describe('code points as rules see them', () => {
  test('full-width signs and typographic quotes are their ASCII selves, letters are letters', () => {
    const seen = [...'＜＇；’“—／　中я'].map((char) => String.fromCharCode(mappedByte(char.charCodeAt(0))))
    expect(seen.join('')).toBe(`<';'"-/ xx`)
  })

  test('the map names each code point once', () => {
    const text = unicodeMapText()
    expect(text.startsWith('20127 (US-ASCII)\n0100:78 ')).toBe(true)
    expect(text.match(/[0-9a-f]{4}:[0-9a-f]{2}/g)).toHaveLength(0x10000 - 0x100)
  })
})
