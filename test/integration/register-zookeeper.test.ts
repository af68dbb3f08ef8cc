import { spawnSync } from 'node:child_process'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../src/core/duration.ts'
import { sayGoodbye } from '../../src/register/crash.ts'
import type { HealthResult } from '../../src/register/health.ts'
import { Lease, type LeaseDeps, type LeaseEvent } from '../../src/register/lease.ts'
import { type RegistrarOptions, resolveSettings } from '../../src/register/settings.ts'
import { ZooKeeperDrain } from '../../src/registry/zookeeper-drain.ts'
import { type RegistryWatch, watchProvider } from '../support/registry-watch.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { waitFor } from '../support/wait.ts'
import { startZooKeeper, type TestZooKeeper } from '../support/zookeeper.ts'
import { zooKeeperProvider } from '../support/zookeeper-harness.ts'

const CART = '/services/cart'

let zookeeper: TestZooKeeper
const leases: Lease[] = []
const ended: (() => unknown)[] = []
let events: LeaseEvent[] = []

beforeAll(async () => {
  zookeeper = await startZooKeeper()
})
afterAll(() => zookeeper.stop())
afterEach(async () => {
  for (const lease of leases.splice(0)) await lease.release()
  for (const end of ended.splice(0).reverse()) await end()
  for (const id of (await zookeeper.client.getChildren(CART)) ?? [])
    await zookeeper.client.remove(`${CART}/${id}`)
  await zookeeper.client.remove(CART)
  events = []
})

interface Given extends RegistrarOptions {
  readonly health?: LeaseDeps['health']
  readonly zookeeper?: Partial<Extract<RegistrarOptions['registry'], { type: 'zookeeper' }>>
}

function settings({ zookeeper: own, ...options }: Given) {
  const registry = { type: 'zookeeper' as const, servers: [zookeeper.server], ...own }
  const given = { registry, service: 'cart', id: 'cart-1', ttl: 2000, ...options }
  return resolveSettings(given, {}, { address: '10.0.0.7', port: 8080 })
}

function create({ health, ...options }: Given = {}): Lease {
  const lease = new Lease(settings(options), {
    clock: systemClock,
    random: Math.random,
    health,
    onEvent: (event) => events.push(event),
  })
  leases.push(lease)
  return lease
}

function watch(): RegistryWatch {
  const watched = watchProvider((deps) => zooKeeperProvider(zookeeper.server, {}, deps))
  ended.push(() => watched.stop())
  return watched
}

const ids = async () => ((await zookeeper.client.getChildren(CART)) ?? []).sort()
const record = async (id = 'cart-1') => {
  const found = await zookeeper.client.getData(`${CART}/${id}`)
  return found === undefined ? undefined : { ...found.stat, json: JSON.parse(found.data.toString()) }
}
const stateIn = (watched: RegistryWatch) => watched.instances('cart').map(({ state }) => state)
const told = () => events.map((event) => (event.type === 'state' ? event.to : event.type))
/** Ends its session as its servers would. */
const expire = async () => {
  const owner = (await record())?.ephemeralOwner ?? 0n
  await zookeeper.endSession(owner)
}

test('an instance is registered with all that is said of it, lives longer than its TTL, and leaves', async () => {
  const watched = watch()
  const lease = create({
    version: '2',
    zone: 'a',
    tags: ['blue'],
    routes: ['shop.example.com/cart methods=GET,POST'],
    weight: { passing: 5, warning: 2 },
    meta: { team: 'shop' },
    scheme: 'h2c',
  })
  lease.start()
  await waitFor(() => stateIn(watched).join() === 'passing')
  expect(watched.instances('cart')[0]).toMatchObject({
    key: 'main/zookeeper/cart/cart-1',
    id: 'cart-1',
    address: '10.0.0.7',
    port: 8080,
    scheme: 'h2c',
    weight: 5,
    version: '2',
    zone: 'a',
    tags: ['blue', 'sluice.route=shop.example.com/cart methods=GET,POST'],
    meta: { team: 'shop', 'registered-by': 'sluice-register' },
  })
  expect((await record())?.json).toMatchObject({
    name: 'cart',
    id: 'cart-1',
    address: '10.0.0.7',
    port: 8080,
    sslPort: null,
    serviceType: 'DYNAMIC',
    enabled: true,
    payload: { id: 'cart-1', name: 'cart', metadata: { version: '2' } },
  })
  expect((await record())?.ephemeralOwner).not.toBe(0n)
  const started = performance.now()
  const { length } = watched.snapshots
  await waitFor(() => performance.now() - started > 4500)
  expect(stateIn(watched), 'two TTLs went by').toEqual(['passing'])
  expect(watched.snapshots.length, 'beats are no news').toBe(length)
  await lease.release()
  await waitFor(() => !watched.snapshot()?.services.has('cart'))
  expect(told()).toEqual(['registering', 'registered', 'passing', 'gone'])
})

test('what is written is what ZooKeeper’s own client reads', async () => {
  create().start()
  await waitFor(async () => (await ids()).length === 1)
  const main = 'org.apache.zookeeper.ZooKeeperMain'
  const { stdout, stderr } = spawnSync(
    'java',
    [
      '-cp',
      '/usr/share/java/zookeeper.jar',
      main,
      '-server',
      zookeeper.server,
      'get',
      '-s',
      `${CART}/cart-1`,
    ],
    { encoding: 'utf8' },
  )
  expect(stdout, stderr).toContain('"address":"10.0.0.7","port":8080')
  expect(stdout).toMatch(/ephemeralOwner = 0x[1-9a-f]/)
})

test('the state and the words of the health function are in the record, with the weight for them', async () => {
  const watched = watch()
  let says: () => HealthResult = () => ({ state: 'warning', output: 'the queue is long' })
  create({ weight: { passing: 9, warning: 3 }, ttl: 1000, health: () => says() }).start()
  await waitFor(() => stateIn(watched).join() === 'warning')
  expect(watched.instances('cart')[0]?.weight).toBe(3)
  expect(watched.instances('cart')[0]?.checks).toEqual([
    { id: 'state', state: 'warning', output: 'the queue is long' },
  ])
  says = () => {
    throw new TypeError('no database')
  }
  await waitFor(() => stateIn(watched).join() === 'critical')
  expect(watched.instances('cart')[0]?.checks?.[0]?.output).toBe('no database')
  // Somebody said so: the guards believe it, although it is the last one.
  expect(watched.state().services.get('cart')?.source).toBe('live')
})

test('when its session ends it is registered again at once, as it was, not with the next beat', async () => {
  create({ ttl: 4000 }).start()
  await waitFor(() => told().includes('passing'))
  const before = await record()
  const watched = watch()
  await waitFor(() => stateIn(watched).length === 1)
  const begun = performance.now()
  await expire()
  await waitFor(async () => {
    const now = await record()
    return now !== undefined && now.ephemeralOwner !== before?.ephemeralOwner
  })
  // A beat comes each 1.3 s.
  expect(performance.now() - begun).toBeLessThan(1000)
  await waitFor(() => told().filter((one) => one === 'registered').length === 2)
  expect(events).toContainEqual({ type: 'lost', reason: 'its session has ended' })
  await waitFor(() => told().at(-1) === 'passing')
  // Not critical for a moment, as a fresh one is.
  const states = watched.snapshots.flatMap(({ services }) =>
    (services.get('cart')?.instances ?? []).map(({ state }) => state),
  )
  expect(new Set(states)).toEqual(new Set(['passing']))
})

test('a connection that is lost is no news: the session goes on', async () => {
  const proxy = await startTcpProxy(`http://${zookeeper.server}`)
  ended.push(() => proxy.close())
  create({ zookeeper: { servers: [proxy.url.replace('http://', '')] } }).start()
  await waitFor(() => told().includes('passing'))
  const before = await record()
  for (let n = 0; n < 3; n++) {
    proxy.cut()
    await waitFor(() => proxy.count('') === 1)
  }
  await new Promise((resolve) => setTimeout(resolve, 2500))
  expect((await record())?.czxid).toBe(before?.czxid)
  expect(told()).toEqual(['registering', 'registered', 'passing'])
})

test('when its process is gone without a word, it is gone with its session', async () => {
  const watched = watch()
  const proxy = await startTcpProxy(`http://${zookeeper.server}`)
  ended.push(() => proxy.close())
  create({ zookeeper: { servers: [proxy.url.replace('http://', '')] } }).start()
  await waitFor(() => stateIn(watched).join() === 'passing')
  const letGo = proxy.hold('')
  ended.push(letGo)
  expect(proxy.silence('')).toBe(1)
  await waitFor(() => watched.snapshot()?.services.has('cart') === false, { what: 'the end of the session' })
  // Nobody said that it goes, and it was the last one.
  expect(watched.state().services.get('cart')?.source).toBe('held')
})

test('a node that somebody deleted, or took, is made again', async () => {
  create({ ttl: 1000 }).start()
  await waitFor(() => told().includes('passing'))
  await zookeeper.client.remove(`${CART}/cart-1`)
  await waitFor(async () => (await ids()).length === 1)
  await waitFor(() => told().filter((one) => one === 'registered').length === 2)
  await zookeeper.client.remove(`${CART}/cart-1`)
  await zookeeper.client.create(`${CART}/cart-1`, Buffer.from('{}'))
  await waitFor(async () => (await record())?.ephemeralOwner !== 0n)
  expect(events).toContainEqual({ type: 'lost', reason: 'its node is another session’s' })
})

test('draining is said before it leaves: no guard holds the last instance of a service', async () => {
  const watched = watch()
  const lease = create()
  lease.start()
  await waitFor(() => stateIn(watched).join() === 'passing')
  expect(await lease.drain('SIGTERM')).toBe(true)
  await waitFor(() => stateIn(watched).join() === 'draining')
  expect(watched.instances('cart')[0]?.checks?.[0]?.output).toBe('draining: SIGTERM')
  // For consumers that know nothing of it.
  expect((await record())?.json.enabled).toBe(false)
  expect(await lease.release()).toBe(true)
  await waitFor(() => !watched.snapshot()?.services.has('cart'))
  expect(watched.state().services.has('cart')).toBe(false)
})

test('a mark that somebody else sets stays through beats, and ends with it or when it is taken out', async () => {
  const teller = new ZooKeeperDrain({ servers: [zookeeper.server], base: '/services' }, Math.random)
  const watched = watch()
  let state: 'passing' | 'warning' = 'passing'
  const lease = create({ ttl: 1000, health: () => state })
  lease.start()
  await waitFor(() => stateIn(watched).join() === 'passing')
  const [instance] = watched.instances('cart')
  if (instance === undefined) expect.fail()
  expect(await teller.tell(instance, 'for repair')).toEqual({
    isTold: true,
    detail: `ZooKeeper was told at ${CART}/cart-1`,
  })
  await waitFor(() => stateIn(watched).join() === 'draining')
  state = 'warning'
  await waitFor(async () => (await record())?.json.payload.metadata.state === 'warning')
  expect(stateIn(watched)).toEqual(['draining'])
  expect(watched.instances('cart')[0]?.checks?.at(-1)?.output).toBe('draining: for repair')
  expect((await record())?.json.enabled).toBe(false)
  await teller.tell(instance, undefined)
  await waitFor(() => stateIn(watched).join() === 'warning')
  expect((await record())?.json.enabled).toBe(true)
  await teller.tell(instance, '')
  await waitFor(() => stateIn(watched).join() === 'draining')
  await expire()
  await waitFor(() => stateIn(watched).join() === 'warning', { what: 'a new life without the mark' })
  expect(await teller.tell({ ...instance, id: 'none-such' }, '')).toMatchObject({ isTold: false })
})

test('what a crashed self left at the same place is cleared away; others are not touched', async () => {
  const write = (id: string, port: number, metadata: Record<string, string>) =>
    zookeeper.client.create(
      `${CART}/${id}`,
      Buffer.from(JSON.stringify({ address: '10.0.0.7', port, payload: { metadata } })),
    )
  const ours = { 'registered-by': 'sluice-register' }
  await zookeeper.client.ensure(CART)
  await write('old', 8080, ours)
  await write('other-port', 8081, ours)
  await write('by-hand', 8080, {})
  create().start()
  await waitFor(async () => (await ids()).join() === 'by-hand,cart-1,other-port')
})

test('a crash takes it out, by another process', async () => {
  create({ ttl: 4000 }).start()
  await waitFor(() => told().includes('passing'))
  const before = await record()
  // It has half a second, which is little on a busy machine.
  await waitFor(async () => {
    sayGoodbye(settings({}))
    return (await record())?.czxid !== before?.czxid
  })
})

test('with a ZooKeeper that is away it begins all the same, and is there when that is', async () => {
  const other = await startZooKeeper({ isDown: true })
  ended.push(() => other.stop())
  create({ zookeeper: { servers: [other.server] } }).start()
  await waitFor(() => events.some(({ type }) => type === 'problem'))
  expect(events.at(-1)).toMatchObject({ type: 'problem', code: 'GW_REGISTRY_UNREACHABLE' })
  await other.restart()
  const isThere = async () => ((await other.client.getChildren(CART)) ?? []).length === 1
  await waitFor(isThere, { timeoutMs: 20_000 })
  await other.restart({ wipe: true })
  await waitFor(isThere, { timeoutMs: 30_000 })
})

test('the first of several servers is away: another is told, also at the end', async () => {
  const lease = create({ zookeeper: { servers: ['127.0.0.1:1', zookeeper.server] } })
  lease.start()
  await waitFor(async () => (await ids()).length === 1)
  expect(await lease.drain()).toBe(true)
  expect(await lease.release()).toBe(true)
  expect(await ids()).toEqual([])
})

test('with a user only that user may change it, and everybody reads it; a right that is missing is named', async () => {
  create({ zookeeper: { auth: 'cart:one' } }).start()
  await waitFor(() => told().includes('passing'))
  const stranger = await zookeeper.connect({ auth: 'eve:two' })
  ended.push(() => stranger.close())
  expect(await stranger.getData(`${CART}/cart-1`)).toBeDefined()
  await expect(stranger.remove(`${CART}/cart-1`)).rejects.toMatchObject({ code: 'GW_REGISTRY_ACL' })
  await expect(stranger.create(`${CART}/x`, Buffer.alloc(0))).rejects.toMatchObject({
    code: 'GW_REGISTRY_ACL',
  })
  events = []
  create({ id: 'cart-2', zookeeper: { auth: 'eve:two' } }).start()
  await waitFor(() => events.some(({ type }) => type === 'problem'))
  expect(events.at(-1)).toMatchObject({
    code: 'GW_REGISTRY_ACL',
    message: expect.stringContaining(`${CART}/cart-2`),
  })
})

test('names that can be no node are refused before anything is sent', () => {
  expect(() => create({ service: 'a/b' })).toThrow('no / in names')
  expect(() => create({ id: '..' })).toThrow('can be no node')
})
