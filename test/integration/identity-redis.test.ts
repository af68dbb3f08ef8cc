import { expect, test } from 'vitest'
import { keyDigest } from '../../src/identity/key-ring.ts'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'
import { startRedis } from '../support/redis.ts'
import { SECRET, signed } from '../support/sign.ts'
import { waitFor } from '../support/wait.ts'

const cleanups = useCleanups()
const KEY = 'sk_0123456789abcdef0123456789abcdef'
const OTHER = 'sk_ffffffffffffffffffffffffffffffff'

async function redisOf() {
  const redis = await startRedis()
  cleanups.later(() => redis.stop())
  return { redis, top: `stores: { main: { type: redis, url: "${redis.url}", commandTimeout: 500ms } }` }
}

test('api keys in Redis: known, changed, revoked, and while Redis is gone', async () => {
  const { redis, top } = await redisOf()
  const place = `sluice:key:${keyDigest(KEY)}`
  await redis.client.hset(place, {
    id: 'k1',
    owner: 'shop',
    roles: 'reader writer',
    metadata: '{"plan":"gold"}',
  })
  const filter =
    '{ type: api-key, store: { name: main, cache: 50ms, negativeCache: 50ms }, headers: { x-owner: id, x-roles: roles, x-plan: claims.plan } }'
  const { send } = await guarded(cleanups, filter, { top })
  const ask = (key = KEY) => send({ headers: { 'x-api-key': key } })
  expect((await ask()).arrived?.headers).toMatchObject({
    ...{ 'x-owner': 'shop', 'x-roles': 'reader,writer', 'x-plan': 'gold' },
  })
  expect(await ask(OTHER)).toMatchObject({ status: 401, code: 'GW_AUTH_INVALID' })
  await redis.client.hset(`sluice:key:${keyDigest(OTHER)}`, { id: 'k2', owner: 'other' })
  await waitFor(async () => (await ask(OTHER)).status === 200)
  await redis.client.hset(place, { disabled: 'true' })
  await waitFor(async () => (await ask()).status === 401)
  await redis.kill9()
  await waitFor(async () => (await ask('sk_new_new_new_new_new')).code === 'GW_AUTH_UNAVAILABLE')
  expect((await ask(OTHER)).status).toBe(200)
  expect((await ask()).status).toBe(401)
})

test('a key with another type of value in Redis is no key and no way around', async () => {
  const { redis, top } = await redisOf()
  await redis.client.set(`sluice:key:${keyDigest(KEY)}`, 'x')
  const { send, count } = await guarded(cleanups, '{ type: api-key, store: { name: main } }', { top })
  expect((await send({ headers: { 'x-api-key': KEY } })).status).toBeGreaterThanOrEqual(401)
  expect(count()).toBe(0)
})

test('signatures that were used are remembered in Redis for all gateways, and no longer than they are good', async () => {
  const { redis, top } = await redisOf()
  const filter = `{ type: hmac, keys: [{ id: k1, algorithm: hmac-sha256, secret: "${SECRET}" }], replay: { store: main }, maxAge: 2s, clockSkew: 1s }`
  const one = await guarded(cleanups, filter, { top })
  const two = await guarded(cleanups, filter, { top })
  const request = signed()
  const answers = await Promise.all([one, two, one, two].map(({ send }) => send(request)))
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401])
  const [key = ''] = await redis.client.keys('sluice:replay:*')
  const ttl = await redis.client.pttl(key)
  expect(ttl).toBeGreaterThan(0)
  expect(ttl).toBeLessThanOrEqual(3000)
  await redis.kill9()
  const answer = await one.send(signed({ path: '/2' }))
  expect(answer).toMatchObject({ status: 503, code: 'GW_AUTH_UNAVAILABLE', arrived: undefined })
})
