import { writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/duration.ts'
import type { ZooKeeperRegistryOptions } from '../../src/registry/zookeeper.ts'
import { freePort } from '../support/ports.ts'
import { type RegistryWatch, watchProvider } from '../support/registry-watch.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'
import { startZooKeeper, startZooKeeperEnsemble, type TestZooKeeper } from '../support/zookeeper.ts'
import { curatorRecord, dubboUrl, zooKeeperProvider } from '../support/zookeeper-harness.ts'

const ended: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

function watch(server: string, options: Partial<ZooKeeperRegistryOptions> = {}): RegistryWatch {
  const watched = watchProvider((deps) => zooKeeperProvider(server, options, deps))
  ended.push(() => watched.stop())
  return watched
}

const ports = (watched: RegistryWatch, service: string) =>
  watched
    .instances(service)
    .map(({ port }) => port)
    .sort((a, b) => a - b)

const data = (service: string, id: string, port: number) =>
  Buffer.from(curatorRecord({ service, id, address: '10.0.0.7', port }))

/** Small and repeatable. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

describe('one server', () => {
  let zookeeper: TestZooKeeper
  let count = 0
  let base: string
  beforeAll(async () => {
    zookeeper = await startZooKeeper()
  })
  afterAll(() => zookeeper.stop())
  /** Each test has a base of its own. */
  const fresh = () => {
    base = `/base-${++count}`
    return base
  }
  const put = async (service: string, id: string, port: number) => {
    const path = `${base}/${service}/${id}`
    if (await zookeeper.client.setData(path, data(service, id, port))) return
    await zookeeper.client.ensure(`${base}/${service}`)
    await zookeeper.client.create(path, data(service, id, port))
  }
  const proxied = async () => {
    const proxy = await startTcpProxy(`http://${zookeeper.server}`)
    ended.push(() => proxy.close())
    return { ...proxy, server: proxy.url.replace('http://', '') }
  }

  test('under many changes and lost connections nothing is missed', async () => {
    fresh()
    const proxy = await proxied()
    const watched = watch(proxy.server, { base })
    await waitFor(() => watched.snapshot())
    const random = chance(20_251)
    const wanted = new Map<string, number>()
    const { client } = zookeeper
    for (let n = 0; n < 400; n++) {
      const service = `s${Math.floor(random() * 4)}`
      const id = `i${Math.floor(random() * 6)}`
      const key = `${service}/${id}`
      if (random() < 0.4) {
        await client.remove(`${base}/${key}`)
        wanted.delete(key)
        // Now and then the service goes with its last instance, as Curator's containers do.
        if (![...wanted.keys()].some((one) => one.startsWith(`${service}/`)))
          await client.remove(`${base}/${service}`)
      } else {
        await put(service, id, 10_000 + n)
        wanted.set(key, 10_000 + n)
      }
      // At the end news come by watches alone.
      if (n % 25 === 24 && n < 200) {
        proxy.cut()
        // Each other time the changes go on while it is away.
        if (n % 50 === 49) await waitFor(() => watched.status()?.state === 'live')
      }
    }
    const seen = () =>
      [...(watched.snapshot()?.services ?? [])]
        .flatMap(([service, { instances }]) => instances.map(({ id, port }) => `${service}/${id} ${port}`))
        .sort()
        .join('\n')
    const expected = [...wanted]
      .map(([key, port]) => `${key} ${port}`)
      .sort()
      .join('\n')
    await waitFor(() => seen() === expected, {
      timeoutMs: 20_000,
      what: `\n${expected}\ninstead of\n${seen()}`,
    })
    expect(watched.snapshot()?.problems).toEqual([])
    expect(watched.snapshot()?.epoch).toBeGreaterThan(1)
    await waitFor(() => watched.status()?.state === 'live')
  })

  test('what happened while the session ran out is seen, by a new one', async () => {
    fresh()
    await put('a', '1', 8001)
    await put('a', '2', 8002)
    const proxy = await proxied()
    const watched = watch(proxy.server, { base, sessionTimeout: 1000 })
    await waitFor(() => ports(watched, 'a').length === 2)
    const before = watched.snapshot()
    const letGo = proxy.hold('')
    proxy.cut()
    await waitFor(() => watched.status()?.state === 'stale')
    await put('a', '3', 8003)
    await zookeeper.client.remove(`${base}/a/1`)
    const until = performance.now() + 2000
    await waitFor(() => performance.now() > until)
    expect(ports(watched, 'a')).toEqual([8001, 8002])
    letGo()
    await waitFor(() => ports(watched, 'a').join() === '8002,8003')
    expect(watched.snapshot()?.services.get('a')?.instances[0]).toBe(before?.services.get('a')?.instances[1])
    expect(watched.snapshot()?.epoch).toBeGreaterThan(before?.epoch ?? 0)
  })

  test('a base that is not there yet is told, and watched for', async () => {
    fresh()
    const watched = watch(zookeeper.server, { base: `${base}/deep` })
    await waitFor(() => watched.snapshot())
    expect(watched.snapshot()?.problems).toEqual([
      `there is no ${base}/deep (yet): nobody has registered, or base is another`,
    ])
    expect(watched.snapshot()?.services.size).toBe(0)
    await waitFor(() => watched.status()?.state === 'live')
    base = `${base}/deep`
    await put('a', '1', 8001)
    await waitFor(() => ports(watched, 'a').join() === '8001')
    expect(watched.snapshot()?.problems).toEqual([])
  })

  test('an instance of a session that ends is gone; one of a node that stays is not known to live', async () => {
    fresh()
    await put('a', 'stays', 8001)
    const other = await zookeeper.connect()
    await other.create(`${base}/a/goes`, data('a', 'goes', 8002), { isEphemeral: true })
    const watched = watch(zookeeper.server, { base })
    await waitFor(() => watched.instances('a').length === 2)
    expect(watched.instances('a').map(({ id, state }) => `${id} ${state}`)).toEqual([
      'goes passing',
      'stays unknown',
    ])
    await other.close()
    await waitFor(() => ports(watched, 'a').join() === '8001')
  })

  test('only wanted services are read, and forbidden addresses are left out', async () => {
    fresh()
    for (const service of ['shop-a', 'shop-b', 'other']) await put(service, '1', 8001)
    const watched = watch(zookeeper.server, {
      base,
      include: ['shop-*'],
      exclude: ['*-b'],
      forbidAddresses: ['10.0.0.0/24'],
    })
    await waitFor(() => watched.snapshot()?.problems.length === 1)
    expect([...(watched.snapshot()?.services.keys() ?? [])]).toEqual(['shop-a'])
    expect(watched.instances('shop-a')).toEqual([])
    expect(watched.snapshot()?.problems[0]).toContain('shop-a: 1 is left out: 10.0.0.7 is in forbidAddresses')
  })

  test('one instance that may not be read freezes no other, and the last word of it stays', async () => {
    fresh()
    await put('a', '1', 8001)
    await put('a', '2', 8002)
    const watched = watch(zookeeper.server, { base, auth: 'gw:secret', sweepInterval: 500 })
    await waitFor(() => ports(watched, 'a').length === 2)
    const { client } = zookeeper
    await client.setAcl(`${base}/a/1`, [{ permissions: 1, scheme: 'digest', id: 'x:y' }])
    await client.setData(`${base}/a/1`, data('a', '1', 9001))
    await waitFor(() => watched.snapshot()?.problems.length === 1)
    expect(watched.snapshot()?.problems[0]).toContain(
      `a: 1 cannot be read: ${base}/a/1: ZooKeeper says no right`,
    )
    await put('a', '3', 8003)
    await waitFor(() => ports(watched, 'a').join() === '8001,8002,8003')
    expect(watched.snapshot()?.failed.size).toBe(0)
    await client.setAcl(`${base}/a/1`, [{ permissions: 31, scheme: 'world', id: 'anyone' }])
    await waitFor(() => ports(watched, 'a').join() === '8002,8003,9001')
    expect(watched.snapshot()?.problems).toEqual([])
  })

  test('one service that may not be listed is failed alone', async () => {
    fresh()
    await put('a', '1', 8001)
    await put('b', '2', 8002)
    const watched = watch(zookeeper.server, { base, sweepInterval: 500 })
    await waitFor(() => watched.snapshot()?.services.size === 2)
    const { client } = zookeeper
    await client.setAcl(`${base}/a`, [{ permissions: 1, scheme: 'digest', id: 'x:y' }])
    await waitFor(() => watched.snapshot()?.failed.has('a') === true)
    expect(watched.status()).toMatchObject({ state: 'stale', lastError: { code: 'GW_REGISTRY_ACL' } })
    await put('b', '3', 8003)
    await waitFor(() => ports(watched, 'b').join() === '8002,8003')
    expect(ports(watched, 'a')).toEqual([8001])
    expect(watched.state().services.get('a')?.source).toBe('stale')
    await client.setAcl(`${base}/a`, [{ permissions: 31, scheme: 'world', id: 'anyone' }])
    await waitFor(() => watched.status()?.state === 'live')
    expect(watched.snapshot()?.failed.size).toBe(0)
  })

  test('an interface without providers is watched until one comes; other folders of Dubbo mean nothing', async () => {
    fresh()
    const { client } = zookeeper
    await client.ensure(`${base}/com.shop.Cart/consumers`)
    await client.ensure(`${base}/config/dubbo`)
    const watched = watch(zookeeper.server, { base, layout: 'dubbo' })
    await waitFor(() => watched.snapshot())
    expect(watched.snapshot()?.services.size).toBe(0)
    const record = { service: 'com.shop.Cart', id: '7', address: '10.0.0.7' }
    const providers = `${base}/com.shop.Cart/providers`
    await client.ensure(providers)
    for (const [protocol, port] of [
      ['dubbo', 20880],
      ['rest', 8080],
      ['tri', 50051],
    ] as const) {
      await client.create(
        `${providers}/${dubboUrl({ ...record, port }, { group: 'blue' }, protocol)}`,
        Buffer.alloc(0),
      )
    }
    await waitFor(() => watched.instances('com.shop.Cart')[0]?.port === 50051)
    expect(watched.instances('com.shop.Cart')).toMatchObject([
      { id: '10.0.0.7:50051/blue', scheme: 'h2c', meta: { protocol: 'tri', group: 'blue' } },
    ])
    expect(watched.snapshot()?.problems).toEqual([])
    await client.remove(`${providers}/${dubboUrl({ ...record, port: 50051 }, { group: 'blue' }, 'tri')}`)
    await waitFor(() => watched.instances('com.shop.Cart')[0]?.port === 8080)
  })

  test('a service that flaps is read at a bounded rate', async () => {
    fresh()
    await put('a', '0', 8000)
    const watched = watch(zookeeper.server, { base })
    await waitFor(() => ports(watched, 'a').length === 1)
    const before = await received(zookeeper)
    const begun = performance.now()
    const { client } = zookeeper
    const changes = 600
    for (let n = 0; n < changes; n += 2) {
      await client.create(`${base}/a/x`, Buffer.from('{}'))
      await client.remove(`${base}/a/x`)
    }
    const tookMs = performance.now() - begun
    const calls = (await received(zookeeper)) - before - changes
    // A list each 20 ms, and with each at most one node.
    expect(calls).toBeLessThan((tookMs / 20) * 2.5 + 30)
  })
})

/** Requests that the server has received so far. */
async function received(zookeeper: TestZooKeeper): Promise<number> {
  return Number(/zk_packets_received\t(\d+)/.exec(await zookeeper.word('mntr'))?.[1])
}

test('over TLS, with a certificate of its own; a server that cannot be trusted is told', async () => {
  const files = await tlsFiles('127.0.0.1')
  ended.push(() => files.close())
  const both = `${files.key}.both`
  writeFileSync(both, `${files.keyText}${files.ca}`)
  const port = await freePort()
  const zookeeper = await startZooKeeper({
    config: [
      `secureClientPort=${port}`,
      'secureClientPortAddress=127.0.0.1',
      `ssl.keyStore.location=${both}`,
      'ssl.keyStore.type=PEM',
      `ssl.trustStore.location=${files.cert}`,
      'ssl.trustStore.type=PEM',
      'ssl.clientAuth=need',
    ],
    properties: { 'zookeeper.serverCnxnFactory': 'org.apache.zookeeper.server.NettyServerCnxnFactory' },
  })
  ended.push(() => zookeeper.stop())
  await zookeeper.client.ensure('/services/a')
  await zookeeper.client.create('/services/a/1', data('a', '1', 8001))
  const server = `127.0.0.1:${port}`
  const own = { cert: files.cert, key: files.key }
  const watched = watch(server, { tls: { ...own, ca: files.cert } })
  await waitFor(() => ports(watched, 'a').join() === '8001')
  const wary = watch(server, { tls: own })
  await waitFor(() => wary.status()?.state === 'failed')
  expect(wary.status()?.lastError?.message).toMatch(/self-signed certificate/)
  const easy = watch(server, { tls: { ...own, verify: false } })
  await waitFor(() => ports(easy, 'a').join() === '8001')
  const stranger = watch(server, { tls: { ca: files.cert } })
  await waitFor(() => stranger.status()?.state === 'failed')
  const { message = '' } = stranger.status()?.lastError ?? {}
  expect(message).toMatch(/certificate|closed|reset/i)
})

test('a PEM file that is not there is named', async () => {
  const provider = zooKeeperProvider(
    '127.0.0.1:1',
    { tls: { ca: '/no/such/file' } },
    { clock: systemClock, random: Math.random },
  )
  const sink = { next() {}, status() {} }
  await expect(provider.watch(sink, new AbortController().signal)).rejects.toMatchObject({
    code: 'GW_REGISTRY_FILE',
    message: '/no/such/file cannot be read',
  })
})

test('an ensemble that loses its leader: nothing is lost, and changes are seen again', async () => {
  const ensemble = await startZooKeeperEnsemble()
  ended.push(() => ensemble.stop())
  const client = await ensemble.connect()
  ended.push(() => client.close(100))
  await client.ensure('/services/a')
  await client.create('/services/a/1', data('a', '1', 8001))
  const watched = watch('', { servers: ensemble.servers })
  await waitFor(() => ports(watched, 'a').join() === '8001')
  const before = watched.snapshot()?.services.get('a')
  await ensemble.killLeader()
  await waitFor(() => watched.status()?.state === 'stale', {
    what: 'the loss, since all connections end with it',
  })
  await waitFor(() => client.create('/services/a/2', data('a', '2', 8002)), { timeoutMs: 30_000 })
  await waitFor(() => ports(watched, 'a').join() === '8001,8002', { timeoutMs: 30_000 })
  expect(watched.snapshot()?.services.get('a')?.instances[0]).toBe(before?.instances[0])
  await waitFor(() => watched.status()?.state === 'live')
})
