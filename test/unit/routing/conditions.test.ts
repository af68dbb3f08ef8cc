import { expect, test } from 'vitest'
import type { TextMatch } from '../../../src/core/route.ts'
import { lintTable } from '../../../src/routing/lint.ts'
import { answer, aRoute, ask, path, tableOf } from '../../support/routing.ts'

test.each<[TextMatch, string | undefined, boolean]>([
  [{ kind: 'exact', value: 'a' }, 'a', true],
  [{ kind: 'exact', value: 'a' }, 'A', false],
  [{ kind: 'exact', value: 'a' }, undefined, false],
  [{ kind: 'prefix', value: 'ab' }, 'abc', true],
  [{ kind: 'prefix', value: 'ab' }, 'a', false],
  [{ kind: 'regex', value: 'v[12]' }, 'v2', true],
  [{ kind: 'regex', value: 'v[12]' }, 'xv2', false],
  [{ kind: 'present' }, '', true],
  [{ kind: 'present' }, undefined, false],
  [{ kind: 'absent' }, undefined, true],
  [{ kind: 'absent' }, 'x', false],
])('%o on %s in header, cookie and query: %s', async (match, value, expected) => {
  const field = [{ name: 'x-v', match }]
  const outcome = expected ? 'r' : 'GW_ROUTE_NOT_FOUND'
  const header = value === undefined ? {} : { 'x-v': value }
  expect(answer(await tableOf([aRoute('r', { headers: field })]), '/', { headers: header })).toBe(outcome)
  const cookie = value === undefined ? { cookie: 'b=1' } : { cookie: `b=1; x-v=${value}; c=2` }
  expect(answer(await tableOf([aRoute('r', { cookies: field })]), '/', { headers: cookie })).toBe(outcome)
  const query = value === undefined ? '?b=1' : `?b=1&x-v=${value}`
  expect(answer(await tableOf([aRoute('r', { query: field })]), `/${query}`)).toBe(outcome)
})

test('of a repeated query parameter one value is enough', async () => {
  const table = await tableOf([aRoute('r', { query: [{ name: 'a', match: { kind: 'exact', value: '2' } }] })])
  expect(answer(table, '/?a=1&a=2')).toBe('r')
  expect(answer(table, '/?a=%32')).toBe('r')
  expect(answer(table, '/?a=1&a=3')).toBe('GW_ROUTE_NOT_FOUND')
})

test.each([
  ['10.1.2.3', 'inside'],
  ['11.1.2.3', 'outside'],
  ['2001:db8::7', 'inside'],
  ['2001:db9::7', 'outside'],
  ['192.0.2.9', 'inside'],
])('a client at %s is %s the networks', async (clientIp, expected) => {
  const table = await tableOf([
    aRoute('inside', { clientNetworks: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.9'] }, { priority: 1 }),
    aRoute('outside'),
  ])
  expect(answer(table, '/', { clientIp })).toBe(expected)
})

test.each([
  ['strip', 'prefix /api', { kind: 'strip', prefix: '/api' }, '/api/x?q=1', '/x?q=1'],
  ['strip of the whole', 'prefix /api', { kind: 'strip', prefix: '/api' }, '/api', '/'],
  ['strip keeps the trailing slash', 'prefix /api', { kind: 'strip', prefix: '/api' }, '/api/x/', '/x/'],
  ['strip cuts whole segments only', 'prefix /', { kind: 'strip', prefix: '/api' }, '/apix', '/apix'],
  ['prefix', 'prefix /old', { kind: 'prefix', value: '/new/v1' }, '/old/x', '/new/v1/x'],
  ['prefix to the root', 'prefix /old', { kind: 'prefix', value: '/' }, '/old/x', '/x'],
  ['prefix with a parameter', 'prefix /u/{id}', { kind: 'prefix', value: '/p' }, '/u/7/x', '/p/x'],
  [
    'regex',
    'prefix /',
    { kind: 'regex', pattern: '^/(\\w+)/v1', replacement: '/v2/$1' },
    '/a/v1/x',
    '/v2/a/x',
  ],
] as const)('rewrite: %s', async (_name, pathText, rewrite, asked, expected) => {
  const route = aRoute(
    'r',
    { path: path(pathText) },
    { action: { kind: 'proxy', targets: [{ service: 's', weight: 1 }], host: 'preserve', rewrite } },
  )
  expect(ask(await tableOf([route]), asked)).toMatchObject({ upstreamTarget: expected })
})

test('a rewrite that leaves no path is refused, never sent', async () => {
  const rewrite = { kind: 'regex', pattern: '^/a', replacement: '/../b' } as const
  const route = aRoute(
    'r',
    {},
    {
      action: { kind: 'proxy', targets: [{ service: 's', weight: 1 }], host: 'preserve', rewrite },
    },
  )
  expect(answer(await tableOf([route]), '/a/x')).toBe('GW_ROUTE_BAD_TARGET')
})

test('parameters come out as they stand in the path', async () => {
  const table = await tableOf([aRoute('r', { path: path('exact /u/{id}/p/{post}') })])
  expect(ask(table, '/u/a%20b/p/7')).toMatchObject({ params: { id: 'a%20b', post: '7' } })
  expect(answer(table, '/u//p/7')).toBe('GW_ROUTE_NOT_FOUND')
})

test('the linter names both routes of a pair where one never gets a request', async () => {
  const table = await tableOf([
    aRoute('wide', { path: path('prefix /a') }, { priority: 1 }),
    aRoute('hidden', { path: path('exact /a/b') }),
    aRoute('twin-1', { path: path('exact /t') }),
    aRoute('twin-2', { path: path('exact /t') }),
    aRoute('fine', { path: path('prefix /z'), methods: ['GET'] }),
    aRoute('also-fine', { path: path('prefix /z') }),
  ])
  const findings = lintTable(table).filter(({ code }) => !code.startsWith('unknown'))
  expect(findings.map(({ code, routes }) => [code, ...routes])).toEqual([
    ['shadowed-route', 'hidden', 'wide'],
    ['ambiguous-routes', 'twin-2', 'twin-1'],
  ])
  for (const { message, routes } of findings)
    for (const name of routes) expect(message).toContain(`"${name}"`)
})

test('the linter names a regex behind a prefix that takes everything', async () => {
  const table = await tableOf([aRoute('all'), aRoute('images', { path: path('regex /img/.*') })])
  const findings = lintTable(table).filter(({ code }) => !code.startsWith('unknown'))
  expect(findings.map(({ code, routes }) => [code, ...routes])).toEqual([['shadowed-route', 'images', 'all']])
})

test('the linter names two routes that only their names keep apart for some requests', async () => {
  const header = (name: string, value: string) => [{ name, match: { kind: 'exact' as const, value } }]
  const table = await tableOf([
    aRoute('by-a', { headers: header('x-a', '1') }),
    aRoute('by-b', { headers: header('x-b', '1') }),
    aRoute('blue', { path: path('prefix /c'), headers: header('x-c', 'blue') }),
    aRoute('green', { path: path('prefix /c'), headers: header('x-c', 'green') }),
    aRoute('read', { path: path('prefix /m'), methods: ['GET'] }),
    aRoute('write', { path: path('prefix /m'), methods: ['POST'] }),
  ])
  const findings = lintTable(table).filter(({ code }) => !code.startsWith('unknown'))
  expect(findings.map(({ code, routes }) => [code, ...routes])).toEqual([
    ['ambiguous-routes', 'by-b', 'by-a'],
  ])
})
