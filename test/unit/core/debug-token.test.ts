import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkDebugToken, createDebugToken, MAX_DEBUG_TTL_MS } from '../../../src/core/debug-token.ts'

const KEY = 'a-key-of-thirty-two-bytes-or-more'
const NOW = 1_800_000_000_000

test('a token is good until its time is over', () => {
  const token = createDebugToken(KEY, NOW, 300_000)
  expect(token).toMatch(/^1800000300\.[\w-]{16}\.[\w-]{43}$/)
  expect(checkDebugToken(KEY, token, NOW)).toBe('valid')
  expect(checkDebugToken(KEY, token, NOW + 299_999)).toBe('valid')
  expect(checkDebugToken(KEY, token, NOW + 300_000)).toBe('expired')
})

test('of another key, for longer than a day, or changed anywhere, it is none', () => {
  const token = createDebugToken(KEY, NOW, 300_000)
  expect(checkDebugToken(`${KEY}x`, token, NOW)).toBe('invalid')
  expect(checkDebugToken(KEY, createDebugToken(KEY, NOW, MAX_DEBUG_TTL_MS + 60_000), NOW)).toBe('invalid')
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.constantFrom('0', '5', 'A', 'z', '_', '.'), (at, letter) => {
      const changed = token.slice(0, at) + letter + token.slice(at + 1)
      // The last letter holds two bits that say nothing.
      fc.pre(changed !== token && at !== token.length - 1)
      expect(checkDebugToken(KEY, changed, NOW)).toBe('invalid')
    }),
  )
  for (const one of ['', '.', 'x', `${token}x`, ` ${token}`, `${token}, ${token}`, token.slice(0, -1)]) {
    expect([one, checkDebugToken(KEY, one, NOW)]).toEqual([one, 'invalid'])
  }
})

test('no two are alike', () => {
  expect(createDebugToken(KEY, NOW, 1000)).not.toBe(createDebugToken(KEY, NOW, 1000))
})
