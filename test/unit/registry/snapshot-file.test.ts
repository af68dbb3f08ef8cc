import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RegistryState } from '../../../src/core/types.ts'
import { readSnapshot, SnapshotWriter } from '../../../src/registry/snapshot-file.ts'
import { anInstance } from '../../support/exchange.ts'

let folder: string
let path: string
const problems: string[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-snapshot-'))
  path = join(folder, 'deep/er/snapshot.json')
  problems.length = 0
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const stateOf = (...ids: string[]): RegistryState => ({
  problems: [],
  services: new Map([
    [
      'shop',
      {
        name: 'shop',
        source: 'live',
        lastGoodAt: 0,
        instances: ids.map((id) =>
          anInstance(id, 80, { held: 'a guard', checks: [{ id: 'c', state: 'passing', output: '' }] }),
        ),
      },
    ],
  ]),
})
const writer = () => new SnapshotWriter(path, 0, (text) => problems.push(text))

test('what was saved comes back by registry, without marks of the moment', async () => {
  const save = writer()
  save.save(stateOf('a', 'b'))
  await save.flush()
  const saved = await readSnapshot(path)
  const [shop] = saved?.registries.get('test') ?? []
  expect(shop?.instances.map(({ id }) => id)).toEqual(['a', 'b'])
  expect(shop?.instances[0]).not.toHaveProperty('held')
  expect(shop?.instances[0]).not.toHaveProperty('checks')
  expect(readdirSync(join(folder, 'deep/er'))).toEqual(['snapshot.json'])
})

test('an empty world does not overwrite what the file has', async () => {
  const save = writer()
  save.save(stateOf('a'))
  await save.flush()
  const before = readFileSync(path, 'utf8')
  save.save({ services: new Map(), problems: [] })
  await save.flush()
  expect(readFileSync(path, 'utf8')).toBe(before)
})

test('no file is no snapshot; a damaged one is named', async () => {
  expect(await readSnapshot(path)).toBeUndefined()
  const damaged = join(folder, 'bad.json')
  writeFileSync(damaged, '{"format":1,"services":[{')
  await expect(readSnapshot(damaged)).rejects.toMatchObject({
    code: 'GW_REGISTRY_FILE',
    message: expect.stringContaining('bad.json is damaged'),
  })
  writeFileSync(damaged, '{"format":99}')
  await expect(readSnapshot(damaged)).rejects.toMatchObject({ code: 'GW_REGISTRY_FILE' })
})

test('a place that cannot be written is a warning, not an end', async () => {
  writeFileSync(join(folder, 'deep'), 'a file where a folder should be')
  const save = writer()
  save.save(stateOf('a'))
  await save.flush()
  expect(problems[0]).toContain('cannot be written')
  expect(existsSync(path)).toBe(false)
})
