import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Principal } from '../../../src/core/principal.ts'
import { useCleanups } from '../../support/cleanup.ts'
import { limitBench } from '../../support/limit-filters.ts'
import { waitFor } from '../../support/wait.ts'

const { later } = useCleanups()
const NOON = Date.parse('2026-11-25T11:00:00Z')

const principal = (own: Partial<Principal> = {}): Principal => ({
  id: 'ann',
  kind: 'api-key',
  filter: 'login',
  claims: {},
  roles: [],
  groups: [],
  scopes: [],
  ...own,
})

function bench(options: object, more: { name?: string } = {}) {
  const one = limitBench('quota')
  one.setTime(NOON)
  one.use({ period: 'day', limit: 3, ...options }, more)
  later(() => one.close())
  return one
}

test('so many until midnight of the place, then anew; the answer says how many are left and until when', async () => {
  const one = bench({ timeZone: 'Europe/Berlin' }, { name: 'daily' })
  expect(await one.send()).toMatchObject({
    status: 200,
    headers: {
      'ratelimit-policy': '"daily";q=3;w=86400',
      ratelimit: '"daily";r=2;t=43200',
      'x-ratelimit-remaining': '2',
    },
  })
  expect(await one.allowed()).toBe(2)
  expect(await one.send()).toMatchObject({
    status: 429,
    code: 'GW_RATE_QUOTA',
    headers: { 'retry-after': '43200' },
  })
  one.pass(12 * 3_600_000 - 1)
  expect((await one.send()).headers['retry-after']).toBe('1')
  one.pass(1)
  expect(await one.allowed()).toBe(3)
  expect(one.counted.slice(0, 4)).toEqual(['allowed', 'allowed', 'allowed', 'limited'])
})

test('costs count, and a refused request costs nothing', async () => {
  const one = bench({ limit: 10, cost: { header: 'x-cost', max: 100 } })
  expect((await one.send({ headers: { 'x-cost': '8' } })).status).toBe(200)
  expect((await one.send({ headers: { 'x-cost': '3' } })).status).toBe(429)
  expect((await one.send({ headers: { 'x-cost': '2' } })).headers['x-ratelimit-remaining']).toBe('0')
})

test('exceptions: the first that fits, by role or by principal of a realm', async () => {
  const one = bench({
    exceptions: [
      { principal: 'ann', realm: 'staff', limit: 'unlimited' },
      { role: 'gold', limit: 5 },
      { principal: 'bob', limit: 0 },
    ],
  })
  expect(await one.allowed({ principal: principal({ realm: 'staff' }) })).toBe(1000)
  expect(await one.allowed({ principal: principal({ realm: 'other' }) })).toBe(3)
  expect(await one.allowed({ principal: principal({ id: 'cid', roles: ['user', 'gold'] }) })).toBe(5)
  expect(await one.allowed({ principal: principal({ id: 'bob' }) })).toBe(0)
  expect(await one.allowed()).toBe(3)
})

test('counts survive an edit; a raised limit helps at once', async () => {
  const one = bench({})
  expect(await one.allowed()).toBe(3)
  one.use({ period: 'day', limit: 5, headers: 'legacy' })
  expect(await one.allowed()).toBe(2)
})

test('with a rate limit in one route: the nearest of both speaks', async () => {
  const one = limitBench('quota')
  one.useAll([
    { type: 'rate-limit', options: { rules: [{ rate: '100/1m' }] } },
    { type: 'quota', options: { period: 'day', limit: 3 } },
  ])
  const { headers } = await one.send()
  expect(headers['ratelimit']).toMatch(/^"quota";r=2/)
  expect(headers['ratelimit-policy']).toBe('"rule-1";q=100;w=60, "quota";q=3;w=86400')
  expect(headers['x-ratelimit-limit']).toBe('3')
})

describe('kept in a file', () => {
  function inFile() {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-quota-'))
    later(() => rmSync(folder, { recursive: true, force: true }))
    return join(folder, 'quotas.json')
  }

  test('a restart forgets nothing', async () => {
    const persist = inFile()
    const before = bench({ persist })
    expect(await before.allowed({ principal: principal() })).toBe(3)
    before.close()
    const after = bench({ persist })
    expect(await after.allowed({ principal: principal() })).toBe(0)
    expect(await after.allowed()).toBe(3)
    after.pass(86_400_000)
    expect(await after.allowed({ principal: principal() })).toBe(3)
  })

  test('is written while the gateway runs, too', async () => {
    const persist = inFile()
    await bench({ persist }).send()
    await waitFor(() => JSON.parse(readFileSync(persist, 'utf8')).counts.length === 1)
  })

  test('a damaged file is refused: it would give everybody a second quota', () => {
    const persist = inFile()
    for (const text of ['{', '{"format":1,"counts":[["a",1]]}', '{"format":2,"counts":[]}']) {
      writeFileSync(persist, text)
      expect(() => bench({ persist })).toThrow('damaged')
    }
  })
})

test.each([
  [{ period: 'year' }, 'period'],
  [{ timeZone: 'Nowhere' }, 'no time zone'],
  [{ exceptions: [{ limit: 1 }] }, 'one of principal and role'],
  [{ exceptions: [{ role: 'a', realm: 'b', limit: 1 }] }, 'a realm belongs to a principal'],
  [{ store: 'limits', persist: 'a.json' }, 'leave persist out'],
])('refuses %j', (options, problem) => {
  expect(() => bench(options)).toThrow(problem)
})
