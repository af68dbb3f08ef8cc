import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ReplayedRequest } from '../../../src/core/replay.ts'
import { defineFilter, type FilterDefinition } from '../../../src/filters/filter.ts'
import { FILTERS } from '../../../src/filters/list.ts'
import { FilterReplays, unreplayable } from '../../../src/filters/replay.ts'
import { createChains } from '../../../src/filters/runner.ts'
import { aFilterEnvironment } from '../../support/filter-environment.ts'
import { aRoute } from '../../support/routing.ts'

/** So many requests of one sender in a second. */
const perSecond = defineFilter({
  name: 'per-second',
  summary: 'A limit for this test.',
  options: z.strictObject({ limit: z.int() }),
  create: ({ limit }) => ({
    inbound: () => undefined,
    replay: () => {
      const counts = new Map<string, number>()
      return ({ at, principal }) => {
        const key = `${Math.floor(at / 1000)} ${principal}`
        const count = (counts.get(key) ?? 0) + 1
        counts.set(key, count)
        return count > limit
      }
    },
  }),
}) as FilterDefinition

const chains = () => createChains([...FILTERS, perSecond], aFilterEnvironment())
const filter = (type: string, options: object, own = {}) => ({
  name: type,
  type,
  options: options as Record<string, unknown>,
  source: 'x:1:1',
  ...own,
})
const request = (own: Partial<ReplayedRequest> = {}): ReplayedRequest => ({
  at: 0,
  method: 'GET',
  host: 'a.example',
  path: '/',
  query: '',
  route: 'a',
  clientIp: '192.0.2.0',
  clientKey: 'client-1',
  principal: 'ann',
  header: () => undefined,
  ...own,
})

test('limits are replayed on the times of the requests; each replay begins anew', () => {
  const all = chains()
  const spec = aRoute('a', {}, { filters: [filter('per-second', { limit: 2 })] })
  for (const replays of [new FilterReplays(all), new FilterReplays(all)]) {
    const ask = (at: number, principal = 'ann') => replays.refusedBy(spec, request({ at, principal }))
    expect([ask(0), ask(100), ask(200), ask(300, 'bob'), ask(1000)]).toEqual([
      undefined,
      undefined,
      'per-second',
      undefined,
      undefined,
    ])
  }
})

test('the first filter that refuses is named; one in a dry run refuses nobody', () => {
  const deny = filter('ip-deny', { networks: ['192.0.2.0/24'] })
  const allow = filter('ip-allow', { networks: ['10.0.0.0/8'] })
  const refusedBy = (...filters: ReturnType<typeof filter>[]) =>
    new FilterReplays(chains()).refusedBy(aRoute('a', {}, { filters }), request())
  expect(refusedBy(allow, deny)).toBe('ip-allow')
  expect(refusedBy({ ...allow, mode: 'dryRun' } as never, deny)).toBe('ip-deny')
  expect(refusedBy(filter('ip-deny', { networks: ['10.0.0.0/8'] }))).toBeUndefined()
})

test('one limit that several routes share counts them together', () => {
  const all = chains()
  const [a, b] = ['a', 'b'].map((name) => aRoute(name, {}, { filters: [filter('per-second', { limit: 1 })] }))
  const replays = new FilterReplays(all)
  expect([a, b].map((spec) => replays.refusedBy(spec as never, request()))).toEqual([undefined, 'per-second'])
})

describe('rate-limit', () => {
  const rule = (own: object) =>
    filter('rate-limit', { rules: [{ rate: '2/1s', key: ['client-ip'], ...own }] })
  const refused = (own: object, requests: readonly Partial<ReplayedRequest>[]) => {
    const replays = new FilterReplays(chains())
    const spec = aRoute('a', {}, { filters: [rule(own)] })
    return requests.map((one) => replays.refusedBy(spec, request(one)) !== undefined)
  }

  test('counts by client, on the times of the requests', () => {
    const fixed = { algorithm: 'fixed-window' }
    expect(
      refused(fixed, [
        { at: 5000 },
        { at: 5001 },
        { at: 5002 },
        { at: 5003, clientKey: 'client-2' },
        { at: 6100 },
      ]),
    ).toEqual([false, false, true, false, false])
    const half = Array.from({ length: 10 }, (_, i) => ({ at: 5000 + i * 100 }))
    expect(refused({ burst: 1 }, half).filter((one) => one)).toHaveLength(8)
  })

  test('counts by who sent it, and who is nobody by its client', () => {
    const own = { key: ['principal'], match: { principal: ['jwt', 'anonymous'] } }
    expect(
      refused(own, [
        { principal: 'jwt:a' },
        { principal: 'jwt:a' },
        { principal: 'jwt:a' },
        { principal: 'jwt:b' },
        { principal: 'basic:c' },
        { principal: 'basic:c' },
        { principal: 'basic:c' },
        { principal: undefined },
        { principal: undefined },
        { principal: undefined },
      ]),
    ).toEqual([false, false, true, false, false, false, false, false, false, true])
  })

  test('says nothing about rules that count by what is not recorded', () => {
    for (const own of [{ key: ['header:x-key'] }, { cost: { header: 'x-cost', max: 2 } }]) {
      expect(unreplayable(chains(), aRoute('a', {}, { filters: [rule(own)] }))).toEqual(['rate-limit'])
    }
  })
})

test('names what cannot be replayed', () => {
  const spec = aRoute(
    'a',
    {},
    {
      filters: [
        filter('cors', { origins: ['https://a.example'] }),
        filter('ip-deny', { networks: ['10.0.0.0/8'] }),
        filter('security-headers', {}),
      ],
    },
  )
  expect(unreplayable(chains(), spec)).toEqual(['cors'])
})
