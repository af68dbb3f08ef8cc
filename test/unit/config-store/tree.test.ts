import { expect, test } from 'vitest'
import { KEPT_REVISIONS, nextPointer, parsePointer } from '../../../src/config-store/pointer.ts'
import { buildTree, checkFiles, readTree } from '../../../src/config-store/tree.ts'
import type { RevisionRecord } from '../../../src/core/stored-files.ts'

const FILES = new Map([
  ['routes.d/shop.yaml', 'routes: []\n'],
  ['canary.d/v2.yaml', 'canaries: []\n'],
])
const asRead = (files = FILES) =>
  buildTree(files).entries.map(({ key, value }, index) => ({ key, value, index }))
const { hash } = buildTree(FILES)

test('a tree that was written whole is read back', () => {
  expect(readTree(hash, asRead())).toEqual({ files: new Map([...FILES].sort()) })
})

test('the hash is of names and contents, in any order', () => {
  expect(buildTree(new Map([...FILES].reverse())).hash).toBe(hash)
  expect(buildTree(new Map([...FILES, ['routes.d/x.yaml', '']])).hash).not.toBe(hash)
  expect(buildTree(new Map([['routes.d/shop.yml', 'routes: []\n']])).hash).not.toBe(
    buildTree(new Map([['routes.d/shop.yaml', 'routes: []\n']])).hash,
  )
})

test('names the key that was changed, and the one that is missing', () => {
  for (const { key } of asRead()) {
    const changed = asRead().map((entry) =>
      entry.key === key ? { ...entry, value: `${entry.value} ` } : entry,
    )
    expect(readTree(hash, changed)).toMatchObject({ key, isMissing: false })
    const without = asRead().filter((entry) => entry.key !== key)
    expect(readTree(hash, without)).toMatchObject({ key, isMissing: true })
  }
})

test('what is beside the files of a tree is not read', () => {
  const more = [...asRead(), { key: `trees/${hash}/routes.d/evil.yaml`, value: 'x', index: 9 }]
  expect(readTree(hash, more)).toEqual({ files: new Map([...FILES].sort()) })
})

test.each(['sluice.yaml', 'routes.d/../x.yaml', 'routes.d/.x.yaml', 'routes.d/a/b.yaml', 'routes.d/ä.yaml'])(
  'a file %s cannot be kept',
  (name) => expect(() => checkFiles(new Map([[name, '']]))).toThrow(name),
)

const record = (revision: number): RevisionRecord => ({
  revision,
  hash: '0123456789abcdef',
  at: 0,
  by: 'ann',
  message: '',
  files: 1,
})

test('the pointer keeps the last revisions and says which it dropped', () => {
  const before = Array.from({ length: KEPT_REVISIONS }, (_, i) => record(KEPT_REVISIONS - i))
  const { text, dropped } = nextPointer(record(KEPT_REVISIONS + 1), before)
  expect(dropped.map(({ revision }) => revision)).toEqual([1])
  expect(parsePointer(text)?.map(({ revision }) => revision)).toEqual(
    Array.from({ length: KEPT_REVISIONS }, (_, i) => KEPT_REVISIONS + 1 - i),
  )
})

test.each(['', '{}', 'no json', '{"format":2,"revisions":[]}', '{"format":1,"revisions":[]}'])(
  'a pointer %j is not readable',
  (text) => expect(parsePointer(text)).toBeUndefined(),
)
