import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../src/core/duration.ts'
import {
  createSelfRegistration,
  type SelfRegistration,
  type SelfRegistrationOptions,
} from '../../src/registry/self-registration.ts'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { waitFor } from '../support/wait.ts'

interface Entry {
  Service: { ID: string; Address: string; Port: number; Tags: string[]; Meta: Record<string, string> }
  Checks: { CheckID: string; Status: string; Output: string }[]
}

let consul: TestConsul
let lines: string[]
let registration: SelfRegistration | undefined

beforeEach(() => {
  lines = []
})
afterEach(async () => {
  await registration?.deregister()
  registration = undefined
})

function create(url: string, options: Partial<SelfRegistrationOptions> = {}): SelfRegistration {
  const note = (fields: object, text: string) => {
    lines.push(`${text} ${JSON.stringify(fields)}`)
  }
  registration = createSelfRegistration(
    {
      url,
      name: 'sluice',
      id: 'sluice-1',
      address: '10.0.0.7',
      port: 8080,
      tags: ['edge'],
      ttlMs: 1500,
      meta: { version: '1' },
      ...options,
    },
    { clock: systemClock, random: Math.random, log: { warn: note, info: note } },
  )
  return registration
}

const entries = () => consul.get<Entry[]>('/v1/health/service/sluice')
const checkStatus = async () =>
  (await entries())[0]?.Checks.find(({ CheckID }) => CheckID === 'service:sluice-1')?.Status

async function withConsul(
  options: Parameters<typeof startConsul>[0],
  run: () => Promise<void>,
): Promise<void> {
  consul = await startConsul(options)
  try {
    await run()
  } finally {
    await registration?.deregister()
    await consul.stop()
  }
}

test('the gateway is registered, passes its check for longer than its TTL, and leaves at the end', () =>
  withConsul({}, async () => {
    const started = performance.now()
    create(consul.url).start()
    await waitFor(async () => (await checkStatus()) === 'passing')
    const [entry] = await entries()
    expect(entry?.Service).toMatchObject({
      ID: 'sluice-1',
      Address: '10.0.0.7',
      Port: 8080,
      Tags: ['edge'],
      Meta: { version: '1' },
    })
    const statuses = new Set<string | undefined>()
    await waitFor(async () => {
      statuses.add(await checkStatus())
      return performance.now() - started > 3500
    })
    expect([...statuses], 'two TTLs went by').toEqual(['passing'])
    await registration?.deregister()
    expect(await entries()).toEqual([])
  }))

test('an agent that lost its data is told again', () =>
  withConsul({}, async () => {
    create(consul.url).start()
    await waitFor(async () => (await checkStatus()) === 'passing')
    await consul.restart({ wipe: true })
    await waitFor(async () => (await checkStatus()) === 'passing')
    expect(lines.filter((line) => line.startsWith('the gateway is registered'))).toHaveLength(2)
  }))

test('somebody else takes the service out: the next beat puts it in again', () =>
  withConsul({}, async () => {
    create(consul.url).start()
    await waitFor(async () => (await checkStatus()) === 'passing')
    await consul.deregister('sluice-1')
    await waitFor(async () => (await checkStatus()) === 'passing')
  }))

test('an agent that is down at the start is found when it comes up', () =>
  withConsul({ isDown: true }, async () => {
    create(consul.url).start()
    await waitFor(() => lines.some((line) => line.includes('cannot tell the registry')))
    await consul.restart()
    await waitFor(async () => (await checkStatus()) === 'passing')
    const complaints = lines.filter((line) => line.includes('ECONNREFUSED'))
    expect(complaints, 'the same complaint is made once').toHaveLength(1)
  }))

test('a token that may not write is complained of once, and beats go on when it may', () =>
  withConsul({ acl: true }, async () => {
    const policy = await consul.createPolicy('self', 'service "other" { policy = "write" }')
    create(consul.url, { token: await consul.createToken(policy), ttlMs: 900 }).start()
    await waitFor(() => lines.some((line) => line.includes('cannot tell the registry')))
    await consul.updatePolicy(policy, 'self', 'service "sluice" { policy = "write" }')
    await waitFor(async () => (await checkStatus()) === 'passing')
    expect(lines.filter((line) => line.includes('cannot tell the registry'))).toHaveLength(1)
  }))

test('after the goodbye nothing is registered any more, even when it came in the middle of the start', () =>
  withConsul({}, async () => {
    for (let i = 0; i < 20; i++) {
      const own = create(consul.url, { ttlMs: 300 })
      own.start()
      if (i % 2 === 0) await new Promise(setImmediate)
      await own.deregister()
      expect(await entries()).toEqual([])
    }
  }))

test('an agent that never answers delays the goodbye by two seconds at most', async () => {
  const asked: string[] = []
  const server: Server = createServer((request) => {
    asked.push(`${request.method} ${request.url}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const own = create(`http://127.0.0.1:${port}`, { ttlMs: 600 })
  own.start()
  await waitFor(() => asked.length > 0)
  const started = performance.now()
  await own.deregister()
  const took = performance.now() - started
  expect(took).toBeLessThan(2500)
  expect(asked).toEqual(['PUT /v1/agent/service/register', 'PUT /v1/agent/service/deregister/sluice-1'])
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

test('without an agent the goodbye is quick and does not throw', async () => {
  const own = create('http://127.0.0.1:1')
  own.start()
  const started = performance.now()
  await own.deregister()
  expect(performance.now() - started).toBeLessThan(1500)
})
