import { expect, test } from 'vitest'
import { absoluteStore, stores } from '../../../src/config/stores.ts'

const parse = (store: object) => stores.safeParse({ limits: { type: 'redis', ...store } })
const problemsOf = (store: object) => parse(store).error?.issues.map(({ message }) => message) ?? []

test('a url is enough', () => {
  expect(parse({ url: 'redis://127.0.0.1:6379' }).data?.['limits']).toMatchObject({
    keyPrefix: 'sluice:',
    commandTimeout: 20,
    connectTimeout: 500,
    breaker: { failures: 5, probeInterval: 1000 },
  })
})

test.each([
  [{}, 'a store has one of url, sentinels, cluster; none of them is there'],
  [
    { url: 'redis://a:1', cluster: ['a:1'] },
    'a store has one of url, sentinels, cluster; url and cluster are there',
  ],
  [{ cluster: ['a:1'], database: 1 }, 'a cluster has only database 0'],
  [{ cluster: ['a'] }, '"a" is no node'],
  [{ url: 'redis://a:1', commandTimeout: 0 }, 'commandTimeout cannot be 0'],
  [{ url: 'redis://a:1', breaker: { probeInterval: '1ms' } }, 'probeInterval is too short'],
])('refuses %j', (store, problem) => {
  expect(problemsOf(store)).toContain(problem)
})

test.each(['http://a:1', 'a:6379', 'redis://', 'redis://a/x', 'redis://a:1?family=6'])(
  'refuses the URL %s without showing it: it may hold a password',
  (url) => {
    expect(problemsOf({ url })).toEqual(['this is no URL of a Redis'])
  },
)

test('a hash tag in the prefix is refused: it would put a whole cluster on one node', () => {
  expect(parse({ url: 'redis://a:1', keyPrefix: '{sluice}:' }).success).toBe(false)
})

test('PEM files are seen from the folder of the configuration', () => {
  const store = parse({ url: 'rediss://a:1', tls: { ca: 'ca.pem' } }).data?.['limits']
  expect(store && absoluteStore(store, (path) => `/etc/${path}`).tls).toEqual({
    ca: '/etc/ca.pem',
    verify: true,
  })
})
