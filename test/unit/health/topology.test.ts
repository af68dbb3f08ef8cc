import { expect, test } from 'vitest'
import type { RegistryState, ServiceState } from '../../../src/core/types.ts'
import { viewRoute, viewServices } from '../../../src/health/topology.ts'
import { anInstance, aRouted, aService, aTable } from '../../support/exchange.ts'

const NOBODY: RegistryState = { services: new Map(), problems: [] }
const live = (id: string, own: object = {}) => ({
  instance: anInstance(id, 80),
  inFlight: 0,
  ejectedForMs: 0,
  failures: 0,
  requests: 0,
  pool: { connected: 0, free: 0, queued: 0 },
  ...own,
})

test('shows what only a registry knows apart from what is in the table, if that is wanted', () => {
  const service = aService([anInstance('good', 1)])
  const other = { source: 'live', instances: [anInstance('lonely', 2)] } as unknown as ServiceState
  const input = {
    table: aTable(service),
    instances: [],
    services: [],
    registry: { services: new Map([['other', other]]), problems: [] },
    now: 1000,
  }
  expect(viewServices(input).map(({ name }) => name)).toEqual(['shop'])
  const all = viewServices({ ...input, unrouted: service.policy })
  expect(
    all.map(({ name, isInTable, instances }) => [name, isInTable, instances.map(({ id }) => id)]),
  ).toEqual([
    ['other', false, ['lonely']],
    ['shop', true, ['good']],
  ])
  const only = (name: string, unrouted = service.policy) =>
    viewServices({ ...input, unrouted, only: name }).map((one) => [one.name, one.isInTable])
  expect([only('shop'), only('other'), only('nothing')]).toEqual([[['shop', true]], [['other', false]], []])
  expect(viewServices({ ...input, only: 'other' })).toEqual([])
})

test('says of each instance what the gateway makes of it and why', () => {
  const service = aService([
    anInstance('good', 1),
    anInstance('ejected', 2),
    anInstance('sick', 3, { state: 'critical' }),
    anInstance('held', 4, { held: 'all vanished' }),
  ])
  const reserve = service.instances.filter(({ held }) => held !== undefined)
  const eligible = service.eligible.filter(({ held }) => held === undefined)
  const [view] = viewServices({
    table: aTable({ ...service, eligible, reserve }),
    instances: [
      live('ejected', { ejectedForMs: 3200, ejected: '5 of 5 answers were 503' }),
      live('good', { inFlight: 3, requests: 9 }),
    ],
    services: [
      {
        service: 'shop',
        inFlight: 3,
        retries: 1,
        retryOverflows: 0,
        breakerRefusals: 2,
        breaker: 'open',
        isPanic: true,
      },
    ],
    registry: NOBODY,
    now: 1000,
  })
  expect(view).toMatchObject({
    name: 'shop',
    available: 1,
    inFlight: 3,
    retries: 1,
    isPanic: true,
    breaker: 'open',
    breakerRefusals: 2,
  })
  expect(view?.instances.map(({ id, use, reason }) => [id, use, reason])).toEqual([
    ['good', 'rotation', undefined],
    ['ejected', 'ejected', '5 of 5 answers were 503; back in 4 s'],
    ['sick', 'out', 'the registry says critical'],
    ['held', 'reserve', 'held: all vanished'],
  ])
  expect(view?.instances.map(({ ejectedUntil }) => ejectedUntil)).toEqual([
    undefined,
    4200,
    undefined,
    undefined,
  ])
  expect(view?.instances[0]).toMatchObject({ inFlight: 3, requests: 9, address: '127.0.0.1:1' })
})

test('a held instance is in rotation when nothing else is left', () => {
  const service = aService([anInstance('held', 4, { held: 'all vanished' })])
  const [view] = viewServices({
    table: aTable({ ...service, eligible: [], reserve: service.instances }),
    instances: [],
    services: [],
    registry: NOBODY,
    now: 1000,
  })
  expect(view?.instances[0]?.use).toBe('rotation')
  expect(view?.available).toBe(1)
})

test('source and checks are those of now, not of when the table was made', () => {
  const service = aService([anInstance('one', 1)])
  const check = { id: 'c', state: 'passing' as const, output: 'fresh' }
  const state = {
    name: 'shop',
    instances: [anInstance('one', 1, { checks: [check] })],
    source: 'stale' as const,
    reason: 'its read fails',
    lastGoodAt: 0,
  }
  const [view] = viewServices({
    table: aTable(service),
    instances: [],
    services: [],
    registry: { services: new Map([['shop', state]]), problems: [] },
    now: 1000,
  })
  expect(view).toMatchObject({ source: 'stale', reason: 'its read fails' })
  expect(view?.instances[0]?.checks).toEqual([check])
})

test('an IPv6 address stands in brackets', () => {
  const service = aService([anInstance('six', 80, { address: '::1' })])
  const [view] = viewServices({
    table: aTable(service),
    instances: [],
    services: [],
    registry: NOBODY,
    now: 1000,
  })
  expect(view?.instances[0]?.address).toBe('[::1]:80')
})

test('a route shows its filters by name, never their options', () => {
  const { spec } = aRouted(undefined, {
    spec: {
      filters: [
        { name: 'sign', type: 'hmac', options: { secret: 'swordfish' }, source: 'a.yaml:1:1' },
        { name: 'cors', type: 'cors', options: {}, source: 'a.yaml:1:1' },
      ],
      match: {
        hosts: ['a.example'],
        path: { kind: 'prefix', value: '/a' },
        methods: ['GET'],
        headers: [{ name: 'x-beta', match: { kind: 'present' } }],
        query: [{ name: 'v', match: { kind: 'exact', value: '2' } }],
        cookies: [],
        clientNetworks: ['10.0.0.0/8'],
      },
    },
  }).route
  const view = viewRoute(spec)
  expect(view.filters).toEqual(['sign (hmac)', 'cors'])
  expect(JSON.stringify(view)).not.toContain('swordfish')
  expect(view.conditions).toEqual(['header x-beta present', 'query v exact "2"', 'client in 10.0.0.0/8'])
  expect(view.target).toBe('shop')
})

test('a route shows its class, where it has one', () => {
  expect(viewRoute(aRouted(undefined, { spec: { class: 'bots' } }).route.spec).class).toBe('bots')
  expect(viewRoute(aRouted(undefined).route.spec)).not.toHaveProperty('class')
})
