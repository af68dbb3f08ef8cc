import { expect, test } from 'vitest'
import type { Instance, RegistryState } from '../../../src/core/types.ts'
import { compileTable } from '../../../src/routing/compile.ts'
import { diffTables } from '../../../src/routing/diff.ts'
import { TableStore } from '../../../src/routing/store.ts'
import { anInstance, aPolicy } from '../../support/exchange.ts'
import { aRoute, configOf, NOBODY, path, tableOf } from '../../support/routing.ts'

const registryOf = (services: Record<string, Instance[]>): RegistryState => ({
  problems: [],
  services: new Map(
    Object.entries(services).map(([name, instances]) => [
      name,
      { name, instances, source: 'live', lastGoodAt: 0 },
    ]),
  ),
})

test('equal content has an equal id, in whatever order and from whatever file', async () => {
  const a = await tableOf([aRoute('a'), aRoute('b', { path: path('exact /b') })])
  const b = await tableOf([
    aRoute('b', { path: path('exact /b') }, { source: 'other.yaml:9:9' }),
    aRoute('a'),
  ])
  expect(b.id).toBe(a.id)
  const c = await tableOf([aRoute('a'), aRoute('b', { path: path('exact /c') })])
  expect(c.id).not.toBe(a.id)
})

test('what did not change is the same object in the next table', async () => {
  const registry = registryOf({ a: [anInstance('1', 1)], b: [anInstance('2', 2)] })
  const before = await tableOf([aRoute('a'), aRoute('b', { path: path('exact /b') })], {}, registry)
  const after = await tableOf(
    [aRoute('a'), aRoute('b', { path: path('exact /changed') })],
    {},
    {
      ...registry,
      services: new Map([
        ...registry.services,
        ['b', { name: 'b', instances: [anInstance('3', 3)], source: 'live' as const, lastGoodAt: 0 }],
      ]),
    },
    before,
  )
  expect(after.routes.get('a')).toBe(before.routes.get('a'))
  expect(after.routes.get('b')).not.toBe(before.routes.get('b'))
  expect(after.services.get('a')).toBe(before.services.get('a'))
  expect(after.services.get('b')).not.toBe(before.services.get('b'))
})

test('a change of instances alone takes the routes over as they are', async () => {
  const config = configOf([aRoute('a')])
  const input = { config, declared: [], cause: 'x', now: 0 }
  const before = await compileTable({ ...input, registry: registryOf({}), version: 1 })
  const after = await compileTable({
    ...input,
    registry: registryOf({ a: [anInstance('1', 1)] }),
    version: 2,
    previous: before,
  })
  expect(after.routes).toBe(before.routes)
  expect(after.hosts).toBe(before.hosts)
  expect(after.services.get('a')?.eligible).toHaveLength(1)
})

test('every mistake of the files is told at once, and nothing is compiled', async () => {
  const broken = [
    aRoute('a'),
    aRoute('a', {}, { source: 'b.yaml:1:1' }),
    aRoute('c', { path: path('regex /(') }),
  ]
  await expect(tableOf(broken)).rejects.toMatchObject({
    code: 'GW_CONFIG_INVALID',
    message: expect.stringMatching(
      /b\.yaml:1:1: a second route has the name "a"[\s\S]*c\.yaml:1:1: route "c"/,
    ),
  })
})

test('a declared route that clashes or is broken is dropped alone and listed', async () => {
  const table = await compileTable({
    config: configOf([aRoute('a')]),
    declared: [aRoute('a'), aRoute('bad', { path: path('regex /(') }), aRoute('good')],
    registry: NOBODY,
    version: 1,
    cause: 'x',
    now: 0,
  })
  expect([...table.routes.keys()]).toEqual(['a', 'good'])
  expect(table.problems).toHaveLength(2)
})

test('who may be picked: passing, warning and unknown; held and draining ones only in reserve', async () => {
  const registry = registryOf({
    a: [
      anInstance('ok', 1),
      anInstance('warn', 2, { state: 'warning' }),
      anInstance('file', 3, { state: 'unknown' }),
      anInstance('sick', 4, { state: 'critical' }),
      anInstance('repair', 5, { state: 'maintenance' }),
      anInstance('leaving', 6, { state: 'draining' }),
      anInstance('held', 7, { held: 'vanished' }),
    ],
  })
  const service = (await tableOf([aRoute('a')], {}, registry)).services.get('a')
  expect(service?.eligible.map(({ id }) => id)).toEqual(['ok', 'warn', 'file'])
  expect(service?.reserve.map(({ id }) => id)).toEqual(['leaving', 'held'])
})

test('static upstreams need no registry; IPv6 and default ports are read', async () => {
  const upstreams = ['http://10.0.0.1:81', 'https://[::1]:8443', 'https://shop.internal']
  const table = await tableOf([aRoute('a')], { services: [aPolicy({ name: 'a', upstreams })] })
  const service = table.services.get('a')
  expect(service?.source).toBe('static')
  expect(service?.eligible.map(({ scheme, address, port }) => [scheme, address, port])).toEqual([
    ['http', '10.0.0.1', 81],
    ['https', '::1', 8443],
    ['https', 'shop.internal', 443],
  ])
})

test('a service looks only in its registries', async () => {
  const registry = registryOf({ a: [anInstance('1', 1), { ...anInstance('2', 2), key: 'other/x/2' }] })
  const table = await tableOf(
    [aRoute('a')],
    { services: [aPolicy({ name: 'a', registryName: 'a', registries: ['other'] })] },
    registry,
  )
  expect(table.services.get('a')?.instances.map(({ id }) => id)).toEqual(['2'])
})

test('no two tables differ without a word', async () => {
  const before = await tableOf([aRoute('a')], {}, registryOf({ a: [anInstance('1', 1)] }))
  const changed = anInstance('1', 1, { version: '2', meta: { team: 'shop' } })
  const after = await tableOf([aRoute('a')], { hostFallback: true }, registryOf({ a: [changed] }))
  expect(diffTables(before, after)).toEqual([
    '~ hostFallback true',
    '~ instance a 127.0.0.1:1 (1) (version, meta)',
  ])
})

test('the difference of two tables reads like a change log', async () => {
  const before = await tableOf(
    [aRoute('gone'), aRoute('a', { path: path('exact /a') })],
    {},
    registryOf({ a: [anInstance('1', 1), anInstance('2', 2)] }),
  )
  const after = await tableOf(
    [aRoute('a', { path: path('exact /a2') }), aRoute('new', { path: path('exact /n') })],
    {},
    registryOf({ a: [anInstance('2', 2, { state: 'critical' }), anInstance('3', 3)] }),
    before,
  )
  expect(diffTables(before, after)).toEqual([
    '- route gone',
    '~ route a (match)',
    '+ route new',
    '- service gone',
    '~ instance a 127.0.0.1:2 (2) passing -> critical',
    '+ instance a 127.0.0.1:3 (3) passing',
    '- instance a 127.0.0.1:1 (1)',
    '+ service new (0 instances)',
  ])
})

test('the store keeps the last 20 versions and tells each swap', async () => {
  const store = new TableStore(() => 0)
  const seen: number[] = []
  const stop = store.onSwap((table) => seen.push(table.version))
  let table = await tableOf([aRoute('a')])
  store.swap(table)
  for (let i = 0; i < 24; i++) {
    table = await tableOf([aRoute('a', {}, { priority: i + 1 })], {}, undefined, table)
    store.swap(table)
  }
  stop()
  expect(store.current()).toBe(table)
  expect(store.versions()).toHaveLength(20)
  expect(store.versions().at(-1)?.changes).toEqual(['~ route a (priority)'])
  expect(seen).toHaveLength(25)
})
