import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { claimAt, deepFreeze, parseStrictObject } from '../../../src/identity/strict-json.ts'

const parse = (text: string) => parseStrictObject(Buffer.from(text))

describe('an object of a token', () => {
  test('is parsed', () => {
    expect(parse(' {"a": {"b": [1, "x:\\"{"]}, "c": "a"} ')).toEqual({ a: { b: [1, 'x:"{'] }, c: 'a' })
  })

  test.each([
    ['a member twice', '{"sub":"a","sub":"b"}'],
    ['a member twice, once escaped', '{"sub":"a","\\u0073ub":"b"}'],
    ['a member twice further in', '{"a":[{"b":1,"c":{},"b":2}]}'],
    ['a member twice around another object', '{"a":1,"b":{"a":2},"a":3}'],
    ['__proto__ twice', '{"__proto__":{},"__proto__":{}}'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a text', '"x"'],
    ['two objects', '{}{}'],
    ['a comma at the end', '{"a":1,}'],
    ['a comment', '{"a":1/**/}'],
    ['NaN', '{"a":NaN}'],
    ['nothing', ''],
    ['a byte order mark', '\ufeff{}'],
    ['a NUL behind', '{}\0'],
    ['a raw control character in a text', '{"a":"\n"}'],
    ['nesting without end', `{"a":${'['.repeat(17)}${']'.repeat(17)}}`],
  ])('is refused with %s', (_, text) => expect(parse(text)).toBeUndefined())

  test('is refused with bytes that are no UTF-8', () => {
    expect(parseStrictObject(Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]))).toBeUndefined()
  })

  test('takes the same name in different objects, and names as values', () => {
    expect(parse('{"a":{"a":{"a":"a"}},"b":["a","a"]}')).toEqual({ a: { a: { a: 'a' } }, b: ['a', 'a'] })
  })

  test('is what JSON.parse makes of any object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })), (value) => {
        expect(parse(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

describe('a claim', () => {
  const claims = { sub: 'a', realm_access: { roles: ['x'] }, 'https://e.x/roles': ['y'], list: [{ a: 1 }] }

  test('is found by name, by path, and by a name with dots', () => {
    expect(claimAt(claims, 'sub')).toBe('a')
    expect(claimAt(claims, 'realm_access.roles')).toEqual(['x'])
    expect(claimAt(claims, 'https://e.x/roles')).toEqual(['y'])
  })

  test.each(['toString', 'constructor', '__proto__', 'sub.length', 'list.0', 'realm_access.x.y', 'nope'])(
    '%s is not there',
    (path) => expect(claimAt(claims, path)).toBeUndefined(),
  )
})

test('frozen claims cannot be changed at any depth', () => {
  const claims = deepFreeze({ a: { b: [1] } })
  expect(() => claims.a.b.push(2)).toThrow(TypeError)
})
