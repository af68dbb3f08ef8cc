import { expect, test } from 'vitest'
import { formatProblems } from '../../../src/config/problems.ts'
import { problemsOf } from '../../support/config.ts'

const route = (own: string) => `routes:\n  - name: a\n    match: { path: /a }\n${own}`

test.each<[what: string, yaml: string, place: string, path: string, message: string, fix: string]>([
  ['an unknown key', 'limts: {}', '2:1', 'limts', 'unknown key "limts"', 'did you mean "limits"?'],
  [
    'an unknown nested key',
    'limits: { urlBites: 1KiB }',
    '2:11',
    'limits.urlBites',
    'unknown key "urlBites"',
    'urlBytes',
  ],
  ['a wrong duration', 'drain: { timeout: 20 }', '2:10', 'drain.timeout', '', '250ms, 15s'],
  ['a wrong size', 'limits: { bodyBytes: 1 megabyte }', '2:11', 'limits.bodyBytes', 'no size', '64KiB'],
  ['a wrong type', 'trustedProxies: 10.0.0.0/8', '2:1', 'trustedProxies', '', ''],
  ['a wrong network', 'trustedProxies: [10.0.0.0/40]', '2:18', 'trustedProxies[0]', 'no network', 'CIDR'],
  ['a wrong word', 'log: { level: loud }', '2:8', 'log.level', '', ''],
  [
    'a wrong address',
    'listen: { http: { address: "8080" } }',
    '2:19',
    'listen.http.address',
    'no address',
    'host:port',
  ],
  [
    'an open admin side',
    'admin: { address: "0.0.0.0:8081" }',
    '2:10',
    'admin.address',
    'open to the network',
    'admin.token',
  ],
  ['a short token', 'admin: { token: short }', '2:10', 'admin.token', '', 'at least 16 characters'],
  [
    'a number that is too large',
    'registries: { c: { type: consul, maxWatches: 1000 } }',
    '2:34',
    'registries.c.maxWatches',
    'Too big',
    'at most 150',
  ],
  [
    'a URL that is none',
    'registries: { c: { type: consul, url: nourl } }',
    '2:34',
    'registries.c.url',
    'Invalid URL',
    'http://host:port',
  ],
  ['a registry without a type', 'registries: { c: {} }', '2:15', 'registries.c.type', 'missing', 'consul'],
  ['a route that does nothing', route(''), '3:5', 'routes[0]', 'route "a" does nothing', 'service'],
  [
    'two actions',
    route('    service: x\n    respond: { status: 200 }\n'),
    '6:',
    'routes[0]',
    'exclude each other',
    'keep one',
  ],
  [
    'a relative path',
    'routes: [{ name: a, match: { path: a }, service: x }]',
    '2:30',
    'routes[0].match.path',
    'does not begin',
    '',
  ],
  [
    'a path that is not normalised',
    'routes: [{ name: a, match: { path: /a/../b }, service: x }]',
    '2:30',
    'routes[0].match.path',
    'not normalised',
    '',
  ],
  [
    'a path that no request can have',
    'routes: [{ name: a, match: { path: "/%7Euser" }, service: x }]',
    '2:30',
    'routes[0].match.path',
    'not normalised',
    '',
  ],
  [
    'a parameter where it means nothing',
    'routes: [{ name: a, match: { pathPrefix: "/t/{t}" }, rewrite: { stripPrefix: "/t/{t}" }, service: x }]',
    '2:65',
    'routes[0].rewrite.stripPrefix',
    'parameter',
    'rewrite.regex',
  ],
  [
    'a group that the expression does not have',
    'routes: [{ name: a, rewrite: { regex: "/g/(.*)", replacement: "/b/$3" }, service: x }]',
    '2:50',
    'routes[0].rewrite.replacement',
    'no group $3',
    'groups of the regex',
  ],
  [
    'a rewrite beyond RE2',
    'routes: [{ name: a, rewrite: { regex: "(?=x)", replacement: "/$1" }, service: x }]',
    '2:',
    'routes[0].rewrite.regex',
    'RE2',
    'look-around',
  ],
  [
    'a Host header that cannot be sent',
    'routes: [{ name: a, host: "a b", service: x }]',
    '2:21',
    'routes[0].host',
    'no host',
    'host name',
  ],
  [
    'a redirect to no host',
    'routes: [{ name: a, redirect: { host: "a/b" } }]',
    '2:33',
    'routes[0].redirect.host',
    'no host',
    'host name',
  ],
  [
    'a redirect with a parameter that the route does not have',
    'routes: [{ name: a, match: { path: "/{id}" }, redirect: { path: "/{no}" } }]',
    '2:59',
    'routes[0].redirect.path',
    'no parameter {no}',
    '',
  ],
  [
    'two kinds of path',
    'routes: [{ name: a, match: { path: /a, pathPrefix: /b }, service: x }]',
    '2:',
    'routes[0].match.pathPrefix',
    'exclude each other',
    '',
  ],
  [
    'a parameter that is no segment',
    'routes: [{ name: a, match: { path: "/a{x}" }, service: x }]',
    '2:30',
    'routes[0].match.path',
    'no parameter',
    '',
  ],
  [
    'a regular expression beyond RE2',
    'routes: [{ name: a, match: { pathRegex: "(?=x)" }, service: x }]',
    '2:',
    'routes[0].match.pathRegex',
    'RE2',
    'look-around',
  ],
  [
    'a host with a port',
    'routes: [{ name: a, match: { hosts: ["a.example:80"] }, service: x }]',
    '2:',
    'routes[0].match.hosts[0]',
    'no host pattern',
    'leave the port out',
  ],
  [
    'a service nobody knows',
    'routes: [{ name: a, service: shp }]\nservices: { shop: { upstreams: ["http://a:1"] } }',
    '2:21',
    'routes[0].service',
    'service "shp" is not defined',
    'did you mean "shop"?',
  ],
  [
    'a registry nobody knows',
    'services: { shop: { registry: consl } }\nregistries: { consul: { type: consul } }',
    '2:',
    'services.shop.registry',
    'registry "consl" is not defined',
    'consul',
  ],
  [
    'an unknown filter',
    'routes: [{ name: a, filters: [cros], upstreams: ["http://a:1"] }]\nfilters: { cors: { type: cors, origins: ["*"] } }',
    '2:31',
    'routes[0].filters[0]',
    'filter "cros" is not defined',
    'did you mean "cors"?',
  ],
  [
    'an unknown filter type',
    'filters: { x: { type: corse } }',
    '2:',
    'filters.x.type',
    'unknown filter type "corse"',
    'did you mean "cors"?',
  ],
  [
    'wrong options of a filter',
    'filters: { x: { type: cors, origins: ["*"], maxAge: never } }',
    '2:45',
    'filters.x.maxAge',
    '',
    '',
  ],
  [
    'weights that sum to nothing',
    'routes: [{ name: a, services: [{ service: x, weight: 0 }] }]\nregistries: { e: { type: embedded } }',
    '2:',
    'routes[0].services',
    'weights sum to 0',
    '',
  ],
  [
    'a wrong upstream',
    'routes: [{ name: a, upstreams: ["a:1/x"] }]',
    '2:33',
    'routes[0].upstreams[0]',
    '',
    '',
  ],
  ['a version of the future', 'version: 2', '1:1', 'version', 'must be 1', ''],
])('%s is named with line, column, key and fix', async (_what, yaml, place, path, message, fix) => {
  const problems = await problemsOf({ 'sluice.yaml': yaml })
  const found = problems.find((problem) => problem.path.startsWith(path))
  expect(found, JSON.stringify(problems)).toBeDefined()
  expect(`${found?.line}:${found?.column}`).toContain(place)
  expect(found?.file).toBe('sluice.yaml')
  expect(found?.message).toContain(message)
  expect(found?.fix).toContain(fix)
})

test('broken YAML is named with its place, and a key that stands twice, too', async () => {
  const [broken] = await problemsOf({ 'routes.d/shop.yaml': 'routes:\n  - name: a\n   match: x\n' })
  expect(broken).toMatchObject({ file: 'routes.d/shop.yaml', line: 3 })
  const [twice] = await problemsOf({ 'sluice.yaml': 'version: 1\nlimits: {}\nlimits: {}\n' })
  expect(twice).toMatchObject({ line: 3 })
  expect(twice?.message).toMatch(/unique|twice|duplicate/i)
})

test('every mistake of every file comes at once', async () => {
  const problems = await problemsOf({
    'sluice.yaml': 'limts: {}\nlog: { level: loud }',
    'routes.d/a.yaml': 'routes: [{ nam: x }]',
    'routes.d/b.yaml': 'rotes: []',
  })
  expect(new Set(problems.map(({ file }) => file))).toEqual(
    new Set(['sluice.yaml', 'routes.d/a.yaml', 'routes.d/b.yaml']),
  )
  expect(problems.length).toBeGreaterThanOrEqual(4)
})

test('one name in two files is refused with both places', async () => {
  const text = 'routes: [{ name: same, respond: { status: 200 } }]'
  const [problem] = await problemsOf({ 'routes.d/a.yaml': text, 'routes.d/b.yaml': text })
  expect(problem).toMatchObject({ file: 'routes.d/b.yaml', line: 1, path: 'routes[0].name' })
  expect(problem?.message).toMatch(/route "same" exists already at .*a\.yaml:1:\d+/)
})

test('static keys do not belong in routes.d', async () => {
  const [problem] = await problemsOf({ 'routes.d/a.yaml': 'listen: { http: { address: "0.0.0.0:80" } }' })
  expect(problem).toMatchObject({ file: 'routes.d/a.yaml', path: 'listen' })
})

test('a secret that cannot be resolved is named by its variable or file, never by a value', async () => {
  const env = { GOOD: 'swordfish-swordfish' }
  const problems = await problemsOf(
    {
      'sluice.yaml':
        'admin: { token: "${ENV:MISSING}" }\nlog: { level: "${ENV:GOOD}" }\nsnapshot: { path: "${FILE:none}" }',
    },
    env,
  )
  const text = JSON.stringify(problems)
  expect(text).toContain('MISSING')
  expect(text).toContain('none')
  expect(text).not.toContain('swordfish')
})

test('an unknown type is named at its key, with the types there are', async () => {
  const [problem] = await problemsOf({ 'sluice.yaml': 'registries: { c: { type: consull } }' })
  expect(problem).toMatchObject({ path: 'registries.c.type', message: 'unknown type', line: 2, column: 20 })
  expect(problem?.fix).toBe(
    'did you mean "consul"? there are consul, etcd, zookeeper, http, dns, nacos, file, embedded',
  )
})

test('a reference that cannot be resolved is named with the path of its key', async () => {
  const problems = await problemsOf({
    'routes.d/a.yaml':
      'routes:\n  - { name: a, respond: { body: "${FILE:none}", headers: { x-a: "${ENV:MISSING}" } } }',
  })
  expect(problems.map(({ path }) => path)).toEqual([
    'routes[0].respond.body',
    'routes[0].respond.headers.x-a',
  ])
})

test('an environment variable that is wrong is named', async () => {
  const [problem] = await problemsOf({}, { SLUICE_LOG_LEVEL: 'loud' })
  expect(problem?.message).toContain('environment variable SLUICE_LOG_LEVEL')
})

test('a person sees the line with a mark under the place', async () => {
  const problems = await problemsOf({ 'sluice.yaml': 'version: 1\nlimits: { urlBites: 1KiB }' })
  const [head, excerpt, mark] = formatProblems(problems, { color: false }).split('\n')
  expect(head).toContain('sluice.yaml:2:11  error  unknown key "urlBites"')
  expect(excerpt).toBe('    2 | limits: { urlBites: 1KiB }')
  expect(mark?.indexOf('^')).toBe(excerpt?.indexOf('urlBites'))
})
