import { expect, test } from 'vitest'
import { withQuery } from '../../../src/routing/query.ts'
import { aRouted } from '../../support/exchange.ts'

const routed = { ...aRouted(undefined), path: '/a', query: '?x=1', upstreamTarget: '/up/a?x=1' }

test('another query, also for what goes upstream', () => {
  expect(withQuery(routed, '?y=2')).toEqual({ ...routed, query: '?y=2', upstreamTarget: '/up/a?y=2' })
  expect(withQuery(routed, '')).toEqual({ ...routed, query: '', upstreamTarget: '/up/a' })
  const bare = { ...routed, query: '', upstreamTarget: '/up/a' }
  expect(withQuery(bare, '?x=1')).toEqual(routed)
})

test('the same query is the same request; the old one is never edited', () => {
  expect(withQuery(routed, '?x=1')).toBe(routed)
  withQuery(routed, '')
  expect(routed.upstreamTarget).toBe('/up/a?x=1')
})

test('a redirect has nothing that goes upstream', () => {
  const { upstreamTarget: _, ...redirect } = routed
  expect(withQuery(redirect, '')).toEqual({ ...redirect, query: '' })
})
