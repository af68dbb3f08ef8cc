import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../src/core/duration.ts'
import type { HealthResult } from '../../src/register/health.ts'
import { Lease, type LeaseDeps, type LeaseEvent } from '../../src/register/lease.ts'
import { type RegistrarOptions, resolveSettings } from '../../src/register/settings.ts'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { waitFor } from '../support/wait.ts'

interface Entry {
  Service: {
    ID: string
    Address: string
    Port: number
    Tags: string[]
    Meta: Record<string, string>
    Weights: { Passing: number; Warning: number }
  }
  Checks: { CheckID: string; Status: string; Output: string; Notes: string }[]
}

let consul: TestConsul
let events: LeaseEvent[]
let lease: Lease | undefined

beforeEach(() => {
  events = []
})
afterEach(async () => {
  await lease?.release()
  lease = undefined
})

interface Given extends RegistrarOptions {
  readonly health?: LeaseDeps['health']
}

function create(agent: string, { health, ...options }: Given = {}): Lease {
  const given = { agent, service: 'cart', id: 'cart-1', ttl: 1500, ...options }
  const settings = resolveSettings(given, {}, { address: '10.0.0.7', port: 8080 })
  lease = new Lease(settings, {
    clock: systemClock,
    random: Math.random,
    health,
    onEvent: (event) => events.push(event),
  })
  return lease
}

const entries = () => consul.get<Entry[]>('/v1/health/service/cart')
const checkOf = async () => (await entries())[0]?.Checks.find(({ CheckID }) => CheckID === 'service:cart-1')
const isPassing = async () => (await checkOf())?.Status === 'passing'
const problems = () => events.filter(({ type }) => type === 'problem')
const registrations = () => events.filter(({ type }) => type === 'registered')

async function withConsul(
  options: Parameters<typeof startConsul>[0],
  run: () => Promise<void>,
): Promise<void> {
  consul = await startConsul(options)
  try {
    await run()
  } finally {
    await lease?.release()
    await consul.stop()
  }
}

test('an instance is registered with all that is said of it, passes for longer than its TTL, and leaves', () =>
  withConsul({}, async () => {
    const started = performance.now()
    create(consul.url, {
      version: '2',
      zone: 'a',
      tags: ['blue'],
      routes: ['shop.example.com/cart strip=/cart'],
      weight: { passing: 5, warning: 2 },
      meta: { team: 'shop' },
    }).start()
    await waitFor(isPassing)
    const [entry] = await entries()
    expect(entry?.Service).toMatchObject({
      ID: 'cart-1',
      Address: '10.0.0.7',
      Port: 8080,
      Tags: ['blue', 'sluice.route=shop.example.com/cart strip=/cart'],
      Meta: { version: '2', zone: 'a', team: 'shop', 'registered-by': 'sluice-register' },
      Weights: { Passing: 5, Warning: 2 },
    })
    const statuses = new Set<string | undefined>()
    await waitFor(async () => {
      statuses.add((await checkOf())?.Status)
      return performance.now() - started > 3500
    })
    expect([...statuses], 'two TTLs went by').toEqual(['passing'])
    await lease?.release()
    expect(await entries()).toEqual([])
    expect(events.map((event) => (event.type === 'state' ? event.to : event.type))).toEqual([
      'registering',
      'registered',
      'passing',
      'gone',
    ])
  }))

test('the state and the words of the health function are in the check; what it throws is critical', () =>
  withConsul({}, async () => {
    let says: () => HealthResult = () => ({ state: 'warning', output: 'the queue is long' })
    create(consul.url, { ttl: 1000, health: () => says() }).start()
    await waitFor(async () => (await checkOf())?.Status === 'warning')
    expect((await checkOf())?.Output).toBe('the queue is long')
    says = () => {
      throw new TypeError('no database')
    }
    await waitFor(async () => (await checkOf())?.Status === 'critical')
    expect((await checkOf())?.Output).toBe('no database')
    says = () => undefined
    await waitFor(isPassing)
  }))

test('an agent that lost its data is told again', () =>
  withConsul({}, async () => {
    create(consul.url).start()
    await waitFor(isPassing)
    await consul.restart({ wipe: true })
    await waitFor(isPassing)
    expect(registrations()).toHaveLength(2)
    expect(events.some(({ type }) => type === 'lost')).toBe(true)
  }))

test('an agent that restarts with its data is not told again', () =>
  withConsul({}, async () => {
    create(consul.url).start()
    await waitFor(isPassing)
    await consul.restart()
    const before = problems().length
    await waitFor(async () => (await isPassing()) && lease?.state === 'passing')
    expect(before).toBeLessThan(5)
    expect(registrations()).toHaveLength(1)
  }))

test('somebody else takes the instance out: the next beat puts it in again, without its maintenance', () =>
  withConsul({}, async () => {
    create(consul.url).start()
    await waitFor(isPassing)
    await consul.maintenance('cart-1', true)
    await consul.deregister('cart-1')
    await waitFor(isPassing)
    expect((await entries())[0]?.Checks.map(({ CheckID }) => CheckID).sort()).toEqual([
      'serfHealth',
      'service:cart-1',
    ])
  }))

test('a maintenance that an operator set survives the beats', () =>
  withConsul({}, async () => {
    create(consul.url, { ttl: 1000 }).start()
    await waitFor(isPassing)
    await consul.maintenance('cart-1', true)
    const started = performance.now()
    await waitFor(() => performance.now() - started > 1500)
    const checks = (await entries())[0]?.Checks.map(({ CheckID }) => CheckID)
    expect(checks).toContain('_service_maintenance:cart-1')
  }))

test('draining is marked as maintenance with its reason, and stays so until the release', () =>
  withConsul({}, async () => {
    const own = create(consul.url, { ttl: 1000 })
    own.start()
    await waitFor(isPassing)
    expect(await own.drain('SIGTERM')).toBe(true)
    const mark = (await entries())[0]?.Checks.find(({ CheckID }) => CheckID === '_service_maintenance:cart-1')
    expect(mark).toMatchObject({ Status: 'critical', Notes: 'draining: SIGTERM' })
    expect(own.state).toBe('draining')
    expect(await own.release()).toBe(true)
    expect(await entries()).toEqual([])
  }))

test('what a crashed process left at the same address and port is taken out; others are left alone', () =>
  withConsul({}, async () => {
    const left = {
      Name: 'cart',
      Address: '10.0.0.7',
      Port: 8080,
      Meta: { 'registered-by': 'sluice-register' },
    }
    await consul.register({ ...left, ID: 'crashed' })
    await consul.register({ ...left, ID: 'other-port', Port: 8081 })
    await consul.register({ ...left, ID: 'by-hand', Meta: {} })
    create(consul.url).start()
    await waitFor(async () => (await entries()).every(({ Service }) => Service.ID !== 'crashed'))
    expect((await entries()).map(({ Service }) => Service.ID).sort()).toEqual([
      'by-hand',
      'cart-1',
      'other-port',
    ])
  }))

test('an agent that is down at the start is found when it comes up, and complained of once', () =>
  withConsul({ isDown: true }, async () => {
    create(consul.url).start()
    await waitFor(() => problems().length > 0)
    await consul.restart()
    await waitFor(isPassing)
    const refused = problems().filter((event) => JSON.stringify(event).includes('ECONNREFUSED'))
    expect(refused).toHaveLength(1)
    expect(refused[0]).toMatchObject({ code: 'GW_REGISTRY_UNREACHABLE' })
  }))

test('a token that may not write is complained of once, and beats go on when it may', () =>
  withConsul({ acl: true }, async () => {
    const policy = await consul.createPolicy('own', 'service "other" { policy = "write" }')
    create(consul.url, { token: await consul.createToken(policy), ttl: 1000 }).start()
    await waitFor(() => problems().length > 0)
    await consul.updatePolicy(policy, 'own', 'service "cart" { policy = "write" }')
    await waitFor(isPassing)
    expect(problems()).toHaveLength(1)
    expect(problems()[0]).toMatchObject({ code: 'GW_REGISTRY_ACL' })
  }))

test('a token that is replaced in its file is taken at once', () =>
  withConsul({ acl: true }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-token-'))
    try {
      const policy = await consul.createPolicy('own', 'service "cart" { policy = "write" }')
      const tokenFile = join(folder, 'token')
      writeFileSync(tokenFile, 'no-such-token\n')
      create(consul.url, { tokenFile, ttl: 1000 }).start()
      await waitFor(() => problems().length > 0)
      writeFileSync(tokenFile, await consul.createToken(policy))
      await waitFor(isPassing)
    } finally {
      await lease?.release()
      rmSync(folder, { recursive: true })
    }
  }))

test('after the goodbye nothing is registered any more, even when it came in the middle of the start', () =>
  withConsul({}, async () => {
    for (let i = 0; i < 20; i++) {
      const own = create(consul.url, { ttl: 1000 })
      own.start()
      if (i % 2 === 0) await new Promise(setImmediate)
      if (i % 3 === 0) await own.drain()
      await own.release()
      expect(await entries()).toEqual([])
    }
  }))

/** An agent that never answers. */
async function silentAgent(run: (url: string, asked: readonly string[]) => Promise<void>): Promise<void> {
  const asked: string[] = []
  const server: Server = createServer((request) => {
    asked.push(`${request.method} ${request.url}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

test('an agent that never answers delays the mark and the goodbye by three seconds each at most', () =>
  silentAgent(async (url, asked) => {
    const own = create(url)
    own.start()
    await waitFor(() => asked.length > 0)
    const started = performance.now()
    expect(await own.drain('SIGTERM')).toBe(false)
    expect(performance.now() - started).toBeLessThan(3500)
    expect(await own.release(300)).toBe(false)
    expect(asked).toEqual([
      'PUT /v1/agent/service/register?replace-existing-checks=true',
      'PUT /v1/agent/service/maintenance/cart-1?enable=true&reason=draining%3A%20SIGTERM',
      'PUT /v1/agent/service/deregister/cart-1',
    ])
  }))

test('without an agent drain and goodbye are quick and do not throw', async () => {
  const own = create('http://127.0.0.1:1')
  own.start()
  await waitFor(() => problems().length > 0)
  const started = performance.now()
  await own.drain()
  await own.release()
  expect(performance.now() - started).toBeLessThan(1500)
})
