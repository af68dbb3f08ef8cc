import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/duration.ts'
import { errorText } from '../../../src/core/errors.ts'
import type { ProviderStatus, Snapshot } from '../../../src/core/types.ts'
import { createFileProvider, parseRegistryFile } from '../../../src/registry/file.ts'
import { waitFor } from '../../support/wait.ts'

let folder: string
let stop: () => Promise<void>
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-registry-'))
  stop = async () => {}
})
afterEach(async () => {
  await stop()
  rmSync(folder, { recursive: true, force: true })
})

function watch(path: string) {
  const abort = new AbortController()
  const seen: { snapshot: Snapshot | undefined; status: ProviderStatus | undefined } = {
    snapshot: undefined,
    status: undefined,
  }
  const done = createFileProvider('files', path, { clock: systemClock }).watch(
    {
      next: (snapshot) => {
        seen.snapshot = snapshot
      },
      status: (status) => {
        seen.status = status
      },
    },
    abort.signal,
  )
  stop = async () => {
    abort.abort()
    await done
  }
  const addresses = (service: string) =>
    seen.snapshot?.services.get(service)?.instances.map(({ address, port }) => `${address}:${port}`)
  return { seen, addresses }
}

const replace = (file: string, text: string) => {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}

test('reads a file, follows its changes, and keeps what it has while the file is wrong', async () => {
  const file = join(folder, 'services.yaml')
  writeFileSync(file, 'services: { shop: ["http://10.0.0.1:80"] }')
  const { seen, addresses } = watch(file)
  await waitFor(() => addresses('shop')?.join() === '10.0.0.1:80')
  replace(file, 'services: { shop: ["http://10.0.0.1:80", "http://10.0.0.2:80"], cart: ["http://[::1]:81"] }')
  await waitFor(() => addresses('shop')?.length === 2)
  expect(addresses('cart')).toEqual(['::1:81'])
  replace(file, 'services: { shop: ["10.0.0.3"] }')
  await waitFor(() => seen.status?.state === 'stale')
  expect(seen.status?.lastError?.message).toMatch(/services\.yaml:\d+:\d+|services\.shop/)
  expect(addresses('shop')).toHaveLength(2)
  replace(file, 'services: { shop: ["http://10.0.0.4:80"] }')
  await waitFor(() => addresses('shop')?.join() === '10.0.0.4:80')
  expect(seen.status?.state).toBe('live')
})

test('a service that did not change keeps its object', async () => {
  const file = join(folder, 'services.yaml')
  writeFileSync(file, 'services: { shop: ["http://10.0.0.1:80"], cart: ["http://10.0.0.2:80"] }')
  const { seen, addresses } = watch(file)
  const before = (await waitFor(() => seen.snapshot)).services.get('shop')
  replace(file, 'services: { shop: ["http://10.0.0.1:80"], cart: ["http://10.0.0.3:80"] }')
  await waitFor(() => addresses('cart')?.join() === '10.0.0.3:80')
  expect(seen.snapshot?.services.get('shop')).toBe(before)
})

test('a folder is all its files together; a file that comes later is seen', async () => {
  const many = join(folder, 'many')
  mkdirSync(many)
  writeFileSync(join(many, 'a.yaml'), 'services: { shop: ["http://10.0.0.1:80"] }')
  writeFileSync(join(many, '.hidden.yaml'), 'nonsense')
  const { addresses } = watch(many)
  await waitFor(() => addresses('shop')?.length === 1)
  replace(join(many, 'b.json'), '{"services":{"shop":["http://10.0.0.2:80"]}}')
  await waitFor(() => addresses('shop')?.length === 2)
})

test('a file that is not there yet is waited for', async () => {
  const file = join(folder, 'later.yaml')
  const { seen, addresses } = watch(file)
  await waitFor(() => seen.status?.state === 'failed')
  replace(file, 'services: { shop: ["http://10.0.0.1:80"] }')
  await waitFor(() => addresses('shop')?.length === 1)
})

test('an instance may say its version, zone, weight, state, tags and metadata', () => {
  const text = `services:
  shop:
    - { url: "https://10.0.0.1:8443", id: one, version: 1.0.0, zone: a, weight: 3, state: draining, tags: [x], meta: { k: v } }
`
  expect(parseRegistryFile('files', 'x.yaml', text).get('shop')).toEqual([
    {
      key: 'files/file/shop/one',
      id: 'one',
      service: 'shop',
      address: '10.0.0.1',
      port: 8443,
      scheme: 'https',
      version: '1.0.0',
      zone: 'a',
      weight: 3,
      state: 'draining',
      tags: ['x'],
      meta: { k: 'v' },
    },
  ])
})

test('Prometheus file_sd is read, too', () => {
  const text = '[{"targets":["10.0.0.1:80","10.0.0.2:80"],"labels":{"job":"shop","version":"2"}}]'
  const shop = parseRegistryFile('files', 'x.json', text).get('shop')
  expect(shop?.map(({ address, version, state }) => [address, version, state])).toEqual([
    ['10.0.0.1', '2', 'unknown'],
    ['10.0.0.2', '2', 'unknown'],
  ])
})

test.each([
  ['services: { shop: [', /x\.yaml:\d+:\d+/],
  ['services:\n  shop:\n    - { url: "http://a:1", wieght: 3 }', /x\.yaml:\d+:\d+: services\.shop/],
  ['serveces: {}', /x\.yaml:1:1|serveces/],
  ['[{"targets":["a:1"]}]', /neither the label service nor job/],
])('a mistake is named with its place: %s', (text, message) => {
  expect(() => parseRegistryFile('files', 'x.yaml', text)).toThrow(message)
})

test.each([
  ['services:\n  cart:\n    - nonsense\n', '3:7: services.cart.0.url: write scheme://'],
  ['services:\n  cart:\n    - url: nonsense\n', '3:12: services.cart.0.url: write scheme://'],
  ['services:\n  cart:\n    - { id: x }\n', '3:7: services.cart.0.url: '],
])('a mistake is told in one line with its place: %j', (text, expected) => {
  const told = () => parseRegistryFile('files', 'f.yaml', text)
  expect(told).toThrow(`f.yaml:${expected}`)
  expect(told).not.toThrow('\n')
})

test('a wrong target of a file_sd list is told in one line', () => {
  const text = '[{ "targets": ["a b"], "labels": { "job": "cart" } }]'
  try {
    parseRegistryFile('files', 'f.json', text)
    expect.unreachable()
  } catch (thrown) {
    expect(errorText(thrown)).toBe(
      'f.json:1:16: 0.targets.0: write scheme://address:port, e.g. http://10.0.0.7:8080',
    )
  }
})
