import { expect, test } from 'vitest'
import type { NacosOptions } from '../../src/registry/nacos.ts'
import { NacosClient } from '../../src/registry/nacos-client.ts'
import { useCleanups } from '../support/cleanup.ts'
import { createNacos, nacosProvider, type TestHost, type TestNacos } from '../support/nacos-harness.ts'
import { watchProvider } from '../support/registry-watch.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
const ONE = { ip: '10.0.0.7', port: 8080 }

async function nacosWith(services: Record<string, (TestHost | string)[]>, options = {}): Promise<TestNacos> {
  const nacos = await createNacos(options)
  for (const [key, hosts] of Object.entries(services)) {
    nacos.services.set(key, new Map(hosts.map((host, i) => [String(i), host])))
  }
  await nacos.start()
  later(() => nacos.stop())
  return nacos
}

function watch(nacos: { url: string } | readonly string[], options: Partial<NacosOptions> = {}) {
  const urls = 'url' in nacos ? [nacos.url] : nacos
  const watched = watchProvider((deps) => nacosProvider(urls, options, deps))
  later(() => watched.stop())
  return watched
}

test('states: enabled, healthy, weight, and what a service says of itself', async () => {
  const nacos = await nacosWith({
    '/DEFAULT_GROUP/cart': [
      { ...ONE, port: 1, weight: 2.5, metadata: { version: '1.4', zone: 'a', secure: 'true' } },
      { ...ONE, port: 2, healthy: false },
      { ...ONE, port: 3, healthy: false, ephemeral: false },
      { ...ONE, port: 4, enabled: false },
      { ...ONE, port: 5, weight: 0 },
      { ...ONE, port: 6, metadata: { draining: 'true', scheme: 'h2c' } },
      { ...ONE, port: 7, metadata: null },
    ],
  })
  const watched = watch(nacos)
  await waitFor(() => watched.snapshot())
  const [first, ...rest] = watched.instances('cart')
  expect(first).toMatchObject({
    key: 'main/DEFAULT/cart/10.0.0.7:1',
    id: '10.0.0.7:1',
    state: 'passing',
    weight: 2.5,
    version: '1.4',
    zone: 'a',
    scheme: 'https',
    datacentre: 'DEFAULT',
  })
  expect(rest.map(({ port, state, checks }) => [port, state, checks?.[0]?.id, checks?.[0]?.expired])).toEqual(
    [
      [2, 'critical', 'beat', true],
      [3, 'critical', 'check', undefined],
      [4, 'maintenance', 'enabled', undefined],
      [5, 'maintenance', 'weight', undefined],
      [6, 'draining', 'draining', undefined],
      [7, 'passing', undefined, undefined],
    ],
  )
  expect(rest.at(-2)?.scheme).toBe('h2c')
})

test('an answer without healthy and enabled, as Nacos 1.0 gave it, is one of healthy instances', async () => {
  const nacos = await nacosWith({
    '/DEFAULT_GROUP/cart': [{ ...ONE, healthy: undefined, enabled: undefined }],
  })
  const watched = watch(nacos, { api: 'v1' })
  await waitFor(() => watched.instances('cart')[0]?.state === 'passing')
})

test.each(['v1', 'v2'] as const)(
  '%s: namespace, group and clusters are asked for, and all pages',
  async (api) => {
    const many = Array.from({ length: 7 }, (_, n) => [
      `n1/g1/s${n}`,
      [ONE, { ...ONE, port: 9, clusterName: 'west' }],
    ])
    const nacos = await nacosWith(
      { ...Object.fromEntries(many), '/g1/other': [ONE], 'n1/DEFAULT_GROUP/other': [ONE] },
      { pageSize: 3 },
    )
    const watched = watch(nacos, { api, namespaceId: 'n1', groupName: 'g1', clusters: ['west'] })
    await waitFor(() => watched.snapshot())
    expect([...(watched.snapshot()?.services.keys() ?? [])].sort()).toEqual(
      many.map(([key]) => String(key).slice(6)),
    )
    expect(watched.instances('s1').map(({ port }) => port)).toEqual([9])
  },
)

test('one login for many calls; one that is over is renewed; no token or password is told', async () => {
  const user = { username: 'gateway', password: 'secret-password' }
  const nacos = await nacosWith(
    Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`/DEFAULT_GROUP/s${n}`, [ONE]])),
  )
  nacos.guard(user)
  const watched = watch(nacos, user)
  await waitFor(() => watched.snapshot()?.services.size === 20)
  expect(nacos.logins).toBe(1)
  nacos.expire()
  const { length } = nacos.calls
  await waitFor(() => nacos.logins > 1)
  await waitFor(() => nacos.calls.length > length + 50)
  expect(watched.statuses.every(({ state }) => state === 'connecting' || state === 'live')).toBe(true)
  nacos.guard({ ...user, password: 'another' })
  await waitFor(() => watched.status()?.state === 'stale')
  expect(watched.status()?.lastError).toMatchObject({
    code: 'GW_REGISTRY_ACL',
    message: `${nacos.url}/v1/auth/login: answered with 403`,
  })
  expect(JSON.stringify(watched.statuses)).not.toMatch(/secret-password|token-/)
})

test('of many calls at once that need a login, or a new one, one makes it', async () => {
  const user = { username: 'gateway', password: 'gw' }
  const nacos = await nacosWith({ '/DEFAULT_GROUP/cart': [ONE] })
  nacos.guard(user)
  const place = {
    urls: [nacos.url],
    api: 'v2',
    namespaceId: '',
    groupName: 'DEFAULT_GROUP',
    clusters: [],
  } as const
  const client = new NacosClient({ ...place, ...user, timeout: 5000 }, () => performance.now())
  later(() => client.close())
  const { signal } = new AbortController()
  const many = () => Promise.all(Array.from({ length: 12 }, () => client.services(signal)))
  expect((await many()).flat()).toEqual(Array(12).fill('cart'))
  expect(nacos.logins).toBe(1)
  nacos.expire()
  await many()
  expect(nacos.logins).toBe(2)
})

test('a service whose list fails is stale alone', async () => {
  const nacos = await nacosWith({ '/DEFAULT_GROUP/cart': [ONE], '/DEFAULT_GROUP/pay': [ONE] })
  const watched = watch(nacos)
  await waitFor(() => watched.snapshot())
  nacos.broken.add('pay')
  await waitFor(() => watched.snapshot()?.failed.has('pay') === true)
  expect(watched.status()?.state).toBe('live')
  expect(watched.instances('pay').length).toBe(1)
  expect(watched.snapshot()?.problems).toEqual([`pay: ${nacos.url}/v2/ns/instance/list: answered with 500`])
  nacos.broken.clear()
  await waitFor(() => watched.snapshot()?.failed.size === 0)
})

test('a server that is away is passed over', async () => {
  const dead = await createNacos()
  const nacos = await nacosWith({ '/DEFAULT_GROUP/cart': [ONE] })
  const watched = watch([dead.url, nacos.url])
  await waitFor(() => watched.instances('cart').length === 1)
  expect(watched.statuses.every(({ state }) => state === 'connecting' || state === 'live')).toBe(true)
})

test('something else than Nacos is an error', async () => {
  const nacos = await nacosWith({ '/DEFAULT_GROUP/cart': [ONE] })
  const watched = watch([nacos.url.replace('/nacos', '/nacos/v1/auth')], {})
  await waitFor(() => watched.status()?.state === 'failed')
  expect(watched.status()?.lastError?.code).toBe('GW_REGISTRY_ANSWER')
})

test('what is no instance, and a forbidden address, are left out alone', async () => {
  const nacos = await nacosWith({ '/DEFAULT_GROUP/cart': [ONE, 'nonsense', { ip: '169.254.1.1', port: 80 }] })
  const watched = watch(nacos, { forbidAddresses: ['169.254.0.0/16'] })
  await waitFor(() => watched.snapshot())
  expect(watched.instances('cart').length).toBe(1)
  const problems = watched.snapshot()?.problems ?? []
  expect(problems[0]).toContain('cart: hosts.1 is left out')
  expect(problems[1]).toBe('cart: 169.254.1.1:80 is left out: 169.254.1.1 is in forbidAddresses')
})
