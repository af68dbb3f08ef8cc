import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Answer, compareAnswers, compareJson, compileRules } from '../../../src/mirror/compare.ts'
import { type Json, parseJson } from '../../../src/mirror/json.ts'
import { maskValue } from '../../../src/mirror/mask.ts'

const STRICT = compileRules([], 0)

const answer = (body: string | undefined, own: Partial<Answer> & { type?: string } = {}): Answer => ({
  status: own.status ?? 200,
  headers: own.headers ?? new Map([['content-type', own.type ?? 'application/json']]),
  body: body === undefined ? undefined : Buffer.from(body),
})

const found = (first: string, second: string, rules = STRICT) =>
  compareAnswers(answer(first), answer(second), rules).map(({ kind, path }) => `${kind} ${path}`)

/** The same value with the keys of each object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled)
  if (typeof value !== 'object' || value === null) return value
  const out: [string, unknown][] = Object.entries(value).map(([key, each]) => [key, shuffled(each)])
  return Object.fromEntries(out.reverse())
}

describe('properties', () => {
  test('a value is equal to itself, whatever it is', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(compareJson(parseJson(text) as Json, parseJson(text) as Json, STRICT)).toEqual([])
      }),
    )
  })

  test('the order of keys means nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const [a, b] = [JSON.stringify(value), JSON.stringify(shuffled(JSON.parse(JSON.stringify(value))))]
        expect(found(a, b)).toEqual([])
      }),
    )
  })

  test('values that are not the same are not called so, and it does not matter which comes first', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const [left, right] = [JSON.stringify(a), JSON.stringify(b)]
        const differences = found(left, right)
        expect(differences.length === 0).toBe(found(right, left).length === 0)
        expect(differences.length === 0).toBe(isEqual(JSON.parse(left), JSON.parse(right)))
      }),
    )
  })

  test('whole numbers of any length are told apart in their last digit', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 10n ** 15n, max: 10n ** 40n }), (number) => {
        expect(found(`{"id":${number}}`, `{"id":${number + 1n}}`)).toEqual(['value $.id'])
        expect(found(`{"id":${number}}`, `{"id":${number}}`)).toEqual([])
      }),
    )
  })
})

/** Deep equality that knows nothing of ours; -0 and 0 are the same number. */
function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const [keys, others] = [Object.keys(a), Object.keys(b)]
  return (
    keys.length === others.length &&
    keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key as never], b[key as never]))
  )
}

test('one number may be written in many ways', () => {
  expect(found('[1e21, 1.50, 10, -0]', '[1000000000000000000000, 1.5, 1E1, 0.0]')).toEqual([])
  expect(found('[12345678901234567890.10]', '[1234567890123456789010e-2]')).toEqual([])
  expect(found('[1e400]', '[1e401]')).toEqual(['value $[*]'])
})

test('what differs is named by its path, once with each kind', () => {
  const first = '{"a":1,"b":{"c":"x"},"d":[1,2],"gone":true}'
  const second = '{"a":"1","b":{"c":"y"},"d":[1,3,4],"new":null}'
  expect(found(first, second)).toEqual([
    'type $.a',
    'value $.b.c',
    'length $.d',
    'value $.d[*]',
    'missing $.gone',
    'added $.new',
  ])
  expect(found('{"a b":1,"__proto__":2}', '{"a b":2,"__proto__":3}')).toEqual([
    "value $['a b']",
    'value $.__proto__',
  ])
})

test('a list against an object is a type, not a walk', () => {
  expect(found('{"a":[]}', '{"a":{}}')).toEqual(['type $.a'])
  expect(found('null', '{}')).toEqual(['type $'])
})

test.each([
  ['$.at', ['value $.items[*].id']],
  ['at', ['value $.items[*].id']],
  ['$.items[*].id', ['value $.at']],
  ['$.items', ['value $.at']],
  ['**.id', ['value $.at']],
  ['$.*.*.id', ['value $.at']],
  ['$.items.id', ['value $.at', 'value $.items[*].id']],
])('ignore %s leaves %j', (pattern, left) => {
  const rules = compileRules([pattern], 0)
  expect(found('{"at":1,"items":[{"id":1}]}', '{"at":2,"items":[{"id":2}]}', rules)).toEqual(left)
})

test.each(['', '$', 'a..b', '$.a[0]', "$['a"])('"%s" is no path', (pattern) => {
  expect(() => compileRules([pattern], 0)).toThrow(expect.objectContaining({ code: 'GW_CONFIG_INVALID' }))
})

test('numbers are equal within the tolerance, texts that look like numbers are not', () => {
  const rules = compileRules([], 0.01)
  expect(found('{"a":100,"b":"100"}', '{"a":100.9,"b":"100.9"}', rules)).toEqual(['value $.b'])
  expect(found('{"a":100}', '{"a":102}', rules)).toEqual(['value $.a'])
  expect(found('[0]', '[0.1]', rules)).toEqual(['value $[*]'])
})

test('with another status the bodies are not compared', () => {
  expect(compareAnswers(answer('{"a":1}'), answer('{"b":1}', { status: 500 }), STRICT)).toEqual([
    { kind: 'status', path: 'status', first: 200, second: 500 },
  ])
})

test('headers are compared but for those that differ with every answer', () => {
  const headers = (etag: string, type: string) =>
    new Map([
      ['content-type', type],
      ['etag', etag],
      ['x-shop', '1'],
    ])
  const [a, b] = [{ headers: headers('a', 'text/plain') }, { headers: headers('b', 'text/html') }]
  expect(compareAnswers(answer('x', a), answer('x', b), STRICT)).toEqual([
    { kind: 'header', path: 'header:content-type', first: 'text/plain', second: 'text/html' },
  ])
  const rules = compileRules(['header:Content-Type'], 0)
  expect(compareAnswers(answer('x', a), answer('x', b), rules)).toEqual([])
})

test('what is no JSON is compared as bytes, and a body that was cut not at all', () => {
  expect(found('{"a":', '{"b":')).toEqual(['body $'])
  const text = { type: 'text/plain' }
  expect(compareAnswers(answer('{"a":1}', text), answer('{"a": 1}', text), STRICT)).toHaveLength(1)
  expect(compareAnswers(answer(undefined), answer('x'), STRICT)).toEqual([])
})

test('a nesting of thousands and thousands of differences are bounded', () => {
  const deep = (leaf: string) => `${'['.repeat(50_000)}${leaf}${']'.repeat(50_000)}`
  expect(found(deep('1'), deep('2')).length).toBeLessThanOrEqual(1)
  const wide = (n: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, n])))
  expect(found(wide(1), wide(2))).toHaveLength(200)
})

test('examples show the form of a value, not the value', () => {
  expect(maskValue('$.name', 'Zoë Müller 42')).toBe('"aaa aaaaaa 99"')
  expect(maskValue('$.note', 'x'.repeat(100))).toBe(`"${'a'.repeat(24)}…" (100 characters)`)
  expect(maskValue('$.accessToken', 'geheim')).toBe('(string)')
  expect(maskValue('$.pin.password', 1234)).toBe('(number)')
  expect(maskValue('$.price', 12.5)).toBe('12.5')
  expect(maskValue('$.items', [1, 2])).toBe('(list of 2)')
  expect(maskValue('$.gone', undefined)).toBe('absent')
})
