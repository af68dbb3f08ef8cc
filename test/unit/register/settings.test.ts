import { expect, test } from 'vitest'
import { agentUrl } from '../../../src/register/agent.ts'
import { parseCommand } from '../../../src/register/command.ts'
import { isUnknown, leftovers } from '../../../src/register/consul-registrar.ts'
import { findAddress } from '../../../src/register/place.ts'
import {
  agentOptions,
  givenAddress,
  givenPort,
  type RegistrarOptions,
  resolveSettings,
  targetUrl,
} from '../../../src/register/settings.ts'

const PLACE = { address: '10.0.0.7', port: 8080 }
const resolve = (options: RegistrarOptions = {}, env: Record<string, string> = {}) =>
  resolveSettings({ service: 'cart', ...options }, env, PLACE)

test('ids are unique for each start, and say where the instance is', () => {
  const { id } = resolve()
  expect(id).toMatch(/^cart-.+-8080-[0-9a-f]{8}$/)
  expect(resolve().id).not.toBe(id)
})

test.each([
  [{}, {}, 'http://127.0.0.1:8500'],
  [{}, { HOST_IP: '10.0.0.5' }, 'http://10.0.0.5:8500'],
  [{}, { HOST_IP: 'fd00::5' }, 'http://[fd00::5]:8500'],
  [{}, { HOST_IP: '10.0.0.5', CONSUL_HTTP_ADDR: '10.0.0.9:8500' }, 'http://10.0.0.9:8500'],
  [{}, { CONSUL_HTTP_ADDR: 'consul:8501', CONSUL_HTTP_SSL: 'true' }, 'https://consul:8501'],
  [{ agent: 'https://x/consul/' }, { CONSUL_HTTP_ADDR: '10.0.0.9:8500' }, 'https://x/consul'],
  [{}, { CONSUL_HTTP_ADDR: 'unix:///run/consul.sock' }, 'unix:///run/consul.sock'],
])('the agent of %j with %j is %s', (options, env, url) => {
  expect(agentOptions(options, env).url).toBe(url)
})

test.each(['', 'ftp://x', 'http://', 'http://a b'])('"%s" is no agent address', (text) => {
  expect(() => agentUrl(text)).toThrow(/is no agent address: write http/)
})

test.each([
  [{}, {}, undefined, undefined],
  [{}, { HOST_IP: '10.0.0.5' }, '10.0.0.5', undefined],
  [{}, { HOST: 'laptop' }, undefined, undefined],
  [{}, { HOST: 'agent-3', PORT0: '31005' }, 'agent-3', 31005],
  [{ address: 'a', port: 1 }, { HOST_IP: 'b', PORT0: '2' }, 'a', 1],
  [{}, { SLUICE_REGISTER_ADDRESS: 'c', HOST_IP: 'b', SLUICE_REGISTER_PORT: '3', PORT0: '2' }, 'c', 3],
])('%j with %j is at %s, port %s', (options, env, address, port) => {
  expect(givenAddress(options, env)).toBe(address)
  expect(givenPort(options, env)).toBe(port)
})

test('the environment says what the options do not', () => {
  const env = {
    SLUICE_REGISTER_SERVICE: 'cart',
    SLUICE_REGISTER_VERSION: '3',
    SLUICE_REGISTER_ZONE: 'b',
    SLUICE_REGISTER_TAGS: 'x, y',
    SLUICE_REGISTER_META: 'team=shop,tier=1',
    SLUICE_REGISTER_WEIGHT: '7',
    SLUICE_REGISTER_TTL: '9s',
  }
  const settings = resolveSettings({}, env, PLACE)
  expect(settings).toMatchObject({
    service: 'cart',
    tags: ['x', 'y'],
    meta: { version: '3', zone: 'b', team: 'shop', tier: '1' },
    weights: { passing: 7, warning: 7 },
    ttlMs: 9000,
  })
  expect(resolveSettings({ service: 'other', version: '4' }, env, PLACE).meta['version']).toBe('4')
})

test.each<[RegistrarOptions, RegExp]>([
  [{ service: '' }, /service: is missing/],
  [{ ttl: '15' }, /ttl: "15" is no duration: write 15s/],
  [{ ttl: 200 }, /ttl: 200 ms is too short/],
  [{ deregisterAfter: '10s' }, /Consul takes no less than 1m/],
  [{ weight: 0 }, /weight: 0 is no weight/],
  [{ meta: { 'a.b': '1' } }, /meta.a.b: a key has/],
  [{ meta: { a: 'x'.repeat(513) } }, /513 characters are too long/],
  [{ meta: Object.fromEntries([...Array(64).keys()].map((i) => [`k${i}`, ''])) }, /65 keys are too many/],
])('%j is refused', (options, message) => {
  expect(() => resolve(options)).toThrow(message)
})

test('the registered address: given, else what the server is bound to, else left to the node', async () => {
  const local = 'http://127.0.0.1:8500'
  expect(await findAddress('10.0.0.9', { address: '10.0.0.7', port: 1 }, local)).toBe('10.0.0.9')
  expect(await findAddress('[fd00::9]', undefined, local)).toBe('fd00::9')
  expect(await findAddress(undefined, { address: '127.0.0.1', port: 1 }, local)).toBe('127.0.0.1')
  expect(await findAddress(undefined, { address: '0.0.0.0', port: 1 }, local)).toBe('')
  expect(await findAddress(undefined, { address: '::', port: 1 }, 'unix:///run/consul.sock')).toBe('')
})

test('an address that nobody else could reach is refused with what to set', async () => {
  const bound = { address: '127.0.0.1', port: 1 }
  await expect(findAddress(undefined, bound, 'http://10.0.0.5:8500')).rejects.toThrow(/set HOST_IP/)
  await expect(findAddress('0.0.0.0', bound, 'http://127.0.0.1:8500')).rejects.toThrow(/is none that clients/)
})

test.each([
  [404, 'Unknown check ID "service:x". Ensure that the check ID is passed, not the check name.', true],
  [500, 'CheckID "service:x" does not have associated TTL', true],
  [500, 'No cluster leader', false],
  [403, 'Permission denied', false],
  [200, '', false],
])('an answer %i %s: unknown check %s', (status, body, is) => {
  expect(isUnknown({ status, body })).toBe(is)
})

test('leftovers are of the same service, at the same place, registered by this library', () => {
  const settings = resolve({ id: 'now' })
  const one = {
    ID: 'old',
    Service: 'cart',
    Address: '10.0.0.7',
    Port: 8080,
    Meta: { 'registered-by': 'sluice-register' },
  }
  const body = {
    a: one,
    b: { ...one, ID: 'now' },
    c: { ...one, ID: 'c', Port: 1 },
    d: { ...one, ID: 'd', Meta: null },
    e: { ...one, ID: 'e', Service: 'other' },
    f: null,
  }
  expect(leftovers(JSON.stringify(body), settings)).toEqual(['old'])
  for (const odd of ['', 'null', '[]', '{"a":1}']) expect(leftovers(odd, settings)).toEqual([])
})

test('a command line becomes options', () => {
  const line =
    '--service cart --port 9000 --release 2 --meta a=b --health /ok --budget 5s -- python3 app.py --port x'
  const parsed = parseCommand(line.split(' '), {})
  expect(parsed).toMatchObject({
    command: 'python3',
    args: ['app.py', '--port', 'x'],
    port: 9000,
    stopSignal: 'SIGTERM',
    registration: { service: 'cart', version: '2', meta: { a: 'b' }, budget: 5000 },
  })
  expect(parseCommand(['--help'], {})).toBe('help')
})

test.each([
  [['--service', 'a', '--port', '1'], /no command: write it behind --/],
  [['--servise', 'a', '--', 'x'], /--servise/],
  [['--service', 'a', '--', 'x'], /--port is missing/],
  [['--port', '1', '--', 'x'], /service: is missing/],
  [['--service', 'a', '--port', '99999', '--', 'x'], /99999 is no port/],
  [['--service', 'a', '--port', '1', '--health', 'icmp', '--', 'x'], /"icmp" is no probe/],
  [['--service', 'a', '--port', '1', '--stop-signal', 'TERM', '--', 'x'], /"TERM" is no signal/],
  [['--service', 'a', '--port', '1', '--meta', 'x', '--', 'x'], /"x" is no KEY=VALUE/],
])('%j is misuse', (argv, message) => {
  expect(() => parseCommand(argv, {})).toThrow(message)
})

test('registration with ZooKeeper: options before the environment', () => {
  const env = {
    SLUICE_REGISTER_REGISTRY: 'zookeeper',
    SLUICE_REGISTER_SERVERS: 'a:2181, b:2182',
    SLUICE_REGISTER_PREFIX: '/live',
    SLUICE_REGISTER_AUTH: 'cart:secret',
  }
  const place = { address: '', port: 80 }
  const found = resolveSettings({ service: 'cart' }, env, place)
  expect(found.registry).toMatchObject({
    type: 'zookeeper',
    servers: ['a:2181', 'b:2182'],
    base: '/live',
    auth: 'cart:secret',
  })
  expect(found.address).toBe('127.0.0.1')
  expect(targetUrl(found.registry)).toBe('zookeeper://a:2181')
  const own = { type: 'zookeeper' as const, servers: ['c'], base: '/x', auth: 'd:e', tls: {} }
  expect(resolveSettings({ service: 'cart', registry: own }, env, place).registry).toEqual(own)
  expect(resolveSettings({ service: 'cart', registry: 'zookeeper' }, {}, place).registry).toMatchObject({
    servers: ['127.0.0.1:2181'],
    base: '/services',
    auth: undefined,
  })
})

test('registration with etcd: options before etcd’s own variables', () => {
  const env = {
    SLUICE_REGISTER_REGISTRY: 'etcd',
    ETCDCTL_ENDPOINTS: '10.0.0.1:2379',
    ETCDCTL_USER: 'service:secret',
    ETCDCTL_CACERT: '/ca.pem',
    SLUICE_REGISTER_PREFIX: '/edge/',
  }
  expect(resolve({}, env).registry).toMatchObject({
    type: 'etcd',
    endpoints: ['http://10.0.0.1:2379'],
    prefix: '/edge',
    username: 'service',
    password: 'secret',
    tls: { ca: '/ca.pem' },
  })
  const own = { type: 'etcd' as const, endpoints: ['https://b:2379'], username: 'other', prefix: '/x' }
  expect(resolve({ registry: own }, env).registry).toMatchObject({
    endpoints: ['https://b:2379'],
    prefix: '/x',
    username: 'other',
    // The password in the environment is another user's.
    password: undefined,
  })
  expect(resolve({ registry: 'consul' }, env).registry.type).toBe('consul')
  expect(resolveSettings({ service: 'cart', registry: 'etcd' }, {}, { address: '', port: 80 })).toMatchObject(
    {
      address: '127.0.0.1',
      registry: { endpoints: ['http://127.0.0.1:2379'], prefix: '/sluice' },
    },
  )
})

test.each([
  [{ registry: 'zk' as 'etcd' }, 'registry: "zk" is none'],
  [{ registry: { type: 'etcd' as const, endpoints: [] } }, 'registry.endpoints: is empty'],
  [{ registry: { type: 'etcd' as const, endpoints: ['b:2379'] } }, 'write http://10.0.0.5:2379'],
  [{ registry: { type: 'zookeeper' as const, servers: [] } }, 'registry.servers: is empty'],
  [{ registry: { type: 'zookeeper' as const, servers: ['http://b:1'] } }, 'write 10.0.0.5:2181'],
  [{ registry: { type: 'zookeeper' as const, base: 'services' } }, 'write /services'],
  [{ registry: { type: 'zookeeper' as const, auth: 'secret' } }, 'registry.auth: is no user:password'],
])('%j can never work', (options, problem) => {
  expect(() => resolve(options)).toThrow(problem)
})
