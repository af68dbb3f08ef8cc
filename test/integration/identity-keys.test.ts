import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hash as bcryptHash } from 'bcryptjs'
import { beforeAll, describe, expect, test } from 'vitest'
import { keyDigest } from '../../src/identity/key-ring.ts'
import { hashScrypt } from '../../src/identity/password-hash.ts'
import { useCleanups } from '../support/cleanup.ts'
import { basicOf, guarded } from '../support/guarded.ts'
import { memoryStore, withStore } from '../support/memory-store.ts'
import { waitFor } from '../support/wait.ts'

const cleanups = useCleanups()
const KEY = 'sk_0123456789abcdef0123456789abcdef'
const OTHER = 'sk_ffffffffffffffffffffffffffffffff'
const entry = (key: string, own = '') =>
  `{ id: k-${key.slice(3, 7)}, sha256: "${keyDigest(key)}", owner: shop, ${own} }`
const inline = (own = '', keyOwn = '') => `{ type: api-key, keys: [${entry(KEY, keyOwn)}], ${own} }`

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-keys-'))
  cleanups.later(() => rmSync(path, { recursive: true }))
  return path
}

describe('api-key', () => {
  test('who has the key passes, the key itself does not; the owner is in the log', async () => {
    const { send, gateway } = await guarded(cleanups, inline())
    const answer = await send({ headers: { 'X-API-Key': KEY } })
    expect([answer.status, answer.arrived?.headers['x-api-key']]).toEqual([200, undefined])
    expect(await gateway.record()).toMatchObject({ principal: { id: 'shop', kind: 'api-key' } })
  })

  test.each([
    ['no key', {}, 'GW_AUTH_MISSING'],
    ['another key', { 'x-api-key': OTHER }, 'GW_AUTH_INVALID'],
    ['a key in another case', { 'x-api-key': KEY.toUpperCase() }, 'GW_AUTH_INVALID'],
    ['two keys', { 'x-api-key': [KEY, OTHER] }, 'GW_AUTH_INVALID'],
    ['a short one', { 'x-api-key': 'short' }, 'GW_AUTH_INVALID'],
  ])('%s: 401 with a challenge, nothing arrives', async (_what, headers, code) => {
    const { send } = await guarded(cleanups, inline('realm: shop'))
    const answer = await send({ headers })
    expect(answer).toMatchObject({ status: 401, code, arrived: undefined })
    expect(answer.headers['www-authenticate']).toBe('ApiKey realm="shop"')
  })

  test.each([
    ['disabled: true', 'GW_AUTH_INVALID'],
    ['expires: "2020-01-01"', 'GW_AUTH_EXPIRED'],
    ['notBefore: "2999-01-01"', 'GW_AUTH_INVALID'],
  ])('a key with %s: 401 %s', async (own, code) => {
    const { send } = await guarded(cleanups, inline('', own))
    expect(await send({ headers: { 'x-api-key': KEY } })).toMatchObject({ status: 401, code })
  })

  const PLACES = 'header: x-key, scheme: ApiKey, cookie: key, query: key'
  test.each<[string, Record<string, string>, string]>([
    ['header', { 'x-key': KEY }, '/?a=1'],
    ['Authorization', { authorization: `apikey  ${KEY}` }, '/?a=1'],
    ['cookie', { cookie: `a=1; key=${KEY}; b=2` }, '/?a=1'],
    ['query', {}, `/?key=${KEY}&a=1`],
  ])('from %s, and it does not go on', async (_place, headers, path) => {
    const { send, gateway } = await guarded(cleanups, inline(PLACES))
    const { status, arrived } = await send({ headers, path })
    expect([status, arrived?.url]).toEqual([200, '/?a=1'])
    expect(JSON.stringify(arrived)).not.toContain(KEY)
    if ('cookie' in headers) expect(arrived?.headers.cookie).toBe('a=1; b=2')
    expect((await gateway.record()).query).toBe('?a=1')
  })

  test('with forward the service gets the key', async () => {
    const { send } = await guarded(cleanups, inline('header: x-key, cookie: key, forward: true'))
    const { arrived } = await send({ headers: { 'x-key': KEY, cookie: `key=${KEY}` } })
    expect(arrived?.headers).toMatchObject({ 'x-key': KEY, cookie: `key=${KEY}` })
  })

  test('another scheme of Authorization is none of its business', async () => {
    const { send } = await guarded(cleanups, inline('scheme: ApiKey, allow: missing'))
    const { status, arrived } = await send({ headers: { authorization: 'Bearer x' } })
    expect([status, arrived?.headers.authorization]).toEqual([200, 'Bearer x'])
  })

  test('headers for the service are made of the key', async () => {
    const options = 'headers: { x-owner: id, x-plan: claims.plan, x-key-id: claims.key, x-roles: roles }'
    const { send } = await guarded(
      cleanups,
      inline(options, 'metadata: { plan: "gold\\r\\nx: y" }, roles: [a, b]'),
    )
    const { arrived } = await send({ headers: { 'x-api-key': KEY } })
    expect(arrived?.headers).toMatchObject({
      'x-owner': 'shop',
      'x-plan': 'gold%0D%0Ax: y',
      'x-key-id': 'k-0123',
      'x-roles': 'a,b',
    })
  })

  test('a file: rotation takes effect without a restart, a broken edit keeps the last good one', async () => {
    const file = join(folder(), 'keys.yaml')
    writeFileSync(file, `keys:\n  - ${entry(KEY)}\n`)
    const events: unknown[] = []
    const environment = { event: (data: unknown) => void events.push(data) }
    const { send, gateway } = await guarded(cleanups, `{ type: api-key, file: "${file}" }`, { environment })
    const statusOf = async (key: string) => (await send({ headers: { 'x-api-key': key } })).status
    expect([await statusOf(KEY), await statusOf(OTHER)]).toEqual([200, 401])
    writeFileSync(file, `keys:\n  - ${entry(KEY)}\n  - ${entry(OTHER)}\n`)
    await waitFor(async () => (await statusOf(OTHER)) === 200)
    expect(await statusOf(KEY)).toBe(200)
    writeFileSync(file, `keys:\n  - ${entry(OTHER)}\n  - { id: x }\n`)
    await waitFor(() => gateway.warnings.some((line) => line.includes('keys.yaml:3: sha256')))
    expect([await statusOf(KEY), await statusOf(OTHER)]).toEqual([200, 200])
    expect(events).toHaveLength(1)
    writeFileSync(file, `keys:\n  - ${entry(OTHER)}\n`)
    await waitFor(async () => (await statusOf(KEY)) === 401)
  })

  test('a file that cannot be used from the start is a mistake of the configuration', async () => {
    const file = join(folder(), 'keys.yaml')
    writeFileSync(file, 'keys:\n  - { id: a }\n')
    const starting = guarded(cleanups, `{ type: api-key, file: "${file}" }`)
    await expect(starting).rejects.toThrow(/filter api-key: .*keys\.yaml:2: sha256/)
  })

  test('keys of the store; while it is down known ones go on, others get 503 without its address', async () => {
    const store = memoryStore()
    store.hashes.set(`key:${keyDigest(KEY)}`, { id: 'k1', owner: 'stored', roles: 'admin' })
    const options =
      '{ type: api-key, store: { name: main, cache: 0, negativeCache: 0 }, headers: { x-roles: roles } }'
    const { send } = await guarded(cleanups, options, { environment: { resources: withStore(store) } })
    const known = () => send({ headers: { 'x-api-key': KEY } })
    expect((await known()).arrived?.headers['x-roles']).toBe('admin')
    store.isUp = false
    expect((await known()).status).toBe(200)
    const other = await send({ headers: { 'x-api-key': OTHER } })
    expect(other).toMatchObject({ status: 503, code: 'GW_AUTH_UNAVAILABLE', arrived: undefined })
    expect(JSON.stringify(other)).not.toContain('10.9.8.7')
  })
})

describe('basic', () => {
  let scrypt: string
  let bcrypt: string
  beforeAll(async () => {
    scrypt = await hashScrypt('geheim: ü€')
    bcrypt = (await bcryptHash('old:one', 4)).replace('$2b$', '$2y$')
  })
  const users = () =>
    `users: [{ name: anna, hash: "${scrypt}", roles: [admin] }, { name: ben, hash: "${bcrypt}" }]`

  test.each([
    ['anna', 'geheim: ü€', 200],
    ['ben', 'old:one', 200],
    ['ben', 'old', 401],
    ['anna', 'geheim', 401],
    ['nobody', 'geheim: ü€', 401],
  ])('%s with %s: %i', async (user, password, status) => {
    const { send } = await guarded(cleanups, `{ type: basic, realm: shop, ${users()} }`)
    const answer = await send({ headers: { authorization: basicOf(user, password) } })
    expect(answer.status).toBe(status)
    if (status === 200) {
      expect(answer.arrived?.headers).not.toHaveProperty('authorization')
    } else {
      expect(answer).toMatchObject({ code: 'GW_AUTH_INVALID', arrived: undefined })
      expect(answer.headers['www-authenticate']).toBe('Basic realm="shop", charset="UTF-8"')
    }
  })

  test('without credentials: 401; another scheme is no credentials', async () => {
    const { send } = await guarded(cleanups, `{ type: basic, ${users()} }`)
    expect(await send()).toMatchObject({ status: 401, code: 'GW_AUTH_MISSING' })
    const bearer = await send({ headers: { authorization: 'Bearer x' } })
    expect(bearer).toMatchObject({ status: 401, code: 'GW_AUTH_MISSING' })
  })

  test('a changed file counts at once, remembered passwords too', async () => {
    const file = join(folder(), 'htpasswd')
    writeFileSync(file, `ben:${bcrypt}\n`)
    const { send } = await guarded(cleanups, `{ type: basic, file: "${file}" }`)
    const old = () => send({ headers: { authorization: basicOf('ben', 'old:one') } })
    expect([(await old()).status, (await old()).status]).toEqual([200, 200])
    const next = await bcryptHash('new', 4)
    writeFileSync(file, `ben:${next}\n`)
    await waitFor(async () => (await old()).status === 401)
    expect((await send({ headers: { authorization: basicOf('ben', 'new') } })).status).toBe(200)
  })

  test('more than may wait get 503', async () => {
    const { send } = await guarded(cleanups, `{ type: basic, concurrency: 1, queue: 0, ${users()} }`)
    const answers = await Promise.all(
      ['1', '2', '3', '4'].map((password) => send({ headers: { authorization: basicOf('anna', password) } })),
    )
    const statuses = answers.map(({ status }) => status).sort()
    expect(statuses[0]).toBe(401)
    expect(statuses.at(-1)).toBe(503)
    expect(answers.find(({ status }) => status === 503)).toMatchObject({ code: 'GW_AUTH_BUSY' })
  })
})

describe('acl behind filters that find out who it is', () => {
  const filters = (rules: string) =>
    `${inline('allow: missing', 'roles: [writer]')}, { type: acl, rules: [${rules}] }`

  test.each([
    ['{ allow: { roles: [writer] } }', KEY, 200, undefined],
    ['{ allow: { roles: [admin] } }', KEY, 403, 'GW_AUTH_NOT_ALLOWED'],
    ['{ deny: { principals: [{ id: shop }] } }, { allow: {} }', KEY, 403, 'GW_AUTH_DENIED'],
    ['{ allow: { roles: [writer] } }', undefined, 401, 'GW_AUTH_MISSING'],
    ['{ allow: { networks: [127.0.0.0/8], methods: [GET] } }', undefined, 200, undefined],
    ['{ allow: { networks: [10.0.0.0/8] } }', undefined, 403, 'GW_AUTH_NOT_ALLOWED'],
  ])('%s with key %s: %i %s', async (rules, key, status, code) => {
    const { send } = await guarded(cleanups, filters(rules))
    const answer = await send({ headers: key === undefined ? {} : { 'x-api-key': key } })
    expect([answer.status, answer.code]).toEqual([status, code])
    if (status === 401) expect(answer.headers['www-authenticate']).toBe('ApiKey realm="api-key"')
  })

  test('wrong credentials are refused even where none are needed', async () => {
    const { send } = await guarded(cleanups, filters('{ allow: {} }'))
    expect((await send()).status).toBe(200)
    expect(await send({ headers: { 'x-api-key': OTHER } })).toMatchObject({ status: 401 })
  })
})

test('in a dry run nothing of the request changes, also not its query', async () => {
  const { send, gateway } = await guarded(
    cleanups,
    inline('mode: dryRun, query: key, headers: { x-owner: id }'),
  )
  const { status, arrived } = await send({ path: `/?key=${KEY}`, headers: { 'x-api-key': KEY } })
  expect([status, arrived?.url, arrived?.headers['x-api-key'], arrived?.headers['x-owner']]).toEqual([
    ...[200, `/?key=${KEY}`, KEY, undefined],
  ])
  expect((await send()).status).toBe(200)
  expect((await gateway.record(1)).wouldRefuse).toEqual(['api-key'])
})
