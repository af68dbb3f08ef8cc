import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from './ports.ts'
import { waitFor } from './wait.ts'

/** A real Redis of its own on 127.0.0.1. */
export interface TestRedis {
  readonly port: number
  readonly url: string
  readonly pid: number
  /** To look at it and to change it; connected anew after a restart. */
  readonly client: Redis
  /** SIGKILL, and wait for the end. */
  kill9(): Promise<void>
  /** Starts again on the same port, empty. */
  restart(): Promise<void>
  /** SIGSTOP: it accepts connections and never answers. `thaw` ends that. */
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

export interface RedisTestOptions {
  /** Take the port, but do not start: `restart` starts it. Default false. */
  readonly isDown?: boolean
  /** Further arguments of redis-server. */
  readonly args?: readonly string[]
  readonly password?: string
  readonly port?: number
}

/** Starts a Redis without persistence on a free port. The caller must `stop` it. */
export async function startRedis(options: RedisTestOptions = {}): Promise<TestRedis> {
  const port = options.port ?? (await freePort())
  const folder = mkdtempSync(join(tmpdir(), 'sluice-redis-'))
  let child: ChildProcess | undefined
  let exited: Promise<unknown> = Promise.resolve()
  const client = new Redis(port, '127.0.0.1', {
    lazyConnect: true,
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
    ...(options.password === undefined ? {} : { password: options.password }),
  })
  client.on('error', () => {})
  const start = async () => {
    const password = options.password === undefined ? [] : ['--requirepass', options.password]
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    child = spawn('redis-server', [...args, '--dir', folder, ...password, ...(options.args ?? [])], {
      stdio: 'ignore',
    })
    exited = once(child, 'exit')
    if (client.status === 'wait') await client.connect().catch(() => {})
    await waitFor(() => client.ping(), { what: `Redis on port ${port}` })
  }
  const kill9 = async () => {
    if (child !== undefined && child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await exited
  }
  if (options.isDown !== true) await start()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    client,
    get pid() {
      return child?.pid as number
    },
    kill9,
    async restart() {
      await kill9()
      await start()
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async stop() {
      client.disconnect()
      await kill9()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export interface TestRedisCluster {
  readonly nodes: readonly TestRedis[]
  /** host:port of each. */
  readonly addresses: readonly string[]
  stop(): Promise<void>
}

/** Three masters, every slot served, no replicas. */
export async function startRedisCluster(): Promise<TestRedisCluster> {
  const nodes: TestRedis[] = []
  for (let i = 0; i < 3; i++) {
    const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']
    nodes.push(await startRedis({ args: [...args, '--cluster-port', String(await freePort())] }))
  }
  const bounds = [0, 5461, 10923, 16384]
  for (const [i, { client }] of nodes.entries()) {
    await client.cluster('ADDSLOTSRANGE', bounds[i] as number, (bounds[i + 1] as number) - 1)
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1))
  }
  const [first, ...others] = nodes as [TestRedis, ...TestRedis[]]
  for (const { client, port } of others) {
    const busPort = String(await client.config('GET', 'cluster-port').then((reply) => (reply as string[])[1]))
    await first.client.call('CLUSTER', 'MEET', '127.0.0.1', String(port), busPort)
  }
  for (const { client } of nodes) {
    await waitFor(async () => (await client.cluster('INFO')).includes('cluster_state:ok'), {
      timeoutMs: 20_000,
      what: 'the Redis cluster',
    })
    await waitFor(async () => ((await client.cluster('SLOTS')) as unknown[]).length === 3)
  }
  return {
    nodes,
    addresses: nodes.map(({ port }) => `127.0.0.1:${port}`),
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

export interface TestSentinels {
  readonly groupName: string
  /** host:port of the sentinels. */
  readonly addresses: readonly string[]
  readonly master: TestRedis
  readonly replica: TestRedis
  stop(): Promise<void>
}

/** A master, its replica, and three sentinels that promote it within a second or two. */
export async function startSentinels(): Promise<TestSentinels> {
  const master = await startRedis()
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
  await waitFor(async () => (await replica.client.info('replication')).includes('master_link_status:up'))
  const sentinels: TestRedis[] = []
  for (let i = 0; i < 3; i++) sentinels.push(await startSentinel(master.port))
  for (const { client } of sentinels) {
    await waitFor(async () => {
      const info = await client.info('sentinel')
      return info.includes('slaves=1,sentinels=3')
    })
  }
  return {
    groupName: 'limits',
    addresses: sentinels.map(({ port }) => `127.0.0.1:${port}`),
    master,
    replica,
    async stop() {
      await Promise.all([...sentinels, master, replica].map((one) => one.stop()))
    },
  }
}

async function startSentinel(masterPort: number): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-sentinel-'))
  const port = await freePort()
  writeFileSync(
    join(folder, 'sentinel.conf'),
    `port ${port}
bind 127.0.0.1
dir ${folder}
sentinel monitor limits 127.0.0.1 ${masterPort} 2
sentinel down-after-milliseconds limits 500
sentinel failover-timeout limits 2000
`,
  )
  const child = spawn('redis-server', [join(folder, 'sentinel.conf'), '--sentinel'], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 20, maxRetriesPerRequest: null })
  client.on('error', () => {})
  await waitFor(() => client.ping(), { what: 'a sentinel' })
  const kill9 = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await exited
  }
  return {
    port,
    url: '',
    pid: child.pid as number,
    client,
    kill9,
    restart: () => Promise.resolve(),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async stop() {
      client.disconnect()
      await kill9()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A way to a Redis that can be made to lead nowhere, as a network does that drops packets. */
export interface Detour {
  readonly port: number
  /** How many came so far. */
  connections(): number
  /** What is connected now stays so, and nothing passes any more. */
  swallow(): void
  close(): void
}

/** Listens on a free port of 127.0.0.1 and passes everything on. */
export async function startDetour(port: number): Promise<Detour> {
  const sockets = new Set<Socket>()
  let count = 0
  const server = createServer((near) => {
    count++
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    near.pipe(far)
    far.pipe(near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => count,
    swallow() {
      for (const socket of sockets) socket.unpipe().pause()
    },
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
