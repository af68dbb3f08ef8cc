import { expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { httpServer } from '../support/scripted-server.ts'

const { proxy, opened } = useCleanups()

/** A gateway that lets three requests a minute in. */
async function limited(rule: string, top = '') {
  const server = await opened(httpServer((_, response) => response.end('ok')))
  const route = `filters: [{ type: rate-limit, rules: [{ rate: 3/1m, ${rule} }] }]`
  return proxy(oneRoute([server.port], { route, top }))
}

const countAllowed = async (url: string, headers: (i: number) => Record<string, string>) => {
  let allowed = 0
  for (let i = 0; i < 8; i++) if ((await fetch(url, { headers: headers(i) })).status === 200) allowed++
  return allowed
}

test('an address that the client claims is no other client', async () => {
  const { url } = await limited('key: [client-ip]')
  const claims = (i: number) => ({
    'x-forwarded-for': `203.0.113.${i}`,
    forwarded: `for=203.0.113.${i}`,
    'x-real-ip': `203.0.113.${i}`,
    'true-client-ip': `203.0.113.${i}`,
  })
  expect(await countAllowed(url, claims)).toBe(3)
})

test('a header without a value is no key of its own: the network counts', async () => {
  const { url } = await limited('key: [header:x-tenant]')
  expect(await countAllowed(url, () => ({ 'x-tenant': '' }))).toBe(3)
  expect(await countAllowed(url, () => ({}))).toBe(0)
})

test('a header value that looks like a network does not use up its counter', async () => {
  const { url } = await limited('key: [header:x-tenant]')
  expect(await countAllowed(url, () => ({ 'x-tenant': 'i=127.0.0.1/32' }))).toBe(3)
  expect(await countAllowed(url, () => ({}))).toBe(3)
})

test('a cost below 1 is none', async () => {
  const { url } = await limited('cost: { header: x-cost, max: 3 }')
  const costs = ['0', '-1', '-0', '0.1', '00', 'NaN', '', '1e-9']
  expect(await countAllowed(url, (i) => ({ 'x-cost': costs[i] as string }))).toBe(3)
})

test('no path, query or method gets around a limit of a route', async () => {
  const { url } = await limited('key: [client-ip]')
  let allowed = 0
  for (const path of ['/', '/?a=1', '//', '/./', '/%2e/', '/A', '/a;x']) {
    if ((await fetch(url + path)).status === 200) allowed++
  }
  for (const method of ['POST', 'DELETE', 'HEAD'])
    if ((await fetch(url, { method })).status === 200) allowed++
  expect(allowed).toBe(3)
})

test('what the service says of its own limits is not taken for that of the gateway', async () => {
  const server = await opened(
    httpServer((_, response) => {
      response.setHeader('RateLimit', '"service";r=1000;t=1')
      response.setHeader('X-RateLimit-Remaining', '1000')
      response.end('ok')
    }),
  )
  const route = 'filters: [{ type: rate-limit, rules: [{ name: r, rate: 3/1m }] }]'
  const { url } = await proxy(oneRoute([server.port], { route }))
  const { headers } = await fetch(url)
  expect([headers.get('ratelimit'), headers.get('x-ratelimit-remaining')]).toEqual(['"r";r=2;t=20', '2'])
})
