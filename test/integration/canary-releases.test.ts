import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ControllerDeps, ReleaseController } from '../../src/canary/controller.ts'
import type { Ramp, ReleaseState } from '../../src/canary/release.ts'
import { LocalReleaseStore, type ReleaseStore } from '../../src/canary/store.ts'
import { Tally } from '../../src/canary/tally.ts'
import { KvReleaseStore } from '../../src/canary-store.ts'
import { systemClock } from '../../src/core/duration.ts'
import { ConsulKv } from '../../src/registry/consul-kv.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
let consul: TestConsul
let rounds = 0

beforeAll(async () => {
  consul = await startConsul()
})
afterAll(() => consul.stop())

const RAMP: Ramp = {
  steps: [
    { percent: 100, forMs: 60_000, minRequests: 100, hold: false },
    { percent: 10_000, forMs: 60_000, minRequests: 100, hold: false },
  ],
  windows: [],
  guard: {
    checks: [{ kind: 'share', name: 'error-ratio', maxIncrease: 0 }],
    falseAlarm: 0.001,
    minRequests: 50,
    failures: 1,
    onFail: 'rollback',
    contract: 'hold',
  },
}

interface Gateway {
  readonly name: string
  readonly controller: ReleaseController
  readonly tally: Tally
  readonly decisions: ReleaseState[]
  serve(canary: number, stable: number, bad?: number): void
  percent(): number | undefined
  /** From one moment to the next nothing of it reaches the registry any more. */
  cutOff(): void
  leave(): Promise<void>
}

/** A wire to the registry that can be cut. */
async function aRelay(to: number) {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(to, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket
        .on('error', () => {})
        .on('close', () => {
          client.destroy()
          upstream.destroy()
        })
    }
    client.pipe(upstream).pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

let now = Date.parse('2026-11-25T10:00:00Z')

/** A gateway as far as releases go; it looks when the test says so. */
async function aGateway(
  name: string,
  prefix: string,
  own: { store?: ReleaseStore; release?: string } = {},
): Promise<Gateway> {
  const wire = await aRelay(Number(new URL(consul.url).port))
  const connection = { url: `http://127.0.0.1:${wire.port}`, wait: 10_000 }
  const abort = new AbortController()
  const log = { warn: () => {}, info: () => {} }
  const kv = new ConsulKv(connection, prefix, { clock: systemClock, random: Math.random, log })
  const store = own.store ?? new KvReleaseStore(kv, { log, name, isFollower: false })
  const tally = new Tally(`${name}-${rounds++}`, now - 1)
  const decisions: ReleaseState[] = []
  const deps: ControllerDeps = {
    rules: () => [{ name: 'v2', releaseId: own.release ?? 'a', ramp: RAMP }],
    store,
    tally,
    values: () => ({}),
    breaches: () => [],
    onChanges: () => {},
    onDecision: (state) => void decisions.push(state),
    clock: { now: () => now, monotonic: () => performance.now() },
    log,
    interval: 20,
  }
  const controller = new ReleaseController(deps)
  const running = controller.run(abort.signal)
  let isGone = false
  const leave = async () => {
    if (isGone) return
    isGone = true
    abort.abort()
    await running
    await store.close()
    wire.cut()
  }
  later(leave)
  return {
    name,
    controller,
    tally,
    decisions,
    serve(canary, stable, bad = 0) {
      for (let i = 0; i < canary; i++) tally.count('v2', 'canary', { isBad: i < bad, ms: 5, headers: [] })
      for (let i = 0; i < stable; i++) tally.count('v2', 'stable', { isBad: false, ms: 5, headers: [] })
    },
    percent: () => controller.states.get('v2')?.percent,
    cutOff: wire.cut,
    leave,
  }
}

const prefix = () => `sluice-test-${rounds++}/`
const deciding = (gateways: readonly Gateway[]) => gateways.filter(({ controller }) => controller.isDeciding)

/**
 * Requests until the release is at 100 %. Consul may refuse a new leader its own lock for a second (its lock delay), and
 * what happens until it decides again is not counted.
 */
async function goesOn(gateways: readonly Gateway[]) {
  await waitFor(() => {
    for (const each of gateways) each.serve(20, 100)
    return gateways.every((each) => each.percent() === 10_000)
  })
}

async function threeAtOnePercent() {
  const under = prefix()
  const gateways = await Promise.all(['a', 'b', 'c'].map((name) => aGateway(name, under)))
  await waitFor(() => gateways.every((each) => each.percent() === 100))
  return { gateways, under }
}

test('of several gateways exactly one decides, the others follow within a second', async () => {
  const { gateways } = await threeAtOnePercent()
  expect(deciding(gateways)).toHaveLength(1)
  now += 60_000
  for (const each of gateways) each.serve(50, 500)
  await waitFor(() => gateways.some((each) => each.percent() === 10_000))
  const seenAt = performance.now()
  await waitFor(() => gateways.every((each) => each.percent() === 10_000))
  expect(performance.now() - seenAt).toBeLessThan(1000)
  expect(deciding(gateways)).toHaveLength(1)
  expect(gateways.flatMap(({ decisions }) => decisions.map(({ percent }) => percent))).toEqual([100, 10_000])
})

test('the numbers of all gateways count: none of them alone has enough', async () => {
  const { gateways } = await threeAtOnePercent()
  for (const each of gateways) each.serve(30, 300, 10)
  await waitFor(() => gateways.every((each) => each.percent() === 0))
  const state = gateways[0]?.controller.states.get('v2')
  expect(state?.status).toBe('aborted')
  expect(state?.reason).toContain('30 of 90')
})

test('the deciding one leaves: another takes over and goes on where it was', async () => {
  const { gateways } = await threeAtOnePercent()
  const [first] = deciding(gateways)
  await first?.leave()
  const rest = gateways.filter((each) => each !== first)
  await waitFor(() => deciding(rest).length === 1)
  expect(rest.map((each) => each.percent())).toEqual([100, 100])
  now += 60_000
  await goesOn(rest)
})

test('the deciding one is cut off: it stops at once, another takes over once its session is given up', {
  timeout: 60_000,
}, async () => {
  const { gateways } = await threeAtOnePercent()
  const [first] = deciding(gateways)
  first?.cutOff()
  const rest = gateways.filter((each) => each !== first)
  await waitFor(() => deciding(gateways).length === 0)
  await waitFor(() => deciding(rest).length === 1, { timeoutMs: 40_000 })
  now += 60_000
  await goesOn(rest)
  expect(rest[0]?.controller.states.get('v2')?.history).toHaveLength(2)
})

test('a person asks any of them; a new version begins anew', async () => {
  const { gateways, under } = await threeAtOnePercent()
  const follower = gateways.find(({ controller }) => !controller.isDeciding) as Gateway
  await follower.controller.act('v2', { kind: 'pause' }, 'ada', 'lunch')
  await waitFor(() => gateways.every((each) => each.controller.states.get('v2')?.status === 'paused'))
  await expect(follower.controller.act('v2', { kind: 'pause' }, 'ada', 'again')).rejects.toMatchObject({
    code: 'GW_ADMIN_CONFLICT',
  })
  await expect(follower.controller.act('v9', { kind: 'pause' }, 'ada', '')).rejects.toMatchObject({
    code: 'GW_ADMIN_NOT_FOUND',
  })
  for (const each of gateways) await each.leave()
  const next = await aGateway('d', under, { release: 'b' })
  await waitFor(() => next.controller.states.get('v2')?.status === 'ramping')
  expect(next.controller.states.get('v2')).toMatchObject({ releaseId: 'b', percent: 100 })
})

test('a gateway alone needs no registry', async () => {
  const alone = await aGateway('alone', prefix(), { store: new LocalReleaseStore() })
  await waitFor(() => alone.percent() === 100)
  now += 60_000
  alone.serve(100, 500)
  await waitFor(() => alone.percent() === 10_000)
})

test('without the registry nothing is decided; afterwards it goes on, even if the data are lost', {
  timeout: 60_000,
}, async () => {
  const { gateways } = await threeAtOnePercent()
  await consul.kill9()
  await waitFor(() => deciding(gateways).length === 0)
  now += 60_000
  for (const each of gateways) each.serve(100, 500)
  expect(gateways.map((each) => each.percent())).toEqual([100, 100, 100])
  await consul.restart({ wipe: true })
  await waitFor(() => deciding(gateways).length === 1, { timeoutMs: 40_000 })
  // What a gateway did before it was seen again does not count, so they go on.
  const isUp = () => {
    for (const each of gateways) each.serve(10, 50)
    return gateways.every((each) => each.percent() === 10_000)
  }
  await waitFor(isUp, { timeoutMs: 20_000 })
  expect(gateways[0]?.controller.states.get('v2')?.history).toHaveLength(2)
})
