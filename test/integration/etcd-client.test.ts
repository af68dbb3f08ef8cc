import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { EtcdClient } from '../../src/etcd/client.ts'
import { followPrefix } from '../../src/etcd/follow.ts'
import type { EtcdEvent } from '../../src/etcd/wire.ts'
import { startEtcd, type TestEtcd } from '../support/etcd.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { waitFor } from '../support/wait.ts'

let etcd: TestEtcd
let client: EtcdClient
const ended: (() => unknown)[] = []
beforeAll(async () => {
  etcd = await startEtcd()
  client = new EtcdClient({ endpoints: [etcd.url] })
})
afterAll(() => etcd.stop())
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

test('keys and values of any text; a list of more than a page, in order, as of one revision', async () => {
  await client.put('/t/ключ é', 'wert „ü“\n')
  expect(await client.get('/t/ключ é')).toMatchObject({ value: 'wert „ü“\n', lease: undefined })
  expect(await client.get('/t/none')).toBeUndefined()
  const keys = Array.from({ length: 1203 }, (_, n) => `/p/${String(n).padStart(5, '0')}`)
  for (let at = 0; at < keys.length; at += 100) {
    await client.commit(
      [],
      keys.slice(at, at + 100).map((key) => ({ put: key, value: key })),
    )
  }
  const { entries, revision } = await client.list('/p/')
  expect(entries.map(({ key }) => key)).toEqual(keys)
  expect(entries.at(-1)?.modRevision).toBe(revision)
  expect(await client.look('/p/', revision)).toEqual({ count: 1203, newest: 0 })
  expect(await client.look('/p/', revision - 1)).toMatchObject({ newest: revision })
  await client.remove('/p/00000')
  expect((await client.list('/p/')).entries).toHaveLength(1202)
})

test('compare-and-set: only if it is still that, only if there is none, all or nothing', async () => {
  const none = [{ key: '/c/a', modRevision: 0 }]
  expect(await client.commit(none, [{ put: '/c/a', value: '1' }])).toBe('done')
  expect(await client.commit(none, [{ put: '/c/a', value: '2' }])).toBe('changed')
  const { modRevision = 0 } = (await client.get('/c/a')) ?? {}
  const still = [{ key: '/c/a', modRevision }]
  const writes = [{ put: '/c/a', value: '3' }, { put: '/c/b', value: '3' }, { remove: '/c/none' }]
  expect(await client.commit(still, writes)).toBe('done')
  expect(await client.commit(still, [{ put: '/c/a', value: '4' }, { remove: '/c/b' }])).toBe('changed')
  expect((await client.list('/c/')).entries.map(({ value }) => value)).toEqual(['3', '3'])
})

test('leases: alive, unknown, ended with their keys', async () => {
  const lease = await client.grant(60)
  expect(await client.put('/l/a', '1', lease)).toBe(true)
  expect((await client.get('/l/a'))?.lease).toBe(lease)
  expect(await client.keepAlive(lease)).toBe(true)
  await client.revoke(lease)
  expect(await client.get('/l/a')).toBeUndefined()
  expect(await client.keepAlive(lease)).toBe(false)
  expect(await client.put('/l/a', '1', lease)).toBe(false)
  await client.revoke(lease)
})

test('what must not happen twice is not sent to a second member once it may have arrived', async () => {
  const proxy = await startTcpProxy(etcd.url)
  ended.push(() => proxy.close())
  const two = new EtcdClient({ endpoints: [proxy.url, etcd.url], timeoutMs: 500 })
  const writes = [{ put: '/o/a', value: '1' }]
  let release = proxy.hold('/v3/kv/txn')
  await expect(two.commit([{ key: '/o/a', modRevision: 0 }], writes)).rejects.toMatchObject({
    code: 'GW_REGISTRY_TIMEOUT',
  })
  expect(await client.get('/o/a')).toBeUndefined()
  release()
  // Without a condition twice is as good as once.
  const again = new EtcdClient({ endpoints: [proxy.url, etcd.url], timeoutMs: 500 })
  release = proxy.hold('/v3/kv/txn')
  expect(await again.commit([], writes)).toBe('done')
  release()
  // Nobody took it there, so the next one may.
  const refused = new EtcdClient({ endpoints: ['http://127.0.0.1:1', etcd.url] })
  expect(await refused.commit([{ key: '/o/b', modRevision: 0 }], writes)).toBe('done')
})

test('a watch tells puts and deletions in order from a revision on, and ends with its signal', async () => {
  const from = (await etcd.put('/w/a', '1')) + 1
  await etcd.put('/w/b', '2')
  const abort = new AbortController()
  const seen: EtcdEvent[] = []
  const watching = client.watch(
    { prefix: '/w/', from },
    { onEvents: (events) => seen.push(...events) },
    abort.signal,
  )
  await etcd.remove('/w/a')
  await etcd.put('/elsewhere', '3')
  await etcd.put('/w/c', '4')
  await waitFor(() => seen.length === 3)
  expect(seen.map(({ type, key, value }) => `${type} ${key} ${value}`)).toEqual([
    'put /w/b 2',
    'delete /w/a ',
    'put /w/c 4',
  ])
  abort.abort()
  expect(await watching).toBe('ended')
  await etcd.compact(await etcd.put('/w/d', '5'))
  const late = client.watch({ prefix: '/w/', from }, { onEvents: () => {} }, new AbortController().signal)
  expect(await late).toBe('compacted')
})

test('a follower whose reader throws tells it and reads anew', async () => {
  await etcd.put('/f/a', '1')
  const abort = new AbortController()
  const told: string[] = []
  let lists = 0
  const following = followPrefix(
    client,
    { prefix: '/f/', probeMs: 10_000 },
    {
      onList: (entries) => {
        lists++
        if (lists === 1) throw new TypeError('a bug of the reader')
        told.push(...entries.map(({ key }) => key))
      },
      onEvents: (events) => void told.push(...events.map(({ key }) => key)),
      onError: ({ code, message }) => void told.push(`${code} ${message}`),
    },
    { random: () => 0 },
    abort.signal,
  )
  await waitFor(() => lists === 2)
  await etcd.put('/f/b', '2')
  await waitFor(() => told.length === 3)
  expect(told).toEqual(['GW_REGISTRY_ANSWER a bug of the reader', '/f/a', '/f/b'])
  abort.abort()
  await following
})
