import { createServer as createHttp2 } from 'node:http2'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { expect, test } from 'vitest'
import type { CheckPolicy } from '../../src/core/health-policy.ts'
import { checkOnce } from '../../src/proxy/check-probe.ts'
import type { HealthEvent } from '../../src/proxy/upstream-stats.ts'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { anInstance, aPolicy } from '../support/exchange.ts'
import { freePort } from '../support/ports.ts'
import type { RunningProxy } from '../support/proxy.ts'
import { httpServer } from '../support/scripted-server.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()
const CHECK = 'interval: 100ms, timeout: 100ms, unhealthyAfter: 2, healthyAfter: 2'

/** Answers checks and requests each with a status of its own. */
async function instance() {
  const state = {
    health: 200,
    answer: 200,
    checks: 0,
    checkedOver: new Set<Socket>(),
    askedOver: new Set<Socket>(),
  }
  const server = await opened(
    httpServer((request, response) => {
      if (request.url === '/health') {
        state.checks++
        state.checkedOver.add(request.socket)
        if (state.health !== 0) response.writeHead(state.health).end()
      } else {
        state.askedOver.add(request.socket)
        response.writeHead(state.answer).end()
      }
    }),
  )
  return { server, state, port: server.port }
}

function eventsOf(gateway: RunningProxy): HealthEvent[] {
  const events: HealthEvent[] = []
  later(gateway.upstreams.health.subscribe((event) => events.push(event)))
  return events
}

const whyOut = (gateway: RunningProxy, port: number) =>
  gateway.upstreams.stats().find(({ instance }) => instance.port === port)?.ejected
const isOut = (gateway: RunningProxy, port: number) => whyOut(gateway, port) !== undefined

test('an instance whose check fails is out until it passes again; requests go over other connections', async () => {
  const [one, two] = [await instance(), await instance()]
  const gateway = await proxy(oneRoute([one.port, two.port], { service: `check: { ${CHECK} }` }))
  const events = eventsOf(gateway)
  one.state.health = 503
  await waitFor(() => isOut(gateway, one.port))
  expect(events).toMatchObject([
    {
      kind: 'ejected',
      cause: 'check',
      reason: '2 of 2 checks failed: GET /health answered 503, out until it passes, 1 of 2 instances',
    },
  ])
  for (let i = 0; i < 6; i++) expect((await fetch(gateway.url)).status).toBe(200)
  expect([one.state.askedOver.size, two.state.askedOver.size > 0]).toEqual([0, true])
  one.state.health = 204
  await waitFor(() => !isOut(gateway, one.port))
  expect(events[1]).toMatchObject({ kind: 'returned', reason: 'its check passes: GET /health answered 204' })
  for (let i = 0; i < 4; i++) await fetch(gateway.url)
  expect(one.state.askedOver.size).toBe(1)
  expect([...one.state.askedOver].some((socket) => one.state.checkedOver.has(socket))).toBe(false)
})

test('one that hangs is as bad; the last one stays in rotation', async () => {
  const [one, two] = [await instance(), await instance()]
  const gateway = await proxy(oneRoute([one.port, two.port], { service: `check: { ${CHECK} }` }))
  const events = eventsOf(gateway)
  one.state.health = 0
  await waitFor(() => isOut(gateway, one.port))
  expect(events[0]?.reason).toContain('its check got no answer within 0.1 s')
  two.state.health = 500
  await waitFor(() => events.length > 1)
  expect(events[1]).toMatchObject({ kind: 'kept', cause: 'check' })
  expect((await fetch(gateway.url)).status).toBe(200)
  one.state.health = 200
  await waitFor(() => !isOut(gateway, one.port) && isOut(gateway, two.port))
})

test('passing checks end an ejection and clear its counters, long before its time', async () => {
  const all = [await instance(), await instance(), await instance()]
  const service = `outlier: { baseTime: 10m }\ncheck: { ${CHECK} }`
  const gateway = await proxy(
    oneRoute(
      all.map(({ port }) => port),
      { service },
    ),
  )
  const events = eventsOf(gateway)
  const [bad] = all
  if (bad !== undefined) bad.state.answer = 503
  for (let i = 0; events.length === 0; i++) {
    expect(i).toBeLessThan(60)
    await fetch(gateway.url)
  }
  expect(events[0]).toMatchObject({ kind: 'ejected', cause: 'gateway-errors' })
  if (bad !== undefined) bad.state.answer = 200
  await waitFor(() => events.length === 2)
  expect(events[1]).toMatchObject({ kind: 'returned', reason: expect.stringContaining('its check passes') })
})

test('tcp: who accepts connections is healthy', async () => {
  const [gone, { port }] = [await freePort(), await instance()]
  const gateway = await proxy(oneRoute([gone, port], { service: `check: { type: tcp, ${CHECK} }` }))
  await waitFor(() => isOut(gateway, gone))
  expect(whyOut(gateway, gone)).toContain('ECONNREFUSED')
  expect(isOut(gateway, port)).toBe(false)
})

test.each([
  ['its certificate is trusted', true],
  ['its certificate is not trusted', false],
])('https: the TLS settings of the service hold: %s', async (_name, isTrusted) => {
  const files = await opened(tlsFiles('shop.example'))
  let checks = 0
  const server = createHttps({ cert: files.ca, key: files.keyText }, (_request, response) => {
    checks++
    response.end()
  })
  server.listen(0, '127.0.0.1')
  later(() => server.close())
  await waitFor(() => server.listening)
  const { port } = server.address() as AddressInfo
  const gone = await freePort()
  const tls = isTrusted ? `tls: { ca: "${files.cert}" }` : ''
  const gateway = await proxy(
    oneRoute([port, gone], { scheme: 'https', service: `${tls}\ncheck: { ${CHECK} }` }),
  )
  const events = eventsOf(gateway)
  await waitFor(() => events.length === (isTrusted ? 1 : 2))
  if (isTrusted) {
    await waitFor(() => checks > 2)
    expect([isOut(gateway, port), isOut(gateway, gone)]).toEqual([false, true])
  } else {
    expect(events.map(({ reason }) => reason).join()).toContain('self-signed certificate')
    expect(checks).toBe(0)
  }
})

test('h2c: HTTP/2 in clear is asked as such', async () => {
  const server = createHttp2((_request, response) => response.writeHead(204).end())
  server.listen(0, '127.0.0.1')
  later(() => server.close())
  await waitFor(() => server.listening)
  const { port } = server.address() as AddressInfo
  const check: CheckPolicy = {
    type: 'http',
    path: '/health',
    method: 'GET',
    expect: [204],
    intervalMs: 100,
    timeoutMs: 1000,
    healthyAfter: 1,
    unhealthyAfter: 1,
    jitter: 0,
  }
  const { signal } = new AbortController()
  const ask = (to: number) => checkOnce(anInstance('one', to, { scheme: 'h2c' }), aPolicy(), check, signal)
  expect(await ask(port)).toEqual({ isHealthy: true, text: 'GET /health answered 204' })
  expect(await ask(await freePort())).toMatchObject({ isHealthy: false })
})

test('checks begin, change and end with the table', async () => {
  const [one, two] = [await instance(), await instance()]
  const ports = [one.port, two.port]
  const gateway = await proxy(oneRoute(ports))
  await gateway.swap(oneRoute(ports, { service: `check: { ${CHECK} }` }))
  one.state.health = 500
  await waitFor(() => isOut(gateway, one.port))
  // Removed from the service: it is asked no more.
  await gateway.swap(oneRoute([two.port], { service: `check: { ${CHECK} }` }))
  const asked = one.state.checks
  const other = two.state.checks
  await waitFor(() => two.state.checks > other + 3)
  expect(one.state.checks).toBe(asked)
  await gateway.swap(oneRoute(ports, { service: `check: { ${CHECK}, expect: [500] }` }))
  await waitFor(() => isOut(gateway, two.port))
  // No checks any more: nobody is out because of them.
  await gateway.swap(oneRoute(ports))
  expect([isOut(gateway, one.port), isOut(gateway, two.port)]).toEqual([false, false])
  const counts = [one.state.checks, two.state.checks]
  for (let i = 0; i < 5; i++) await fetch(gateway.url)
  expect([one.state.checks, two.state.checks]).toEqual(counts)
})
