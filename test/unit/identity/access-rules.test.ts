import { expect, test } from 'vitest'
import type { Principal } from '../../../src/core/principal.ts'
import { type AccessConditions, type AccessRule, decideAccess } from '../../../src/identity/access-rules.ts'

const anna: Principal = {
  ...{ id: 'anna', kind: 'jwt', realm: 'https://idp', filter: 'f', claims: {} },
  ...{ roles: ['reader', 'editor'], groups: ['shop'], scopes: ['a', 'b'] },
}
const allow = (conditions: AccessConditions): AccessRule => ({ effect: 'allow', conditions })
const deny = (conditions: AccessConditions): AccessRule => ({ effect: 'deny', conditions })
const ask = (rules: readonly AccessRule[], principal: Principal | undefined = anna, method = 'GET') =>
  decideAccess(rules, { principal, method, clientIp: '10.0.0.1' })

test.each<[AccessConditions, boolean]>([
  [{}, true],
  [{ roles: ['editor', 'x'] }, true],
  [{ roles: ['x'] }, false],
  [{ roles: ['editor'], groups: ['x'] }, false],
  [{ roles: ['editor'], groups: ['shop'] }, true],
  [{ scopes: ['b', 'c'] }, true],
  [{ allScopes: ['a', 'b'] }, true],
  [{ allScopes: ['a', 'c'] }, false],
  [{ principals: [{ id: 'anna' }] }, true],
  [{ principals: [{ id: 'anna', realm: 'https://other' }] }, false],
  [{ principals: [{ id: 'anna', kind: 'basic' }] }, false],
  [{ principals: [{ kind: 'basic' }, { realm: 'https://idp' }] }, true],
  [{ methods: ['GET'] }, true],
  [{ methods: ['POST'] }, false],
  [{ isInNetworks: (ip) => ip === '10.0.0.1' }, true],
  [{ isInNetworks: () => false }, false],
  [{ authenticated: true }, true],
  [{ authenticated: false }, false],
])('conditions %o fit: %s', (conditions, fits) => {
  expect(ask([allow(conditions)])).toBe(fits ? 'allowed' : 'not-allowed')
  expect(ask([deny(conditions), allow({})])).toBe(fits ? 'denied' : 'allowed')
})

test('the first rule that fits decides, and none means no', () => {
  expect(ask([allow({ roles: ['editor'] }), deny({})])).toBe('allowed')
  expect(ask([deny({ methods: ['GET'] }), allow({})])).toBe('denied')
  expect(ask([])).toBe('not-allowed')
})

test('GET stands for HEAD in what is allowed and in what is denied, not the other way round', () => {
  expect(ask([allow({ methods: ['GET'] })], anna, 'HEAD')).toBe('allowed')
  expect(ask([deny({ methods: ['GET'] }), allow({})], anna, 'HEAD')).toBe('denied')
  expect(ask([allow({ methods: ['HEAD'] })], anna, 'GET')).toBe('not-allowed')
})

test.each<[string, AccessRule[], string]>([
  ['a rule asks for a role', [allow({ roles: ['x'] })], 'unknown'],
  ['a rule asks for anybody known', [allow({ authenticated: true })], 'unknown'],
  ['the rule is about another method', [allow({ roles: ['x'], methods: ['POST'] })], 'not-allowed'],
  ['a deny comes first', [deny({}), allow({ roles: ['x'] })], 'denied'],
  ['only strangers are meant', [allow({ authenticated: false })], 'allowed'],
  ['no rule asks who it is', [allow({ methods: ['POST'] })], 'not-allowed'],
  ['a deny asks for a role', [deny({ roles: ['x'] }), allow({})], 'allowed'],
])('without a principal, when %s', (_what, rules, verdict) => {
  expect(decideAccess(rules, { principal: undefined, method: 'GET', clientIp: '10.0.0.1' })).toBe(verdict)
})
