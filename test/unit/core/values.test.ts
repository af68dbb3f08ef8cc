import fc from 'fast-check'
import { expect, test } from 'vitest'
import { splitAddress, urlOf } from '../../../src/core/address.ts'
import { backoffMs, parseDuration, parseSize, sleep } from '../../../src/core/duration.ts'
import { Headers } from '../../../src/core/headers.ts'
import { createIdSource, parseTraceparent } from '../../../src/core/ids.ts'

test.each([
  ['250ms', 250],
  ['15s', 15_000],
  ['1.5m', 90_000],
  ['1h', 3_600_000],
  ['7d', 604_800_000],
  ['0', 0],
  ['15', undefined],
  ['s', undefined],
  ['-1s', undefined],
  ['1 s', undefined],
  ['', undefined],
])('the duration %s is %s ms', (text, expected) => expect(parseDuration(text)).toBe(expected))

test.each([
  ['512B', 512],
  ['64KiB', 65_536],
  ['10MB', 10_000_000],
  ['0', 0],
  ['10', undefined],
  ['10mb', undefined],
])('the size %s is %s bytes', (text, expected) => expect(parseSize(text)).toBe(expected))

test('back-off grows, is capped, and never goes below half', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempt, roll) => {
        const ms = backoffMs(attempt, 250, 5000, () => roll)
        const ceiling = Math.min(5000, 250 * 2 ** Math.min(attempt - 1, 30))
        expect(ms).toBeGreaterThanOrEqual(ceiling / 2)
        expect(ms).toBeLessThanOrEqual(ceiling)
      },
    ),
  )
})

test('a sleep ends with its signal, without an error', async () => {
  const abort = new AbortController()
  const sleeping = sleep(60_000, abort.signal)
  abort.abort()
  await sleeping
  await sleep(60_000, abort.signal)
})

test.each([
  ['127.0.0.1:8080', '127.0.0.1', 8080, 'http://127.0.0.1:8080'],
  ['[::1]:81', '::1', 81, 'http://[::1]:81'],
  ['0.0.0.0:80', '0.0.0.0', 80, 'http://127.0.0.1:80'],
  ['[::]:80', '::', 80, 'http://127.0.0.1:80'],
])('%s is taken apart and shown', (address, host, port, url) => {
  expect(splitAddress(address)).toEqual({ host, port })
  expect(urlOf('http', host, port)).toBe(url)
})

test('a traceparent is read only when it is one', () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  expect(parseTraceparent(`00-${traceId}-b7ad6b7169203331-01`)).toEqual({ traceId, flags: '01' })
  for (const wrong of [
    undefined,
    '',
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-${traceId.toUpperCase()}-b7ad6b7169203331-01`,
    `ff-${traceId}-b7ad6b7169203331-01`,
    `00-${traceId}-b7ad6b7169203331-01, x`,
  ]) {
    expect(parseTraceparent(wrong)).toBeUndefined()
  }
})

test('ids are hex of the wanted length and do not repeat', () => {
  const newId = createIdSource()
  const ids = Array.from({ length: 5000 }, () => newId(16))
  expect(new Set(ids).size).toBe(5000)
  expect(ids.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true)
  expect(newId(8)).toMatch(/^[0-9a-f]{16}$/)
})

test('headers keep order, case and duplicates, and are found without regard to case', () => {
  const headers = new Headers(['Host', 'a', 'X-A', '1', 'Cookie', 'a=1', 'x-a', '2', 'cookie', 'b=2'])
  expect(headers.get('x-a')).toBe('1, 2')
  expect(headers.get('cookie')).toBe('a=1; b=2')
  expect(headers.getAll('x-a')).toEqual(['1', '2'])
  headers.set('x-a', '3')
  expect(headers.raw()).toEqual(['Host', 'a', 'X-A', '3', 'Cookie', 'a=1', 'cookie', 'b=2'])
  headers.delete('cookie')
  headers.append('x-b', '4')
  expect(headers.raw()).toEqual(['Host', 'a', 'X-A', '3', 'x-b', '4'])
  expect([headers.size, headers.has('x-b'), headers.has('cookie')]).toEqual([3, true, false])
})

test('headers behave like a list of pairs under any edits', () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const edit = fc.tuple(fc.constantFrom('set', 'append', 'delete'), name, fc.string())
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.string())), fc.array(edit), (start, edits) => {
      const headers = new Headers(start.flat())
      let model = start.map(([key, value]) => [key, value] as [string, string])
      for (const [what, key, value] of edits) {
        if (what === 'append') {
          headers.append(key, value)
          model.push([key, value])
        } else if (what === 'delete') {
          headers.delete(key)
          model = model.filter(([other]) => other !== key)
        } else {
          headers.set(key, value)
          const first = model.findIndex(([other]) => other === key)
          model = model.filter(([other], i) => other !== key || i === first)
          if (first === -1) model.push([key, value])
          else model = model.map((pair) => (pair[0] === key ? [key, value] : pair))
        }
      }
      expect(headers.raw()).toEqual(model.flat())
    }),
  )
})
