import { expect, test } from 'vitest'
import { viewCanaries } from '../../../src/health/canaries.ts'
import { diffTables } from '../../../src/routing/diff.ts'
import { lintTable } from '../../../src/routing/lint.ts'
import { selectorTest } from '../../../src/routing/release.ts'
import { aLane, aMatch, anInstance, aRule, CATALOG, releaseTable } from '../../support/canary.ts'

test.each([
  [{ version: '2.0' }, '2.0', true],
  [{ version: '2.0' }, '2.0.1', false],
  [{ version: '2.*' }, '2.0.1', true],
  [{ version: '2.*' }, '12.0', false],
  [{ version: '*-rc*' }, '2.0-rc1', true],
  [{ version: '1*1' }, '1', false],
  [{ version: '*' }, undefined, false],
])('selector %j and version %s: %s', (select, version, isIn) => {
  const own = version === undefined ? {} : { version }
  expect(selectorTest(select)(anInstance('s', 'a', own))).toBe(isIn)
})

test('a selector wants everything it names', () => {
  const isIn = selectorTest({ version: '2.*', tag: 'green', meta: { env: 'x' } })
  expect(isIn(anInstance('s', 'a', { version: '2.1', tags: ['green'], meta: { env: 'x' } }))).toBe(true)
  expect(isIn(anInstance('s', 'a', { version: '2.1', tags: ['green'], meta: { env: 'y' } }))).toBe(false)
  expect(isIn(anInstance('s', 'a', { version: '2.1', meta: { env: 'x' } }))).toBe(false)
})

test('stable is everybody who is on no other side', async () => {
  const table = await releaseTable([aRule('v2', 1000)])
  const own = table.canaries.byService.get('catalog')
  expect([...(own?.stable.keys ?? [])]).toEqual(['test/dc1/node/old-1', 'test/dc1/node/old-2'])
  expect([...(own?.rules[0]?.sides[0]?.keys ?? [])]).toEqual(['test/dc1/node/new-1'])
})

test('a written stable selector counts, less the other sides', async () => {
  const instances = [...CATALOG, anInstance('catalog', 'none')]
  const table = await releaseTable([aRule('v2', 1000, { stable: { version: '*' } })], { instances })
  const keys = table.canaries.byService.get('catalog')?.rules[0]?.stable.keys
  expect(keys?.size).toBe(2)
})

test('a version that was promised no share does not stand in for stable', async () => {
  const pins = { match: [aMatch('canary', { users: ['u'] })] }
  const stableOf = async (percent: number) =>
    (await releaseTable([aRule('v2', percent, pins)])).canaries.byService.get('catalog')?.stable
  expect((await stableOf(0))?.fallbacks).toEqual([])
  expect((await stableOf(1))?.fallbacks.map(({ name }) => name)).toEqual(['canary'])
})

test('whenCanaryEmpty fail leaves nobody to stand in', async () => {
  const table = await releaseTable([aRule('v2', 1000, { whenEmpty: 'fail' })])
  expect(table.canaries.byService.get('catalog')?.rules[0]?.sides[0]?.fallbacks).toEqual([])
})

test('what did not change is the same object in the next table', async () => {
  const rules = [aRule('v2', 1000), aLane('blue', 0)]
  const first = await releaseTable(rules)
  const same = await releaseTable(
    rules.map((rule) => ({ ...rule })),
    { previous: first },
  )
  expect(same.canaries).toBe(first.canaries)
  expect(same.id).toBe(first.id)
  const other = aRule('cart-v2', 0, { service: 'cart' })
  const instances = [...CATALOG, anInstance('cart', 'c')]
  const second = await releaseTable([...rules, other], { previous: first, instances })
  const third = await releaseTable([...rules, { ...other, salt: 'x' }], { previous: second, instances })
  expect(third.canaries.byService.get('catalog')).toBe(second.canaries.byService.get('catalog'))
  expect(third.canaries.rules[0]).toBe(first.canaries.rules[0])
  expect(third.canaries.byService.get('cart')).not.toBe(second.canaries.byService.get('cart'))
})

test('rules and their live state are part of the table’s id, their place in a file is not', async () => {
  const id = async (...args: Parameters<typeof releaseTable>) => (await releaseTable(...args)).id
  const base = await id([aRule('v2', 1000)])
  expect(await id([aRule('v2', 1000, { source: 'elsewhere:1:1' })])).toBe(base)
  expect(await id([aRule('v2', 1001)])).not.toBe(base)
  const states = new Map([['v2', { percent: 2000, state: 'ramping' }]])
  expect(await id([aRule('v2', 1000)], { states })).not.toBe(base)
  expect(await id([])).not.toBe(base)
})

test('the diff says what became of each rule', async () => {
  const a = await releaseTable([aRule('v2', 500), aRule('old', 0, { service: 'cart' })])
  const states = new Map([['v2', { percent: 1000, state: 'ramping' }]])
  const b = await releaseTable([aRule('v2', 500, { salt: 's' }), aLane('blue', 100)], { states })
  expect(diffTables(a, b)).toEqual([
    '- canary old',
    '+ lane blue (1%)',
    '~ canary v2 (5% -> 10%, file -> ramping, salt)',
  ])
  const released = new Map([['v2', { percent: 0, state: 'aborted', releasedPins: true }]])
  const c = await releaseTable([aRule('v2', 500, { salt: 's' }), aLane('blue', 100)], { states: released })
  expect(diffTables(b, c)).toEqual(['~ canary v2 (10% -> 0%, ramping -> aborted, pins released)'])
})

test('the linter names overlaps, shared instances, and names of nothing', async () => {
  const codesOf = async (...args: Parameters<typeof releaseTable>) =>
    lintTable(await releaseTable(...args)).map(({ code, routes }) => `${code} ${routes.join(' ')}`)
  expect(await codesOf([aRule('v2', 500)])).toEqual([])
  expect(await codesOf([aRule('a', 500), aRule('b', 500)])).toEqual([
    'canary-overlap b a',
    'canary-same-instances b a',
  ])
  const apart = [aRule('a', 500, { routes: ['catalog'] }), aRule('b', 0, { routes: ['other'] })]
  expect(await codesOf(apart, { routes: ['catalog', 'other'] })).toContain('canary-same-instances b a')
  expect(await codesOf([aRule('a', 0, { routes: ['nowhere'] })])).toEqual(['canary-unknown-route a'])
  expect(await codesOf([aRule('a', 0, { service: 'nobody' })])).toEqual(['canary-unknown-service a'])
  const empty = { variants: [{ name: 'canary', select: { version: '9' }, percent: 10 }] }
  expect(await codesOf([aRule('a', 10, empty)])).toEqual(['canary-empty a'])
})

test('the view counts users and instances, and names no user', async () => {
  const match = [aMatch('canary', { name: 'testers', users: ['secret-user'], networks: ['10.0.0.0/8'] })]
  const [view] = viewCanaries(await releaseTable([aRule('v2', 1250, { match })]))
  expect(view).toMatchObject({
    name: 'v2',
    percent: 12.5,
    state: 'file',
    match: ['testers: user (1 listed) and client in 10.0.0.0/8 -> canary'],
    keys: ['claim.sub'],
    sides: [
      { name: 'canary', select: 'version 2.*', percent: 12.5, instances: 1, available: 1 },
      { name: 'stable', select: 'everything else', percent: 87.5, instances: 2 },
    ],
  })
  expect(JSON.stringify(view)).not.toContain('secret-user')
})
