import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Clock, Random } from '../../src/core/duration.ts'
import type { Instance } from '../../src/core/types.ts'
import type { RegistryProvider } from '../../src/registry/provider.ts'
import { type RegistryWatch, watchProvider } from './registry-watch.ts'
import { waitFor } from './wait.ts'

/** What the suite writes of one instance; each harness puts it into the records of its registry. */
export interface TestRecord {
  readonly service: string
  /** Letters, digits and dashes; unique within the service. */
  readonly id: string
  /** IPv4 literal. */
  readonly address: string
  readonly port: number
  readonly version?: string
}

export interface ProviderTestDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
}

/** A registry server of its own, empty, with the calls that write it. It must be real, on loopback, on free ports. */
export interface RegistryServer {
  /**
   * A provider that reads it, as the configuration would make it. Intervals at which it looks for itself (polls,
   * probes) may be shorter than by default. With `isGuarded` it uses the rights that `revoke` takes away.
   */
  provider(deps: ProviderTestDeps): RegistryProvider
  /** Writes an instance, or writes it anew under the same id. Resolves when the registry has it. */
  put(record: TestRecord): Promise<void>
  /** Takes one out as its service would: at once, without a mark before. */
  remove(record: Pick<TestRecord, 'service' | 'id'>): Promise<void>
  /**
   * Writes something that is no instance where one is expected (no JSON, a missing field, port 0: whatever the
   * registry lets somebody write), under an id of its own or in place of a good one. Returns a text that the
   * problem (or, `malformed: 'refused'`, the status) must contain, so that an operator finds the record.
   */
  putMalformed(record: Pick<TestRecord, 'service' | 'id'>): Promise<string>
  /** SIGKILL, and wait for the end. */
  kill(): Promise<void>
  /** Starts it again, with its data; resolves when it takes writes. */
  restart(): Promise<void>
  /** Kills it and starts it again without any data; resolves when it takes writes. */
  wipe(): Promise<void>
  /** `isGuarded`: takes from the provider the right to read. What it has read stays its own. */
  revoke?(): Promise<void>
  /** `isGuarded`: gives it back. */
  grant?(): Promise<void>
  /** Ends the process and removes its data. */
  stop(): Promise<void>
}

/** How a registry is started for the suite, and what it cannot show. */
export interface RegistryHarness {
  /** `isGuarded`: with access control on. `isDown`: take the place but do not start; `restart` starts it. */
  start(options?: { isGuarded?: boolean; isDown?: boolean }): Promise<RegistryServer>
  /**
   * `dropped` (default): a malformed record is left out alone, and a problem names it. `refused`: nothing at all
   * changes while it is there, and the status names it.
   */
  readonly malformed?: 'dropped' | 'refused'
  /** Parts of the suite that mean nothing for this registry, each with the reason. */
  readonly without?: {
    readonly permission?: string
    /** An instance that changes its place is another one. */
    readonly identity?: string
    /** It has no place for a version. */
    readonly version?: string
  }
}

/** How long a restarted registry may take to be seen again. ms. */
const BACK_MS = 30_000
const MANY_SERVICES = 50
const MANY_EACH = 20

const place = (service: string, n: number, own: Partial<TestRecord> = {}): TestRecord => ({
  service,
  id: `${service}-${n}`,
  address: '10.0.0.7',
  port: 8000 + n,
  ...own,
})
const ports = (instances: readonly Instance[]) => instances.map(({ port }) => port).sort((a, b) => a - b)
const isUsable = ({ state }: Instance) => state === 'passing' || state === 'warning' || state === 'unknown'

/** Calls one after another would take longer than the test is worth; all at once is no registry's daily life. */
async function putAll(server: RegistryServer, records: readonly TestRecord[]): Promise<void> {
  const rest = [...records]
  const work = async () => {
    for (let one = rest.pop(); one !== undefined; one = rest.pop()) await server.put(one)
  }
  await Promise.all(Array.from({ length: 16 }, work))
}

/** What every registry provider must do, against its real server. Defines the tests; call it in a test file. */
export function registryConformance(name: string, harness: RegistryHarness): void {
  const ended: (() => Promise<void>)[] = []
  const hasVersion = harness.without?.version === undefined
  const watch = (server: RegistryServer): RegistryWatch => {
    const created = watchProvider((deps) => server.provider(deps))
    ended.push(() => created.stop())
    return created
  }
  const start = async (options?: Parameters<RegistryHarness['start']>[0]) => {
    const created = await harness.start(options)
    ended.push(() => created.stop())
    return created
  }
  const seen = (watched: RegistryWatch, service: string, expected: readonly number[], timeoutMs = BACK_MS) =>
    waitFor(() => ports(watched.instances(service)).join() === expected.join(), {
      timeoutMs,
      what: `${service} at ${expected.join()}; it is at ${ports(watched.instances(service)).join()}`,
    })
  const live = (watched: RegistryWatch) =>
    waitFor(() => watched.status()?.state === 'live', {
      timeoutMs: BACK_MS,
      what: `live; last: ${JSON.stringify(watched.status())}`,
    })
  /** What requests would be sent to. */
  const usable = (watched: RegistryWatch, service: string) =>
    ports((watched.state().services.get(service)?.instances ?? []).filter(isUsable))

  afterEach(async () => {
    for (const end of ended.splice(0).reverse()) await end()
  })

  describe(`${name}: one server`, () => {
    let server: RegistryServer
    let count = 0
    /** Tests share the server, not the services. */
    const fresh = () => `s${++count}`
    beforeAll(async () => {
      server = await harness.start()
    })
    afterAll(() => server.stop())

    test('the first snapshot has everything that is registered', async () => {
      const [a, b] = [fresh(), fresh()]
      await server.put(place(a, 1, { version: '1.4' }))
      await server.put(place(a, 2))
      await server.put(place(b, 3))
      const watched = watch(server)
      await waitFor(() => watched.snapshot())
      const first = watched.snapshots[0]
      expect(ports(first?.services.get(a)?.instances ?? [])).toEqual([8001, 8002])
      expect(ports(first?.services.get(b)?.instances ?? [])).toEqual([8003])
      const instances = [...(first?.services.values() ?? [])].flatMap((service) => service.instances)
      const one = instances.find(({ port }) => port === 8001)
      expect(one).toMatchObject({
        service: a,
        address: '10.0.0.7',
        scheme: 'http',
        weight: 1,
        ...(hasVersion ? { version: '1.4' } : {}),
      })
      expect(isUsable(one as Instance)).toBe(true)
      expect(new Set(instances.map(({ key }) => key)).size).toBe(instances.length)
      expect(instances.every(({ key }) => key.startsWith('main/'))).toBe(true)
      expect(first?.failed.size).toBe(0)
      expect(first?.problems).toEqual([])
      await live(watched)
      expect(watched.status()?.lastSuccess).toBeGreaterThan(Date.now() - 60_000)
      expect(watched.status()?.lastError).toBeUndefined()
    })

    test('instances and services come and go', async () => {
      const a = fresh()
      const watched = watch(server)
      await waitFor(() => watched.snapshot())
      await server.put(place(a, 1))
      await seen(watched, a, [8001])
      await server.put(place(a, 2))
      await seen(watched, a, [8001, 8002])
      await server.remove(place(a, 1))
      await seen(watched, a, [8002])
      await server.remove(place(a, 2))
      await waitFor(() => watched.snapshot()?.services.has(a) === false, { what: `the end of ${a}` })
    })

    test('a change is a new object of that instance alone', async () => {
      const [a, b] = [fresh(), fresh()]
      await server.put(place(a, 1))
      await server.put(place(a, 2))
      await server.put(place(b, 3))
      const watched = watch(server)
      await seen(watched, a, [8001, 8002])
      const before = watched.snapshot()?.services
      await server.put(place(a, 1, { port: 9001, version: '2' }))
      await seen(watched, a, [8002, 9001])
      const after = watched.snapshot()?.services
      const find = (services: typeof before, port: number) =>
        services?.get(a)?.instances.find((instance) => instance.port === port)
      if (hasVersion) expect(find(after, 9001)?.version).toBe('2')
      if (harness.without?.identity === undefined) {
        expect(find(after, 9001)?.key).toBe(find(before, 8001)?.key)
      }
      expect(find(after, 8002)).toBe(find(before, 8002))
      expect(after?.get(b)).toBe(before?.get(b))
    })

    test('what is written again without a change stays the same object', async () => {
      const [a, b] = [fresh(), fresh()]
      await server.put(place(a, 1))
      const watched = watch(server)
      await seen(watched, a, [8001])
      const before = watched.snapshot()?.services.get(a)
      await server.put(place(a, 1))
      await server.put(place(b, 2))
      await seen(watched, b, [8002])
      expect(watched.snapshot()?.services.get(a)).toBe(before)
    })

    test('of many changes in a row none is missed', async () => {
      const [a, b] = [fresh(), fresh()]
      const watched = watch(server)
      await waitFor(() => watched.snapshot())
      for (let n = 1; n <= 40; n++) {
        await server.put(place(a, n))
        if (n % 2 === 0) await server.remove(place(a, n))
      }
      await server.put(place(b, 1))
      const odd = Array.from({ length: 20 }, (_, i) => 8001 + 2 * i)
      await seen(watched, a, odd)
      await seen(watched, b, [8001])
    })

    test('a malformed record does no harm to others, and is named', async () => {
      const [a, b] = [fresh(), fresh()]
      await server.put(place(a, 1))
      await server.put(place(b, 2))
      const watched = watch(server)
      await seen(watched, a, [8001])
      const before = watched.snapshot()?.services
      const named = await server.putMalformed({ service: a, id: `${a}-bad` })
      const words = () =>
        harness.malformed === 'refused'
          ? (watched.status()?.lastError?.message ?? '')
          : (watched.snapshot()?.problems.join('\n') ?? '')
      await waitFor(() => words().includes(named), { what: `words with ${named}; they are: ${words()}` })
      expect(watched.snapshot()?.services.get(a)?.instances[0]).toBe(before?.get(a)?.instances[0])
      expect(watched.snapshot()?.services.get(b)).toBe(before?.get(b))
      expect(watched.snapshot()?.failed.size).toBe(0)
      if (harness.malformed !== 'refused') {
        // The others go on: a bad record must not stop the registry's news.
        expect(watched.status()?.state).toBe('live')
        await server.put(place(b, 3))
        await seen(watched, b, [8002, 8003])
        expect(watched.state().problems.join('\n')).toContain(named)
        const late = watch(server)
        await waitFor(() => late.snapshot())
        expect(ports(late.instances(a))).toEqual([8001])
      }
      await server.put(place(a, 9, { id: `${a}-bad` }))
      await seen(watched, a, [8001, 8009])
      await waitFor(() => !words().includes(named), { what: 'the end of the problem' })
    })

    test('a good record that becomes malformed goes alone', async () => {
      if (harness.malformed === 'refused') return
      const a = fresh()
      await server.put(place(a, 1))
      await server.put(place(a, 2))
      const watched = watch(server)
      await seen(watched, a, [8001, 8002])
      const named = await server.putMalformed({ service: a, id: `${a}-2` })
      await seen(watched, a, [8001])
      expect(watched.snapshot()?.problems.join('\n')).toContain(named)
      await server.remove({ service: a, id: `${a}-2` })
      await waitFor(() => watched.snapshot()?.problems.length === 0, { what: 'the end of the problem' })
    })

    test('when it is told to end it ends, and says nothing more', async () => {
      const a = fresh()
      await server.put(place(a, 1))
      const watched = watch(server)
      await seen(watched, a, [8001])
      await watched.stop()
      const { length } = watched.snapshots
      await server.put(place(a, 2))
      const other = watch(server)
      await seen(other, a, [8001, 8002])
      expect(watched.snapshots.length).toBe(length)
    })
  })

  describe(`${name}: a server that fails`, () => {
    test('while it is away everything stays; back again, nothing was missed', async () => {
      const server = await start()
      for (const n of [1, 2]) await server.put(place('a', n))
      await server.put(place('b', 3))
      const watched = watch(server)
      await seen(watched, 'a', [8001, 8002])
      const before = watched.snapshot()?.services
      await server.kill()
      await waitFor(() => watched.status()?.state === 'stale', {
        what: `stale; last: ${JSON.stringify(watched.status())}`,
      })
      expect(watched.status()?.lastError?.message).not.toBe('')
      expect(watched.status()?.lastSuccess).toBeGreaterThan(0)
      expect(usable(watched, 'a')).toEqual([8001, 8002])
      expect(usable(watched, 'b')).toEqual([8003])
      await server.restart()
      await server.put(place('a', 4))
      await server.remove(place('a', 1))
      await seen(watched, 'a', [8002, 8004])
      await live(watched)
      expect(watched.snapshot()?.services.get('b')).toBe(before?.get('b'))
      await waitFor(() => watched.snapshot()?.failed.size === 0, { what: 'all services to be read again' })
      expect(watched.status()?.lastError).toBeUndefined()
      expect(watched.snapshot()?.epoch).toBeGreaterThan(watched.snapshots[0]?.epoch ?? 0)
    })

    test('a provider may be there before its registry', async () => {
      const server = await start({ isDown: true })
      const watched = watch(server)
      await waitFor(() => watched.status()?.state === 'failed', {
        what: `failed; last: ${JSON.stringify(watched.status())}`,
      })
      expect(watched.status()?.lastError?.message).not.toBe('')
      expect(watched.snapshots).toEqual([])
      await server.restart()
      await server.put(place('a', 1))
      await seen(watched, 'a', [8001])
      await live(watched)
    })

    test('a registry that lost its data empties no table', async () => {
      const server = await start()
      for (const n of [1, 2, 3]) await server.put(place('a', n))
      await server.put(place('b', 4))
      const watched = watch(server)
      await seen(watched, 'a', [8001, 8002, 8003])
      await live(watched)
      const { length } = watched.statuses
      await server.wipe()
      const isSeen = () =>
        watched.instances('a').length === 0 ||
        watched.statuses.slice(length).some(({ state }) => state !== 'live')
      await waitFor(isSeen, { what: 'the loss, in the status or a snapshot' })
      expect(usable(watched, 'a')).toEqual([8001, 8002, 8003])
      expect(usable(watched, 'b')).toEqual([8004])
      // Fewer writes than before, so numbers that count them are lower than those that the provider knows.
      await server.put(place('a', 5))
      await seen(watched, 'a', [8005])
      await live(watched)
      expect(usable(watched, 'a')).toEqual([8001, 8002, 8003, 8005])
      expect(usable(watched, 'b')).toEqual([8004])
      for (const n of [1, 2, 3]) await server.put(place('a', n))
      await seen(watched, 'a', [8001, 8002, 8003, 8005])
    })

    const permission = harness.without?.permission === undefined ? test : undefined
    permission?.('a right that is lost empties no table, and is told', async () => {
      const server = await start({ isGuarded: true })
      for (const n of [1, 2]) await server.put(place('a', n))
      const watched = watch(server)
      await seen(watched, 'a', [8001, 8002])
      await live(watched)
      await server.revoke?.()
      const words = () =>
        [watched.status()?.lastError?.message, ...(watched.snapshot()?.problems ?? [])].join('')
      await waitFor(() => words() !== '', {
        timeoutMs: BACK_MS,
        what: `words about it; status: ${JSON.stringify(watched.status())}`,
      })
      expect(usable(watched, 'a')).toEqual([8001, 8002])
      await server.grant?.()
      await server.put(place('a', 3))
      await seen(watched, 'a', [8001, 8002, 8003])
      await live(watched)
      await waitFor(() => words() === '', { what: `no words any more; they are: ${words()}` })
    })

    permission?.('without the right from the beginning it is no empty registry', async () => {
      const server = await start({ isGuarded: true })
      await server.put(place('a', 1))
      await server.revoke?.()
      const watched = watch(server)
      await waitFor(() => watched.status()?.state === 'failed', {
        what: `failed; last: ${JSON.stringify(watched.status())}`,
      })
      expect(watched.snapshots).toEqual([])
      await server.grant?.()
      await seen(watched, 'a', [8001])
    })
  })

  describe(`${name}: many`, () => {
    test(`${MANY_SERVICES * MANY_EACH} instances: all are read, and one change touches one service`, async () => {
      const server = await start()
      const records = Array.from({ length: MANY_SERVICES * MANY_EACH }, (_, n) =>
        place(`m${n % MANY_SERVICES}`, n),
      )
      await putAll(server, records)
      const watched = watch(server)
      await waitFor(() => watched.snapshot(), { timeoutMs: BACK_MS })
      const services = watched.snapshot()?.services
      const count = (all: typeof services) =>
        [...(all ?? [])]
          .filter(([service]) => /^m\d+$/.test(service))
          .reduce((sum, [, { instances }]) => sum + instances.length, 0)
      expect(count(services)).toBe(records.length)
      await server.remove(place('m7', 7))
      await waitFor(() => watched.instances('m7').length === MANY_EACH - 1)
      const after = watched.snapshot()?.services
      for (let n = 0; n < MANY_SERVICES; n++) {
        if (n !== 7) expect(after?.get(`m${n}`)).toBe(services?.get(`m${n}`))
      }
      await server.kill()
      await waitFor(() => watched.status()?.state === 'stale')
      await server.restart()
      await live(watched)
      expect(count(watched.snapshot()?.services)).toBe(records.length - 1)
    })
  })
}
