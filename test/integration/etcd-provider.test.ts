import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { EtcdOptions } from '../../src/registry/etcd.ts'
import { EtcdDrain } from '../../src/registry/etcd-drain.ts'
import { startEtcd, startEtcdCluster, type TestEtcd } from '../support/etcd.ts'
import { etcdProvider } from '../support/etcd-harness.ts'
import { type RegistryWatch, watchProvider } from '../support/registry-watch.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const ended: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

function watch(url: string, options: Partial<EtcdOptions> = {}): RegistryWatch {
  const created = watchProvider((deps) => etcdProvider(url, options, deps))
  ended.push(() => created.stop())
  return created
}

async function start(options?: Parameters<typeof startEtcd>[0]): Promise<TestEtcd> {
  const created = await startEtcd(options)
  ended.push(() => created.stop())
  return created
}

const key = (id: string) => `/sluice/services/cart/${id}`
const record = (port: number) => JSON.stringify({ url: `http://10.0.0.7:${port}` })
const ids = (watched: RegistryWatch) =>
  watched
    .instances('cart')
    .map(({ id }) => id)
    .join()
const isLive = (watched: RegistryWatch) => watched.status()?.state === 'live'
const message = (watched: RegistryWatch) => watched.status()?.lastError?.message ?? ''

describe('one member', () => {
  let etcd: TestEtcd
  let proxy: TcpProxy
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  afterAll(() => etcd.stop())
  afterEach(async () => {
    for (const { key: one } of await etcd.list('/sluice/')) await etcd.remove(one)
  })
  const throughProxy = async () => {
    proxy = await startTcpProxy(etcd.url)
    ended.push(() => proxy.close())
    return proxy.url
  }

  test('history that was forgotten between list and watch is no fault: it lists anew', async () => {
    await etcd.put(key('a'), record(1))
    const url = await throughProxy()
    const release = proxy.hold('/v3/watch')
    const watched = watch(url)
    await waitFor(() => ids(watched) === 'a')
    await etcd.put(key('b'), record(2))
    await etcd.remove(key('a'))
    const revision = await etcd.put(key('c'), record(3))
    await etcd.compact(revision)
    release()
    await waitFor(() => ids(watched) === 'b,c')
    expect(watched.statuses.filter(({ state }) => state === 'stale')).toEqual([])
    expect(watched.snapshot()?.epoch).toBe(1)
    await etcd.put(key('d'), record(4))
    await waitFor(() => ids(watched) === 'b,c,d')
  })

  test('a connection that is dead without a word is found by the probe, and nothing is missed', async () => {
    await etcd.put(key('a'), record(1))
    const watched = watch(await throughProxy())
    await waitFor(() => proxy.count('/v3/watch') === 1 && isLive(watched))
    expect(proxy.silence('/v3/watch')).toBe(1)
    await etcd.put(key('b'), record(2))
    await waitFor(() => ids(watched) === 'a,b')
    expect(watched.statuses.some(({ lastError }) => lastError?.message.includes('the watch missed'))).toBe(
      true,
    )
    proxy.silence('/v3/watch')
    await etcd.remove(key('a'))
    await waitFor(() => ids(watched) === 'b', { what: 'a removal alone: it has no revision of its own' })
    await waitFor(() => isLive(watched))
  })

  test('a quiet prefix in a busy etcd is watched on: no error, no new list, one connection', async () => {
    await etcd.put(key('a'), record(1))
    const watched = watch(await throughProxy())
    await waitFor(() => proxy.count('/v3/watch') === 1 && isLive(watched))
    const { length } = watched.snapshots
    const last = watched.status()?.lastSuccess ?? 0
    for (let n = 0; n < 50; n++) await etcd.put('/elsewhere', String(n))
    await waitFor(() => (watched.status()?.lastSuccess ?? 0) > last + 1500, { what: 'two probes' })
    expect(watched.snapshots.length).toBe(length)
    expect(watched.snapshot()?.epoch).toBe(0)
    expect(watched.status()?.lastError).toBeUndefined()
  })

  test('keys that are no text are named, and do not make it read anew for ever', async () => {
    const binary = (byte: number) =>
      Buffer.concat([Buffer.from(key('x')), Buffer.from([byte])]).toString('base64')
    await etcd.put(key('a'), record(1))
    for (const byte of [0xfe, 0xff]) await etcd.call('/kv/put', { key: binary(byte), value: 'eA==' })
    const watched = watch(etcd.url)
    await waitFor(() => ids(watched) === 'a' && isLive(watched))
    expect(watched.snapshot()?.problems[0]).toContain('is left out')
    const last = watched.status()?.lastSuccess ?? 0
    await waitFor(() => (watched.status()?.lastSuccess ?? 0) > last + 1500, { what: 'two probes' })
    expect(watched.snapshot()?.epoch).toBe(0)
    for (const byte of [0xfe, 0xff]) await etcd.call('/kv/deleterange', { key: binary(byte) })
  })

  test('connections that are cut: stale for a moment, then as before with what changed', async () => {
    await etcd.put(key('a'), record(1))
    const watched = watch(await throughProxy())
    await waitFor(() => proxy.count('/v3/watch') === 1)
    await etcd.remove(key('a'))
    await etcd.put(key('b'), record(1))
    proxy.cut()
    await waitFor(() => watched.statuses.some(({ state }) => state === 'stale'))
    await waitFor(() => ids(watched) === 'b' && isLive(watched))
  })

  test('with the lease of an instance goes the instance, and its drain mark', async () => {
    const drain = new EtcdDrain({ endpoints: [etcd.url] }, '/sluice', () => 7)
    const watched = watch(etcd.url)
    const lease = await etcd.grant(60)
    await etcd.put(key('a'), record(1), lease)
    await etcd.put(key('b'), record(2))
    await waitFor(() => ids(watched) === 'a,b')
    const [a] = watched.instances('cart')
    if (a === undefined) return expect(a).toBeDefined()
    expect(await drain.tell(a, 'disk')).toEqual({
      isTold: true,
      detail: 'etcd was told at /sluice/services/cart/a/drain',
    })
    await waitFor(() => watched.instances('cart')[0]?.state === 'draining')
    expect((await etcd.list(key('a/')))[0]).toMatchObject({ value: '{"reason":"disk","at":7}', lease })
    await drain.tell(a, undefined)
    await waitFor(() => watched.instances('cart')[0]?.state === 'passing')
    await drain.tell(a, '')
    await etcd.revoke(lease)
    await waitFor(() => ids(watched) === 'b')
    expect(await etcd.list(key('a'))).toEqual([])
    expect(await drain.tell(a, 'disk')).toMatchObject({
      isTold: false,
      detail: 'etcd has no /sluice/services/cart/a any more',
    })
    const nobody = new EtcdDrain({ endpoints: ['http://127.0.0.1:1'] }, '/sluice', () => 7)
    expect(await nobody.tell(a, 'disk')).toMatchObject({
      isTold: false,
      detail: expect.stringContaining('etcd could not be told'),
    })
  })

  test('what is no etcd is named as that', async () => {
    const { createServer } = await import('node:http')
    const server = createServer((_request, response) => response.writeHead(404).end('<html>not here</html>'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ended.push(() => server.close())
    const { port } = server.address() as { port: number }
    const watched = watch(`http://127.0.0.1:${port}`)
    await waitFor(() => watched.status()?.state === 'failed')
    expect(message(watched)).toContain('is it etcd 3.4 or newer')
  })
})

describe('users and TLS', () => {
  test('a token that etcd forgot, a password that was rotated', async () => {
    const etcd = await start({ auth: true })
    const files = await tlsFiles('any')
    ended.push(() => files.close())
    const passwordFile = join(files.cert, '..', 'password')
    writeFileSync(passwordFile, 'one')
    await etcd.setUser('gw', 'one', { prefix: '/sluice/', type: 'READ' })
    await etcd.put(key('a'), record(1))
    const watched = watch(etcd.url, { username: 'gw', passwordFile })
    await waitFor(() => ids(watched) === 'a')
    await etcd.restart()
    await etcd.put(key('b'), record(2))
    await waitFor(() => ids(watched) === 'a,b' && isLive(watched), { timeoutMs: 20_000 })
    await etcd.setUser('gw', 'two', { prefix: '/sluice/', type: 'READ' })
    await waitFor(() => message(watched).includes('authentication failed'), { timeoutMs: 20_000 })
    expect(watched.state().services.get('cart')).toMatchObject({ source: 'stale' })
    expect(watched.state().services.get('cart')?.instances).toHaveLength(2)
    writeFileSync(passwordFile, 'two')
    await waitFor(() => isLive(watched), { timeoutMs: 20_000 })
  })

  test('without a user where one is needed, and with one where none is', async () => {
    const guarded = await start({ auth: true })
    const refused = watch(guarded.url)
    await waitFor(() => refused.status()?.state === 'failed')
    expect(message(refused)).toContain('set username and password')
    expect(refused.status()?.lastError?.code).toBe('GW_REGISTRY_ACL')
    const open = await start()
    const watched = watch(open.url, { username: 'gw', password: 'x' })
    await waitFor(() => isLive(watched))
  })

  test('over TLS with a certificate of its own; without trust, or without a certificate, the reason is told', async () => {
    const files = await tlsFiles('etcd.test', '/O=gateway')
    ended.push(() => files.close())
    const etcd = await start({ tls: { ...files, clientCa: files.cert } })
    await etcd.put(key('a'), record(1))
    const { cert, key: own } = files
    const watched = watch(etcd.url, { tls: { ca: cert, cert, key: own } })
    await waitFor(() => ids(watched) === 'a')
    const blind = watch(etcd.url, { tls: { cert, key: own } })
    await waitFor(() => message(blind).includes('self-signed certificate'))
    const trusting = watch(etcd.url, { tls: { cert, key: own, verify: false } })
    await waitFor(() => ids(trusting) === 'a')
    const nameless = watch(etcd.url, { tls: { ca: cert } })
    await waitFor(() => nameless.status()?.state === 'failed')
    expect(message(nameless)).toMatch(/certificate required|alert|ECONNRESET|socket hang up/)
    const common = await tlsFiles('gateway')
    ended.push(() => common.close())
  })

  test('a PEM file that is not there ends the provider with its name', async () => {
    const provider = etcdProvider(
      'https://127.0.0.1:1',
      { tls: { ca: '/none/ca.pem' } },
      {
        clock: { now: () => 0, monotonic: () => 0 },
        random: Math.random,
        log: { warn: () => {}, info: () => {} },
      },
    )
    const watching = provider.watch({ next: () => {}, status: () => {} }, new AbortController().signal)
    await expect(watching).rejects.toMatchObject({
      code: 'GW_REGISTRY_FILE',
      message: expect.stringContaining('/none/ca.pem'),
    })
  })
})

describe('three members', () => {
  test('a member that is killed, one that hangs, and a lost quorum empty nothing', async () => {
    const cluster = await startEtcdCluster()
    ended.push(() => cluster.stop())
    const leader = await cluster.leader()
    const [second, third] = cluster.members.filter((member) => member !== leader)
    if (second === undefined || third === undefined) return expect(second).toBeDefined()
    await second.put(key('a'), record(1))
    await second.put(key('b'), record(2))
    const endpoints = [leader.url, second.url, third.url]
    const watched = watch('', { endpoints })
    await waitFor(() => ids(watched) === 'a,b')

    await leader.kill9()
    await waitFor(() => second.put(key('c'), record(3)))
    await waitFor(() => ids(watched) === 'a,b,c', { what: 'news after the leader was killed' })
    await leader.restart()

    // Whoever the watch is at now: one of these two hangs and holds its connections.
    for (const member of [second, third]) {
      member.freeze()
      const other = member === second ? third : second
      await waitFor(() => other.put(key(member.name), record(4)), { timeoutMs: 20_000 })
      await waitFor(() => ids(watched).includes(member.name), { timeoutMs: 20_000, what: ids(watched) })
      member.thaw()
      await waitFor(() => member.put('/x', '1'), { timeoutMs: 20_000 })
    }
    await waitFor(() => isLive(watched), { timeoutMs: 20_000 })

    const known = ids(watched)
    await second.kill9()
    await third.kill9()
    await waitFor(() => watched.status()?.state === 'stale', { timeoutMs: 20_000 })
    expect(ids(watched)).toBe(known)
    expect(watched.state().services.get('cart')?.source).toBe('stale')

    const late = watch('', { endpoints })
    await waitFor(() => ids(late) === known, {
      timeoutMs: 20_000,
      what: 'what the only member has, for who starts without a quorum',
    })
    expect(late.state().services.get('cart')).toMatchObject({ source: 'stale' })

    await second.restart()
    await waitFor(() => leader.put(key('z'), record(9)), { timeoutMs: 20_000 })
    await waitFor(() => ids(watched).endsWith(',z') && ids(late).endsWith(',z'), { timeoutMs: 20_000 })
    await waitFor(() => isLive(watched) && isLive(late))
  })
})
