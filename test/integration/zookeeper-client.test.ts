import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { GatewayError } from '../../src/core/errors.ts'
import { ZooKeeperClient } from '../../src/zookeeper/client.ts'
import { OWN_ACL, type WatchEvent } from '../../src/zookeeper/messages.ts'
import type { ZooKeeperOptions } from '../../src/zookeeper/session.ts'
import { useCleanups } from '../support/cleanup.ts'
import { waitFor } from '../support/wait.ts'
import { startZooKeeper, type TestZooKeeper } from '../support/zookeeper.ts'

const { later } = useCleanups()

interface Noted {
  readonly client: ZooKeeperClient
  readonly connected: { server: string; isNewSession: boolean }[]
  readonly failures: GatewayError[]
  readonly watched: WatchEvent[]
}

/** A client that keeps what it is told. */
function note(options: Partial<ZooKeeperOptions> & Pick<ZooKeeperOptions, 'servers'>): Noted {
  const connected: Noted['connected'] = []
  const failures: GatewayError[] = []
  const watched: WatchEvent[] = []
  const client = new ZooKeeperClient(
    { sessionTimeoutMs: 2000, ...options },
    {
      onConnected: (about) => void connected.push(about),
      onFailure: (error) => void failures.push(error),
      onWatch: (event) => void watched.push(event),
    },
    Math.random,
  )
  client.start()
  later(() => client.close(100))
  return { client, connected, failures, watched }
}

/** In front of a server, to cut or to change what goes through. */
async function startProxy(port: number, onAnswer?: (chunk: Buffer, connection: number) => Buffer | 'cut') {
  const sockets = new Set<Socket>()
  let count = 0
  const proxy = createServer((client) => {
    const number = ++count
    const server = connect(port, '127.0.0.1')
    sockets.add(client)
    const end = () => {
      client.destroy()
      server.destroy()
      sockets.delete(client)
    }
    for (const socket of [client, server]) socket.on('error', end).on('close', end)
    client.pipe(server)
    server.on('data', (chunk: Buffer) => {
      const answer = onAnswer === undefined ? chunk : onAnswer(chunk, number)
      if (answer === 'cut') client.write(chunk.subarray(0, chunk.length - 3), () => end())
      else client.write(answer)
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  later(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  const { port: own } = proxy.address() as { port: number }
  return {
    server: `127.0.0.1:${own}`,
    count: () => count,
    cut() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

describe('a server', () => {
  let zookeeper: TestZooKeeper
  let port: number
  beforeAll(async () => {
    zookeeper = await startZooKeeper()
    port = Number(zookeeper.server.split(':')[1])
  })
  afterAll(() => zookeeper.stop())

  test('nodes are written, read, watched and removed', async () => {
    const { client, watched, connected } = note({ servers: [zookeeper.server] })
    await client.ready(5000)
    expect(connected).toEqual([{ server: zookeeper.server, isNewSession: true }])
    await client.ensure('/a/b')
    expect(await client.getChildren('/a/none', true)).toBeUndefined()
    expect(await client.getChildren('/a/b', true)).toEqual([])
    expect(await client.exists('/a/b/x', true)).toBeUndefined()
    const data = Buffer.from('ü '.repeat(200_000))
    expect(await client.create('/a/b/x', data)).toBe('created')
    expect(await client.create('/a/b/x', data)).toBe('exists')
    expect(await client.create('/none/x', data)).toBe('orphan')
    await waitFor(() => watched.length === 2)
    expect(watched).toEqual(
      expect.arrayContaining([
        { type: 'children', path: '/a/b' },
        { type: 'created', path: '/a/b/x' },
      ]),
    )
    const read = await client.getData('/a/b/x', true)
    expect(read?.data.equals(data)).toBe(true)
    expect(read?.stat).toMatchObject({ version: 0, ephemeralOwner: 0n })
    expect(await client.setData('/a/b/x', Buffer.from('y'), 0)).toBe(true)
    await expect(client.setData('/a/b/x', Buffer.from('z'), 0)).rejects.toMatchObject({
      code: 'GW_REGISTRY_ANSWER',
    })
    expect(await client.remove('/a/b/x')).toBe(true)
    expect(await client.remove('/a/b/x')).toBe(false)
    expect(await client.setData('/a/b/x', data)).toBe(false)
    expect(watched.slice(2)).toEqual([{ type: 'changed', path: '/a/b/x' }])
  })

  test('many calls at once come back in their order', async () => {
    const { client } = note({ servers: [zookeeper.server] })
    await client.ready(5000)
    await client.ensure('/many')
    await Promise.all(
      Array.from({ length: 500 }, (_, n) => client.create(`/many/${n}`, Buffer.from(String(n)))),
    )
    const all = await Promise.all(Array.from({ length: 500 }, (_, n) => client.getData(`/many/${n}`)))
    expect(all.map((one) => one?.data.toString())).toEqual(Array.from({ length: 500 }, (_, n) => String(n)))
  })

  test('ephemeral nodes end with the session: at once with close, later without a word', async () => {
    const first = note({ servers: [zookeeper.server] })
    await first.client.ready(5000)
    await first.client.create('/eph-1', Buffer.alloc(0), { isEphemeral: true })
    expect((await zookeeper.client.exists('/eph-1'))?.ephemeralOwner).toBe(first.client.sessionId)
    await first.client.close()
    expect(await zookeeper.client.exists('/eph-1')).toBeUndefined()
  })

  test('a lost connection keeps the session; an expired one gets another', async () => {
    const proxy = await startProxy(port)
    const { client, connected, failures } = note({ servers: [proxy.server] })
    await client.ready(5000)
    const session = client.sessionId
    await client.create('/eph-2', Buffer.alloc(0), { isEphemeral: true })
    proxy.cut()
    await waitFor(() => connected.length === 2)
    expect(failures.length).toBe(1)
    expect(connected[1]).toMatchObject({ isNewSession: false })
    expect(client.sessionId).toBe(session)
    expect(await client.exists('/eph-2')).toBeDefined()
    // Somebody else ends the session: what a server does when it expires.
    await zookeeper.endSession(session)
    await waitFor(() => connected.length === 3)
    expect(connected[2]).toMatchObject({ isNewSession: true })
    expect(client.sessionId).not.toBe(session)
    expect(await client.exists('/eph-2')).toBeUndefined()
  })

  test('half an answer of a connection that broke does not harm the next one', async () => {
    const proxy = await startProxy(port, (chunk, connection) =>
      connection === 1 && chunk.length > 100 ? 'cut' : chunk,
    )
    const { client, connected } = note({ servers: [proxy.server] })
    await client.ready(5000)
    await client.ensure('/half')
    const write = await zookeeper.client.setData('/half', Buffer.alloc(1000))
    expect(write).toBe(true)
    await expect(client.getData('/half')).rejects.toMatchObject({ code: 'GW_REGISTRY_UNREACHABLE' })
    await waitFor(() => connected.length === 2)
    expect(connected[1]).toMatchObject({ isNewSession: false })
    expect((await client.getData('/half'))?.data.length).toBe(1000)
  })

  test('rights are those of the user; a wrong one is told as such', async () => {
    const owner = note({ servers: [zookeeper.server], auth: 'ann:secret' })
    const other = note({ servers: [zookeeper.server], auth: 'bob:guess' })
    await owner.client.ready(5000)
    await other.client.ready(5000)
    await owner.client.create('/mine', Buffer.from('x'), { acl: OWN_ACL })
    expect((await other.client.getData('/mine'))?.data.toString()).toBe('x')
    await expect(other.client.setData('/mine', Buffer.from('y'))).rejects.toMatchObject({
      code: 'GW_REGISTRY_ACL',
      message: '/mine: ZooKeeper says no right (-102)',
    })
    expect(await owner.client.setData('/mine', Buffer.from('z'))).toBe(true)
  })

  test('something that is no ZooKeeper is none', async () => {
    const proxy = await startProxy(port, () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const { client, failures } = note({ servers: [proxy.server] })
    await expect(client.ready(1000)).rejects.toMatchObject({ code: 'GW_REGISTRY_UNREACHABLE' })
    expect(failures[0]?.message).toContain('is that a ZooKeeper?')
  })
})

describe('servers that fail', () => {
  test('one that hangs is left for another, also by clients that are new', async () => {
    const hung = await startZooKeeper()
    later(() => hung.stop())
    const good = await startZooKeeper()
    later(() => good.stop())
    const old = note({ servers: [hung.server] })
    await old.client.ready(5000)
    hung.signal('SIGSTOP')
    later(() => hung.signal('SIGCONT'))
    const fresh = Array.from({ length: 8 }, () => note({ servers: [hung.server, good.server] }))
    await waitFor(() => old.failures.length > 0)
    expect(old.failures[0]).toMatchObject({ code: 'GW_REGISTRY_TIMEOUT' })
    expect(old.failures[0]?.message).toMatch(/silent for \d+ ms/)
    await Promise.all(fresh.map(({ client }) => client.ready(5000)))
    expect(new Set(fresh.flatMap(({ connected }) => connected.map(({ server }) => server)))).toEqual(
      new Set([good.server]),
    )
  })

  test('calls that wait when the connection breaks are refused, and it comes back by itself', async () => {
    const zookeeper = await startZooKeeper()
    later(() => zookeeper.stop())
    const { client, failures, connected } = note({ servers: [zookeeper.server] })
    await client.ready(5000)
    zookeeper.signal('SIGSTOP')
    const waiting = expect(client.getChildren('/')).rejects.toMatchObject({ code: 'GW_REGISTRY_UNREACHABLE' })
    await zookeeper.kill9()
    await waiting
    await expect(client.getChildren('/')).rejects.toMatchObject({ code: 'GW_REGISTRY_UNREACHABLE' })
    expect(client.isConnected).toBe(false)
    await waitFor(() => failures.length > 3)
    await zookeeper.restart()
    await client.ready(10_000)
    expect(connected.length).toBe(2)
    expect(await client.getChildren('/')).toContain('test')
  })

  test('a server without its data is not shunned for ever', async () => {
    const zookeeper = await startZooKeeper()
    later(() => zookeeper.stop())
    const { client, connected } = note({ servers: [zookeeper.server] })
    await client.ready(5000)
    for (let n = 0; n < 20; n++) await client.create(`/n${n}`, Buffer.alloc(0))
    await zookeeper.restart({ wipe: true })
    await waitFor(() => connected.length === 2)
    expect(connected[1]).toMatchObject({ isNewSession: true })
    expect(await client.exists('/n0')).toBeUndefined()
  })

  test('close ends it in every state, and quickly', async () => {
    const zookeeper = await startZooKeeper()
    later(() => zookeeper.stop())
    const { client } = note({ servers: [zookeeper.server] })
    await client.ready(5000)
    zookeeper.signal('SIGSTOP')
    const connecting = note({ servers: [zookeeper.server] })
    const begun = performance.now()
    await connecting.client.close(100)
    await client.close(100)
    expect(performance.now() - begun).toBeLessThan(1000)
    expect(connecting.failures).toEqual([])
    zookeeper.signal('SIGCONT')
  })
})
