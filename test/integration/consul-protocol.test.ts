import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type RegistryWatch, watchConsul } from '../support/registry-watch.ts'
import { waitFor } from '../support/wait.ts'

/** What a Consul of another version or in another state would say; the real one is in consul-provider.test.ts. */
interface FakeAnswer {
  readonly status?: number
  readonly body?: unknown
  readonly headers?: Record<string, string>
  /** Never answer. */
  readonly isDead?: boolean
}

interface FakeConsul {
  readonly url: string
  /** Path with query of all requests. */
  readonly asked: string[]
  readonly tokens: Set<string | undefined>
  /** Answers to reads that block; returns when there is something new. */
  bump(): void
}

const ended: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

/** Blocking reads wait for `bump`. `answer` gets the path without query, and the datacentre. */
async function fake(answer: (path: string, dc: string | null) => FakeAnswer): Promise<FakeConsul> {
  const asked: string[] = []
  const tokens = new Set<string | undefined>()
  let index = 10
  const blocked = new Set<() => void>()
  const reply = (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '', 'http://consul')
    const {
      status = 200,
      body = [],
      headers = {},
      isDead,
    } = answer(url.pathname.replace(/^\/consul/, ''), url.searchParams.get('dc'))
    if (isDead === true) return
    response.writeHead(status, {
      'x-consul-index': String(index),
      'x-consul-lastcontact': '0',
      'x-consul-knownleader': 'true',
      ...headers,
    })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    tokens.add(request.headers['x-consul-token'] as string | undefined)
    const wanted = Number(new URL(request.url ?? '', 'http://consul').searchParams.get('index') ?? 0)
    if (wanted < index) reply(request, response)
    else blocked.add(() => reply(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ended.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    tokens,
    bump() {
      index++
      const waiting = [...blocked]
      blocked.clear()
      for (const release of waiting) release()
    },
  }
}

function watch(...given: Parameters<typeof watchConsul>): RegistryWatch {
  const created = watchConsul(...given)
  ended.push(() => created.stop())
  return created
}

const ROSTER = '/v1/catalog/services'
const instance = (ID: string, Node = 'n1', more: object = {}) => ({
  Node: { Node, Address: '10.0.0.1' },
  Service: { ID, Service: 'web', Address: '10.0.0.7', Port: 8080 },
  Checks: [],
  ...more,
})

test('an answer that is filtered by ACLs and empty is an error, not an empty service', async () => {
  let isHidden = false
  const consul = await fake((path) => {
    if (path === ROSTER) return { body: { web: [] } }
    if (!isHidden) return { body: [instance('w1')] }
    return { headers: { 'x-consul-results-filtered-by-acls': 'true' } }
  })
  const watched = watch(consul.url)
  await waitFor(() => watched.instances('web').length === 1)
  isHidden = true
  consul.bump()
  await waitFor(() => watched.snapshot()?.failed.has('web'))
  expect(watched.instances('web')).toHaveLength(1)
  expect(watched.status()?.lastError).toMatchObject({ code: 'GW_REGISTRY_ACL' })
  expect(watched.status()?.lastError?.message).toContain('it lacks node:read')
  isHidden = false
  await waitFor(() => watched.status()?.state === 'live')
})

test.each([
  ['429 of a server that limits requests', { status: 429, body: 'RESOURCE_EXHAUSTED' }],
  ['500 without a leader', { status: 500, body: 'No cluster leader' }],
  ['no JSON', { body: '<html>captive portal</html>' }],
  ['JSON that is no list', { body: { hello: 1 } }],
])('%s for one service keeps its instances, and the others live', async (_, broken) => {
  let answer: FakeAnswer | undefined
  const consul = await fake((path) => {
    if (path === ROSTER) return { body: { web: [], other: [] } }
    if (path.endsWith('/web') && answer !== undefined) return answer
    return { body: [instance(path.endsWith('/web') ? 'w1' : 'o1')] }
  })
  const watched = watch(consul.url)
  await waitFor(() => watched.snapshot()?.services.size === 2)
  answer = broken
  consul.bump()
  await waitFor(() => watched.snapshot()?.failed.has('web'))
  expect([...(watched.snapshot()?.failed ?? [])]).toEqual(['web'])
  expect(watched.instances('web')).toHaveLength(1)
  expect(watched.status()?.state).toBe('stale')
  answer = undefined
  await waitFor(() => watched.snapshot()?.failed.size === 0)
})

test('the first snapshot waits for the slowest service, but not for one that fails', async () => {
  let isSlow = true
  const consul = await fake((path) => {
    if (path === ROSTER) return { body: { web: [], slow: [], bad: [] } }
    if (path.endsWith('/slow') && isSlow) return { isDead: true }
    if (path.endsWith('/bad')) return { status: 500, body: 'rpc error' }
    return { body: [instance('w1')] }
  })
  const watched = watch(consul.url)
  await waitFor(() => consul.asked.filter((path) => path.includes('/bad')).length > 2)
  expect(watched.snapshots).toEqual([])
  isSlow = false
  await waitFor(() => watched.snapshot(), { timeoutMs: 15_000, what: 'the watchdog ends the dead read' })
  expect([...(watched.snapshot()?.failed ?? [])]).toContain('bad')
  await waitFor(() => watched.instances('slow').length === 1)
})

test('a datacentre that cannot be reached freezes nothing in the others', async () => {
  let isCut = false
  let count = 1
  const consul = await fake((path, dc) => {
    if (dc === 'dc2' && isCut) return { status: 500, body: 'No path to datacenter' }
    if (path === ROSTER) return { body: { web: [] } }
    if (dc === 'dc2') return { body: [instance('w1', 'far')] }
    return { body: Array.from({ length: count }, (_, i) => instance(`w${i}`, 'near')) }
  })
  const watched = watch(consul.url, { datacentres: ['dc1', 'dc2'] })
  await waitFor(() => watched.instances('web').length === 2)
  expect(watched.instances('web').map(({ key }) => key)).toEqual(['main/dc1/near/w0', 'main/dc2/far/w1'])
  isCut = true
  count = 2
  consul.bump()
  await waitFor(() => watched.instances('web').length === 3, { what: 'the near one goes on' })
  await waitFor(() => watched.snapshot()?.problems.join().includes('dc2: reads fail'))
  expect(watched.snapshot()?.failed.size).toBe(0)
  expect(watched.status()?.lastError?.message).toMatch(/^dc2: .*No path to datacenter/)
})

test('a datacentre that was never reached does not keep the others from serving', async () => {
  const consul = await fake((path, dc) => {
    if (dc === 'dc2') return { status: 500, body: 'No path to datacenter' }
    return { body: path === ROSTER ? { web: [] } : [instance('w1')] }
  })
  const watched = watch(consul.url, { datacentres: ['dc1', 'dc2'] })
  await waitFor(() => watched.instances('web').length === 1)
  expect(watched.status()?.state).toBe('stale')
})

test('reads are stale and blocking, and the token is in a header, never in the address', async () => {
  const consul = await fake((path) => ({ body: path === ROSTER ? { 'a/b c': [] } : [instance('w1')] }))
  const watched = watch(`${consul.url}/consul/`, { token: 'secret', datacentres: ['dc1'], wait: 7000 })
  await waitFor(() => consul.asked.some((path) => path.includes('a%2Fb%20c') && path.includes('index=10')))
  expect(consul.asked.every((path) => path.startsWith('/consul/v1/') && /[?&]stale=/.test(path))).toBe(true)
  expect(consul.asked.every((path) => path.includes('dc=dc1') && !path.includes('secret'))).toBe(true)
  expect(consul.asked.every((path) => !path.includes('passing'))).toBe(true)
  expect(consul.asked.filter((path) => path.includes('index=')).every((p) => p.includes('wait=7000ms'))).toBe(
    true,
  )
  expect([...consul.tokens]).toEqual(['secret'])
  expect(watched.lines).toEqual([])
})

test('a server that answers with older data is not believed at once, but in the end', async () => {
  let answer: FakeAnswer = { body: [instance('w1'), instance('w2')], headers: { 'x-consul-index': '50' } }
  const consul = await fake((path) => (path === ROSTER ? { body: { web: [] } } : answer))
  const watched = watch(consul.url)
  await waitFor(() => watched.instances('web').length === 2)
  answer = { body: [instance('w1')], headers: { 'x-consul-index': '20' } }
  // The blocked read asks for 50, and gets 20.
  for (let i = 0; i < 50; i++) consul.bump()
  await waitFor(() => watched.snapshot()?.failed.has('web'))
  expect(watched.status()?.lastError?.message).toContain('older data')
  expect(watched.instances('web')).toHaveLength(2)
  await waitFor(() => watched.instances('web').length === 1)
  expect(watched.snapshot()?.failed.size).toBe(0)
})

test('a service that changes all the time does not make a busy loop', async () => {
  const consul = await fake((path) => ({ body: path === ROSTER ? { web: [] } : [instance('w1')] }))
  const watched = watch(consul.url)
  await waitFor(() => watched.snapshot())
  const timer = setInterval(() => consul.bump(), 5)
  const started = performance.now()
  const before = consul.asked.length
  await waitFor(() => performance.now() - started > 2000)
  clearInterval(timer)
  // Two watches: a burst of 5 each, then 2 a second each.
  expect(consul.asked.length - before).toBeLessThan(24)
  expect(consul.asked.length - before).toBeGreaterThan(8)
})
