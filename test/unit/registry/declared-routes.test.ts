import { expect, test } from 'vitest'
import type { Instance, RegistryState } from '../../../src/core/types.ts'
import { createDeclaredRoutes, type DeclarationOptions } from '../../../src/registry/declared-routes.ts'
import { anInstance } from '../../support/exchange.ts'

const OPTIONS: DeclarationOptions = {
  enabled: true,
  tagPrefix: 'sluice.',
  metaPrefix: 'gw_',
  fabio: true,
  hosts: [],
}

const stateOf = (...instances: Partial<Instance>[]): RegistryState => ({
  problems: [],
  services: new Map([
    [
      'shop',
      {
        name: 'shop',
        source: 'live',
        lastGoodAt: 0,
        instances: instances.map((own, i) => anInstance(`shop-${i}`, 80, own)),
      },
    ],
  ]),
})
const declare = (options: Partial<DeclarationOptions>, ...instances: Partial<Instance>[]) =>
  createDeclaredRoutes({ ...OPTIONS, ...options })(stateOf(...instances))

test('nothing is declared unless the operator allows it', () => {
  expect(declare({ enabled: false }, { tags: ['sluice.route=a.example/x'] }).routes).toEqual([])
  expect(declare({ fabio: false }, { tags: ['urlprefix-a.example/x'] }).routes).toEqual([])
})

test('a tag declares host, path, methods, priority and what is stripped', () => {
  const tag = 'sluice.route=Shop.Example.com/cart strip=/cart methods=get,POST priority=5'
  expect(declare({}, { tags: [tag] }).routes).toMatchObject([
    {
      name: 'declared:shop:shop.example.com/cart',
      source: 'registry:shop/shop-0',
      priority: 5,
      match: {
        hosts: ['shop.example.com'],
        path: { kind: 'prefix', value: '/cart' },
        methods: ['GET', 'POST'],
      },
      action: {
        kind: 'proxy',
        targets: [{ service: 'shop', weight: 1 }],
        rewrite: { kind: 'strip', prefix: '/cart' },
      },
    },
  ])
})

test('metadata declares the same', () => {
  const meta = { gw_host: 'a.example', gw_path: '/cart', gw_strip: '/cart' }
  expect(declare({}, { meta }).routes).toMatchObject([
    { match: { hosts: ['a.example'] }, action: { rewrite: { prefix: '/cart' } } },
  ])
})

test.each([
  ['urlprefix-a.example/x', { match: { hosts: ['a.example'], path: { value: '/x' } } }],
  ['urlprefix-/x strip=/x', { match: { hosts: [] }, action: { rewrite: { kind: 'strip', prefix: '/x' } } }],
  ['urlprefix-/x host=dst', { action: { host: 'upstream' } }],
  [
    'urlprefix-/x redirect=301,https://b.example:8443/y',
    { action: { kind: 'redirect', status: 301, scheme: 'https', host: 'b.example', port: 8443, path: '/y' } },
  ],
  [
    'urlprefix-/x allow=ip:10.0.0.0/8,ip:192.0.2.1',
    { filters: [{ type: 'ip-allow', options: { networks: ['10.0.0.0/8', '192.0.2.1'] } }] },
  ],
])("fabio's %s is understood", (tag, expected) => {
  const { routes, problems } = declare({}, { tags: [tag] })
  expect(problems).toEqual([])
  expect(routes).toMatchObject([expected])
})

test.each([
  'urlprefix-:3306 proto=tcp',
  'urlprefix-/x auth=secret',
  'urlprefix-/x allow=user:joe',
  'urlprefix-/x redirect=200,https://b.example',
  'sluice.route=no-path',
  'sluice.route=bad host/x',
  'sluice.route=a.example/../x',
  'sluice.route=/x colour=red',
])('what cannot be honoured is left out and named, the others live: %s', (tag) => {
  const { routes, problems } = declare({}, { tags: [tag, 'sluice.route=/good'] })
  expect(routes.map(({ match }) => match.path.value)).toEqual(['/good'])
  expect(problems).toHaveLength(1)
  expect(problems[0]).toContain('shop (shop-0)')
})

test('a service may declare only the hosts that the operator lists', () => {
  const tags = [
    'sluice.route=a.shop.example/x',
    'sluice.route=a.b.shop.example/x',
    'sluice.route=bank.example/x',
    'sluice.route=/x',
  ]
  const hosts = (allowed: string[]) =>
    declare({ hosts: allowed }, { tags }).routes.map(({ match }) => match.hosts[0])
  expect(hosts(['*.shop.example'])).toEqual(['a.shop.example'])
  expect(hosts(['**.shop.example'])).toEqual(['a.shop.example', 'a.b.shop.example'])
})

test('instances that disagree: the newest version decides, and it is listed', () => {
  const { routes, problems } = declare(
    {},
    { version: '1.9.0', tags: ['sluice.route=/x strip=/x'] },
    { version: '1.10.0', tags: ['sluice.route=/x'] },
    { version: '1.9.0', tags: ['sluice.route=/x strip=/x'] },
  )
  expect(routes).toHaveLength(1)
  expect(routes[0]?.action).not.toHaveProperty('rewrite')
  expect(problems[0]).toContain('instances disagree on /x')
})

test('an unchanged declaration is the same object, although instances come and go', () => {
  const read = createDeclaredRoutes(OPTIONS)
  const tags = ['sluice.route=/x']
  const [before] = read(stateOf({ tags })).routes
  const [after] = read(stateOf({ tags }, { tags })).routes
  expect(after).toBe(before)
})

test('one label that may be declared is not any number of labels', () => {
  const tags = ['sluice.route=**.x.example/a', 'sluice.route=*.x.example/b', 'sluice.route=c.x.example/c']
  const { routes, problems } = declare({ hosts: ['*.x.example'] }, { tags })
  expect(routes.map(({ match }) => match.hosts[0])).toEqual(['*.x.example', 'c.x.example'])
  expect(problems).toEqual([expect.stringContaining('"**.x.example" may not be declared')])
})

test('a declaration with an empty list of methods is left out', () => {
  const { routes, problems } = declare({}, { tags: ['sluice.route=a.example/x methods='] })
  expect(routes).toEqual([])
  expect(problems).toEqual([expect.stringContaining('methods=')])
})
