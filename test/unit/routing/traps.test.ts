import fc from 'fast-check'
import { expect, test } from 'vitest'
import { normaliseHost, normaliseTarget } from '../../../src/routing/normalise.ts'
import { answer, aRoute, ask, path, tableOf } from '../../support/routing.ts'

const guarded = () =>
  tableOf([
    aRoute('admin', { path: path('prefix /admin') }),
    aRoute('open', { path: path('prefix /') }),
    aRoute('items', { path: path('exact /items/{id}') }),
  ])

test.each([
  ['/admin', 'admin'],
  ['/admin/', 'admin'],
  ['/admin/x', 'admin'],
  ['/adminfoo', 'open'],
  ['/Admin', 'open'],
  ['//admin', 'admin'],
  ['/./admin', 'admin'],
  ['/x/../admin', 'admin'],
  ['/x/%2e%2e/admin', 'admin'],
  ['/%61dmin', 'admin'],
  ['/admin/../x', 'open'],
  ['/admin%2fx', 'GW_ROUTE_AMBIGUOUS_PATH'],
  ['/x%2f..%2fadmin', 'GW_ROUTE_AMBIGUOUS_PATH'],
  ['/admin;x', 'GW_ROUTE_AMBIGUOUS_PATH'],
  ['/;x/admin', 'GW_ROUTE_AMBIGUOUS_PATH'],
  ['/x%2fy', 'open'],
  ['/x;v=1', 'open'],
  ['/../admin', 'GW_ROUTE_BAD_TARGET'],
  ['/x/../../admin', 'GW_ROUTE_BAD_TARGET'],
  ['/%2e%2e/admin', 'GW_ROUTE_BAD_TARGET'],
  ['/a%00b', 'GW_ROUTE_BAD_TARGET'],
  ['/a%0d%0ab', 'GW_ROUTE_BAD_TARGET'],
  ['/a%zz', 'GW_ROUTE_BAD_TARGET'],
  ['/a%2', 'GW_ROUTE_BAD_TARGET'],
  ['/a\\..\\admin', 'GW_ROUTE_BAD_TARGET'],
  ['/x%5c..%5cadmin', 'GW_ROUTE_AMBIGUOUS_PATH'],
  ['/a%252e%252e/admin', 'open'],
  ['/items/7', 'items'],
  ['/items/', 'open'],
  ['/items/7/8', 'open'],
])('%s is taken by %s', async (asked, expected) => {
  expect(answer(await guarded(), asked)).toBe(expected)
})

test.each([
  ['/a/./b', '/a/b'],
  ['/a//b', '/a/b'],
  ['/a/b/..', '/a/'],
  ['/a/b/.', '/a/b/'],
  ['/%7euser', '/~user'],
  ['/a%2fb', '/a%2Fb'],
  ['/%e4%bd%a0', '/%E4%BD%A0'],
  ['/', '/'],
  ['/a/', '/a/'],
])('%s is matched and forwarded as %s', async (asked, forwarded) => {
  const decision = ask(await tableOf([aRoute('all')]), `${asked}?q=%2e%2e//`)
  expect(decision).toMatchObject({
    kind: 'route',
    path: forwarded,
    upstreamTarget: `${forwarded}?q=%2e%2e//`,
  })
})

test('slashes stay as they are when mergeSlashes is off', async () => {
  const table = await tableOf([aRoute('all')], { mergeSlashes: false })
  expect(ask(table, '/a//b')).toMatchObject({ path: '/a//b' })
})

test.each([
  ['a.example', 'a.example'],
  ['A.Example.', 'a.example'],
  ['a.example:8080', 'a.example'],
  ['[::1]:80', '[::1]'],
  ['127.0.0.1:80', '127.0.0.1'],
  ['a_b.example', 'a_b.example'],
  ['a.example:http', undefined],
  ['user@a.example', undefined],
  ['a.example/x', undefined],
  ['a..example', undefined],
  ['.example', undefined],
  ['a.example:', undefined],
  ['a b', undefined],
  ['', undefined],
  ['a.example,b.example', undefined],
  ['[::1', undefined],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
])('the host %s reads as %s', (authority, expected) => {
  expect(normaliseHost(authority)).toBe(expected)
})

test('an absolute target wins over Host, other forms are refused', async () => {
  expect(normaliseTarget('http://b.example/x?y', true)).toMatchObject({
    authority: 'b.example',
    path: '/x',
    query: '?y',
  })
  expect(normaliseTarget('http://b.example', true)).toMatchObject({ authority: 'b.example', path: '/' })
  for (const target of ['x', 'ftp://b.example/', 'b.example:443', '']) {
    expect(normaliseTarget(target, true).kind).toBe('bad')
  }
})

test('normalising twice changes nothing, and no dot segment or double slash is left', () => {
  const part = fc.constantFrom('a', '..', '.', '', '%2e', '%2E%2e', 'b%2Fc', 'x;y', '%41', '~')
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const once = normaliseTarget(`/${parts.join('/')}`, true)
      if (once.kind === 'bad') return
      expect(normaliseTarget(once.path, true)).toMatchObject({ kind: 'ok', path: once.path })
      expect(once.path).not.toMatch(/\/\/|\/\.{1,2}(\/|$)/)
    }),
    { numRuns: 2000 },
  )
})

test('CONNECT and TRACE are refused whatever the routes say', async () => {
  const table = await tableOf([aRoute('all')])
  for (const method of ['CONNECT', 'TRACE'])
    expect(answer(table, '/', { method })).toBe('GW_ROUTE_METHOD_REFUSED')
})

test('a known path with the wrong method answers 405 with what is allowed', async () => {
  const table = await tableOf([
    aRoute('read', { path: path('prefix /a'), methods: ['GET'] }),
    aRoute('write', { path: path('exact /a/b'), methods: ['PUT'] }),
  ])
  expect(ask(table, '/a/b', { method: 'DELETE' })).toMatchObject({
    code: 'GW_ROUTE_METHOD',
    allow: ['GET', 'HEAD', 'PUT'],
  })
  expect(answer(table, '/a/b', { method: 'HEAD' })).toBe('read')
  expect(answer(table, '/b', { method: 'DELETE' })).toBe('GW_ROUTE_NOT_FOUND')
  // Methods are case-sensitive (RFC 9110 §9.1).
  expect(answer(table, '/a/b', { method: 'get' })).toBe('GW_ROUTE_METHOD')
})

test('a CORS preflight goes where the request would go, if that route has cors', async () => {
  const cors = { name: 'cors', type: 'cors', options: {}, source: 'x' }
  const preflight = {
    method: 'OPTIONS',
    headers: { origin: 'https://b.example', 'access-control-request-method': 'PUT' },
  }
  const withCors = await tableOf([aRoute('put', { methods: ['PUT'] }, { filters: [cors] })])
  expect(answer(withCors, '/', preflight)).toBe('put')
  expect(answer(withCors, '/', { method: 'OPTIONS' })).toBe('GW_ROUTE_METHOD')
  const without = await tableOf([aRoute('put', { methods: ['PUT'] })])
  expect(answer(without, '/', preflight)).toBe('GW_ROUTE_METHOD')
})

test('weights are drawn after all conditions, so that no share runs into a 404', async () => {
  const split = aRoute(
    'split',
    { methods: ['POST'] },
    {
      action: {
        kind: 'proxy',
        host: 'preserve',
        targets: [
          { service: 'old', weight: 90 },
          { service: 'new', weight: 10 },
          { service: 'never', weight: 0 },
        ],
      },
    },
  )
  const table = await tableOf([split, aRoute('rest')])
  const service = (roll: number) =>
    (ask(table, '/', { method: 'POST', roll }) as { serviceName: string }).serviceName
  expect([0, 0.89, 0.9, 0.9999].map(service)).toEqual(['old', 'old', 'new', 'new'])
})
