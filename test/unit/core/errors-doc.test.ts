import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ERRORS, errorText, GatewayError, problemBody, toError } from '../../../src/core/errors.ts'
import { OUTCOMES } from '../../../src/core/outcome.ts'

const ROOT = join(import.meta.dirname, '../../..')
const page = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')
const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())

test('docs/errors.md lists exactly the codes of the catalogue, with status and title', () => {
  const listed = page
    .split('\n')
    .filter((line) => line.startsWith('| `GW_'))
    .map((line) => cellsOf(line).slice(0, 3))
  const expected = Object.entries(ERRORS).map(([code, { status, title }]) => [
    `\`${code}\``,
    status === 0 ? '' : String(status),
    title,
  ])
  expect(listed.sort()).toEqual(expected.sort())
})

test('docs/errors.md lists exactly the outcomes', () => {
  const part = page.slice(page.indexOf('## Outcomes'))
  const listed = [...part.matchAll(/^\| `([a-z_]+)`/gm)].map(([, name]) => name)
  expect(listed).toEqual([...OUTCOMES])
})

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}

test('no error is made outside the catalogue', () => {
  const found = ['src', 'plugins', 'routes']
    .flatMap(filesBelow)
    .filter((file) => file !== 'src/core/errors.ts')
    .filter((file) => /new (?:Type|Range|Syntax)?Error\(/.test(readFileSync(join(ROOT, file), 'utf8')))
  expect(found).toEqual([])
})

test('a problem document says what a stranger may know', () => {
  expect(JSON.parse(problemBody('GW_UPSTREAM_CONNECT', 'r-1'))).toEqual({
    type: 'urn:sluice:error:GW_UPSTREAM_CONNECT',
    title: 'The service cannot be reached',
    status: 502,
    code: 'GW_UPSTREAM_CONNECT',
    requestId: 'r-1',
  })
})

test('the text of an error holds its causes, each once', () => {
  const root = Object.assign(new TypeError(''), { code: 'ECONNREFUSED' })
  const error = new GatewayError('GW_REGISTRY_UNREACHABLE', 'consul', {
    cause: new TypeError('fetch', { cause: root }),
  })
  expect(errorText(error)).toBe('consul: fetch: ECONNREFUSED')
  expect(errorText('text')).toBe('text')
  expect(toError('text')).toBeInstanceOf(GatewayError)
})
