import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { watchConfig } from '../../../src/config/watch.ts'
import { configFolder, load } from '../../support/config.ts'
import { waitFor } from '../../support/wait.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

test('an empty configuration has every default', async () => {
  const { static: config, dynamic } = await load({})
  expect(config.listen.http?.address).toBe('127.0.0.1:8080')
  expect(config.admin.address).toBe('127.0.0.1:8081')
  expect(config.limits).toMatchObject({
    headerBytes: 16_384,
    headersTimeout: 15_000,
    keepAliveTimeout: 75_000,
  })
  expect(config.drain).toEqual({ acceptGrace: 3000, timeout: 20_000 })
  expect(config.guard).toMatchObject({ maxLossRatio: 0.5, holdFor: 30_000 })
  expect(dynamic.defaultPolicy.timeouts).toEqual({
    connectMs: 1000,
    headersMs: 15_000,
    idleMs: 60_000,
    totalMs: 60_000,
    perTryMs: 0,
  })
  expect(dynamic.defaultPolicy.retries).toMatchObject({ attempts: 2, on: ['connect-failure', 'reset'] })
})

test('routes of all files come together, with their places', async () => {
  const { dynamic } = await load({
    'sluice.yaml': 'routes: [{ name: main, respond: { status: 200 } }]',
    'routes.d/b.yaml': 'routes:\n  - name: b\n    respond: { json: { a: 1 } }',
    'routes.d/a.yml': 'routes: [{ name: a, redirect: { scheme: https } }]',
    'routes.d/.hidden.yaml': 'nonsense',
    'routes.d/readme.md': 'nonsense',
  })
  expect(dynamic.routes.map(({ name }) => name)).toEqual(['main', 'a', 'b'])
  expect(dynamic.routes[2]?.source).toMatch(/routes\.d\/b\.yaml:2:5$/)
  expect(dynamic.routes[2]?.action).toMatchObject({ body: '{"a":1}' })
})

test('defaults fill what a service leaves out, the route goes before the service', async () => {
  const { dynamic } = await load({
    'sluice.yaml': `defaults: { timeouts: { headers: 7s, idle: 8s } }
services: { shop: { timeouts: { headers: 5s }, upstreams: ["http://a:1"] } }
routes: [{ name: r, service: shop, timeouts: { headers: 1s } }]`,
  })
  const [shop] = dynamic.services
  expect(shop?.timeouts).toMatchObject({ headersMs: 5000, idleMs: 8000, connectMs: 1000 })
  expect(dynamic.routes[0]?.timeouts).toEqual({ headersMs: 1000 })
})

test('references are resolved from the environment and from files beside the configuration', async () => {
  const { static: config } = await load(
    {
      'sluice.yaml': 'admin: { token: "${FILE:token}" }\nlog: { level: "${ENV:LEVEL}" }',
      token: 'a-token-of-some-length\n',
    },
    { LEVEL: 'warn' },
  )
  expect(config.admin.token).toBe('a-token-of-some-length')
  expect(config.log.level).toBe('warn')
})

test('SLUICE_* goes before the file; Consul takes its own variables where the file says nothing', async () => {
  const { static: config } = await load(
    {
      'sluice.yaml': 'registries: { a: { type: consul }, b: { type: consul, url: "http://b:1", token: t } }',
    },
    { SLUICE_LISTEN_HTTP: '0.0.0.0:80', CONSUL_HTTP_ADDR: 'consul:8500', CONSUL_HTTP_TOKEN: 'secret' },
  )
  expect(config.listen.http?.address).toBe('0.0.0.0:80')
  expect(config.registries['a']).toMatchObject({ url: 'http://consul:8500', token: 'secret' })
  expect(config.registries['b']).toMatchObject({ url: 'http://b:1', token: 't' })
})

test('SLUICE_* are checked together with the file, not one by one', async () => {
  const token = 'a-token-of-some-length'
  const open = { SLUICE_ADMIN_ADDRESS: '0.0.0.0:8081', SLUICE_ADMIN_TOKEN: token }
  const both = await load({}, open)
  expect(both.static.admin).toMatchObject({ address: '0.0.0.0:8081', token })
  const own = await load(
    { 'sluice.yaml': 'admin: { address: "0.0.0.0:8081" }' },
    { SLUICE_ADMIN_TOKEN: token },
  )
  expect(own.static.admin.token).toBe(token)
  const saved = await load(
    { 'sluice.yaml': 'snapshot: { path: x.json, interval: 7s }' },
    { SLUICE_SNAPSHOT_PATH: '/var/y.json' },
  )
  expect(saved.static.snapshot).toEqual({ path: '/var/y.json', interval: 7000 })
})

test('the hash follows the content; the static hash only its part', async () => {
  const base = { 'sluice.yaml': 'routes: [{ name: a, respond: { status: 200 } }]' }
  const [one, same] = [await load(base), await load(base)]
  const other = await load({ 'sluice.yaml': 'routes: [{ name: a, respond: { status: 204 } }]' })
  const moved = await load({ 'sluice.yaml': `${base['sluice.yaml']}\ndrain: { timeout: 1s }` })
  expect(same.staticHash).toBe(one.staticHash)
  expect(other.hash).not.toBe(one.hash)
  expect(other.staticHash).toBe(one.staticHash)
  expect(moved.staticHash).not.toBe(one.staticHash)
})

test('an overlay stands in for files, also for new ones', async () => {
  const { folder, remove } = configFolder({
    'routes.d/a.yaml': 'routes: [{ name: a, respond: { status: 200 } }]',
  })
  cleanups.push(remove)
  const overlay = new Map([
    [join(folder, 'routes.d/a.yaml'), 'routes: []'],
    [join(folder, 'routes.d/b.yaml'), 'routes: [{ name: b, respond: { status: 200 } }]'],
  ])
  const { dynamic } = await loadConfig({ path: folder, overlay })
  expect(dynamic.routes.map(({ name }) => name)).toEqual(['b'])
})

test('no file is told as unreadable, by its path', async () => {
  await expect(loadConfig({ path: '/nowhere/sluice.yaml' })).rejects.toMatchObject({
    code: 'GW_CONFIG_UNREADABLE',
    message: expect.stringContaining('/nowhere/sluice.yaml'),
  })
})

test('the watch sees files replaced, added, mended and removed, and stops with its signal', async () => {
  const { folder, remove } = configFolder({ 'routes.d/a.yaml': 'routes: []' })
  cleanups.push(remove)
  const abort = new AbortController()
  let calls = 0
  const files = [join(folder, 'sluice.yaml'), join(folder, 'routes.d/a.yaml')]
  const done = watchConfig(
    () => files,
    async () => {
      calls++
    },
    abort.signal,
    // Everything was just written: the first look finds a change.
    { settleMs: 5, pollMs: 50, gapMs: 5, readAt: 0 },
  )
  const seen = async (change: () => void) => {
    const before = calls
    change()
    await waitFor(() => calls > before, { what: 'the watch to see a change' })
  }
  await waitFor(() => calls === 1, { what: 'the first look' })
  await seen(() => writeFileSync(files[1] as string, 'routes: [] # changed'))
  // Never taken by the gateway, so not among its files: mending it must be seen all the same.
  await seen(() => writeFileSync(join(folder, 'routes.d/new.yaml'), 'broken'))
  await seen(() => writeFileSync(join(folder, 'routes.d/new.yaml'), 'mended'))
  await seen(() => writeFileSync(files[0] as string, 'version: 1 # x'))
  abort.abort()
  await done
})
