import { expect, test } from 'vitest'
import { compileReader } from '../../../src/core/json-path.ts'

const document = { host: 'a', list: [{ port: 1 }, { port: 2 }], 'a b': { c: null }, n: 0 }

test.each([
  ['$', document],
  ['$.host', 'a'],
  ['host', 'a'],
  ['$.list[1].port', 2],
  ["$['a b'].c", null],
  ['$.n', 0],
  ['$.none.more', undefined],
  ['$.list[7].port', undefined],
  ['$.host.length', undefined],
  ['$.constructor', undefined],
  ['$.list.length', 2],
])('%s', (path, value) => {
  expect(compileReader(path)(document)).toBe(value)
})

test.each([
  ['$.list[*].port', 'names many values'],
  ['**.port', 'names many values'],
  ['$.a[', 'is no path'],
  ['', 'names nothing'],
])('%s is refused', (path, problem) => {
  expect(() => compileReader(path)).toThrow(problem)
})
