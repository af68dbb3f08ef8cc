import { describe, expect, test } from 'vitest'
import { createAddressRule } from '../../../src/registry/consul-address.ts'
import { curatorLayout, dubboApplicationLayout } from '../../../src/registry/zookeeper-curator.ts'
import { dubboLayout } from '../../../src/registry/zookeeper-dubbo.ts'
import { choose, type Layout, type Mapped } from '../../../src/registry/zookeeper-layout.ts'
import { ServiceNodes } from '../../../src/registry/zookeeper-service.ts'

const OPTIONS = {
  registry: 'zk',
  addressRule: createAddressRule(['169.254.0.0/16']),
  protocols: ['tri', 'rest'] as const,
}
const SESSION = 7n
let changes = 0n

function content(value: unknown, ephemeralOwner = SESSION) {
  const data = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return { data, stat: { czxid: 1n, mzxid: ++changes, version: 0, ephemeralOwner } }
}

const read = (layout: Layout, value: unknown, ephemeralOwner?: bigint): Mapped =>
  layout.read({ service: 'shop', name: 'shop-1', content: content(value, ephemeralOwner) })

function instanceOf(mapped: Mapped) {
  if (mapped.kind !== 'instance') expect.fail(JSON.stringify(mapped))
  return mapped.instance
}

describe('curator', () => {
  const layout = curatorLayout(OPTIONS)
  const base = { name: 'shop', id: 'shop-1', address: '10.0.0.7', port: 8080, sslPort: null, payload: null }
  const withMeta = (metadata: Record<string, unknown>, own: object = {}) => ({
    ...base,
    payload: { '@class': 'a.b.C', id: 'x', metadata },
    ...own,
  })

  test('an instance of Curator alone', () => {
    expect(read(layout, base)).toEqual({
      kind: 'instance',
      instance: {
        key: 'zk/zookeeper/shop/shop-1',
        id: 'shop-1',
        service: 'shop',
        address: '10.0.0.7',
        port: 8080,
        scheme: 'http',
        state: 'passing',
        weight: 1,
        tags: [],
        meta: {},
      },
    })
    expect(layout.recordsPath('/services', 'shop')).toBe('/services/shop')
  })

  test('of a node that no session holds nobody knows', () => {
    expect(instanceOf(read(layout, base, 0n)).state).toBe('unknown')
  })

  test.each([
    [{ state: 'draining' }, {}, 'draining'],
    [{ draining: 'true' }, {}, 'draining'],
    [{ tags: 'draining' }, {}, 'draining'],
    [{ state: 'draining' }, { enabled: false }, 'draining'],
    [{}, { enabled: false }, 'maintenance'],
    [{ state: 'passing' }, { enabled: false }, 'maintenance'],
    [{ state: 'critical' }, {}, 'critical'],
    [{ state: 'warning' }, {}, 'warning'],
    [{ state: 'no such' }, {}, 'passing'],
    [{ instance_status: 'UP' }, {}, 'passing'],
    [{ instance_status: 'OUT_OF_SERVICE' }, {}, 'maintenance'],
    [{ instance_status: 'DOWN' }, {}, 'critical'],
  ])('metadata %j with %j is %s', (metadata, own, state) => {
    expect(instanceOf(read(layout, withMeta(metadata, own))).state).toBe(state)
  })

  test('metadata say version, zone, scheme, weight and tags', () => {
    const instance = instanceOf(
      read(
        layout,
        withMeta({ version: '2', zone: 'a', scheme: 'h2c', weight: '3', tags: '["a=1,2","b"]', n: 5, o: {} }),
      ),
    )
    expect(instance).toMatchObject({
      version: '2',
      zone: 'a',
      scheme: 'h2c',
      weight: 3,
      tags: ['a=1,2', 'b'],
    })
    expect(instance.meta).toMatchObject({ n: '5' })
    expect(instance.meta).not.toHaveProperty('o')
    expect(instanceOf(read(layout, withMeta({ tags: 'a, b' }))).tags).toEqual(['a', 'b'])
    expect(instanceOf(read(layout, withMeta({ weight: '-1' }))).weight).toBe(1)
  })

  test('a payload of another kind gives its plain fields', () => {
    const instance = instanceOf(
      read(layout, { ...base, payload: { '@class': 'a.b.C', version: '3', deep: { a: 1 } } }),
    )
    expect(instance.meta).toEqual({ version: '3' })
    expect(instance.version).toBe('3')
    expect(instanceOf(read(layout, { ...base, payload: 'words' })).meta).toEqual({})
  })

  test('a warning has its own weight; 0 is a refusal, in words', () => {
    const warning = (weight: string) =>
      instanceOf(
        read(
          layout,
          withMeta({ state: 'warning', weight: '4', 'weight-warning': weight, 'state-output': 'slow' }),
        ),
      )
    expect(warning('2')).toMatchObject({ state: 'warning', weight: 2 })
    expect(warning('0')).toMatchObject({
      state: 'critical',
      checks: [{ id: 'state', state: 'critical', output: 'weight 0 while warning: slow' }],
    })
  })

  test('https has its own port', () => {
    const both = { ...base, sslPort: 8443 }
    expect(instanceOf(read(layout, both))).toMatchObject({ scheme: 'http', port: 8080 })
    expect(instanceOf(read(layout, { ...both, port: null }))).toMatchObject({ scheme: 'https', port: 8443 })
    expect(instanceOf(read(layout, withMeta({ scheme: 'https' }, { sslPort: 8443 })))).toMatchObject({
      scheme: 'https',
      port: 8443,
    })
    expect(instanceOf(read(layout, withMeta({ scheme: 'https' })))).toMatchObject({
      scheme: 'https',
      port: 8080,
    })
  })

  test.each([
    ['', 'its data are no JSON'],
    ['[]', 'expected object'],
    [{ ...base, address: undefined }, 'address is missing'],
    [{ ...base, address: '' }, 'address is empty'],
    [{ ...base, port: null }, 'it has no port'],
    [{ ...base, port: 0 }, '0 is no port'],
    [{ ...base, port: 70_000 }, '70000 is no port'],
    [{ ...base, port: '80' }, 'port'],
    [{ ...base, address: '169.254.169.254' }, 'forbidAddresses'],
    [{ ...base, address: 'a b' }, 'neither an IP address nor a host name'],
  ])('%j is left out', (value, why) => {
    const mapped = read(layout, value)
    expect(mapped.kind).toBe('malformed')
    expect(mapped.kind === 'malformed' ? mapped.why : '').toContain(why)
  })
})

describe('dubbo-application', () => {
  const layout = dubboApplicationLayout(OPTIONS)
  const record = (endpoints: unknown) => ({
    name: 'shop',
    id: '10.0.0.7:20880',
    address: '10.0.0.7',
    port: 20880,
    payload: {
      '@class': 'org.apache.dubbo.registry.zookeeper.ZookeeperInstance',
      metadata: {
        ...(endpoints === undefined
          ? {}
          : { 'dubbo.endpoints': typeof endpoints === 'string' ? endpoints : JSON.stringify(endpoints) }),
        'dubbo.metadata.revision': 'b13c7',
      },
    },
  })

  test('the first protocol that is wanted and offered decides port and scheme', () => {
    const instance = instanceOf(
      read(
        layout,
        record([
          { port: 20880, protocol: 'dubbo' },
          { port: 8080, protocol: 'rest' },
          { port: 50051, protocol: 'tri' },
        ]),
      ),
    )
    expect(instance).toMatchObject({ port: 50051, scheme: 'h2c', state: 'passing' })
    expect(instance.meta).toMatchObject({ protocol: 'tri', 'dubbo.metadata.revision': 'b13c7' })
    expect(instanceOf(read(layout, record([{ port: 8080, protocol: 'rest' }])))).toMatchObject({
      port: 8080,
      scheme: 'http',
    })
  })

  test('without endpoints it is the port of the instance, in the first protocol', () => {
    expect(instanceOf(read(layout, record(undefined)))).toMatchObject({ port: 20880, scheme: 'h2c' })
  })

  test('one that speaks no HTTP is left out, with the reason', () => {
    expect(read(layout, record([{ port: 20880, protocol: 'dubbo' }]))).toMatchObject({
      kind: 'unusable',
      why: 'it speaks dubbo only',
    })
    expect(read(layout, record('nonsense')).kind).toBe('malformed')
  })
})

describe('dubbo', () => {
  const layout = dubboLayout(OPTIONS)
  const provider = (url: string) => layout.read({ service: 'com.shop.Cart', name: encodeURIComponent(url) })

  test('a URL as the name of a node', () => {
    const url =
      'tri://10.0.0.7:50051/com.shop.Cart?application=shop&dubbo=2.0.2&dynamic=true&group=blue&interface=com.shop.Cart&methods=add,list&pid=7&timestamp=1700000000000&version=1.2.0&weight=200'
    expect(provider(url)).toMatchObject({
      kind: 'instance',
      rank: 0,
      instance: {
        key: 'zk/zookeeper/com.shop.Cart/10.0.0.7:50051/blue/1.2.0',
        id: '10.0.0.7:50051/blue/1.2.0',
        service: 'com.shop.Cart',
        address: '10.0.0.7',
        port: 50051,
        scheme: 'h2c',
        state: 'passing',
        weight: 2,
        version: '1.2.0',
        meta: { group: 'blue', methods: 'add,list', protocol: 'tri', application: 'shop' },
      },
    })
    expect(layout.recordsPath('/dubbo', 'com.shop.Cart')).toBe('/dubbo/com.shop.Cart/providers')
  })

  test.each([
    ['rest://10.0.0.7:8080/x', { scheme: 'http', weight: 1, state: 'passing' }],
    ['tri://10.0.0.7:8080/x?ssl-enabled=true', { scheme: 'https' }],
    ['tri://10.0.0.7:8080/x?scheme=http', { scheme: 'http' }],
    ['tri://10.0.0.7:8080/x?disabled=true', { state: 'maintenance' }],
    ['tri://10.0.0.7:8080/x?enabled=false', { state: 'maintenance' }],
    ['tri://10.0.0.7:8080/x?weight=0', { state: 'maintenance', weight: 1 }],
    ['tri://10.0.0.7:8080/x?dynamic=false', { state: 'unknown' }],
    ['dubbo://10.0.0.7:20880/x?ext.protocol=tri,rest', { scheme: 'h2c', port: 20880 }],
    ['tri://[fd00::7]:8080/x', { address: 'fd00::7', id: '[fd00::7]:8080' }],
  ])('%s', (url, expected) => {
    expect(instanceOf(provider(url))).toMatchObject(expected)
  })

  test('version 0.0.0 is none', () => {
    expect(instanceOf(provider('tri://10.0.0.7:1/x?version=0.0.0')).version).toBeUndefined()
  })

  test.each([
    ['%', 'its name is no encoded URL'],
    ['words', 'its name is no encoded URL'],
    [encodeURIComponent('tri://10.0.0.7/x'), '"" is no port'],
    [encodeURIComponent('tri:///x'), 'its URL has no address'],
    [encodeURIComponent('tri://169.254.1.1:80/x'), 'forbidAddresses'],
  ])('%s is left out', (name, why) => {
    const mapped = layout.read({ service: 's', name })
    expect(mapped.kind === 'malformed' ? mapped.why : mapped.kind).toContain(why)
  })

  test('of the protocols of one process the best is used; others are told only when there is none', () => {
    const one = (url: string) => [url, provider(url)] as const
    const process = 'application=shop&pid=1'
    const nodes = new Map([
      one(`dubbo://10.0.0.7:20880/x?${process}`),
      one(`rest://10.0.0.7:8080/x?${process}`),
      one(`tri://10.0.0.7:50051/x?${process}`),
      one('rest://10.0.0.8:8080/x?application=shop&pid=2'),
      one('dubbo://10.0.0.9:20880/x?application=shop&pid=3'),
      one('tri://10.0.0.10/x'),
    ])
    const { instances, problems } = choose(nodes)
    expect(instances.map(({ id }) => id)).toEqual(['10.0.0.7:50051', '10.0.0.8:8080'])
    expect(problems).toEqual([
      'tri://10.0.0.10/x is left out: "" is no port',
      'dubbo://10.0.0.9:20880/x?application=shop&pid=3 is left out: 10.0.0.9:20880 speaks dubbo only',
    ])
  })
})

describe('the nodes of a service', () => {
  const json = (port: number) => content({ address: '10.0.0.7', port })
  const nodes = () => new ServiceNodes('shop', curatorLayout(OPTIONS))

  test('what did not change is the same object', () => {
    const shop = nodes()
    expect(shop.service()).toBeUndefined()
    expect(shop.list(['a', 'b'])).toEqual(['a', 'b'])
    shop.put('a', json(1))
    shop.put('b', json(2))
    const first = shop.service()
    expect(shop.list(['a', 'b'])).toEqual([])
    shop.put('a', json(1))
    expect(shop.service()).toBe(first)
    shop.put('a', json(3))
    expect(shop.service()).not.toBe(first)
    expect(shop.service()?.instances[1]).toBe(first?.instances[1])
    shop.list(['b'])
    expect(shop.service()?.instances).toEqual([first?.instances[1]])
    shop.list([])
    expect(shop.service()).toBeUndefined()
  })

  test('a node that cannot be read stays as it was, and is told', () => {
    const shop = nodes()
    shop.list(['a'])
    shop.put('a', json(1))
    const before = shop.service()
    shop.fail('a', new Error('no right'))
    expect(shop.service()).toBe(before)
    expect(shop.problems()).toEqual(['shop: a cannot be read: no right'])
    shop.put('a', json(1))
    expect(shop.problems()).toEqual([])
  })

  test('data that arrive after the end of their node change nothing', () => {
    const shop = nodes()
    shop.list(['a'])
    shop.list([])
    shop.put('a', json(1))
    expect(shop.service()).toBeUndefined()
  })

  test('a name that is as long as a URL is cut', () => {
    const shop = new ServiceNodes('shop', dubboLayout(OPTIONS))
    shop.list([encodeURIComponent(`tri://10.0.0.7/x?a=${'a'.repeat(2000)}`)])
    expect(shop.problems()[0]?.length).toBeLessThan(250)
    expect(shop.problems()[0]).toMatch(/10\.0\.0\.7.*… is left out: "" is no port$/)
  })
})
