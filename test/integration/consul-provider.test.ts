import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { type RegistryWatch, watchConsul } from '../support/registry-watch.ts'
import { waitFor } from '../support/wait.ts'

const TTL = { TTL: '10m', Status: 'passing' }
const ended: (() => Promise<void>)[] = []

/** Ends with the test. */
function watch(...given: Parameters<typeof watchConsul>): RegistryWatch {
  const created = watchConsul(...given)
  ended.push(() => created.stop())
  return created
}

async function start(options?: Parameters<typeof startConsul>[0]): Promise<TestConsul> {
  const created = await startConsul(options)
  ended.unshift(() => created.stop())
  return created
}

afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

const ids = (watched: RegistryWatch, service: string) => watched.instances(service).map(({ id }) => id)
const state = (watched: RegistryWatch, service: string) => watched.instances(service)[0]?.state

describe('one agent', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul()
  })
  afterAll(() => consul.stop())
  afterEach(async () => {
    await consul.nodeMaintenance(false)
    const services = await consul.get<Record<string, unknown>>('/v1/agent/services')
    for (const id of Object.keys(services)) await consul.deregister(id)
  })

  test('the first snapshot has everything that is registered', async () => {
    for (const id of ['a1', 'a2', 'b1']) {
      await consul.register({ Name: id.slice(0, 1), ID: id, Address: '10.0.0.7', Port: 8080, Check: TTL })
    }
    const watched = watch(consul.url)
    await waitFor(() => watched.snapshot())
    const first = watched.snapshots[0]
    expect([...(first?.services.keys() ?? [])].sort()).toEqual(['a', 'b', 'consul'])
    expect(first?.services.get('a')?.instances).toMatchObject([
      { key: 'main/dc1/n1/a1', address: '10.0.0.7', port: 8080, state: 'passing', node: 'n1' },
      { key: 'main/dc1/n1/a2' },
    ])
    expect(first?.failed.size).toBe(0)
    await waitFor(() => watched.status()?.state === 'live')
    expect(watched.status()?.lagMs).toBeGreaterThanOrEqual(0)
  })

  test('instances and services come and go', async () => {
    const watched = watch(consul.url)
    await waitFor(() => watched.snapshot())
    await consul.register({ Name: 'web', ID: 'w1', Port: 81 })
    await waitFor(() => ids(watched, 'web').join() === 'w1')
    await consul.register({ Name: 'web', ID: 'w2', Port: 82 })
    await waitFor(() => ids(watched, 'web').join() === 'w1,w2', { what: 'an instance without any check' })
    await consul.deregister('w1')
    await waitFor(() => ids(watched, 'web').join() === 'w2')
    await consul.deregister('w2')
    await waitFor(() => watched.snapshot()?.services.has('web') === false)
  })

  test('checks, maintenance of instance and node, and back', async () => {
    await consul.register({ Name: 'web', ID: 'w1', Port: 81, Check: TTL })
    const watched = watch(consul.url)
    await waitFor(() => state(watched, 'web') === 'passing')
    await consul.fail('service:w1', 'disk full')
    await waitFor(() => state(watched, 'web') === 'critical')
    const check = watched.instances('web')[0]?.checks?.find(({ id }) => id === 'service:w1')
    expect(check).toMatchObject({ state: 'critical', output: 'disk full' })
    expect(check?.expired).toBeUndefined()
    await consul.maintenance('w1', true)
    await waitFor(() => state(watched, 'web') === 'maintenance')
    await consul.maintenance('w1', false)
    await consul.pass('service:w1')
    await waitFor(() => state(watched, 'web') === 'passing')
    await consul.nodeMaintenance(true)
    await waitFor(() => state(watched, 'web') === 'maintenance')
    await consul.nodeMaintenance(false)
    await waitFor(() => state(watched, 'web') === 'passing')
  })

  test('a TTL that runs out is marked as expired', async () => {
    await consul.register({ Name: 'web', ID: 'w1', Port: 81, Check: { TTL: '300ms', Status: 'passing' } })
    const watched = watch(consul.url)
    await waitFor(() => state(watched, 'web') === 'critical')
    const check = watched.instances('web')[0]?.checks?.find(({ id }) => id === 'service:w1')
    expect(check?.expired).toBe(true)
  })

  test('weights follow the state; metadata and ports follow the registration', async () => {
    const service = { Name: 'web', ID: 'w1', Port: 81, Weights: { Passing: 10, Warning: 2 }, Check: TTL }
    await consul.register(service)
    const watched = watch(consul.url)
    await waitFor(() => watched.instances('web')[0]?.weight === 10)
    await consul.warn('service:w1')
    await waitFor(() => watched.instances('web')[0]?.weight === 2)
    expect(state(watched, 'web')).toBe('warning')
    await consul.register({ ...service, Port: 82, Meta: { version: '2' } })
    await waitFor(() => watched.instances('web')[0]?.version === '2')
    expect(watched.instances('web')[0]?.port).toBe(82)
  })

  test('a service whose instances flap leaves the objects of the others alone', async () => {
    await consul.register({ Name: 'a', ID: 'a1', Port: 81, Check: TTL })
    await consul.register({ Name: 'b', ID: 'b1', Port: 82, Check: TTL })
    const watched = watch(consul.url)
    await waitFor(() => state(watched, 'a') === 'passing')
    const before = watched.snapshot()?.services
    await consul.fail('service:a1')
    await waitFor(() => state(watched, 'a') === 'critical')
    expect(watched.snapshot()?.services.get('b')).toBe(before?.get('b'))
    expect(watched.snapshot()?.services.get('a')).not.toBe(before?.get('a'))
  })

  test('names with spaces and slashes are read', async () => {
    const name = 'my shop/cart é?x=1'
    await consul.register({ Name: name, ID: 'id with space', Port: 81, Check: TTL })
    const watched = watch(consul.url)
    await waitFor(() => ids(watched, name).join() === 'id with space')
    await consul.fail('service:id with space')
    await waitFor(() => state(watched, name) === 'critical')
  })

  test('an instance with port 0 is left out, and a line says so', async () => {
    await consul.register({ Name: 'web', ID: 'w0', Port: 0 })
    await consul.register({ Name: 'web', ID: 'w1', Port: 81 })
    const watched = watch(consul.url)
    await waitFor(() => ids(watched, 'web').join() === 'w1')
    expect(watched.snapshot()?.problems).toEqual(['web: w0 on n1 is left out: its port is 0'])
    expect(watched.state().problems[0]).toContain('its port is 0')
  })

  test('only the services that are included and not excluded are read', async () => {
    for (const Name of ['shop-a', 'shop-old', 'blog']) await consul.register({ Name, Port: 81 })
    const watched = watch(consul.url, { include: ['shop-*'], exclude: ['*-old'] })
    await waitFor(() => watched.snapshot())
    expect([...(watched.snapshot()?.services.keys() ?? [])]).toEqual(['shop-a'])
  })

  test('with more services than watches, one watch on all checks finds what changed', async () => {
    for (let i = 0; i < 6; i++) await consul.register({ Name: `s${i}`, ID: `s${i}`, Port: 81, Check: TTL })
    const watched = watch(consul.url, { maxWatches: 4 })
    await waitFor(() => watched.snapshot())
    expect(watched.snapshots[0]?.services.size).toBe(7)
    expect(watched.lines.join()).toContain('"plan":"trigger"')
    const before = watched.snapshot()?.services
    await consul.fail('service:s3')
    await waitFor(() => state(watched, 's3') === 'critical')
    expect(watched.snapshot()?.services.get('s4')).toBe(before?.get('s4'))
    await consul.register({ Name: 's4', ID: 's4', Port: 99, Meta: { version: '2' }, Check: TTL })
    await waitFor(() => watched.instances('s4')[0]?.version === '2', { what: 'changed metadata' })
    await consul.maintenance('s5', true)
    await waitFor(() => state(watched, 's5') === 'maintenance')
    await consul.nodeMaintenance(true)
    await waitFor(() => state(watched, 's0') === 'maintenance')
    await consul.nodeMaintenance(false)
    await waitFor(() => state(watched, 's0') === 'passing')
    await consul.register({ Name: 'plain', ID: 'p1', Port: 81 })
    await waitFor(() => ids(watched, 'plain').join() === 'p1', { what: 'a new service without checks' })
    await consul.deregister('s0')
    await waitFor(() => watched.snapshot()?.services.has('s0') === false)
    for (const id of ['s1', 's2', 's3', 's4', 'p1']) await consul.deregister(id)
    await waitFor(() => watched.lines.join().includes('"plan":"each"'))
    await consul.maintenance('s5', false)
    await waitFor(() => state(watched, 's5') === 'passing', { what: 'the service has its own watch again' })
  })

  test('with one watch on all checks, a further instance without checks is found, too', async () => {
    for (let i = 0; i < 4; i++) await consul.register({ Name: `s${i}`, ID: `s${i}`, Port: 81 })
    const watched = watch(consul.url, { maxWatches: 2 })
    await waitFor(() => ids(watched, 's0').join() === 's0')
    await consul.register({ Name: 's0', ID: 's0b', Port: 82 })
    await waitFor(() => ids(watched, 's0').join() === 's0,s0b')
  })

  test('poll mode finds the same', async () => {
    await consul.register({ Name: 'web', ID: 'w1', Port: 81, Check: TTL })
    const watched = watch(consul.url, { mode: 'poll', pollInterval: 100 })
    await waitFor(() => state(watched, 'web') === 'passing')
    const before = watched.snapshot()?.services.get('consul')
    await consul.fail('service:w1')
    await waitFor(() => state(watched, 'web') === 'critical')
    await consul.register({ Name: 'web', ID: 'w2', Port: 82 })
    await waitFor(() => ids(watched, 'web').join() === 'w1,w2')
    expect(watched.snapshot()?.services.get('consul')).toBe(before)
    await consul.deregister('w1')
    await consul.deregister('w2')
    await waitFor(() => watched.snapshot()?.services.has('web') === false)
  })

  test('nothing is published while nothing changes', async () => {
    await consul.register({ Name: 'web', ID: 'w1', Port: 81, Check: TTL })
    const watched = watch(consul.url, { wait: 100 })
    await waitFor(() => watched.snapshot())
    const before = watched.statuses.length
    await waitFor(() => watched.statuses.length > before + 8, { what: 'several empty rounds' })
    expect(watched.snapshots).toHaveLength(1)
  })

  test('watch resolves at once when it is aborted in the middle of a blocking read', async () => {
    const watched = watchConsul(consul.url)
    await waitFor(() => watched.snapshot())
    const before = performance.now()
    await watched.stop()
    expect(performance.now() - before).toBeLessThan(1000)
  })
})

describe('outages', () => {
  test('an agent that is down at the start is found when it comes up', async () => {
    const consul = await start({ isDown: true })
    const watched = watch(consul.url)
    await waitFor(() => watched.status()?.state === 'failed')
    expect(watched.status()?.lastError?.code).toBe('GW_REGISTRY_UNREACHABLE')
    expect(watched.snapshots, 'an empty snapshot would say that there are no services').toEqual([])
    await consul.restart()
    await waitFor(() => watched.status()?.state === 'live')
    expect(watched.instances('consul')).toHaveLength(1)
    expect(watched.status()?.lastError).toBeUndefined()
  })

  test('a killed agent loses nothing, and is live again after its restart', async () => {
    const consul = await start()
    await consul.register({ Name: 'web', ID: 'w1', Port: 81 })
    const watched = watch(consul.url)
    await waitFor(() => ids(watched, 'web').join() === 'w1')
    await consul.kill9()
    await waitFor(() => watched.snapshot()?.failed.has('web'))
    expect(watched.status()?.state).toBe('stale')
    expect(watched.state().services.get('web')).toMatchObject({ source: 'stale', instances: [{ id: 'w1' }] })
    await consul.restart()
    await waitFor(() => watched.status()?.state === 'live' && watched.snapshot()?.failed.size === 0)
    expect(watched.snapshots.every(({ services }) => services.get('web')?.instances.length === 1)).toBe(true)
    expect(watched.state().services.get('web')?.source).toBe('live')
    expect(watched.snapshot()?.epoch).toBeGreaterThan(0)
    await consul.deregister('w1')
    await waitFor(() => watched.snapshot()?.services.has('web') === false)
  })

  test('an agent that lost its data empties nothing: the guard keeps what was there', async () => {
    const consul = await start()
    for (const id of ['w1', 'w2']) await consul.register({ Name: 'web', ID: id, Port: 81, Check: TTL })
    const watched = watch(consul.url)
    await waitFor(() => ids(watched, 'web').length === 2)
    await consul.restart({ wipe: true })
    await waitFor(() => watched.snapshot()?.services.has('web') === false)
    const kept = watched.state().services.get('web')
    expect(kept?.source).toBe('held')
    expect(kept?.instances.map(({ id }) => id).sort()).toEqual(['w1', 'w2'])
    await consul.register({ Name: 'web', ID: 'w1', Port: 81, Check: TTL })
    await waitFor(() =>
      watched
        .state()
        .services.get('web')
        ?.instances.some((one) => one.held === undefined),
    )
  })
})

describe('ACL', () => {
  const BOTH = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'
  let consul: TestConsul
  let folder: string
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-token-'))
    consul = await startConsul({ acl: true })
    await consul.register({ Name: 'web', ID: 'w1', Port: 81, Check: TTL })
    await consul.register({ Name: 'web', ID: 'w2', Port: 82, Check: TTL })
  })
  afterAll(async () => {
    await consul.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test('a policy that is narrowed empties nothing, and the missing right is named', async () => {
    const policy = await consul.createPolicy('gateway', BOTH)
    const watched = watch(consul.url, { token: await consul.createToken(policy), wait: 500 })
    await waitFor(() => ids(watched, 'web').length === 2)
    await consul.updatePolicy(policy, 'gateway', 'service_prefix "" { policy = "read" }')
    await waitFor(() => watched.instances('web').length === 0, { what: 'Consul hides the instances' })
    const kept = watched.state().services.get('web')
    expect(kept?.source).toBe('held')
    expect(kept?.instances).toHaveLength(2)
    await waitFor(() => watched.snapshot()?.problems.some((line) => line.includes('lacks node:read?')))
    await consul.updatePolicy(policy, 'gateway', BOTH)
    await waitFor(() => watched.state().services.get('web')?.source === 'live')
    expect(watched.snapshot()?.problems).toEqual([])
  })

  test('no token at all: an empty list is not believed, and the missing right is named', async () => {
    const watched = watch(consul.url)
    await waitFor(() => watched.status()?.lastError?.message.includes('lacks service:read?'))
    expect(watched.status()).toMatchObject({ state: 'failed', lastError: { code: 'GW_REGISTRY_ACL' } })
    expect(watched.snapshots).toEqual([])
  })

  test('an unknown token is an error with its own code, and no empty snapshot', async () => {
    const watched = watch(consul.url, { token: '00000000-1111-4000-8000-000000000000' })
    await waitFor(() => watched.status()?.state === 'failed')
    expect(watched.status()?.lastError?.code).toBe('GW_REGISTRY_ACL')
    expect(watched.status()?.lastError?.message).toContain('node:read')
    expect(watched.snapshots).toEqual([])
  })

  test('a token file is read again after it was wrong, missing or replaced', async () => {
    const tokenFile = join(folder, 'token')
    const policy = await consul.createPolicy('rotation', BOTH)
    const watched = watch(consul.url, { tokenFile })
    await waitFor(() => watched.status()?.lastError?.message.includes('cannot be read'))
    writeFileSync(tokenFile, '00000000-1111-4000-8000-000000000000\n')
    await waitFor(() => watched.status()?.lastError?.message.includes('403'))
    const first = await consul.createToken(policy)
    writeFileSync(tokenFile, `${first}\n`)
    await waitFor(() => watched.status()?.state === 'live')
    expect(ids(watched, 'web')).toEqual(['w1', 'w2'])
    // The new one sees nothing: reads that block with the old one would not notice for a whole wait (55 s).
    const blind = await consul.createPolicy('blind', 'key_prefix "x" { policy = "read" }')
    writeFileSync(tokenFile, await consul.createToken(blind))
    await waitFor(() => watched.status()?.lastError?.message.includes('lacks service:read?'))
    const kept = watched
      .state()
      .services.get('web')
      ?.instances.map(({ id }) => id)
    expect(kept, 'what was read stays').toEqual(['w1', 'w2'])
  })
})
