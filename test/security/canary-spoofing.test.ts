import { describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { gatewayFor, get, startVersion } from '../support/versions.ts'

const { opened, proxy } = useCleanups()

const RULE = `canaries:
  - name: v2
    service: catalog
    canary: { version: "2.*" }
    forward: x-release
    match: [{ header: { x-force: canary }, from: trusted, side: canary }]
    key: [cookie.cid]
    cookie: { name: cid, secure: false }
    percent: PERCENT
lanes:
  - { name: blue, select: { meta: { lane: blue } }, header: x-track }
`

async function setUp(percent: number, top = '') {
  const versions = [
    await opened(startVersion('catalog', '1.0')),
    await opened(startVersion('catalog', '2.0')),
    await opened(startVersion('catalog', '3.0', { meta: { lane: 'blue' } })),
  ]
  return proxy(gatewayFor(`${top}\n${RULE.replace('PERCENT', String(percent))}`, versions))
}

describe('a stranger cannot choose its version', () => {
  test.each([
    ['the decision header', { 'x-release': 'v2=canary' }],
    ['its form with underscores', { x_release: 'v2=canary' }],
    ['the lane header', { 'x-track': 'blue' }],
    ['a header that is believed from trusted peers', { 'x-force': 'canary' }],
    ['an invented chain of proxies', { 'x-force': 'canary', 'x-forwarded-for': '127.0.0.1' }],
    ['the side as the cookie', { cookie: 'cid=canary' }],
    ['several cookies', { cookie: 'cid=a; cid=canary; v2=canary' }],
  ])('by %s', async (_what, headers) => {
    const gateway = await setUp(0)
    expect((await get(gateway, '/catalog', headers)).version).toBe('1.0')
  })

  test('and services behind never see what it claimed', async () => {
    const gateway = await setUp(0)
    const sent = {
      'x-release': 'v2=canary, other=canary',
      x_release: 'v2=canary',
      'x-track': 'blue',
      'x-canary': 'other=canary',
      'x-lane': 'green',
    }
    const { headers } = await get(gateway, '/catalog', sent)
    expect(headers['x-release']).toBe('v2=stable')
    expect(headers['x-track']).toBe('stable')
    for (const name of ['x_release', 'x-canary', 'x-lane']) expect(headers).not.toHaveProperty(name)
  })

  test('the usual decision headers are taken away even where there is no rule at all', async () => {
    const gateway = await proxy(gatewayFor('', [await opened(startVersion('catalog', '1.0'))]))
    const { headers } = await get(gateway, '/catalog', {
      'x-canary': 'v2=canary',
      'x-lane': 'blue',
      x_lane: 'b',
    })
    for (const name of ['x-canary', 'x-lane', 'x_lane']) expect(headers).not.toHaveProperty(name)
  })
})

test('the same headers are obeyed from a trusted peer', async () => {
  const gateway = await setUp(0, 'trustedProxies: [127.0.0.1]')
  const version = async (headers: Record<string, string>) => (await get(gateway, '/catalog', headers)).version
  expect(await version({ 'x-release': 'v2=canary' })).toBe('2.0')
  expect(await version({ 'x-force': 'canary' })).toBe('2.0')
  expect(await version({ 'x-track': 'blue' })).toBe('3.0')
})

test('a cookie that is far too long is not hashed, and is replaced', async () => {
  const gateway = await setUp(50)
  const { status, cookies } = await get(gateway, '/catalog', { cookie: `cid=${'x'.repeat(5000)}` })
  expect(status).toBe(200)
  expect(cookies[0]).toMatch(/^cid=[0-9a-f]{32};/)
})

test('a decision header without end from a trusted peer does no harm', async () => {
  const gateway = await setUp(0, 'trustedProxies: [127.0.0.1]')
  const sent = `${'a=b,'.repeat(1500)}v2=canary`
  const { version, headers } = await get(gateway, '/catalog', { 'x-release': sent })
  expect([version, headers['x-release']]).toEqual(['1.0', 'v2=stable'])
})
