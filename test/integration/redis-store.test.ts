import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { IoRedisStore, type StoreFailure } from '../../plugins/redis.ts'
import { type StoreConfig, stores } from '../../src/config/stores.ts'
import { systemClock } from '../../src/core/duration.ts'
import type { RedisScript } from '../../src/core/redis-store.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startDetour, startRedis, startRedisCluster, startSentinels } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()

const INCREMENT: RedisScript = {
  name: 'increment',
  keys: 1,
  lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
}

function storeOf(own: Partial<NonNullable<z.input<typeof stores>>[string]>) {
  const config = stores.parse({ limits: { type: 'redis', commandTimeout: '200ms', ...own } })[
    'limits'
  ] as StoreConfig
  const states: boolean[] = []
  const failures: StoreFailure[] = []
  const lines: string[] = []
  const note = (fields: object, text: string) => void lines.push(`${text} ${JSON.stringify(fields)}`)
  const store = new IoRedisStore('limits', config, {
    clock: systemClock,
    random: Math.random,
    log: { warn: note, info: note },
    onState: (_name, isUp, reason) => {
      if (reason !== undefined) states.push(isUp)
    },
    onFailure: (_name, failure) => void failures.push(failure),
  })
  store.connect()
  later(() => store.close())
  return { store, states, failures, lines }
}

const started = async (options?: Parameters<typeof startRedis>[0]) => {
  const redis = await startRedis(options)
  later(() => redis.stop())
  return redis
}
const up = (store: IoRedisStore) => waitFor(() => store.isUp, { what: 'the store to be up' })
const increment = (store: IoRedisStore, key = 'n') => store.run(INCREMENT, [key], [1])

test('runs a script under the prefix, also after Redis forgot all scripts', async () => {
  const redis = await started()
  const { store } = storeOf({ url: redis.url })
  await store.settled()
  expect(store.isUp).toBe(true)
  expect(await increment(store)).toBe(1)
  await redis.client.script('FLUSH')
  expect(await Promise.all([increment(store), increment(store)])).toEqual([2, 3])
  expect(await redis.client.get('sluice:n')).toBe('3')
})

test('remembers a key once, and reads a hash', async () => {
  const redis = await started()
  const { store } = storeOf({ url: redis.url, keyPrefix: 'other:' })
  await store.settled()
  expect(await store.setIfAbsent('nonce', '1', 60_000)).toBe(true)
  expect(await store.setIfAbsent('nonce', '1', 60_000)).toBe(false)
  expect(await redis.client.pttl('other:nonce')).toBeGreaterThan(50_000)
  await redis.client.hset('other:key', { owner: 'ann', plan: 'gold' })
  expect(await store.hash('key')).toEqual({ owner: 'ann', plan: 'gold' })
  expect(await store.hash('none')).toEqual({})
})

test('fails at once while Redis is gone, and uses it again within 2 s of its return', async () => {
  const redis = await started()
  // The return is noticed by its connection, not by the next probe.
  const { store, states, lines } = storeOf({ url: redis.url, breaker: { probeInterval: '60s' } })
  await store.settled()
  await redis.kill9()
  await waitFor(() => !store.isUp)
  const before = performance.now()
  await expect(increment(store)).rejects.toMatchObject({ code: 'GW_STORE_UNAVAILABLE' })
  expect(performance.now() - before).toBeLessThan(100)
  await redis.restart()
  const restarted = performance.now()
  await up(store)
  expect(performance.now() - restarted).toBeLessThan(2000)
  expect(await increment(store)).toBe(1)
  expect(states).toEqual([false, true])
  expect(lines).toHaveLength(2)
})

test('a silent Redis costs a few timeouts, then nothing until it answers again', async () => {
  const redis = await started()
  const { store, states, failures } = storeOf({ url: redis.url })
  await store.settled()
  redis.freeze()
  later(() => redis.thaw())
  for (let i = 0; i < 5; i++) await expect(increment(store)).rejects.toThrow('timeout')
  expect(store.isUp).toBe(false)
  await expect(increment(store)).rejects.toThrow('is down')
  expect(failures).toEqual([...Array(5).fill('timeout'), 'refused'])
  redis.thaw()
  const thawed = performance.now()
  await up(store)
  expect(performance.now() - thawed).toBeLessThan(2000)
  expect(states).toEqual([false, true])
})

test('a connection that leads nowhere is replaced', async () => {
  const redis = await started()
  const detour = await startDetour(redis.port)
  later(() => detour.close())
  const { store } = storeOf({
    url: `redis://127.0.0.1:${detour.port}`,
    commandTimeout: '50ms',
    breaker: { failures: 1, probeInterval: '100ms' },
  })
  await store.settled()
  expect(detour.connections()).toBe(1)
  detour.swallow()
  await expect(increment(store)).rejects.toThrow('timeout')
  await waitFor(() => detour.connections() === 2)
  await up(store)
})

test('a Redis that refuses writes is left alone until it takes them', async () => {
  const redis = await started()
  const { store, failures } = storeOf({ url: redis.url, breaker: { probeInterval: '100ms' } })
  await store.settled()
  await redis.client.config('SET', 'min-replicas-to-write', '1')
  for (let i = 0; i < 5; i++) await expect(increment(store)).rejects.toThrow('answer')
  expect(store.isUp).toBe(false)
  await expect(increment(store)).rejects.toThrow('is down')
  expect(failures.at(-1)).toBe('refused')
  await redis.client.config('SET', 'min-replicas-to-write', '0')
  await up(store)
  expect(await increment(store)).toBe(1)
})

test('a Redis that is not there at the start is used once it is', async () => {
  const redis = await started({ isDown: true })
  const { store } = storeOf({ url: redis.url })
  await store.settled()
  await expect(increment(store)).rejects.toMatchObject({ code: 'GW_STORE_UNAVAILABLE' })
  await redis.restart()
  await up(store)
})

test('logs in; a wrong password is an error in the log without the password', async () => {
  const redis = await started({ password: 'correct horse' })
  const good = storeOf({ url: redis.url, password: 'correct horse' })
  await up(good.store)
  const bad = storeOf({ url: redis.url, password: 'wrong-secret' })
  await waitFor(() => bad.lines.length > 0)
  expect(bad.store.isUp).toBe(false)
  expect(bad.lines.join()).toContain('WRONGPASS')
  expect(bad.lines.join()).not.toContain('wrong-secret')
})

describe('with more than one Redis', () => {
  test('a cluster: keys of one tag in one script, different keys on different nodes', async () => {
    const cluster = await startRedisCluster()
    later(() => cluster.stop())
    const { store } = storeOf({ cluster: [cluster.addresses[0] as string] })
    await up(store)
    expect(store.isCluster).toBe(true)
    const both: RedisScript = {
      name: 'both',
      keys: 2,
      lua: "return redis.call('INCR', KEYS[1]) + redis.call('INCR', KEYS[2])",
    }
    expect(await store.run(both, ['a:{tag}', 'b:{tag}'], [])).toBe(2)
    for (let i = 0; i < 30; i++) await increment(store, `{${i}}`)
    const sizes = await Promise.all(cluster.nodes.map(({ client }) => client.dbsize()))
    expect(Math.min(...sizes)).toBeGreaterThan(0)
    expect(sizes.reduce((sum, size) => sum + size)).toBe(32)

    // A node dies: calls fail or not, but none of them waits, and when it is back all of them pass.
    await cluster.nodes[1]?.kill9()
    const began = performance.now()
    const results = await Promise.allSettled(Array.from({ length: 90 }, (_, i) => increment(store, `{${i}}`)))
    expect(performance.now() - began).toBeLessThan(1000)
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'GW_STORE_UNAVAILABLE' })
    }
  })

  test('sentinels: the promoted replica is used', async () => {
    const group = await startSentinels()
    later(() => group.stop())
    const { store } = storeOf({ sentinels: { name: group.groupName, nodes: [...group.addresses] } })
    await up(store)
    expect(await increment(store)).toBe(1)
    await waitFor(async () => (await group.replica.client.get('sluice:n')) === '1')
    await group.master.kill9()
    await waitFor(async () => (await increment(store)) === 2, { timeoutMs: 30_000, what: 'the new master' })
    expect(await group.replica.client.get('sluice:n')).toBe('2')
  })
})
