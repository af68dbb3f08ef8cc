import { expect, test } from 'vitest'
import type { FlappingView } from '../../../src/core/monitor-view.ts'
import type { InstanceView, RegistryView, ServiceView } from '../../../src/core/views.ts'
import type { AlertRule, AlertWorld } from '../../../src/health/alert-rules.ts'
import { AlertBook } from '../../../src/health/alerts.ts'
import { anInstanceView, aServiceView } from '../../support/views.ts'

const SECOND = 1000
const rule = (fields: Partial<AlertRule> & Pick<AlertRule, 'kind'>): AlertRule => ({
  name: 'R',
  min: 1,
  for: 0,
  severity: 'warning',
  labels: {},
  ...fields,
})

const instance = (n: number, fields: Partial<InstanceView> = {}) =>
  anInstanceView(`shop-${n}`, { key: `consul/dc1/n${n}/shop-${n}`, address: `10.0.0.${n}:80`, ...fields })

const service = (instances: readonly InstanceView[], fields: Partial<ServiceView> = {}) =>
  aServiceView('shop', instances, { routes: ['shop'], balance: 'round-robin', ...fields })

const registry = (state: RegistryView['status']['state'], name = 'consul'): RegistryView => ({
  name,
  type: 'consul',
  status: { state, lastSuccess: 0, lastError: { at: 0, code: 'X', message: 'refused' } },
})
const LIVE = [registry('live')]
const world = (services: readonly ServiceView[], fields: Partial<AlertWorld> = {}): AlertWorld => ({
  services,
  registries: LIVE,
  flapping: [],
  ...fields,
})
const out = { use: 'out', state: 'critical' } as const
const up = world([service([instance(1)])])
const down = world([service([instance(1, out)])])
const names = (list: readonly { state: string; id: string }[]) =>
  list.map(({ state, id }) => `${state} ${id}`)

test('fires when the condition has held for as long as the rule says, and is resolved at once', () => {
  const book = new AlertBook([rule({ kind: 'minHealthy', for: 15 * SECOND, severity: 'critical' })])
  expect(book.evaluate(up, 0)).toEqual([])
  expect(book.evaluate(down, 5000)).toEqual([])
  expect(book.view(), 'pending is not shown').toEqual([])
  expect(book.evaluate(down, 19_000)).toEqual([])
  expect(book.evaluate(down, 20_000)).toEqual([
    {
      id: 'R/shop',
      rule: 'R',
      kind: 'minHealthy',
      severity: 'critical',
      service: 'shop',
      summary: 'shop: 0 of 1 instances in rotation, 1 wanted',
      activeAt: 5000,
      since: 20_000,
      state: 'firing',
      labels: {},
    },
  ])
  expect(book.evaluate(down, 25_000), 'told once').toEqual([])
  expect(book.counts()).toEqual([{ rule: 'R', severity: 'critical', firing: 1 }])
  expect(book.evaluate(up, 30_000)).toMatchObject([{ state: 'resolved', since: 20_000, resolvedAt: 30_000 }])
  expect(book.counts()).toEqual([{ rule: 'R', severity: 'critical', firing: 0 }])
  expect(names(book.view())).toEqual(['resolved R/shop'])
})

test('a condition that does not hold at one look begins anew', () => {
  const book = new AlertBook([rule({ kind: 'minHealthy', for: 15 * SECOND })])
  book.evaluate(down, 0)
  book.evaluate(up, 10_000)
  book.evaluate(down, 14_000)
  expect(book.evaluate(down, 28_000)).toEqual([])
  expect(book.evaluate(down, 29_000)).toHaveLength(1)
})

test('what was resolved is forgotten after an hour, and when it fires again', () => {
  const book = new AlertBook([rule({ kind: 'minHealthy' })])
  book.evaluate(down, 0)
  book.evaluate(up, 1000)
  expect(names(book.view())).toEqual(['resolved R/shop'])
  book.evaluate(down, 2000)
  expect(names(book.view())).toEqual(['firing R/shop'])
  book.evaluate(up, 3000)
  book.evaluate(up, 3000 + 3_599_000)
  expect(book.view()).toHaveLength(1)
  book.evaluate(up, 3000 + 3_600_000)
  expect(book.view()).toEqual([])
})

test('what cannot be told neither raises an alert nor ends one', () => {
  const stale = { registries: [registry('stale')] }
  const blind = world(down.services, stale)
  const book = new AlertBook([rule({ kind: 'minHealthy', for: 10 * SECOND })])
  for (const at of [0, 10_000, 20_000]) expect(book.evaluate(blind, at)).toEqual([])
  book.evaluate(down, 30_000)
  expect(book.evaluate(blind, 45_000), 'pending, and not known').toEqual([])
  expect(book.evaluate(down, 46_000)).toHaveLength(1)
  expect(book.evaluate(blind, 50_000)).toEqual([])
  expect(names(book.view())).toEqual(['firing R/shop'])
  expect(names(book.evaluate(up, 60_000))).toEqual(['resolved R/shop'])
})

test('another registry that is away makes a service unknown; static upstreams do not mind', () => {
  const two = [registry('live'), registry('failed', 'other')]
  const evaluate = (one: ServiceView) =>
    new AlertBook([rule({ kind: 'minHealthy' })]).evaluate(world([one], { registries: two }), 0)
  expect(evaluate(service([instance(1, out)]))).toEqual([])
  expect(evaluate(service([instance(1, out)], { source: 'static' }))).toHaveLength(1)
})

test('a service that is named and nobody knows may be in the registry that is away', () => {
  const evaluate = (...states: RegistryView['status']['state'][]) =>
    new AlertBook([rule({ kind: 'minHealthy', service: 'cart' })]).evaluate(
      world([], { registries: states.map((state) => registry(state)) }),
      0,
    )
  expect(evaluate('live', 'stale')).toEqual([])
  expect(evaluate('live')).toMatchObject([{ id: 'R/cart', summary: 'cart: nobody knows this service' }])
})

test('what the gateway ejected itself counts, whatever the registry says', () => {
  const ejected = service([instance(1, { use: 'ejected' })])
  const book = new AlertBook([rule({ kind: 'minHealthy' })])
  expect(book.evaluate(world([ejected], { registries: [registry('stale')] }), 0)).toHaveLength(1)
})

test.each<[string, Partial<AlertRule>, ServiceView[], string[]]>([
  ['a service without a route', {}, [service([], { routes: [] })], []],
  ['one without a route that is named', { service: 'shop' }, [service([], { routes: [] })], ['R/shop']],
  ['one that matches', { service: 'sh*' }, [service([])], ['R/shop']],
  ['one that does not match', { service: 'ca*' }, [service([])], []],
  ['a dot that is no wildcard', { service: 's.op' }, [service([instance(1)])], ['R/s.op']],
  ['one that is named and not there', { service: 'cart' }, [service([instance(1)])], ['R/cart']],
  ['two of three, two wanted', { min: 2 }, [service([instance(1), instance(2), instance(3, out)])], []],
  [
    'two of three, three wanted',
    { min: 3 },
    [service([instance(1), instance(2), instance(3, out)])],
    ['R/shop'],
  ],
  [
    'one of three, half wanted',
    { min: '50%' },
    [service([instance(1), instance(2, out), instance(3, out)])],
    ['R/shop'],
  ],
  [
    'two of four, half wanted',
    { min: '50%' },
    [service([instance(1), instance(2), instance(3, out), instance(4, out)])],
    [],
  ],
  ['nobody of nobody, half wanted', { min: '50%' }, [service([])], ['R/shop']],
  [
    'a release, half wanted: draining ones do not count',
    { min: '100%' },
    [service([instance(1), instance(2, { use: 'out', state: 'draining' })])],
    [],
  ],
])('minHealthy: %s', (_what, fields, services, expected) => {
  const book = new AlertBook([rule({ kind: 'minHealthy', ...fields })])
  expect(book.evaluate(world(services), 0).map(({ id }) => id)).toEqual(expected)
})

test('versionSkew looks at what is in rotation', () => {
  const book = new AlertBook([rule({ kind: 'versionSkew', for: 60 * SECOND })])
  const mixed = world([
    service([
      instance(1, { version: '1.0' }),
      instance(2, { version: '2.0' }),
      instance(3, { version: '1.0' }),
    ]),
  ])
  expect(book.evaluate(mixed, 0)).toEqual([])
  const [alert] = book.evaluate(mixed, 60_000)
  expect(alert?.summary).toBe('shop: 2 versions in rotation: 1.0 (2), 2.0 (1)')
  const drained = world([
    service([instance(1, { version: '1.0', ...out }), instance(2, { version: '2.0' }), instance(3)]),
  ])
  expect(names(book.evaluate(drained, 61_000))).toEqual(['resolved R/shop'])
})

test('noTraffic fires for a service that had requests, so long after the last one', () => {
  const at = (lastRequestAt: number | undefined, inFlight = 0) =>
    world([
      service([
        instance(1, { inFlight, ...(lastRequestAt === undefined ? {} : { lastRequestAt }) }),
        instance(2, { lastRequestAt: 1000 }),
      ]),
    ])
  const book = new AlertBook([rule({ kind: 'noTraffic', for: 60 * SECOND })])
  expect(book.evaluate(at(100_000), 150_000)).toEqual([])
  expect(book.evaluate(at(100_000.4), 159_999)).toEqual([])
  const [alert] = book.evaluate(at(100_001), 160_000)
  expect(alert).toMatchObject({ activeAt: 100_000, summary: 'shop: no request for 60 s' })
  expect(book.evaluate(at(100_000), 165_000)).toEqual([])
  expect(names(book.evaluate(at(166_000), 170_000)), 'one came in between').toEqual(['resolved R/shop'])
  expect(book.evaluate(at(166_000, 1), 400_000), 'a long one is under way').toEqual([])
  const never = new AlertBook([rule({ kind: 'noTraffic' })])
  expect(never.evaluate(world([service([instance(1)])]), 1e9)).toEqual([])
})

test('flapping names the instance', () => {
  const flaps: FlappingView = { service: 'shop', key: 'k', address: '10.0.0.1:80', changes: 7, since: 500 }
  const other = { ...flaps, service: 'cart', key: 'c' }
  const book = new AlertBook([rule({ kind: 'flapping', service: 'shop' })])
  expect(book.evaluate(world([service([])], { flapping: [flaps, other] }), 1000)).toMatchObject([
    { id: 'R/k', service: 'shop', instance: 'k', address: '10.0.0.1:80', activeAt: 500, since: 1000 },
  ])
})

test('registryStale: one alert for a registry that is away, or for a service whose read fails', () => {
  const book = new AlertBook([rule({ kind: 'registryStale', for: 30 * SECOND })])
  const stale = service([], { source: 'stale', reason: 'its read fails' })
  const away = world([stale], { registries: [registry('live', 'other'), registry('stale')] })
  book.evaluate(away, 100_000)
  expect(book.evaluate(away, 130_000)).toMatchObject([
    {
      id: 'R/consul',
      service: '',
      registry: 'consul',
      summary: 'registry consul is stale, last answer 2 min ago: refused',
    },
  ])
  const partial = world([stale])
  expect(names(book.evaluate(partial, 140_000))).toEqual(['resolved R/consul'])
  expect(book.evaluate(partial, 170_000)).toMatchObject([
    { service: 'shop', summary: 'shop is stale: its read fails' },
  ])
  const own = new AlertBook([rule({ kind: 'registryStale', registry: 'oth*' })])
  expect(own.evaluate(away, 0)).toEqual([])
})

test('the worst stands first; labels of all and of the rule', () => {
  const book = new AlertBook(
    [
      rule({ name: 'Info', kind: 'minHealthy', severity: 'info' }),
      rule({ name: 'Bad', kind: 'minHealthy', severity: 'critical', labels: { team: 'a' } }),
    ],
    { cluster: 'eu', team: 'all' },
  )
  book.evaluate(down, 0)
  expect(book.view().map(({ rule: name, labels }) => [name, labels])).toEqual([
    ['Bad', { cluster: 'eu', team: 'a' }],
    ['Info', { cluster: 'eu', team: 'all' }],
  ])
})
