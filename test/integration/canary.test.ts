import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { anInstance } from '../support/canary.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startLoad } from '../support/load.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { gatewayFor, get, registryWith, startVersion } from '../support/versions.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()

const start = async (...args: Parameters<typeof startVersion>) => opened(await startVersion(...args))
const catalog = async () => [
  await start('catalog', '1.0'),
  await start('catalog', '1.0'),
  await start('catalog', '2.0'),
]
const rule = (own: string) => `canaries: [{ name: v2, service: catalog, canary: { version: "2.*" }, ${own} }]`
const user = (n: number) => ({ 'x-test-user': `user-${n}` })

async function sides(gateway: { readonly url: string }, count: number): Promise<string[]> {
  const seen: string[] = []
  for (let i = 0; i < count; i++) seen.push((await get(gateway, '/catalog', user(i))).version)
  return seen
}

test('the principal of a filter decides, and a hot change from 5 to 10 % only adds users', async () => {
  const versions = await catalog()
  const gateway = await proxy(gatewayFor(rule('percent: 5'), versions))
  const five = await sides(gateway, 400)
  expect(await sides(gateway, 400)).toEqual(five)
  await gateway.swap(gatewayFor(rule('percent: 10'), versions).yaml)
  const ten = await sides(gateway, 400)
  const moved = five.filter((version, i) => version === '2.0' && ten[i] !== '2.0')
  expect(moved).toEqual([])
  const [before, after] = [five, ten].map((all) => all.filter((one) => one === '2.0').length)
  expect(before).toBeGreaterThan(5)
  expect(after).toBeGreaterThan(before ?? 0)
  expect(after).toBeLessThan(70)
})

test('the live state is in force with the next table', async () => {
  const versions = await catalog()
  const options = gatewayFor(rule('percent: 0'), versions)
  const gateway = await proxy(options)
  expect((await get(gateway, '/catalog', user(1))).version).toBe('1.0')
  await gateway.swap(options.yaml, { canaryStates: new Map([['v2', { percent: 10_000, state: 'ramping' }]]) })
  expect((await get(gateway, '/catalog', user(1))).version).toBe('2.0')
})

test('the record says rule and side, and services behind hear of them', async () => {
  const gateway = await proxy(gatewayFor(rule('percent: 100'), await catalog()))
  const { headers } = await get(gateway, '/catalog', user(1))
  expect(headers['x-canary']).toBe('v2=canary')
  const { canary, version } = await gateway.record()
  expect(canary).toEqual({ rule: 'v2', side: 'canary', others: [] })
  expect(version).toBe('2.0')
})

test('a service without rules is left as it is', async () => {
  const versions = [...(await catalog()), await start('cart', '1.0')]
  const gateway = await proxy(gatewayFor(rule('percent: 100'), versions))
  const { headers } = await get(gateway, '/cart', user(1))
  expect(headers).not.toHaveProperty('x-canary')
  expect((await gateway.record()).canary).toBeUndefined()
})

describe('cookies', () => {
  const sticky = rule('percent: 50, key: [cookie.cid], cookie: { name: cid, secure: false, maxAge: 1h }')

  test('who has none gets one, keeps its side with it, and gets no second one', async () => {
    const gateway = await proxy(gatewayFor(sticky, await catalog()))
    const seen = new Set<string>()
    for (let i = 0; i < 20; i++) {
      const first = await get(gateway, '/catalog')
      expect(first.cookies).toHaveLength(1)
      expect(first.cookies[0]).toMatch(/^cid=[0-9a-f]{32}; Max-Age=3600; Path=\/; HttpOnly; SameSite=Lax$/)
      const cookie = first.cookies[0]?.split(';')[0] ?? ''
      for (let again = 0; again < 3; again++) {
        const next = await get(gateway, '/catalog', { cookie })
        expect([next.version, next.cookies]).toEqual([first.version, []])
      }
      seen.add(first.version)
    }
    expect(seen).toEqual(new Set(['1.0', '2.0']))
  })

  test('over HTTP/2, beside the cookies of the service; both halves of a split Cookie header are read', async () => {
    const files = await opened(tlsFiles('shop.example'))
    const own = { 'set-cookie': 'session=1' }
    const versions = [await start('catalog', '1.0', {}, own), await start('catalog', '2.0', {}, own)]
    const gateway = await proxy(gatewayFor(sticky, versions, { tls: { pairs: [files] } }))
    const session = connect(gateway.url, { ca: files.ca, servername: 'shop.example' })
    later(() => session.destroy())
    const ask = async (cookie: string[]) => {
      const stream = session.request({
        ':path': '/catalog',
        ...(cookie.length === 0 ? {} : { cookie }),
      } as OutgoingHttpHeaders)
      const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
      let body = ''
      for await (const chunk of stream) body += String(chunk)
      return {
        cookies: headers['set-cookie'] ?? [],
        version: (JSON.parse(body) as { version: string }).version,
      }
    }
    for (let i = 0; i < 5; i++) {
      const first = await ask([])
      expect(first.cookies).toEqual(['session=1', expect.stringMatching(/^cid=[0-9a-f]{32}; /)])
      const again = await ask(['theme=dark', first.cookies[1]?.split(';')[0] ?? ''])
      expect(again).toEqual({ cookies: ['session=1'], version: first.version })
    }
  })

  test('an answer that shared caches keep carries none', async () => {
    const shared = await start('catalog', '1.0', {}, { 'cache-control': 'public, max-age=60' })
    const gateway = await proxy(gatewayFor(sticky, [shared]))
    expect((await get(gateway, '/catalog')).cookies).toEqual([])
  })

  test('an answer of the gateway itself carries none: no version gave it', async () => {
    const gateway = await proxy({
      ...gatewayFor(sticky, [await start('catalog', '1.0')]),
      registry: registryWith({ instance: anInstance('catalog', 'gone', { port: 1, version: '1.0' }) }),
    })
    const answer = await get(gateway, '/catalog')
    expect([answer.status, answer.cookies]).toEqual([502, []])
  })
})

describe('a version without instances', () => {
  test('stable answers for a canary that is gone, and that is in the record', async () => {
    const [old] = [await start('catalog', '1.0')]
    const gateway = await proxy(gatewayFor(rule('percent: 100'), [old]))
    expect((await get(gateway, '/catalog', user(1))).version).toBe('1.0')
    expect((await gateway.record()).canary).toEqual({
      rule: 'v2',
      side: 'stable',
      wanted: 'canary',
      others: [],
    })
  })

  test('whenCanaryEmpty: fail answers 503', async () => {
    const old = await start('catalog', '1.0')
    const gateway = await proxy(gatewayFor(rule('percent: 100, whenCanaryEmpty: fail'), [old]))
    expect((await get(gateway, '/catalog', user(1))).status).toBe(503)
    expect(old.requests()).toBe(0)
    expect((await gateway.record()).canary).toMatchObject({ rule: 'v2', side: 'canary' })
  })

  test('fail and a canary that refuses connections: a few tries, then 502, never a loop', async () => {
    const [old, fresh] = [await start('catalog', '1.0'), await start('catalog', '2.0')]
    await fresh.close()
    const gateway = await proxy(gatewayFor(rule('percent: 100, whenCanaryEmpty: fail'), [old, fresh]))
    expect((await get(gateway, '/catalog', user(1))).status).toBe(502)
    expect((await gateway.record()).attempts.length).toBeLessThan(6)
    expect(old.requests()).toBe(0)
  })

  test('a canary with a share answers when stable is gone; one without never does', async () => {
    const fresh = await start('catalog', '2.0')
    const gateway = await proxy(gatewayFor(rule('percent: 1'), [fresh]))
    expect((await get(gateway, '/catalog', user(1))).version).toBe('2.0')
    await gateway.swap(gatewayFor(rule('percent: 0'), [fresh]).yaml)
    expect((await get(gateway, '/catalog', user(1))).status).toBe(503)
  })

  test('all canary instances die under load: no request fails', async () => {
    const old = [await start('catalog', '1.0'), await start('catalog', '1.0')]
    const fresh = [await start('catalog', '2.0'), await start('catalog', '2.0')]
    const gateway = await proxy(gatewayFor(rule('percent: 50'), [...old, ...fresh]))
    const load = startLoad({
      requests: Array.from({ length: 20 }, (_, n) => ({
        method: 'GET',
        url: `${gateway.url}/catalog`,
        headers: user(n),
      })),
      rps: 200,
      maxMs: 30_000,
      label: (_status, body) => (JSON.parse(body) as { version: string }).version,
    })
    const served = (side: string, wanted?: string) =>
      gateway.records.filter(({ canary }) => canary?.side === side && canary.wanted === wanted).length
    await waitFor(() => served('canary') > 30)
    for (const one of fresh) await one.close()
    await waitFor(() => served('stable', 'canary') > 30)
    const report = await load.stop()
    expect(report.failures).toEqual([])
    expect(report.ok).toBe(report.sent)
    expect(report.seen.get('2.0')).toBeGreaterThan(30)
  })

  test('a version that is ejected is not asked again meanwhile', async () => {
    const old = [await start('catalog', '1.0'), await start('catalog', '1.0')]
    const fresh = await start('catalog', '2.0')
    await fresh.close()
    const gateway = await proxy(gatewayFor(rule('percent: 100'), [...old, fresh]))
    for (let i = 0; i < 5; i++) expect((await get(gateway, '/catalog', user(i))).version).toBe('1.0')
    const tries = gateway.records.map(({ attempts, canary }) => [attempts.length, canary?.wanted])
    expect(tries).toEqual([[2, 'canary'], ...Array(4).fill([1, 'canary'])])
  })

  test('a retry stays within the version', async () => {
    const [old, dead, alive] = [
      await start('catalog', '1.0'),
      await start('catalog', '2.0'),
      await start('catalog', '2.1'),
    ]
    await dead.close()
    const gateway = await proxy(gatewayFor(rule('percent: 100'), [old, dead, alive]))
    for (let i = 0; i < 20; i++) expect((await get(gateway, '/catalog', user(i))).version).toBe('2.1')
    expect(gateway.records.some(({ attempts }) => attempts.length === 2)).toBe(true)
    expect(old.requests()).toBe(0)
  })
})

describe('consistent hashing', () => {
  test('is within the version, and who loses its instance stays on the version', async () => {
    const old = [await start('catalog', '1.0'), await start('catalog', '1.0')]
    const fresh = [
      await start('catalog', '2.0', { meta: { n: 'a' } }),
      await start('catalog', '2.0', { meta: { n: 'b' } }),
    ]
    const own = `services: { catalog: { balance: { hash: ["header:x-test-user"] } } }\n${rule('percent: 100')}`
    const gateway = await proxy(gatewayFor(own, [...old, ...fresh]))
    const where = async (n: number) => {
      await get(gateway, '/catalog', user(n))
      return gateway.records.at(-1)?.instanceKey
    }
    const first = [await where(1), await where(2), await where(3), await where(4), await where(5)]
    expect([await where(1), await where(2), await where(3), await where(4), await where(5)]).toEqual(first)
    const lost = fresh.findIndex(({ instance }) => instance.key === first[0])
    const rest = fresh.filter((_, i) => i !== lost)
    await gateway.swap(gatewayFor(own, old).yaml, { registry: registryWith(...old, ...rest) })
    expect(await where(1)).toBe(rest[0]?.instance.key)
  })
})

describe('two gateways in a row', () => {
  test('the inner one obeys the outer one, whatever it knows itself', async () => {
    const versions = await catalog()
    const inner = await proxy(gatewayFor(`trustedProxies: [127.0.0.1]\n${rule('percent: 0')}`, versions))
    const asInstance = anInstance('catalog', 'inner', { port: inner.port, version: 'any' })
    const outer = await proxy(gatewayFor(rule('percent: 50'), [{ instance: asInstance }]))
    const seen: string[] = []
    for (let i = 0; i < 40; i++) {
      // The outer gateway has no such version: it only decides.
      const { version, headers } = await get(outer, '/catalog', user(i))
      expect(headers['x-canary']).toBe(version === '2.0' ? 'v2=canary' : 'v2=stable')
      seen.push(version)
    }
    expect(new Set(seen)).toEqual(new Set(['1.0', '2.0']))
  })
})

describe('lanes', () => {
  test('a request that entered the lane meets its version of both services', async () => {
    const blue = { meta: { lane: 'blue' } }
    const versions = [
      await start('catalog', '1.0'),
      await start('catalog', '7.0', blue),
      await start('cart', '1.0'),
      await start('cart', '3.0', blue),
      await start('web', '1.0'),
    ]
    const lanes = `trustedProxies: [127.0.0.1]
lanes: [{ name: blue, select: { meta: { lane: blue } }, match: [{ user: { in: [user-1] }, side: blue }] }]`
    const gateway = await proxy(gatewayFor(lanes, versions))
    // As a service does that passes the header on.
    const web = await get(gateway, '/web', user(1))
    expect(web.headers['x-lane']).toBe('blue')
    const passOn = { 'x-lane': web.headers['x-lane'] ?? '' }
    expect((await get(gateway, '/catalog', passOn)).version).toBe('7.0')
    expect((await get(gateway, '/cart', passOn)).version).toBe('3.0')

    const other = await get(gateway, '/web', user(2))
    expect(other.headers['x-lane']).toBe('stable')
    // Even as a user who would be in: one request is in one lane.
    const stays = { 'x-lane': 'stable', ...user(1) }
    expect((await get(gateway, '/catalog', stays)).version).toBe('1.0')
    expect((await get(gateway, '/cart', stays)).version).toBe('1.0')
  })
})

test('a WebSocket goes to its version, with the decision upstream and the cookie in the 101', async () => {
  const seen: (string | undefined)[] = []
  const wss = new WebSocketServer({ noServer: true })
  const server = createServer()
  server.on('upgrade', (request, socket, head) => {
    seen.push(request.headers['x-canary'] as string | undefined)
    wss.handleUpgrade(request, socket, head, (one) => one.send('2.0'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    for (const one of wss.clients) one.terminate()
    server.closeAllConnections()
    server.close()
  })
  const fresh = anInstance('catalog', 'ws', { port: (server.address() as AddressInfo).port, version: '2.0' })
  const own = rule('percent: 100, key: [cookie.cid], cookie: { name: cid }')
  const gateway = await proxy(gatewayFor(own, [await start('catalog', '1.0'), { instance: fresh }]))
  // By chance alone it would be the right one again and again once in 256 times.
  for (let i = 0; i < 8; i++) {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/catalog`)
    later(() => socket.terminate())
    const upgraded = once(socket, 'upgrade')
    const [data] = await once(socket, 'message')
    expect(String(data)).toBe('2.0')
    const [response] = (await upgraded) as [{ headers: Record<string, string[]> }]
    expect(response.headers['set-cookie']?.[0]).toMatch(
      /^cid=[0-9a-f]{32}; .*HttpOnly; Secure; SameSite=Lax$/,
    )
    socket.close()
  }
  expect(new Set(seen)).toEqual(new Set(['v2=canary']))
  expect((await gateway.record()).canary).toEqual({ rule: 'v2', side: 'canary', others: [] })
})
