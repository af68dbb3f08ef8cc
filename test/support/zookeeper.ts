import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GatewayError } from '../../src/core/errors.ts'
import { ZooKeeperClient } from '../../src/zookeeper/client.ts'
import { FrameSplitter, JuteReader, JuteWriter } from '../../src/zookeeper/jute.ts'
import { connectRequest, OP, readConnectAnswer } from '../../src/zookeeper/messages.ts'
import type { ZooKeeperOptions } from '../../src/zookeeper/session.ts'
import { freePort } from './ports.ts'
import { waitFor } from './wait.ts'

const JAR = '/usr/share/java/zookeeper.jar'
/** For its words on standard error, and what Debian's jar forgets to name for connections over TLS. */
const MORE_JARS = ['slf4j-simple', 'netty-codec', 'netty-resolver', 'netty-transport-native-unix-common']
const CLASS_PATH = [JAR, ...MORE_JARS.map((name) => `/usr/share/java/${name}.jar`)].join(':')
const READY_TIMEOUT_MS = 30_000
/** For an answer to a four letter word. ms. */
const WORD_TIMEOUT_MS = 1000
/** The server's unit of time; a session lasts 2 to 20 of them. ms. */
const TICK_MS = 200
/** May do everything, whatever the ACLs say. */
export const SUPER_AUTH = 'super:test-secret'

export interface ZooKeeperTestOptions {
  /** Take the port, but do not start: `restart` starts it. Default false. */
  readonly isDown?: boolean
  /** Further lines of zoo.cfg. */
  readonly config?: readonly string[]
  /** Further system properties of Java. */
  readonly properties?: Readonly<Record<string, string>>
}

/** A real ZooKeeper server of its own. */
export interface TestZooKeeper {
  /** `127.0.0.1:port` */
  readonly server: string
  readonly pid: number
  /** A connected client with all rights; ended with the server. Its session lives through restarts. */
  readonly client: ZooKeeperClient
  /** Another one, connected; the caller must `close` it. */
  connect(options?: Partial<ZooKeeperOptions>): Promise<ZooKeeperClient>
  /** Ends somebody's session, as the server does when it expires: its connection is closed, its nodes are gone. */
  endSession(id: bigint): Promise<void>
  /** What it says to a four letter word. */
  word(word: string): Promise<string>
  signal(name: NodeJS.Signals): void
  /** SIGKILL, and wait for the end. */
  kill9(): Promise<void>
  /** Starts again on the same port; `wipe` = without its data. Kills it first where it runs. */
  restart(options?: { wipe?: boolean }): Promise<void>
  /** Ends the process and removes its folder. */
  stop(): Promise<void>
}

/** The id of a `user:password` in an ACL of the scheme digest. */
export function digestId(auth: string): string {
  const user = auth.slice(0, auth.indexOf(':'))
  return `${user}:${createHash('sha1').update(auth).digest('base64')}`
}

/**
 * The password of a session: Java's `new Random(id ^ 0xB3415C00).nextBytes(16)`, as the servers make it. Who knows it
 * may take the session over.
 */
function sessionPassword(id: bigint): Buffer {
  const mask = (1n << 48n) - 1n
  let seed = (BigInt.asUintN(64, id) ^ 0xb3415c00n ^ 0x5deece66dn) & mask
  const password = Buffer.alloc(16)
  for (let at = 0; at < 16; at += 4) {
    seed = (seed * 0x5deece66dn + 0xbn) & mask
    password.writeInt32LE(Number(BigInt.asIntN(32, seed >> 16n)), at)
  }
  return password
}

async function endSession(port: number, id: bigint): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  const splitter = new FrameSplitter()
  const answers: Buffer[] = []
  socket.on('data', (chunk: Buffer) => answers.push(...splitter.push(chunk)))
  try {
    socket.write(connectRequest({ id, password: sessionPassword(id), timeoutMs: 4000 }, 0n))
    const session = readConnectAnswer(new JuteReader(await waitFor(() => answers.shift())))
    if (session?.id !== id) throw new GatewayError('GW_INTERNAL_STATE', `there is no session ${id}`)
    socket.write(new JuteWriter().int(1).int(OP.closeSession).frame())
    await waitFor(() => answers.shift())
  } finally {
    socket.destroy()
  }
}

/** A client, connected. The caller must `close` it. */
export async function connectZooKeeper(options: ZooKeeperOptions): Promise<ZooKeeperClient> {
  const client = new ZooKeeperClient(options, { onConnected() {}, onFailure() {}, onWatch() {} }, Math.random)
  client.start()
  await client.ready(READY_TIMEOUT_MS)
  return client
}

/** Starts a single server on a free loopback port and waits until it takes writes. The caller must `stop` it. */
export async function startZooKeeper(options: ZooKeeperTestOptions = {}): Promise<TestZooKeeper> {
  const port = await freePort()
  const node = new ZooKeeperProcess(port, options)
  const server = `127.0.0.1:${port}`
  const own: ZooKeeperOptions = { servers: [server], sessionTimeoutMs: 4000, auth: SUPER_AUTH }
  const client = new ZooKeeperClient(own, { onConnected() {}, onFailure() {}, onWatch() {} }, Math.random)
  const start = async () => {
    node.start()
    await waitFor(async () => (await node.word('ruok')) === 'imok', {
      timeoutMs: READY_TIMEOUT_MS,
      what: 'ZooKeeper',
    }).catch((cause: unknown) => {
      throw new GatewayError('GW_INTERNAL_STATE', `ZooKeeper does not start: ${node.output()}`, { cause })
    })
    await client.ready(READY_TIMEOUT_MS)
    await client.ensure('/test')
    await waitFor(() => client.setData('/test', Buffer.alloc(0)))
  }
  const stop = async () => {
    await client.close(100)
    await node.stop()
  }
  client.start()
  try {
    if (options.isDown !== true) await start()
  } catch (thrown) {
    await stop()
    throw thrown
  }
  return {
    server,
    client,
    get pid() {
      return node.pid
    },
    connect: (more = {}) => connectZooKeeper({ servers: [server], sessionTimeoutMs: 4000, ...more }),
    endSession: (id) => endSession(port, id),
    word: (word) => node.word(word),
    signal: (name) => node.signal(name),
    kill9: () => node.kill9(),
    async restart({ wipe = false } = {}) {
      await node.kill9()
      if (wipe) node.wipe()
      await start()
    },
    stop,
  }
}

/** Three servers that elect a leader. */
export interface TestEnsemble {
  /** `127.0.0.1:port` */
  readonly servers: readonly string[]
  /** A client with all rights; the caller must `close` it. */
  connect(options?: Partial<ZooKeeperOptions>): Promise<ZooKeeperClient>
  /** SIGKILL for the leader; gives which of the servers it was. */
  killLeader(): Promise<string>
  stop(): Promise<void>
}

/** Starts three servers on free loopback ports and waits until there is a leader. The caller must `stop` it. */
export async function startZooKeeperEnsemble(): Promise<TestEnsemble> {
  const ports = new Set<number>()
  while (ports.size < 9) ports.add(await freePort())
  const [p1, p2, p3, ...peers] = [...ports] as [number, number, number, ...number[]]
  const config = [
    'initLimit=50',
    'syncLimit=25',
    ...[0, 1, 2].map((n) => `server.${n + 1}=127.0.0.1:${peers[2 * n]}:${peers[2 * n + 1]}`),
  ]
  const members = [p1, p2, p3].map((port, n) => ({
    server: `127.0.0.1:${port}`,
    node: new ZooKeeperProcess(port, { config }, n + 1),
  }))
  const stop = async () => {
    await Promise.all(members.map(({ node }) => node.stop()))
  }
  const roleOf = async ({ node }: (typeof members)[number]) => {
    const words = await node.word('srvr').catch(() => '')
    return /^Mode: (\w+)$/m.exec(words)?.[1]
  }
  const leader = async () => {
    const roles = await Promise.all(members.map(roleOf))
    const found = members[roles.indexOf('leader')]
    return roles.every((role) => role !== undefined) ? found : undefined
  }
  for (const { node } of members) node.start()
  const servers = members.map(({ server }) => server)
  try {
    await waitFor(leader, { timeoutMs: READY_TIMEOUT_MS, what: 'a leader of three' })
  } catch (thrown) {
    await stop()
    throw thrown
  }
  return {
    servers,
    connect: (more = {}) => connectZooKeeper({ servers, sessionTimeoutMs: 4000, auth: SUPER_AUTH, ...more }),
    async killLeader() {
      const { node, server } = await waitFor(leader)
      await node.kill9()
      return server
    },
    stop,
  }
}

/** One server with a folder of its own; started and ended by its pid. */
class ZooKeeperProcess {
  readonly #port: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-zookeeper-'))
  readonly #properties: Readonly<Record<string, string>>
  readonly #id: number | undefined
  #child: ChildProcess | undefined
  #output = ''

  /** `id`: its number in an ensemble. */
  constructor(port: number, { config = [], properties = {} }: ZooKeeperTestOptions, id?: number) {
    if (!existsSync(JAR)) {
      throw new GatewayError('GW_INTERNAL_STATE', `${JAR} is missing: run "npm run servers"`)
    }
    this.#port = port
    this.#properties = {
      'zookeeper.DigestAuthenticationProvider.superDigest': digestId(SUPER_AUTH),
      'org.slf4j.simpleLogger.defaultLogLevel': 'warn',
      // Data outlive SIGKILL without it, too: only a machine that loses power loses them.
      'zookeeper.forceSync': 'no',
      ...properties,
    }
    const lines = [
      `tickTime=${TICK_MS}`,
      `dataDir=${join(this.#folder, 'data')}`,
      `clientPort=${port}`,
      'clientPortAddress=127.0.0.1',
      'admin.enableServer=false',
      '4lw.commands.whitelist=*',
      'maxClientCnxns=0',
      ...config,
    ]
    this.#id = id
    writeFileSync(join(this.#folder, 'zoo.cfg'), `${lines.join('\n')}\n`)
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  output(): string {
    return this.#output
  }

  start(): void {
    mkdirSync(join(this.#folder, 'data'), { recursive: true })
    if (this.#id !== undefined) writeFileSync(join(this.#folder, 'data/myid'), `${this.#id}\n`)
    const properties = Object.entries(this.#properties).map(([key, value]) => `-D${key}=${value}`)
    const java = ['-Xmx160m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...properties]
    const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain'
    const child = spawn('java', [...java, '-cp', CLASS_PATH, main, join(this.#folder, 'zoo.cfg')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-4000)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    this.#child = child
  }

  word(word: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = ''
      const socket = connect(this.#port, '127.0.0.1')
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString()
      })
      // A port that nobody listens on yet can be connected with itself, and then says nothing for ever.
      socket.setTimeout(WORD_TIMEOUT_MS, () => socket.destroy())
      socket.once('error', reject)
      socket.once('close', () => resolve(answer))
      socket.write(word)
    })
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  async kill9(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }

  wipe(): void {
    rmSync(join(this.#folder, 'data'), { recursive: true, force: true })
  }

  async stop(): Promise<void> {
    await this.kill9()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
