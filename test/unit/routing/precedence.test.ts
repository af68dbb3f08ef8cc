import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RouteSpec } from '../../../src/core/route.ts'
import { compareRoutes, precedenceOf } from '../../../src/routing/precedence.ts'
import { answer, aRoute, path, tableOf } from '../../support/routing.ts'

const present = (name: string) => ({ name, match: { kind: 'present' as const } })

test.each<[rule: string, winner: RouteSpec, loser: RouteSpec]>([
  [
    'priority goes before everything else',
    aRoute('w', { path: path('prefix /') }, { priority: 1 }),
    aRoute('l', { path: path('exact /a/b'), methods: ['GET'] }),
  ],
  [
    'an exact path goes before one with parameters',
    aRoute('w', { path: path('exact /a/b') }),
    aRoute('l', { path: path('exact /a/{x}') }),
  ],
  [
    'an exact path goes before a prefix of the same length',
    aRoute('w', { path: path('exact /a/{x}') }),
    aRoute('l', { path: path('prefix /a/b') }),
  ],
  [
    'the longer prefix wins',
    aRoute('w', { path: path('prefix /a/b') }),
    aRoute('l', { path: path('prefix /a'), methods: ['GET'], headers: [present('x-h')] }),
  ],
  [
    'a literal segment goes before a parameter',
    aRoute('w', { path: path('prefix /a/b') }),
    aRoute('l', { path: path('prefix /a/{x}'), methods: ['GET'] }),
  ],
  [
    'a prefix goes before a regular expression',
    aRoute('w', { path: path('prefix /') }),
    aRoute('l', { path: path('regex /a/b'), methods: ['GET'] }),
  ],
  [
    'a method condition wins over header conditions',
    aRoute('w', { methods: ['GET'] }),
    aRoute('l', { headers: [present('x-h'), present('x-i')] }),
  ],
  [
    'more header conditions win over query conditions',
    aRoute('w', { headers: [present('x-h'), present('x-i')] }),
    aRoute('l', { headers: [present('x-h')], query: [present('q'), present('r')] }),
  ],
  [
    'more query conditions win',
    aRoute('w', { query: [present('q'), present('r')] }),
    aRoute('l', { query: [present('q')] }),
  ],
  ['the name decides at last, not the order in the files', aRoute('a'), aRoute('b')],
])('%s', async (_rule, winner, loser) => {
  const asked = { headers: { 'x-h': '1', 'x-i': '1' } }
  for (const order of [
    [winner, loser],
    [loser, winner],
  ]) {
    expect(answer(await tableOf(order), '/a/b?q=1&r=1', asked)).toBe(winner.name)
  }
})

test('hosts are tried from exact over the longest suffix to any, by labels', async () => {
  const table = await tableOf([
    aRoute('exact', { hosts: ['shop.eu.example.com'] }),
    aRoute('one-eu', { hosts: ['*.eu.example.com'] }),
    aRoute('many-eu', { hosts: ['**.eu.example.com'] }),
    aRoute('one', { hosts: ['*.example.com'] }),
    aRoute('many', { hosts: ['**.example.com'] }),
    aRoute('any'),
  ])
  const of = (host: string) => answer(table, `http://${host}/`)
  expect(of('shop.eu.example.com')).toBe('exact')
  expect(of('SHOP.eu.example.com.')).toBe('exact')
  expect(of('shop.eu.example.com:8443')).toBe('exact')
  expect(of('x.eu.example.com')).toBe('one-eu')
  expect(of('y.x.eu.example.com')).toBe('many-eu')
  expect(of('us.example.com')).toBe('one')
  expect(of('a.us.example.com')).toBe('many')
  expect(of('example.com')).toBe('any')
  expect(of('badexample.com')).toBe('any')
})

test('the best host decides alone, unless hostFallback is on', async () => {
  const routes = [aRoute('cart', { hosts: ['a.example'], path: path('prefix /cart') }), aRoute('any')]
  expect(answer(await tableOf(routes), '/other')).toBe('GW_ROUTE_NOT_FOUND')
  expect(answer(await tableOf(routes, { hostFallback: true }), '/other')).toBe('any')
})

const segment = fc.constantFrom('a', 'b', '{x}', 'c')
const route = fc
  .record({
    kind: fc.constantFrom('exact' as const, 'prefix' as const, 'regex' as const),
    segments: fc.array(segment, { maxLength: 4 }),
    methods: fc.constantFrom([], ['GET'], ['POST']),
    headers: fc.subarray(['x-h', 'x-i']),
    hosts: fc.constantFrom([], ['a.example'], ['*.example'], ['**.example'], ['b.example']),
    priority: fc.constantFrom(0, 0, 0, 1, -1),
  })
  .map(({ kind, segments, methods, headers, hosts, priority }) => {
    const names = segments.map((one, i) => (one === '{x}' ? `{x${i}}` : one))
    const value =
      kind === 'regex'
        ? `/${segments.map((one) => one.replace('{x}', '[^/]+')).join('/')}`
        : `/${names.join('/')}`
    return { match: { hosts, methods, headers: headers.map(present), path: { kind, value } }, priority }
  })

/** What the documentation says, without an index: filter, then sort. */
function referenceAnswer(
  specs: readonly RouteSpec[],
  host: string,
  asked: string,
  method: string,
  headers: object,
) {
  const takesHost = (pattern: string) =>
    pattern === host ||
    (pattern.startsWith('*.') && host.split('.').slice(1).join('.') === pattern.slice(2)) ||
    (pattern.startsWith('**.') && host.endsWith(pattern.slice(2)))
  const rankOf = (pattern: string) => (pattern.startsWith('**') ? 2 : pattern.startsWith('*') ? 1 : 0)
  const patterns = [...new Set(specs.flatMap(({ match }) => match.hosts))].filter(takesHost)
  patterns.sort((a, b) => rankOf(a) - rankOf(b))
  const best = patterns[0]
  const segments = asked === '/' ? [] : asked.slice(1).split('/')
  const takesPath = ({ kind, value }: RouteSpec['match']['path']) => {
    if (kind === 'regex') return new RegExp(`^(?:${value})$`).test(asked)
    const wanted = value === '/' ? [] : value.slice(1).split('/')
    if (kind === 'exact' ? wanted.length !== segments.length : wanted.length > segments.length) return false
    return wanted.every((one, i) => (one.startsWith('{') ? segments[i] !== '' : one === segments[i]))
  }
  const candidates = specs.filter(
    ({ match }) =>
      (best === undefined ? match.hosts.length === 0 : match.hosts.includes(best)) &&
      takesPath(match.path) &&
      match.headers.every(({ name }) => name in headers),
  )
  const full = candidates.filter(({ match }) => match.methods.length === 0 || match.methods.includes(method))
  const routes = full.map((spec) => ({ spec, precedence: precedenceOf(spec), contentId: '' }))
  routes.sort(compareRoutes)
  return routes[0]?.spec.name ?? (candidates.length > 0 ? 'GW_ROUTE_METHOD' : 'GW_ROUTE_NOT_FOUND')
}

test('the index agrees with a plain search over all routes, in whatever order they are declared', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(route, { minLength: 1, maxLength: 12 }),
      fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 5 }),
      fc.constantFrom('a.example', 'b.example', 'x.example', 'y.x.example', 'other.test'),
      fc.constantFrom('GET', 'POST', 'PUT'),
      fc.subarray(['x-h', 'x-i']),
      async (parts, segments, host, method, names) => {
        const specs = parts.map(({ match, priority }, i) => aRoute(`r${i}`, match, { priority }))
        const asked = `/${segments.join('/')}`
        const headers = Object.fromEntries(names.map((name) => [name, '1']))
        const expected = referenceAnswer(specs, host, asked, method, headers)
        for (const order of [specs, [...specs].reverse()]) {
          expect(answer(await tableOf(order), `http://${host}${asked}`, { method, headers })).toBe(expected)
        }
      },
    ),
    { numRuns: 400 },
  )
})
