import { beforeEach, expect, test } from 'vitest'
import type { LoadedConfig } from '../../src/config/load.ts'
import { type ControlDeps, ControlPlane } from '../../src/control.ts'
import type { CanaryStates } from '../../src/core/canary.ts'
import { systemClock } from '../../src/core/duration.ts'
import { GatewayError } from '../../src/core/errors.ts'
import type { DynamicConfig, RouteSpec } from '../../src/core/route.ts'
import type { RegistryState } from '../../src/core/types.ts'
import { TableStore } from '../../src/routing/store.ts'
import { aRule } from '../support/canary.ts'
import { anInstance, aPolicy, aRouted } from '../support/exchange.ts'
import { waitFor } from '../support/wait.ts'

const routeNamed = (name: string, service = 'shop'): RouteSpec =>
  aRouted(undefined, {
    spec: {
      name,
      source: `${name}.yaml:1:1`,
      action: { kind: 'proxy', targets: [{ service, weight: 1 }], host: 'preserve' },
      match: {
        hosts: [`${name}.example`],
        path: { kind: 'prefix', value: '/' },
        methods: [],
        headers: [],
        query: [],
        cookies: [],
        clientNetworks: [],
      },
    },
  }).route.spec

const configOf = (...routes: RouteSpec[]): LoadedConfig => {
  const dynamic: DynamicConfig = {
    routes,
    services: [],
    defaultPolicy: aPolicy({ name: '' }),
    hostFallback: false,
    mergeSlashes: true,
  }
  const hash = JSON.stringify(routes)
  return { dynamic, static: {}, files: [], hash, staticHash: '', warnings: [] } as unknown as LoadedConfig
}

const stateOf = (...ids: string[]): RegistryState => ({
  problems: [],
  services: new Map([
    ['shop', { name: 'shop', instances: ids.map((id) => anInstance(id, 80)), source: 'live', lastGoodAt: 0 }],
  ]),
})

let next: LoadedConfig | Error
let registry: RegistryState
let declared: RouteSpec[]
let store: TableStore
let deps: ControlDeps
let rejections: string[]

beforeEach(() => {
  next = configOf(routeNamed('a'))
  registry = stateOf('one')
  declared = []
  store = new TableStore()
  rejections = []
  deps = {
    async loadConfig() {
      if (next instanceof Error) throw next
      return next
    },
    registryState: () => registry,
    declaredRoutes: () => ({ routes: declared, problems: [] }),
    validateFilters: () => {},
    beforeSwap: () => {},
    store,
    clock: systemClock,
    log: { info: () => {}, error: () => {} },
    onReload: () => {},
    onReject: (_cause, message) => rejections.push(message),
  }
})

async function started(): Promise<ControlPlane> {
  const control = new ControlPlane(configOf(routeNamed('a')), deps)
  await control.start('start')
  return control
}

const routes = () => [...(store.current()?.routes.keys() ?? [])]

test('a reload with the same content builds nothing', async () => {
  const control = await started()
  expect(await control.reload()).toBe('unchanged')
  expect(store.current()?.version).toBe(1)
})

test('a reload swaps one table in; what is unchanged stays the same object', async () => {
  const control = await started()
  const before = store.current()
  next = configOf(routeNamed('a'), routeNamed('b'))
  expect(await control.reload()).toBe('applied')
  expect(routes()).toEqual(['a', 'b'])
  expect(store.current()?.routes.get('a')).toBe(before?.routes.get('a'))
  expect(store.current()?.services.get('shop')).toBe(before?.services.get('shop'))
})

test('what canary rules are doing now comes in force with one table, and nothing else is built anew', async () => {
  let states: CanaryStates = new Map()
  deps = { ...deps, canaryStates: () => states }
  const config = configOf(routeNamed('a'))
  const canaries = [aRule('v2', 100, { service: 'shop' })]
  const control = new ControlPlane({ ...config, dynamic: { ...config.dynamic, canaries } }, deps)
  await control.start('start')
  const before = store.current()
  states = new Map([['v2', { percent: 500, state: 'ramping' }]])
  await control.rebuild('canary v2')
  const after = store.current()
  expect(after?.canaries.rules[0]?.live).toEqual({ percent: 500, state: 'ramping' })
  expect(after?.services.get('shop')).toBe(before?.services.get('shop'))
  expect(after?.routes).toBe(before?.routes)
  expect(store.versions().at(-1)).toMatchObject({
    cause: 'canary v2',
    changes: ['~ canary v2 (1% -> 5%, file -> ramping)'],
  })
})

test('an invalid file leaves the old table, and a registry change does not hide it', async () => {
  const control = await started()
  next = new GatewayError('GW_CONFIG_INVALID', 'a.yaml:3:1 wrong')
  expect(await control.reload()).toBe('rejected')
  expect(store.lastRejection()?.message).toBe('a.yaml:3:1 wrong')
  expect(rejections).toEqual(['a.yaml:3:1 wrong'])
  expect(routes()).toEqual(['a'])
  registry = stateOf('one', 'two')
  control.changed('consul: shop', true)
  await waitFor(() => store.current()?.version === 2)
  expect(store.lastRejection()?.message).toBe('a.yaml:3:1 wrong')
})

test('a mended file clears the rejection also when it makes no new table', async () => {
  const control = await started()
  next = new GatewayError('GW_CONFIG_INVALID', 'wrong')
  await control.reload()
  next = configOf(routeNamed('a'))
  expect(await control.reload()).toBe('applied')
  expect(store.lastRejection()).toBeUndefined()
  expect(store.current()?.version).toBe(1)
})

test('routes that cannot be compiled are rejected as a whole, with each mistake', async () => {
  const control = await started()
  next = configOf(routeNamed('a'), routeNamed('a'))
  expect(await control.reload()).toBe('rejected')
  expect(store.lastRejection()?.message).toContain('a second route has the name "a"')
  next = configOf(routeNamed('a'), routeNamed('c'))
  expect(await control.reload()).toBe('applied')
})

test('many registry changes in a row make few tables, the last state wins', async () => {
  const control = await started()
  for (let i = 0; i < 200; i++) {
    registry = stateOf(`one`, `n-${i}`)
    control.changed('consul: shop', false)
  }
  await waitFor(() =>
    store
      .current()
      ?.services.get('shop')
      ?.instances.some(({ id }) => id === 'n-199'),
  )
  expect(store.current()?.version).toBeLessThanOrEqual(3)
})

test('a removal does not wait for others', async () => {
  const control = await started()
  registry = stateOf('one', 'two')
  control.changed('consul: added', false)
  registry = stateOf('two')
  control.changed('consul: removed', true)
  await waitFor(() =>
    store
      .current()
      ?.services.get('shop')
      ?.instances.every(({ id }) => id === 'two'),
  )
  expect(store.versions().at(-1)?.cause).toContain('consul: removed')
})

test('a rollback brings the routes of a version back, with the instances of now, until the files change', async () => {
  const control = await started()
  next = configOf(routeNamed('b'))
  await control.reload()
  registry = stateOf('one', 'two')
  const table = await control.rollback(1)
  expect([...table.routes.keys()]).toEqual(['a'])
  expect(table.services.get('shop')?.instances).toHaveLength(2)
  registry = stateOf('one', 'two', 'three')
  control.changed('consul: shop', true)
  await waitFor(() => store.current()?.services.get('shop')?.instances.length === 3)
  expect(routes()).toEqual(['a'])
  next = configOf(routeNamed('c'))
  await control.reload()
  expect(routes()).toEqual(['c'])
  await expect(control.rollback(77)).rejects.toMatchObject({ code: 'GW_ADMIN_NOT_FOUND' })
})

test('a declared route with a bad filter is dropped alone', async () => {
  declared = [routeNamed('good'), routeNamed('bad')]
  deps = {
    ...deps,
    validateFilters: (spec) => {
      if (spec.name === 'bad') throw new GatewayError('GW_CONFIG_INVALID', 'bad filter')
    },
  }
  await started()
  expect(routes()).toEqual(['a', 'good'])
})

test('the live side is in step before the table is in force', async () => {
  const order: string[] = []
  deps = { ...deps, beforeSwap: (table) => void order.push(`sync ${table.version}`) }
  store.onSwap((table) => order.push(`swap ${table.version}`))
  await started()
  expect(order).toEqual(['sync 1', 'swap 1'])
})
