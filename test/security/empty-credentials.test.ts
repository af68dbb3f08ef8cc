import { beforeAll, describe, expect, test } from 'vitest'
import { keyDigest } from '../../src/identity/key-ring.ts'
import { hashScrypt } from '../../src/identity/password-hash.ts'
import { useCleanups } from '../support/cleanup.ts'
import { basicOf, guarded } from '../support/guarded.ts'
import { memoryStore, withStore } from '../support/memory-store.ts'

const cleanups = useCleanups()

describe('an empty key', () => {
  test.each([
    [{ 'x-api-key': '' }],
    [{ 'x-api-key': '   ' }],
    [{ authorization: 'ApiKey' }],
    [{ authorization: 'ApiKey  ' }],
    [{ cookie: 'key=' }],
    [{}, '/?key='],
    [{}, '/?key'],
  ])(
    '%j %s is wrong, not missing, even where its digest is known and no key is needed',
    async (headers, path = '/') => {
      const store = memoryStore()
      for (const text of ['', ' ']) store.hashes.set(`key:${keyDigest(text)}`, { id: 'k', owner: 'nobody' })
      const places = 'scheme: ApiKey, cookie: key, query: key, allow: missing'
      const { send } = await guarded(
        cleanups,
        `{ type: api-key, ${places}, keys: [{ id: e, sha256: "${keyDigest('')}", owner: x }], store: { name: main } }`,
        { environment: { resources: withStore(store) } },
      )
      expect(await send({ headers, path })).toMatchObject({
        status: 401,
        code: 'GW_AUTH_INVALID',
        arrived: undefined,
      })
    },
  )
})

describe('passwords', () => {
  let hash: string
  let empty: string
  let nul: string
  beforeAll(async () => {
    hash = await hashScrypt('right')
    empty = await hashScrypt('')
    nul = await hashScrypt('right\0more')
  })
  const filter = () =>
    `{ type: basic, allow: missing, users: [{ name: anna, hash: "${hash}" }, { name: none, hash: "${empty}" }, { name: nul, hash: "${nul}" }] }`
  const INVALID = { status: 401, code: 'GW_AUTH_INVALID', arrived: undefined }

  test.each([
    ['an empty password, although that is the password', basicOf('none', '')],
    ['an empty name', basicOf('', 'right')],
    ['a NUL after the name', basicOf('anna\0', 'right')],
    ['a NUL and more after the password', basicOf('anna', 'right\0more')],
    ['a NUL in a password, although that is the password', basicOf('nul', 'right\0more')],
    ['a line break in the name', basicOf('anna\r\nx: y', 'right')],
    ['nothing', 'Basic'],
    ['blanks', 'Basic   '],
    ['no Base64', 'Basic anna:right'],
    ['no colon', `Basic ${Buffer.from('anna').toString('base64')}`],
  ])('%s', async (_what, authorization) => {
    const { send } = await guarded(cleanups, filter())
    expect(await send({ headers: { authorization } })).toMatchObject(INVALID)
  })

  test('two Authorization fields', async () => {
    const { send } = await guarded(cleanups, filter())
    const right = basicOf('anna', 'right')
    expect((await send({ headers: { authorization: right } })).status).toBe(200)
    for (const authorization of [
      [right, 'Bearer x'],
      [right, right],
    ]) {
      expect((await send({ headers: { authorization } })).status).toBeGreaterThanOrEqual(400)
    }
  })
})
