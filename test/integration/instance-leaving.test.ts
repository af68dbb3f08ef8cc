import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { systemClock } from '../../src/core/duration.ts'
import { createIdSource } from '../../src/core/ids.ts'
import type { InstanceState } from '../../src/core/types.ts'
import { forward } from '../../src/proxy/forward.ts'
import type { LeavingEvent } from '../../src/proxy/leaving.ts'
import { useCleanups } from '../support/cleanup.ts'
import {
  anExchange,
  anInstance,
  aRouted,
  aService,
  aTable,
  quietLog,
  someUpstreams,
} from '../support/exchange.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, later } = useCleanups()
const sockets: WebSocket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.terminate()
})

/** One instance in a table of its own, and answers that a test ends by hand. */
async function oneInstance(own: { destroyAfterMs?: number; streamDrainMs?: number } = {}) {
  const answers: ServerResponse[] = []
  const server = await opened(httpServer((_request, response) => void answers.push(response)))
  const { destroyAfterMs, ...policy } = own
  const service = (state: InstanceState) => aService([anInstance('a', server.port, { state })], policy)
  const upstreams = someUpstreams(aTable(service('passing')), {
    ...(destroyAfterMs === undefined ? {} : { destroyAfterMs }),
  })
  later(() => upstreams.close())
  const told: LeavingEvent[] = []
  upstreams.onLeaving((event) => void told.push(event))
  const send = () => forward(anExchange(aRouted(service('passing'))), upstreams, deps)
  const stats = () => upstreams.stats()[0]
  return {
    server,
    answers,
    told,
    send,
    stats,
    sync: (state: InstanceState) => upstreams.sync(aTable(service(state))),
    leave: () => upstreams.sync(aTable(aService([], policy))),
  }
}
const deps = { clock: systemClock, random: Math.random, newId: createIdSource(), log: quietLog }

test.each(['draining', 'maintenance', 'critical'] as const)(
  'an instance that turns %s gets nothing new, and its idle sockets are closed at once',
  async (state) => {
    const { server, answers, send, sync, told, stats } = await oneInstance()
    const first = send()
    await waitFor(() => answers.length === 1)
    answers[0]?.end('fine')
    expect((await first).outcome).toBe('ok')
    expect(server.sockets.size).toBe(1)
    const before = Date.now()
    sync(state)
    await waitFor(() => server.sockets.size === 0, { timeoutMs: 2000, what: 'the idle socket to be closed' })
    expect((await send()).outcome).toBe('no_instance')
    await waitFor(() => told.length === 2)
    expect(told.map(({ kind }) => kind)).toEqual(['idle', 'closed'])
    expect(told[0]?.lastRequestAt).toBeGreaterThan(before - 10_000)
    expect(told[0]?.lastRequestAt).toBeLessThanOrEqual(before + 1)
    expect(stats()?.pool.connected).toBe(0)
  },
)

test('what is in flight finishes; idle and closed are told only then; one that comes back works again', async () => {
  const { server, answers, send, sync, told } = await oneInstance()
  const first = send()
  const running = send()
  await waitFor(() => answers.length === 2)
  answers.shift()?.end('first')
  await first
  sync('draining')
  sync('draining')
  await waitFor(() => server.sockets.size === 1, { timeoutMs: 2000, what: 'the idle socket to be closed' })
  expect(told).toEqual([])
  answers[0]?.end('fine')
  expect((await running).outcome).toBe('ok')
  await waitFor(() => told.length === 2 && server.sockets.size === 0)
  sync('passing')
  const again = send()
  await waitFor(() => answers.length === 2)
  answers[1]?.end('again')
  expect((await again).outcome).toBe('ok')
  expect(server.sockets.size).toBe(1)
  sync('draining')
  await waitFor(() => told.length === 4)
})

test('one that comes back while something is in flight keeps it, however long it takes', async () => {
  const { answers, send, sync, told } = await oneInstance({ destroyAfterMs: 20, streamDrainMs: 0 })
  const running = send()
  await waitFor(() => answers.length === 1)
  sync('draining')
  sync('passing')
  // Longer than the limit that the goodbye had set.
  await new Promise((resolve) => setTimeout(resolve, 80))
  answers[0]?.end('fine')
  expect((await running).outcome).toBe('ok')
  expect(told).toEqual([])
})

test('what a vanished instance has under way is cut off at the limit', async () => {
  const { answers, send, leave, told, stats } = await oneInstance({ destroyAfterMs: 20, streamDrainMs: 0 })
  const running = send()
  await waitFor(() => answers.length === 1)
  leave()
  expect(stats()?.inFlight).toBe(1)
  expect((await running).outcome).toBe('reset')
  await waitFor(() => told.length === 2)
  expect(stats()).toBeUndefined()
})

/** A gateway with an embedded registry and one WebSocket service registered there. */
async function chat(streamDrain: string) {
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))))
  const server = createServer((_request, response) => response.end('plain'))
  server.on('upgrade', (request, socket, head) =>
    wss.handleUpgrade(request, socket, head, (one) => wss.emit('connection', one)),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    for (const one of wss.clients) one.terminate()
    server.close()
  })
  const gateway = await startGateway({
    yaml: `registries: { local: { type: embedded } }\nservices: { chat: { streamDrain: ${streamDrain} } }`,
    routes: { 'chat.yaml': 'routes: [{ name: chat, match: { pathPrefix: / }, service: chat }]' },
  })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  const { port } = server.address() as AddressInfo
  await agent(gateway, 'register', { ID: 'chat-1', Name: 'chat', Port: port })
  await waitFor(async () => (await fetch(gateway.publicUrl)).ok)
  const socket = new WebSocket(gateway.publicUrl.replace('http', 'ws'))
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, 'open')
  return { gateway, socket, wss }
}

const agent = (gateway: GatewayProcess, path: string, body?: unknown) =>
  fetch(`${gateway.adminUrl}/v1/agent/service/${path}`, {
    method: 'PUT',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
const state = async (gateway: GatewayProcess) => {
  const { instances } = await gateway.admin<{ instances: { state: string; inFlight: number }[] }>(
    '/api/services/chat',
  )
  return instances[0]
}

test('a WebSocket of a draining instance stays and works until streamDrain, then gets 1001', async () => {
  const { gateway, socket } = await chat('1500ms')
  const begun = performance.now()
  await agent(gateway, 'maintenance/chat-1?enable=true&reason=draining')
  await waitFor(async () => (await state(gateway))?.state === 'draining')
  const closed = once(socket, 'close')
  socket.send('still there')
  expect(String((await once(socket, 'message'))[0])).toBe('still there')
  const [code] = await closed
  expect(code).toBe(1001)
  expect(performance.now() - begun).toBeGreaterThan(1400)
  await waitFor(async () => (await state(gateway))?.inFlight === 0)
})

test('with streamDrain 0 it ends at once, also when the instance vanished', async () => {
  const { gateway, socket } = await chat('"0"')
  const closed = once(socket, 'close')
  await agent(gateway, 'deregister/chat-1')
  expect((await closed)[0]).toBe(1001)
})

test('an instance that is back in rotation in time keeps its WebSockets', async () => {
  const { gateway, socket } = await chat('300ms')
  let isClosed = false
  socket.on('close', () => {
    isClosed = true
  })
  await agent(gateway, 'maintenance/chat-1?enable=true&reason=draining')
  await waitFor(async () => (await state(gateway))?.state === 'draining')
  await agent(gateway, 'maintenance/chat-1?enable=false')
  await waitFor(async () => (await state(gateway))?.state === 'passing')
  // Beyond the limit: nothing may come.
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(isClosed).toBe(false)
  socket.send('here')
  expect(String((await once(socket, 'message'))[0])).toBe('here')
})
