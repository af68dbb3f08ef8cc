import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { FILTERS } from '../../src/filters/list.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const validator = (name: string) =>
  new Ajv({ strict: false, allErrors: true, logger: false }).compile(
    JSON.parse(read(`schema/${name}`)) as object,
  )

/** Files of other programs, and those that filters read. */
const FOREIGN = /^(?:compose|kubernetes)\/|\/keys\.yaml$/
const examples = readdirSync(join(ROOT, 'examples'), { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.yaml') && !FOREIGN.test(name),
)

test.each(examples)('examples/%s is what its schema describes', (name) => {
  const [, kind = 'sluice'] =
    /(routes|canary)\.d|(rollcheck)\.yaml$/.exec(name)?.filter((part) => part !== undefined) ?? []
  const validate = validator(`${kind}.schema.json`)
  validate(parse(read(`examples/${name}`)))
  expect(validate.errors ?? []).toEqual([])
})

test.each([
  ['an unknown key', { version: 1, limts: {} }],
  ['an unknown filter', { version: 1, filters: { a: { type: 'nonsense' } } }],
  ['a wrong option of a filter', { version: 1, filters: { a: { type: 'cors', origins: 'x' } } }],
  ['no version', {}],
])('the schema refuses %s, so that an editor marks it', (_what, value) => {
  expect(validator('sluice.schema.json')(value)).toBe(false)
})

test('every filter is in the schema with its options', () => {
  const text = read('schema/sluice.schema.json')
  for (const { name } of FILTERS) expect(text).toContain(`"const": "${name}"`)
})

test('the OpenAPI document lists every endpoint that docs/admin-api.md names', () => {
  const { paths } = JSON.parse(read('schema/openapi.json')) as { paths: Record<string, object> }
  const named = [
    ...read('docs/admin-api.md').matchAll(/(?:GET|POST|PUT) `?(\/(?:api|health|metrics|v1)[^\s`,;]*)/g),
  ]
  expect(named.length).toBeGreaterThan(8)
  for (const [, path = ''] of named) expect(Object.keys(paths)).toContain(path)
})
