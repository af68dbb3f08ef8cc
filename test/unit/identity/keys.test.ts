import { afterEach, beforeEach, expect, test } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import { Headers } from '../../../src/core/headers.ts'
import type { RedisStore } from '../../../src/core/redis-store.ts'
import { parseEntries, placed } from '../../../src/identity/entry-file.ts'
import { createKeyRing, keyDigest, keyEntrySchema, usability } from '../../../src/identity/key-ring.ts'
import { KeyStore } from '../../../src/identity/key-store.ts'
import { LastGood } from '../../../src/identity/last-good.ts'
import { headerText, writePrincipal } from '../../../src/identity/principal-headers.ts'

const DIGEST = keyDigest('a-key-of-16-chars')
const entry = (own: object = {}) => keyEntrySchema.parse({ id: 'k1', sha256: DIGEST, owner: 'shop', ...own })
const parse = (text: string) => parseEntries('keys.yaml', text, 'keys', keyEntrySchema)

test('a key is known by its SHA-256, in any case', () => {
  expect(DIGEST).toBe('24300a2b32db899ed3aac780af046abacaa44d9315d8cd74791185dd392b9163')
  const ring = createKeyRing(placed('keys', [entry({ sha256: DIGEST.toUpperCase() })]))
  expect(ring.get(keyDigest('a-key-of-16-chars'))?.owner).toBe('shop')
  expect(ring.get(keyDigest('a-key-of-16-charS'))).toBeUndefined()
})

test.each([
  [{}, 'usable'],
  [{ disabled: true }, 'disabled'],
  [{ notBefore: '2026-06-01' }, 'not-yet'],
  [{ expires: '2026-05-31T10:00:00Z' }, 'expired'],
  [{ expires: '2026-05-31T12:00:01+02:00' }, 'usable'],
])('a key with %o is %s', (own, verdict) => {
  expect(usability(entry(own), Date.parse('2026-05-31T10:00:00Z'))).toBe(verdict)
})

test('a file is a list, alone or under keys, in YAML or JSON', () => {
  const one = `{ id: k1, sha256: "${DIGEST}", owner: shop }`
  expect(parse(`keys:\n  - ${one}\n`)).toEqual([{ value: entry(), place: 'keys.yaml:2' }])
  expect(parse(`- ${one}\n`)).toHaveLength(1)
  expect(parse(JSON.stringify({ keys: [{ id: 'k1', sha256: DIGEST, owner: 'shop' }] }))).toHaveLength(1)
  expect(parse('keys: []')).toEqual([])
})

test.each([
  [
    `keys:\n  - id: k1\n    sha256: nonsense-secret\n    owner: a\n`,
    /^keys\.yaml:3: sha256: write the SHA-256/,
  ],
  [`keys:\n  - id: k1\n    owner: a\n`, /^keys\.yaml:2: sha256/],
  [`keys:\n  - { id: a\n`, /^keys\.yaml:\d+: no valid YAML/],
  [
    `keys:\n  - { id: k1, sha256: "${DIGEST}", owner: a, scope: [x] }\n`,
    /keys\.yaml:2: Unrecognized key: "scope"/,
  ],
  [`key: []`, /write a list under `keys`/],
  [`keys: []\nother: 1`, /unknown key "other"/],
  [
    `keys:\n  - id: k1\n    sha256: "${DIGEST}"\n    owner: a\n    expires: tomorrow\n`,
    /keys\.yaml:5: expires: write a date/,
  ],
])('%s is refused with its line, and no value is repeated', (text, problem) => {
  const thrown = (() => {
    try {
      parse(text)
    } catch (error) {
      return error as GatewayError
    }
    return undefined
  })()
  expect(thrown?.code).toBe('GW_CONFIG_INVALID')
  expect(thrown?.message).toMatch(problem)
  expect(thrown?.message).not.toMatch(/nonsense-secret|tomorrow/)
})

test('an id or a key that stands twice is refused with both places', () => {
  const two = `- { id: k1, sha256: "${DIGEST}", owner: a }\n- { id: k2, sha256: "${DIGEST}", owner: b }\n`
  expect(() => createKeyRing(parse(two))).toThrow('keys.yaml:2: the same key as keys.yaml:1')
  const ids = two.replace('k2', 'k1').replace(new RegExp(`${DIGEST}(?=", owner: b)`), 'f'.repeat(64))
  expect(() => createKeyRing(parse(ids))).toThrow('keys.yaml:2: the same id as keys.yaml:1')
})

test('a broken edit keeps the last good value; without one the first load fails', async () => {
  let next: () => number = () => {
    throw new GatewayError('GW_CONFIG_INVALID', 'keys.yaml:3: wrong')
  }
  const held = new LastGood(async () => next())
  expect(() => held.value).toThrow()
  await expect(held.prepare()).rejects.toThrow('keys.yaml:3: wrong')
  const wrong = next
  next = () => 1
  await held.prepare()
  next = wrong
  expect(await held.reload()).toBe('keys.yaml:3: wrong')
  await held.prepare()
  expect(held.value).toBe(1)
})

test('of two loads at a time the later one counts in the end, and who waits for the first finds a value', async () => {
  const answers: ((value: number) => void)[] = []
  const held = new LastGood(() => new Promise<number>((resolve) => answers.push(resolve)))
  const [first, second] = [held.prepare(), held.reload()]
  answers[0]?.(1)
  await first
  expect(held.value).toBe(1)
  answers[1]?.(2)
  await second
  expect(held.value).toBe(2)
  const [third, fourth] = [held.reload(), held.reload()]
  answers[3]?.(4)
  await fourth
  answers[2]?.(3)
  await third
  expect(held.value).toBe(4)
})

let now: number
let asked: string[]
let answer: () => Promise<Record<string, string>>
let problems: string[]
let store: KeyStore
const find = (key: string) => store.find(keyDigest(key))
beforeEach(() => {
  now = 0
  asked = []
  problems = []
  answer = async () => ({
    id: 'k1',
    owner: 'shop',
    roles: 'a b',
    scopes: '["x y"]',
    metadata: '{"plan":"gold"}',
  })
  const hash = (key: string) => {
    asked.push(key)
    return answer()
  }
  const redis = { name: 'main', hash } as unknown as RedisStore
  store = new KeyStore(redis, {
    prefix: 'p:',
    ttlMs: 1000,
    negativeTtlMs: 500,
    staleMs: 5000,
    entries: 2,
    clock: { now: () => now, monotonic: () => now },
    onBadRecord: (problem) => void problems.push(problem),
  })
})
afterEach(() => expect(asked.every((key) => key.startsWith('p:'))).toBe(true))

const down = async () => {
  throw new GatewayError('GW_INTERNAL_STATE', 'no connection')
}

test('a key in the store is asked for once, by all who wait, and again when it is old', async () => {
  const [one, two] = await Promise.all([find('d1'), find('d1')])
  expect(one).toMatchObject({ owner: 'shop', roles: ['a', 'b'], scopes: ['x y'], metadata: { plan: 'gold' } })
  expect(two).toBe(one)
  now = 999
  expect(find('d1')).toBe(one)
  expect(asked).toEqual([`p:${keyDigest('d1')}`])
  now = 1000
  await find('d1')
  expect(asked).toHaveLength(2)
})

test('an unknown key is remembered for a shorter while, and does not push known ones out', async () => {
  await find('d1')
  answer = async () => ({})
  for (const digest of ['x1', 'x2', 'x3']) expect(await find(digest)).toBeUndefined()
  expect(find('x3')).toBeUndefined()
  expect(find('d1')).toMatchObject({ owner: 'shop' })
  now = 500
  await find('x3')
  expect(asked).toHaveLength(5)
})

test('a revoked key ends when its time in the cache is over', async () => {
  await find('d1')
  answer = async () => ({})
  now = 1000
  expect(await find('d1')).toBeUndefined()
  expect(find('d1')).toBeUndefined()
})

test('while the store is down known keys go on until they are stale, others are refused', async () => {
  await find('d1')
  answer = down
  now = 4999
  expect(await find('d1')).toMatchObject({ owner: 'shop' })
  await expect(find('new')).rejects.toMatchObject({ code: 'GW_AUTH_UNAVAILABLE' })
  now = 5000
  await expect(find('d1')).rejects.toMatchObject({ code: 'GW_AUTH_UNAVAILABLE' })
})

test.each([
  { id: 'k1' },
  { id: 'k1', owner: 'a', metadata: '{' },
  { id: 'k1', owner: 'a', expires: 'soon' },
  { id: 'k1', owner: 'a', roles: '[1' },
])('a record %o that cannot be read is no key', async (fields) => {
  answer = async () => fields as Record<string, string>
  expect(await find('d1')).toBeUndefined()
  expect(problems).toHaveLength(1)
})

test.each([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['', false],
  ['0', false],
  ['false', false],
])('disabled "%s" in the store means %s', async (text, disabled) => {
  answer = async () => ({ id: 'k1', owner: 'a', disabled: text })
  expect(await find('d1')).toMatchObject({ disabled })
})

test.each([
  ['plain', 'plain'],
  ['CN=a,O=b c', 'CN=a,O=b c'],
  ['a\r\nx-admin: 1', 'a%0D%0Ax-admin: 1'],
  ['50%', '50%25'],
  ['Jürgen', 'J%C3%BCrgen'],
  [' a ', '%20a%20'],
  ['', ''],
  ['\ud800', '%EF%BF%BD'],
  ['\u0000', '%00'],
])('%j in a header is %j', (text, value) => {
  expect(headerText(text)).toBe(value)
})

test('a principal becomes headers; what it does not have is removed', () => {
  const headers = new Headers(['x-plan', 'forged', 'x-id', 'forged'])
  writePrincipal(
    headers,
    {
      ...{ id: 'a', kind: 'api-key', filter: 'f', claims: { list: ['x,y', 'z'], deep: { a: 1 } } },
      ...{ roles: ['r1', 'r2'], groups: [], scopes: [] },
    },
    {
      'x-id': 'id',
      'x-roles': 'roles',
      'x-plan': 'claims.plan',
      'x-list': 'claims.list',
      'x-deep': 'claims.deep',
    },
  )
  expect(headers.raw()).toEqual(['x-id', 'a', 'x-roles', 'r1,r2', 'x-list', 'x%2Cy,z', 'x-deep', '{"a":1}'])
})
