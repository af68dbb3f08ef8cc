import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { HistoryEntry } from '../../../src/core/monitor-view.ts'
import { HistoryFile, readHistory } from '../../../src/health/history-file.ts'

let folder: string
let path: string
const errors: string[] = []
const opened: HistoryFile[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-history-'))
  path = join(folder, 'below', 'history.jsonl')
  errors.length = 0
})
afterEach(async () => {
  for (const file of opened.splice(0)) await file.close()
  rmSync(folder, { recursive: true, force: true })
})

const entry = (at: number): HistoryEntry => ({
  at,
  service: 'shop',
  key: 'consul/dc1/n1/shop-1',
  address: '10.0.0.1:80',
  version: '1.0',
  from: 'passing',
  to: 'critical',
  what: 'changed',
  reason: 'check "a": 503\nno',
})

function openFile(maxBytes = 1_000_000): HistoryFile {
  const file = new HistoryFile({ path, maxBytes, onError: (text) => errors.push(text) })
  opened.push(file)
  return file
}

const times = async (limit = 1000) => (await readHistory(path, limit)).map(({ at }) => at)

test('what was written is read again, the oldest first, and no more than asked for', async () => {
  expect(await times()).toEqual([])
  const file = openFile()
  const registry = { at: 2, registry: 'consul', from: 'live', to: 'stale', reason: 'refused' }
  file.append(entry(1))
  file.append(registry)
  await file.flush()
  file.append(entry(3))
  await file.close()
  expect(await readHistory(path, 10)).toEqual([entry(1), registry, entry(3)])
  expect(await times(2)).toEqual([2, 3])
  const again = openFile()
  again.append(entry(4))
  await again.close()
  expect(await times()).toEqual([1, 2, 3, 4])
  expect(errors).toEqual([])
})

test('a torn last line is left out and does not spoil the next one', async () => {
  const file = openFile()
  file.append(entry(1))
  file.append(entry(2))
  await file.close()
  const whole = readFileSync(path)
  writeFileSync(path, whole.subarray(0, whole.length - 9))
  expect(await times()).toEqual([1])
  const again = openFile()
  again.append(entry(3))
  again.append(entry(4))
  await again.close()
  expect(await times()).toEqual([1, 3, 4])
})

test('lines that are none of ours are left out', async () => {
  const file = openFile()
  file.append(entry(1))
  await file.close()
  const strange = [
    'null',
    '7',
    '[]',
    '{}',
    JSON.stringify({ ...entry(2), what: 'danced' }),
    JSON.stringify({ ...entry(2), at: '2' }),
    JSON.stringify({ ...entry(2), key: 7 }),
    JSON.stringify({ ...entry(2), reason: {} }),
    JSON.stringify({ at: 2, registry: {}, to: 'x' }),
    '\u0000\u0000\u0000',
  ]
  appendFileSync(path, `${strange.join('\n')}\n${JSON.stringify(entry(3))}\n`)
  expect(await times()).toEqual([1, 3])
})

test('is bounded by size with one file before it', async () => {
  const file = openFile(4096)
  for (let at = 1; at <= 100; at++) {
    file.append(entry(at))
    await file.flush()
  }
  await file.close()
  const sizes = [path, `${path}.1`].map((each) => (existsSync(each) ? statSync(each).size : 0))
  expect(Math.max(...sizes)).toBeLessThan(4096 + 300)
  expect(existsSync(`${path}.2`)).toBe(false)
  const kept = await times()
  expect(kept.at(-1)).toBe(100)
  expect(kept.length).toBeGreaterThan(15)
  expect(kept).toEqual([...kept].sort((a, b) => a - b))
})

test('a disk that takes nothing is told once, counted, and nobody waits', async () => {
  writeFileSync(join(folder, 'below'), 'a file where the folder should be')
  const file = openFile()
  file.append(entry(1))
  await file.flush()
  file.append(entry(2))
  await file.flush()
  expect(errors).toHaveLength(1)
  expect(file.dropped).toBe(2)
  rmSync(join(folder, 'below'))
  file.append(entry(3))
  await file.close()
  expect(await times()).toEqual([3])
  expect(errors).toHaveLength(1)
})

test('a file that cannot be read is an error', async () => {
  writeFileSync(join(folder, 'below'), 'a file where the folder should be')
  await expect(readHistory(path, 10)).rejects.toThrow('ENOTDIR')
})
