import { expect, test } from 'vitest'
import { ledRule } from '../../src/canary/rules.ts'
import type { CanaryRule } from '../../src/core/canary.ts'
import type { ContractBreach } from '../../src/mirror/contract-book.ts'
import { contractTexts, hasContract } from '../../src/release-contract.ts'
import { anInstance, aRule, CATALOG, releaseTable } from '../support/canary.ts'

const breach = (version: string | undefined, own: Partial<ContractBreach> = {}): ContractBreach => ({
  kind: 'dropped',
  path: '$.price',
  before: 'number',
  after: 'absent',
  count: 3,
  answers: 3,
  route: 'catalog',
  service: 'catalog',
  ...(version === undefined ? {} : { version }),
  against: '1.0',
  firstSeen: 0,
  ...own,
})

async function textsOf(
  breaches: readonly ContractBreach[],
  { instances = CATALOG, ...own }: Partial<CanaryRule> & { instances?: typeof CATALOG } = {},
) {
  const steps = [{ percent: 100, forMs: 0, minRequests: 0, hold: true }]
  const spec = aRule('v2', 0, { ramp: { windows: [], steps }, ...own })
  const rule = ledRule(spec)
  if (rule === undefined) throw new TypeError('no rule')
  return contractTexts(rule, await releaseTable([spec], { instances }), breaches)
}

test('what holds a release are the breaches of its canary, on its routes, each once', async () => {
  const breaches = [
    breach('2.0'),
    breach('2.0', { before: 'number or null' }),
    breach('2.0', { kind: 'retyped', path: '$.id', after: 'string' }),
    breach('1.0', { path: '$.old' }),
    breach('3.0', { path: '$.other' }),
    breach('2.0', { service: 'cart', path: '$.cart' }),
    breach('2.0', { route: 'offers', path: '$.offer' }),
  ]
  expect(await textsOf(breaches, { routes: ['catalog'] })).toEqual([
    'catalog: $.id is string',
    'catalog: $.price is gone',
  ])
  expect(await textsOf(breaches)).toContain('offers: $.offer is gone')
  expect(await textsOf([])).toEqual([])
})

test('a version that stable has, too, or none at all, says not whose answer it was', async () => {
  const tagged = { variants: [{ name: 'canary', select: { tag: 'green' }, percent: 0 }] }
  const pair = (version?: string) => [
    anInstance('catalog', 'old', version === undefined ? {} : { version }),
    anInstance('catalog', 'new', { tags: ['green'], ...(version === undefined ? {} : { version }) }),
  ]
  expect(await textsOf([breach('2.0')], { ...tagged, instances: pair('2.0') })).toEqual([])
  expect(await textsOf([breach(undefined)], { ...tagged, instances: pair() })).toEqual([])
  const apart = [...pair('1.0').slice(0, 1), ...pair('2.0').slice(1)]
  expect(await textsOf([breach('2.0')], { ...tagged, instances: apart })).toHaveLength(1)
})

test('a rule without such a route has no contract', async () => {
  const spec = aRule('v2', 0, { ramp: { windows: [], steps: [] } })
  const rule = ledRule(spec)
  const table = await releaseTable([spec])
  expect(rule !== undefined && hasContract(rule, table)).toBe(false)
})
