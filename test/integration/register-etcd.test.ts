import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../src/core/duration.ts'
import type { HealthResult } from '../../src/register/health.ts'
import { Lease, type LeaseDeps, type LeaseEvent } from '../../src/register/lease.ts'
import { type RegistrarOptions, resolveSettings } from '../../src/register/settings.ts'
import { startEtcd, type TestEtcd } from '../support/etcd.ts'
import { etcdProvider } from '../support/etcd-harness.ts'
import { type RegistryWatch, watchProvider } from '../support/registry-watch.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

let etcd: TestEtcd
const leases: Lease[] = []
const ended: (() => Promise<void>)[] = []
let events: LeaseEvent[] = []

beforeAll(async () => {
  etcd = await startEtcd()
})
afterAll(() => etcd.stop())
afterEach(async () => {
  for (const lease of leases.splice(0)) await lease.release()
  for (const end of ended.splice(0).reverse()) await end()
  for (const { key } of await etcd.list('/sluice/')) await etcd.remove(key)
  events = []
})

interface Given extends RegistrarOptions {
  readonly health?: LeaseDeps['health']
  readonly etcd?: Partial<Extract<RegistrarOptions['registry'], { type: 'etcd' }>>
}

function create({ health, etcd: own, ...options }: Given = {}): Lease {
  const registry = { type: 'etcd' as const, endpoints: [etcd.url], ...own }
  const given = { registry, service: 'cart', id: 'cart-1', ttl: 2000, ...options }
  const lease = new Lease(resolveSettings(given, {}, { address: '10.0.0.7', port: 8080 }), {
    clock: systemClock,
    random: Math.random,
    health,
    onEvent: (event) => events.push(event),
  })
  leases.push(lease)
  return lease
}

function watch(): RegistryWatch {
  const watched = watchProvider((deps) => etcdProvider(etcd.url, {}, deps))
  ended.push(() => watched.stop())
  return watched
}

const stateIn = (watched: RegistryWatch) => watched.instances('cart').map(({ state }) => state)
const told = () => events.map((event) => (event.type === 'state' ? event.to : event.type))

test('an instance is registered with all that is said of it, lives longer than its TTL, and leaves', async () => {
  const watched = watch()
  const lease = create({
    version: '2',
    zone: 'a',
    tags: ['blue'],
    routes: ['shop.example.com/cart strip=/cart'],
    weight: { passing: 5, warning: 2 },
    meta: { team: 'shop' },
    scheme: 'h2c',
  })
  lease.start()
  await waitFor(() => stateIn(watched).join() === 'passing')
  expect(watched.instances('cart')[0]).toMatchObject({
    key: 'main/etcd/cart/cart-1',
    id: 'cart-1',
    address: '10.0.0.7',
    port: 8080,
    scheme: 'h2c',
    weight: 5,
    version: '2',
    zone: 'a',
    tags: ['blue', 'sluice.route=shop.example.com/cart strip=/cart'],
    meta: { team: 'shop', 'registered-by': 'sluice-register' },
  })
  const started = performance.now()
  const { length } = watched.snapshots
  await waitFor(() => performance.now() - started > 4500)
  expect(stateIn(watched), 'two TTLs went by').toEqual(['passing'])
  expect(watched.snapshots.length, 'beats are no news').toBe(length)
  await lease.release()
  await waitFor(() => !watched.snapshot()?.services.has('cart'))
  expect(await etcd.list('/sluice/')).toEqual([])
  expect(told()).toEqual(['registering', 'registered', 'passing', 'gone'])
})

test('the state and the words of the health function are in the record, with the weight for them', async () => {
  const watched = watch()
  let says: () => HealthResult = () => ({ state: 'warning', output: 'the queue is long' })
  create({ weight: { passing: 9, warning: 3 }, ttl: 1000, health: () => says() }).start()
  await waitFor(() => stateIn(watched).join() === 'warning')
  expect(watched.instances('cart')[0]?.weight).toBe(3)
  expect(watched.instances('cart')[0]?.checks).toEqual([
    { id: 'record', state: 'warning', output: 'the queue is long' },
  ])
  says = () => {
    throw new TypeError('no database')
  }
  await waitFor(() => stateIn(watched).join() === 'critical')
  expect(watched.instances('cart')[0]?.checks?.[0]?.output).toBe('no database')
  // Somebody said so: the guards believe it, although it is the last one.
  expect(watched.state().services.get('cart')?.source).toBe('live')
})

test('when its process is gone without a word, it is gone with its lease', async () => {
  const watched = watch()
  const lease = await etcd.grant(2)
  await etcd.put('/sluice/services/cart/a', '{"url":"http://10.0.0.7:81"}', lease)
  await etcd.put('/sluice/services/cart/b', '{"url":"http://10.0.0.7:82"}')
  await waitFor(() => watched.instances('cart').length === 2)
  expect(stateIn(watched)).toEqual(['passing', 'unknown'])
  await waitFor(() => watched.instances('cart').length === 1, { what: 'the end of the lease' })
  expect(
    watched
      .state()
      .services.get('cart')
      ?.instances.map(({ id }) => id),
  ).toEqual(['b'])
})

test('a lease that etcd forgot is told, and the instance is registered again within a beat', async () => {
  create().start()
  await waitFor(async () => (await etcd.list('/sluice/')).length === 1)
  const [before] = await etcd.list('/sluice/')
  await etcd.revoke(before?.lease ?? '')
  expect(await etcd.list('/sluice/')).toEqual([])
  await waitFor(async () => (await etcd.list('/sluice/')).length === 1, { timeoutMs: 3000 })
  await waitFor(() => told().filter((one) => one === 'registered').length === 2)
  expect(events).toContainEqual({ type: 'lost', reason: 'its lease has ended' })
})

test('a record that somebody deleted is written again, although its lease lives', async () => {
  create({ ttl: 1000 }).start()
  await waitFor(async () => (await etcd.list('/sluice/')).length === 1)
  await etcd.remove('/sluice/services/cart/cart-1')
  await waitFor(async () => (await etcd.list('/sluice/')).length === 1, { timeoutMs: 15_000 })
})

test('draining is said before it leaves: no guard holds the last instance of a service', async () => {
  const watched = watch()
  const lease = create()
  lease.start()
  await waitFor(() => stateIn(watched).join() === 'passing')
  expect(await lease.drain('SIGTERM')).toBe(true)
  await waitFor(() => stateIn(watched).join() === 'draining')
  expect(watched.instances('cart')[0]?.checks?.[0]?.output).toBe('draining: SIGTERM')
  expect(await lease.release()).toBe(true)
  await waitFor(() => !watched.snapshot()?.services.has('cart'))
  expect(watched.state().services.has('cart')).toBe(false)
})

test('a drain has the whole of the lease before it', async () => {
  const lease = create({ ttl: 9000 })
  lease.start()
  await waitFor(async () => (await etcd.list('/sluice/')).length === 1)
  const [{ lease: id } = { lease: '' }] = await etcd.list('/sluice/')
  const left = async () =>
    Number((await etcd.call<{ TTL?: string }>('/lease/timetolive', { ID: id })).TTL ?? 0)
  // Between two beats, 3 s apart; etcd counts whole seconds.
  await waitFor(async () => (await left()) <= 7)
  await lease.drain()
  expect(await left()).toBeGreaterThanOrEqual(8)
  expect((await etcd.list('/sluice/'))[0]?.value).toContain('"draining"')
})

test('a mark from a former life with the same id is gone; one that comes later stays through beats', async () => {
  await etcd.put('/sluice/services/cart/cart-1/drain', '{"reason":"old"}')
  const watched = watch()
  let output = 'fine'
  create({ ttl: 1000, health: () => ({ state: 'passing', output }) }).start()
  await waitFor(() => stateIn(watched).join() === 'passing')
  await etcd.put('/sluice/services/cart/cart-1/drain', '{"reason":"new"}')
  await waitFor(() => stateIn(watched).join() === 'draining')
  output = 'still fine'
  await waitFor(() => watched.instances('cart')[0]?.checks?.[0]?.output === 'still fine')
  expect(stateIn(watched)).toEqual(['draining'])
  expect(watched.instances('cart')[0]?.checks?.at(-1)?.output).toBe('draining: new')
})

test('what a crashed self left at the same place is cleared away; others are not touched', async () => {
  const record = (id: string, port: number, meta: Record<string, string>) =>
    etcd.put(`/sluice/services/cart/${id}`, JSON.stringify({ url: `http://10.0.0.7:${port}`, id, meta }))
  const ours = { 'registered-by': 'sluice-register' }
  await record('old', 8080, ours)
  await record('other-port', 8081, ours)
  await record('by-hand', 8080, {})
  create().start()
  await waitFor(async () => {
    const keys = (await etcd.list('/sluice/')).map(({ key }) => key.split('/').at(-1))
    return keys.join() === 'by-hand,cart-1,other-port'
  })
})

test('with an etcd that is away it begins all the same, and is there when etcd is', async () => {
  const other = await startEtcd({ isDown: true })
  ended.push(() => other.stop())
  create({ etcd: { endpoints: [other.url] } }).start()
  await waitFor(() => events.some(({ type }) => type === 'problem'))
  expect(events.at(-1)).toMatchObject({ type: 'problem', code: 'GW_REGISTRY_UNREACHABLE' })
  await other.restart()
  await waitFor(async () => (await other.list('/sluice/')).length === 1, { timeoutMs: 20_000 })
  await other.restart({ wipe: true })
  await waitFor(async () => (await other.list('/sluice/')).length === 1, { timeoutMs: 20_000 })
})

test('the first of several members is away: another is told, also at the end', async () => {
  const lease = create({ etcd: { endpoints: ['http://127.0.0.1:1', etcd.url] } })
  lease.start()
  await waitFor(async () => (await etcd.list('/sluice/')).length === 1)
  expect(await lease.drain()).toBe(true)
  expect(await lease.release()).toBe(true)
  expect(await etcd.list('/sluice/')).toEqual([])
})

test('user, rotated password and TLS; a right that is missing is named', async () => {
  // etcd's JSON gateway refuses certificates with a common name.
  const files = await tlsFiles('etcd.test', '/O=cart')
  ended.push(() => files.close())
  const guarded = await startEtcd({ auth: true, tls: { ...files, clientCa: files.cert } })
  ended.push(() => guarded.stop())
  await guarded.setUser('cart', 'one', { prefix: '/sluice/services/cart/', type: 'READWRITE' })
  const passwordFile = join(files.cert, '..', 'password')
  writeFileSync(passwordFile, 'wrong\n')
  const access = { ca: files.cert, cert: files.cert, key: files.key, username: 'cart', passwordFile }
  const lease = create({ etcd: { endpoints: [guarded.url], ...access } })
  lease.start()
  await waitFor(() => events.some(({ type }) => type === 'problem'))
  expect(events.at(-1)).toMatchObject({ type: 'problem', code: 'GW_REGISTRY_ACL' })
  writeFileSync(passwordFile, 'one\n')
  await waitFor(async () => (await guarded.list('/sluice/')).length === 1, { timeoutMs: 20_000 })
  // Tokens are lost with the process: the next beat logs in anew, and the lease goes on.
  await guarded.restart()
  await new Promise((resolve) => setTimeout(resolve, 2500))
  expect((await guarded.list('/sluice/')).length).toBe(1)
  await lease.release()

  events = []
  create({ service: 'other', etcd: { endpoints: [guarded.url], ...access } }).start()
  await waitFor(() => events.some((event) => event.type === 'problem' && event.code === 'GW_REGISTRY_ACL'))
  expect(events.at(-1)).toMatchObject({ message: expect.stringContaining('permission denied') })
})
