import { expect, test } from 'vitest'
import type { EtcdEntry } from '../../../src/etcd/wire.ts'
import { createAddressRule } from '../../../src/registry/consul-address.ts'
import { goMicroLayout, ownLayout } from '../../../src/registry/etcd-layout.ts'
import { type LayoutTemplate, templateLayout } from '../../../src/registry/etcd-template.ts'
import { EtcdWorld } from '../../../src/registry/etcd-world.ts'

const entry = (key: string, value: unknown, lease?: string): EtcdEntry => ({
  key,
  value: typeof value === 'string' ? value : JSON.stringify(value),
  modRevision: 1,
  lease,
})
const own = ownLayout('main', '/sluice')
const micro = goMicroLayout('main', '/micro/registry')

/** The only instance of a record. */
function instanceOf(record: ReturnType<typeof own.read>) {
  if (record?.kind !== 'instances') return record
  return record.instances[0]
}
const why = (record: ReturnType<typeof own.read>) => (record?.kind === 'malformed' ? record.why : record)

test('own layout: all that a record can say', () => {
  const record = {
    url: 'https://[fd00::7]:8443',
    id: 'not this one',
    version: '2',
    zone: 'a',
    weight: 3,
    state: 'warning',
    output: 'slow',
    tags: ['blue'],
    meta: { team: 'shop' },
    comesLater: true,
  }
  expect(instanceOf(own.read(entry('/sluice/services/cart/c-1', record, '77')))).toEqual({
    key: 'main/etcd/cart/c-1',
    id: 'c-1',
    service: 'cart',
    address: 'fd00::7',
    port: 8443,
    scheme: 'https',
    state: 'warning',
    weight: 3,
    tags: ['blue'],
    meta: { team: 'shop' },
    version: '2',
    zone: 'a',
    checks: [{ id: 'record', state: 'warning', output: 'slow' }],
  })
})

test('own layout: a key with a lease is passing, one without unknown; names are percent-encoded', () => {
  const value = { url: 'http://10.0.0.7:80' }
  expect(instanceOf(own.read(entry('/sluice/services/my%20shop%2Fcart/a%2Fb', value, '7')))).toMatchObject({
    service: 'my shop/cart',
    id: 'a/b',
    state: 'passing',
  })
  expect(instanceOf(own.read(entry('/sluice/services/cart/a', value)))).toMatchObject({ state: 'unknown' })
})

test('own layout: marks, and what is none of ours', () => {
  expect(own.read(entry('/sluice/services/cart/c-1/drain', { reason: 'disk' }))).toEqual({
    kind: 'mark',
    service: 'cart',
    id: 'c-1',
    reason: 'disk',
  })
  expect(own.read(entry('/sluice/services/cart/c-1/drain', 'by hand'))).toMatchObject({ reason: '' })
  expect(own.read(entry('/sluice/services/cart/c-1/other', ''))).toBeUndefined()
})

test.each([
  ['/sluice/services/cart', {}, 'its key is not <service>/<id>'],
  ['/sluice/services/cart/', {}, 'its key is not <service>/<id>'],
  ['/sluice/services/%zz/a', {}, 'its key is not <service>/<id>'],
  ['/sluice/services/cart/a', 'http://10.0.0.7:80', 'it is no JSON'],
  ['/sluice/services/cart/a', {}, 'url: '],
  ['/sluice/services/cart/a', { url: '10.0.0.7:80' }, 'url: write scheme://address:port'],
  ['/sluice/services/cart/a', { url: 'http://10.0.0.7:0' }, 'url: a port is a number from 1 to 65535'],
  ['/sluice/services/cart/a', { url: 'http://10.0.0.7:99999' }, 'url: a port is a number from 1 to 65535'],
  ['/sluice/services/cart/a', { url: 'http://10.0.0.7:80', weight: 0 }, 'weight: '],
  ['/sluice/services/cart/a', { url: 'http://10.0.0.7:80', state: 'fine' }, 'state: '],
])('own layout: %s with %j is malformed', (key, value, reason) => {
  expect(why(own.read(entry(key, value)))).toContain(reason)
})

test('go-micro: the service and one node at each key', () => {
  const value = {
    name: 'go.micro.srv/cart',
    version: 'latest',
    metadata: { team: 'shop' },
    endpoints: [],
    nodes: [
      {
        id: 'cart-1',
        address: '10.0.0.7:8080',
        metadata: { protocol: 'grpc', zone: 'a', weight: '4', n: 1 },
      },
    ],
  }
  const key = '/micro/registry/go.micro.srv-cart/cart-1'
  expect(instanceOf(micro.read(entry(key, value, '7')))).toEqual({
    key: 'main/etcd/go.micro.srv/cart/cart-1',
    id: 'cart-1',
    service: 'go.micro.srv/cart',
    address: '10.0.0.7',
    port: 8080,
    scheme: 'h2c',
    state: 'passing',
    weight: 4,
    tags: [],
    meta: { team: 'shop', protocol: 'grpc', zone: 'a', weight: '4' },
    version: 'latest',
    zone: 'a',
  })
  const old = {
    name: 'cart',
    nodes: [{ id: 'a', address: 'host-7', port: 80, metadata: { draining: 'true' } }],
  }
  expect(instanceOf(micro.read(entry(key, old)))).toMatchObject({
    address: 'host-7',
    port: 80,
    scheme: 'http',
    state: 'draining',
  })
})

test.each([
  ['', 'it is no JSON'],
  [{ nodes: [] }, 'name: '],
  [{ name: 'a', nodes: [] }, 'nodes: '],
  [{ name: 'a', nodes: [{ id: 'x', address: '10.0.0.7' }] }, '"10.0.0.7" is no address:port'],
  [{ name: 'a', nodes: [{ id: 'x', address: 'http://10.0.0.7:80' }] }, 'is no address:port'],
  [{ name: 'a', nodes: [{ id: 'x', address: '10.0.0.7:70000' }] }, 'is no address:port'],
])('go-micro: %j is malformed', (value, reason) => {
  expect(why(micro.read(entry('/micro/registry/a/x', value)))).toContain(reason)
})

const read = (template: LayoutTemplate, key: string, value: unknown, lease?: string) =>
  templateLayout('main', template).read(entry(key, value, lease))

test('template: what is before the first name is read whole, other keys mean nothing', () => {
  const template = { key: '/apps/{service}/nodes/{id}', address: '$' }
  expect(templateLayout('main', template).prefix).toBe('/apps/')
  expect(instanceOf(read(template, '/apps/cart/nodes/n1', '10.0.0.7:80'))).toMatchObject({
    service: 'cart',
    id: 'n1',
    address: '10.0.0.7',
    port: 80,
    state: 'unknown',
  })
  expect(read(template, '/apps/cart/nodes/n1/more', '10.0.0.7:80')).toBeUndefined()
  expect(read(template, '/apps/cart/config', '10.0.0.7:80')).toBeUndefined()
})

test('template: all of it from the value', () => {
  const template = {
    key: '/m/{id}',
    service: '$.name',
    url: '$.endpoints[1]',
    version: '$.version',
    zone: "$.labels['the zone']",
    weight: '$.w',
    state: '$.health',
    tags: '$.tags',
    meta: '$.labels',
  }
  const value = {
    name: 'cart',
    endpoints: ['ftp://x', 'grpc://10.0.0.7:9000'],
    version: 7,
    w: '2.5',
    health: 'critical',
    tags: ['a', 1],
    labels: { 'the zone': 'b', n: 1 },
  }
  expect(instanceOf(read(template, '/m/x', value))).toEqual({
    key: 'main/etcd/cart/x',
    id: 'x',
    service: 'cart',
    address: '10.0.0.7',
    port: 9000,
    scheme: 'h2c',
    state: 'critical',
    weight: 2.5,
    version: '7',
    zone: 'b',
    tags: ['a'],
    meta: { 'the zone': 'b' },
    checks: [{ id: 'record', state: 'critical', output: '' }],
  })
})

test.each([
  [{ key: '/a/{service}/{id}', address: '$.host' }, {}, 'it has no address'],
  [{ key: '/a/{service}/{id}', url: '$.u' }, { u: 7 }, '"7" is no address with a port'],
  [
    { key: '/a/{service}/{id}', address: '$.host', port: '$.port' },
    { host: 'a' },
    'is no address with a port',
  ],
  [{ key: '/a/{service}/{id}', address: '$.h', port: '$.p' }, { h: 'a', p: 0 }, 'is no address with a port'],
  [{ key: '/a/{service}/{id}', url: '$.u' }, { u: 'dubbo://a:1' }, '"dubbo" is none of http, https, h2c'],
  [{ key: '/a/cart/{id}', service: '$.name', address: '$.h' }, { h: 'a:1' }, 'it names no service'],
])('template %j with %j is malformed', (template, value, reason) => {
  expect(why(read(template, '/a/cart/n1', value))).toContain(reason)
})

function world() {
  return new EtcdWorld({
    layout: own,
    addressRule: createAddressRule(['169.254.0.0/16']),
    isWanted: (name) => name !== 'unwanted',
  })
}
const put = (id: string, port: number, address = '10.0.0.7') =>
  ({ ...entry(`/sluice/services/cart/${id}`, { url: `http://${address}:${port}` }), type: 'put' }) as const
const drop = (id: string) => ({ ...entry(`/sluice/services/cart/${id}`, ''), type: 'delete' }) as const

test('a mark may come before its record, and after; it goes with its own deletion', () => {
  const all = world()
  const mark = { ...entry('/sluice/services/cart/a/drain', { reason: 'disk' }), type: 'put' } as const
  all.apply([mark])
  expect(all.services().size).toBe(0)
  all.apply([put('a', 80), put('b', 81)])
  const states = () =>
    all
      .services()
      .get('cart')
      ?.instances.map(({ state }) => state)
  expect(states()).toEqual(['draining', 'unknown'])
  expect(all.services().get('cart')?.instances[0]?.checks).toEqual([
    { id: 'drain', state: 'maintenance', output: 'draining: disk' },
  ])
  all.apply([{ ...mark, type: 'delete', value: '' }])
  expect(states()).toEqual(['unknown', 'unknown'])
})

test('nothing changed: the same map; one changed: its service alone', () => {
  const all = world()
  all.replace([put('a', 80), put('b', 81)])
  const first = all.services()
  all.replace([put('b', 81), put('a', 80)])
  expect(all.services()).toBe(first)
  all.apply([put('a', 82)])
  const second = all.services()
  expect(second.get('cart')?.instances[1]).toBe(first.get('cart')?.instances[1])
  all.apply([drop('a'), drop('b')])
  expect(all.services().size).toBe(0)
})

test('unwanted services and forbidden addresses are left out; only the latter is a problem', () => {
  const all = world()
  all.replace([
    put('a', 80, '169.254.169.254'),
    put('b', 81),
    entry('/sluice/services/unwanted/a', { url: 'http://10.0.0.7:80' }),
  ])
  expect([...all.services().keys()]).toEqual(['cart'])
  expect(
    all
      .services()
      .get('cart')
      ?.instances.map(({ id }) => id),
  ).toEqual(['b'])
  expect(all.problems()).toEqual([
    '/sluice/services/cart/a is left out: 169.254.169.254 is in forbidAddresses',
  ])
})

test('of very many problems the first hundred are told', () => {
  const all = world()
  all.replace(Array.from({ length: 250 }, (_, n) => entry(`/sluice/services/cart/${n + 1000}`, 'x')))
  expect(all.problems()).toHaveLength(101)
  expect(all.problems().at(-1)).toBe('… and 150 more')
})
