import { expect, test } from 'vitest'
import { keyDigest } from '../../src/identity/key-ring.ts'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'

const cleanups = useCleanups()
const KEY = 'sk_0123456789abcdef0123456789abcdef'
const filter = (own = '') =>
  `{ type: api-key, keys: [{ id: k1, sha256: "${keyDigest(KEY)}", owner: shop }], ${own} }`

test.each(['api_key', 'apikey', 'x-api-key', 'key', 'access_token'])(
  'a key in the query as %s counts for nothing unless the operator wants it',
  async (name) => {
    const { send } = await guarded(cleanups, filter())
    expect(await send({ path: `/?${name}=${KEY}` })).toMatchObject({
      ...{ status: 401, code: 'GW_AUTH_MISSING', arrived: undefined },
    })
  },
)

test('nor does one in Authorization or a cookie', async () => {
  const { send } = await guarded(cleanups, filter())
  for (const headers of [
    { authorization: `ApiKey ${KEY}` },
    { authorization: `Bearer ${KEY}` },
    { authorization: KEY },
    { cookie: `x-api-key=${KEY}` },
  ]) {
    expect(await send({ headers })).toMatchObject({ status: 401, code: 'GW_AUTH_MISSING' })
  }
})

test.each([`key=${KEY}&key=${KEY}x`, `k%65y=${KEY}&key=other-other-other`, `key=${KEY}&%6bey=${KEY}x`])(
  'where it may be in the query, ?%s is two keys: none counts',
  async (query) => {
    const { send } = await guarded(cleanups, filter('query: key'))
    expect(await send({ path: `/?${query}` })).toMatchObject({ status: 401, code: 'GW_AUTH_INVALID' })
  },
)

test('however the name is escaped, the key goes neither to the service nor to the log', async () => {
  const { send, gateway } = await guarded(cleanups, filter('query: key'))
  const { status, arrived } = await send({ path: `/?a=%20&k%65y=${KEY}&b` })
  expect([status, arrived?.url]).toEqual([200, '/?a=%20&b'])
  expect((await gateway.record()).query).toBe('?a=%20&b')
})
