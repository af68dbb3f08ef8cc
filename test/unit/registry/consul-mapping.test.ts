import { describe, expect, test } from 'vitest'
import { createAddressRule } from '../../../src/registry/consul-address.ts'
import {
  createNameFilter,
  type MappedService,
  type MappingOptions,
  mapHealth,
  rosterNames,
} from '../../../src/registry/consul-mapping.ts'

interface Given {
  id?: string
  node?: object
  service?: object
  checks?: object[]
}

function record({ id = 'w1', node = {}, service = {}, checks = [] }: Given = {}): object {
  return {
    Node: { Node: 'n1', Address: '10.0.0.1', Datacenter: 'dc1', Meta: null, ...node },
    Service: {
      ID: id,
      Service: 'web',
      Address: '10.0.0.7',
      Port: 8080,
      Tags: [],
      Meta: null,
      Weights: { Passing: 1, Warning: 1 },
      ...service,
    },
    Checks: [
      { CheckID: 'serfHealth', Status: 'passing', Output: 'Agent alive and reachable', Type: '' },
      ...checks,
    ],
  }
}

function map(body: unknown, options: Partial<MappingOptions> = {}, before?: MappedService): MappedService {
  const whole = { registry: 'c', taggedAddress: undefined, addressRule: createAddressRule([]), ...options }
  return mapHealth('web', undefined, body, whole, before?.service)
}

const one = (given: Given, options: Partial<MappingOptions> = {}) => {
  const { service, problems } = map([record(given)], options)
  expect(problems).toEqual([])
  const [instance] = service.instances
  if (instance === undefined) expect.unreachable('the record was left out')
  return instance
}
const ttl = (Status: string, Output = 'said so') => ({ CheckID: 'service:w1', Status, Output, Type: 'ttl' })

describe('identity', () => {
  test('the key has registry, datacentre, node and id', () => {
    expect(one({}).key).toBe('c/dc1/n1/w1')
  })

  test('an instance that did not change keeps its object, and so does the service', () => {
    const first = map([record({ id: 'a' }), record({ id: 'b' })])
    const again = map([record({ id: 'b' }), record({ id: 'a' })], {}, first)
    expect(again.service).toBe(first.service)
    const changed = map([record({ id: 'a' }), record({ id: 'b', service: { Port: 81 } })], {}, first)
    expect(changed.service).not.toBe(first.service)
    expect(changed.service.instances[0]).toBe(first.service.instances[0])
    expect(changed.service.instances[1]).not.toBe(first.service.instances[1])
  })

  test('an index that moved without anything else is no change', () => {
    const first = map([record({ service: { ModifyIndex: 7 } })])
    expect(map([record({ service: { ModifyIndex: 8 } })], {}, first).service).toBe(first.service)
  })
})

describe('state', () => {
  test.each([
    ['no check but that of the node is passing', [], 'passing'],
    ['a warning', [ttl('warning')], 'warning'],
    ['critical wins over warning', [ttl('warning'), { ...ttl('critical'), CheckID: 'x' }], 'critical'],
    ['an unknown word is critical', [ttl('odd')], 'critical'],
    [
      'maintenance of the instance wins over critical',
      [ttl('critical'), { CheckID: '_service_maintenance:w1', Status: 'critical', Output: 'upgrade' }],
      'maintenance',
    ],
    [
      'maintenance that an instance set to go away is draining',
      [{ CheckID: '_service_maintenance:w1', Status: 'critical', Output: '', Notes: 'draining: SIGTERM' }],
      'draining',
    ],
    [
      'maintenance with another reason is not',
      [{ CheckID: '_service_maintenance:w1', Status: 'critical', Output: '', Notes: 'drainings' }],
      'maintenance',
    ],
    [
      'maintenance of the node counts for its instances',
      [{ CheckID: '_node_maintenance', Status: 'critical', Output: '' }],
      'maintenance',
    ],
    [
      'maintenance of another instance is only a critical check',
      [{ CheckID: '_service_maintenance:w2', Status: 'critical', Output: '' }],
      'critical',
    ],
  ] as const)('%s', (_, checks, state) => {
    expect(one({ checks: [...checks] }).state).toBe(state)
  })

  test.each([
    ['Meta draining=true', { Meta: { draining: 'true' } }],
    ['the tag draining', { Tags: ['draining'] }],
  ])('%s makes a draining instance, critical or not', (_, service) => {
    expect(one({ service }).state).toBe('draining')
    expect(one({ service, checks: [ttl('critical')] }).state).toBe('draining')
  })

  test('draining does not hide maintenance', () => {
    const checks = [{ CheckID: '_service_maintenance:w1', Status: 'critical', Output: '' }]
    expect(one({ service: { Tags: ['draining'] }, checks }).state).toBe('maintenance')
  })

  test('a TTL that ran out is told apart from an explicit failure', () => {
    const expired = (output: string, type = 'ttl') =>
      one({ checks: [{ ...ttl('critical', output), Type: type }] }).checks?.[1]?.expired
    expect(expired('TTL expired')).toBe(true)
    expect(expired('TTL expired (last output before timeout follows): fine')).toBe(true)
    expect(expired('disk full')).toBeUndefined()
    expect(expired('TTL expired', 'http')).toBeUndefined()
  })

  test('a node that is not heard any more is not an explicit failure of its instances', () => {
    const { Node, Service } = record() as { Node: object; Service: object }
    const serf = { CheckID: 'serfHealth', Status: 'critical', Output: 'Agent not live or unreachable' }
    const [instance] = map([{ Node, Service, Checks: [serf] }]).service.instances
    expect(instance?.state).toBe('critical')
    expect(instance?.checks?.[0]?.expired).toBe(true)
  })

  test('the output of a check is cut to 512 characters', () => {
    expect(one({ checks: [ttl('warning', 'x'.repeat(2000))] }).checks?.[1]?.output).toHaveLength(512)
  })
})

describe('weight', () => {
  const service = { Weights: { Passing: 10, Warning: 3 } }
  test('is that for the state', () => {
    expect(one({ service }).weight).toBe(10)
    expect(one({ service, checks: [ttl('warning')] }).weight).toBe(3)
  })

  test('0 while warning takes the instance out, explicitly', () => {
    const given = { service: { Weights: { Passing: 10, Warning: 0 } }, checks: [ttl('warning', 'slow')] }
    const instance = one(given)
    expect(instance.state).toBe('critical')
    expect(instance.weight).toBeGreaterThan(0)
    expect(instance.checks?.[1]).toEqual({
      id: 'service:w1',
      state: 'critical',
      output: 'weight 0 while warning: slow',
    })
    expect(one({ ...given, checks: [] }).state).toBe('passing')
  })

  test('a service without weights has 1', () => {
    expect(one({ service: { Weights: null } }).weight).toBe(1)
  })
})

describe('address', () => {
  test('is that of the service, else of the node', () => {
    expect(one({}).address).toBe('10.0.0.7')
    expect(one({ service: { Address: '' } }).address).toBe('10.0.0.1')
  })

  test('a tagged address is used where there is one, with its port', () => {
    const service = { TaggedAddresses: { wan: { Address: '198.51.100.9', Port: 9000 } } }
    expect(one({ service }, { taggedAddress: 'wan' })).toMatchObject({ address: '198.51.100.9', port: 9000 })
    expect(one({ service }, { taggedAddress: 'lan' })).toMatchObject({ address: '10.0.0.7', port: 8080 })
    expect(one({ service })).toMatchObject({ address: '10.0.0.7', port: 8080 })
    const node = { TaggedAddresses: { wan: '198.51.100.1' } }
    expect(one({ node, service: { Address: '' } }, { taggedAddress: 'wan' }).address).toBe('198.51.100.1')
    expect(one({ node }, { taggedAddress: 'wan' }).address).toBe('10.0.0.7')
  })

  test('port 0 leaves the instance out, with a line', () => {
    const { service, problems } = map([record({ service: { Port: 0 } }), record({ id: 'w2' })])
    expect(service.instances.map(({ id }) => id)).toEqual(['w2'])
    expect(problems).toEqual(['web: w1 on n1 is left out: its port is 0'])
  })

  test.each([
    '10.0.0.7/x',
    'a b',
    'user@10.0.0.7',
    '10.0.0.7:80',
    '[::1]',
    '-a.example',
    '2130706433',
    '127.1',
    '0x7f000001',
    'a..b',
    'a'.repeat(64),
  ])('"%s" is no address', (address) => {
    const { service, problems } = map([record({ service: { Address: address } })])
    expect(service.instances).toEqual([])
    expect(problems).toHaveLength(1)
  })

  test.each(['db-1.internal', 'fe80::1', 'web_1', 'x1'])('"%s" is an address', (address) => {
    expect(one({ service: { Address: address } }).address).toBe(address)
  })

  test.each([
    ['169.254.169.254', false],
    ['::ffff:169.254.169.254', false],
    ['127.9.9.9', false],
    ['localhost', false],
    ['a.localhost.', false],
    ['fd00::7', false],
    ['10.0.0.7', true],
    ['2001:db8::1', true],
    ['localhost.example', true],
  ])('forbidden networks: %s allowed: %s', (address, isAllowed) => {
    const addressRule = createAddressRule(['169.254.0.0/16', '127.0.0.0/8', 'fd00::/8'])
    const { service } = map([record({ service: { Address: address } })], { addressRule })
    expect(service.instances).toHaveLength(isAllowed ? 1 : 0)
  })

  test('localhost is allowed while loopback is not forbidden', () => {
    expect(createAddressRule(['169.254.0.0/16'])('localhost')).toBeUndefined()
    expect(createAddressRule([])('127.0.0.1')).toBeUndefined()
    expect(createAddressRule(['10.0.0.7'])('10.0.0.7')).toContain('forbidAddresses')
  })
})

describe('scheme, version, zone', () => {
  test('come from metadata', () => {
    const Meta = { scheme: 'https', version: '2.1', zone: 'a' }
    expect(one({ service: { Meta } })).toMatchObject({ scheme: 'https', version: '2.1', zone: 'a' })
  })

  test('the zone also from the metadata of the node; that of the service wins', () => {
    const node = { Meta: { zone: 'b' } }
    expect(one({ node }).zone).toBe('b')
    expect(one({ node, service: { Meta: { zone: 'a' } } }).zone).toBe('a')
    expect(one({ node: { Meta: null } }).zone).toBeUndefined()
  })

  test('scheme and version also from tags; metadata win', () => {
    const Tags = ['version=3', 'scheme=h2c']
    expect(one({ service: { Tags } })).toMatchObject({ scheme: 'h2c', version: '3' })
    expect(one({ service: { Tags, Meta: { version: '4' } } }).version).toBe('4')
  })

  test('an unknown scheme is http', () => {
    expect(one({ service: { Meta: { scheme: 'gopher' } } }).scheme).toBe('http')
  })
})

describe('answers that make no sense', () => {
  test('one malformed record is left out, the others live', () => {
    const { service, problems, records } = map([{ Node: {} }, record()])
    expect(service.instances).toHaveLength(1)
    expect(problems[0]).toMatch(/^web: a record is left out: Node\.Node/)
    expect(records).toBe(2)
  })

  test('no list is an error, not an empty service', () => {
    expect(() => map({})).toThrow('no list')
    expect(() => map(null)).toThrow('no list')
  })

  test('a roster that is no object is an error', () => {
    expect(rosterNames({ web: ['a'], 'a/b': [] })).toEqual(['web', 'a/b'])
    expect(() => rosterNames([])).toThrow('no object')
    expect(() => rosterNames(null)).toThrow('no object')
  })
})

describe('include and exclude', () => {
  test('without include all names are wanted; exclude wins', () => {
    const isWanted = createNameFilter([], ['*-internal'])
    expect(['web', 'web-internal', 'internal'].filter(isWanted)).toEqual(['web', 'internal'])
  })

  test('a star stands for any text, everything else for itself', () => {
    const isWanted = createNameFilter(['shop-*', 'a.b', 'x (1)/*'], ['shop-old*'])
    const names = ['shop-cart', 'shop-', 'shop', 'shop-old-2', 'a.b', 'aXb', 'x (1)/y', 'my shop-cart']
    expect(names.filter(isWanted)).toEqual(['shop-cart', 'shop-', 'a.b', 'x (1)/y'])
  })
})
