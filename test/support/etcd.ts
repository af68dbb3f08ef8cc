import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GatewayError } from '../../src/core/errors.ts'
import { freePort } from './ports.ts'
import type { TlsFiles } from './tls-files.ts'
import { waitFor } from './wait.ts'

const READY_TIMEOUT_MS = 30_000
const ROOT_PASSWORD = 'root-of-the-test'

/** One key of etcd's answer to a range. */
export interface EtcdTestEntry {
  readonly key: string
  readonly value: string
  readonly lease: string
  readonly modRevision: number
}

/** Calls of etcd's JSON gateway that tests need, by code of their own. All throw GW_INTERNAL_STATE for what is not 200. */
export interface EtcdApi {
  readonly url: string
  /** `/kv/put` and the like, below `/v3`. */
  call<T>(path: string, body: unknown): Promise<T>
  /** Resolves with the revision. */
  put(key: string, value: string, lease?: string): Promise<number>
  remove(key: string): Promise<void>
  list(prefix: string): Promise<EtcdTestEntry[]>
  /** Id of a lease of so many seconds that nobody keeps alive. */
  grant(seconds: number): Promise<string>
  revoke(lease: string): Promise<void>
  /** Forgets the history before this revision. */
  compact(revision: number): Promise<void>
}

/** A real etcd of its own. */
export interface TestEtcd extends EtcdApi {
  readonly pid: number
  /** SIGKILL, and wait for the end. */
  kill9(): Promise<void>
  /** SIGSTOP and SIGCONT: it holds its connections and says nothing. */
  freeze(): void
  thaw(): void
  /** Starts again on the same port; `wipe` = without its data, and without auth. Kills it first where it runs. */
  restart(options?: { wipe?: boolean }): Promise<void>
  /** With `auth`: a user with the right to read (or also write) keys with the prefix. Made anew when there is one. */
  setUser(name: string, password: string, rights: Rights): Promise<void>
  /** Ends the process and removes its folder. */
  stop(): Promise<void>
}

export interface Rights {
  readonly prefix: string
  readonly type: 'READ' | 'READWRITE' | 'NONE'
}

export interface EtcdTestOptions {
  /** Users and passwords are needed; the helpers are `root`. */
  readonly auth?: boolean
  /** Take the port, but do not start: `restart` starts it. */
  readonly isDown?: boolean
  /** Clients come in over TLS with this pair; `clientCa`: PEM file of whom they must have a certificate from. */
  readonly tls?: Pick<TlsFiles, 'cert' | 'key'> & { readonly clientCa?: string }
  /** Of login tokens. s, default 300. */
  readonly tokenTtl?: number
}

/** Starts a single etcd on free loopback ports and waits until it takes writes. The caller must `stop` it. */
export async function startEtcd(options: EtcdTestOptions = {}): Promise<TestEtcd> {
  const [client, peer] = [await freePort(), await freePort()]
  const node = new EtcdProcess('n1', '127.0.0.1', client, peer, `n1=http://127.0.0.1:${peer}`, options)
  const api = createApi(node.url, options)
  const start = async () => {
    node.start()
    await waitFor(() => api.isReady(), { timeoutMs: READY_TIMEOUT_MS, what: `etcd: ${node.output()}` })
    if (options.auth === true) await api.enableAuth()
  }
  if (options.isDown !== true) await start()
  return {
    ...api,
    get pid() {
      return node.pid
    },
    kill9: () => node.kill9(),
    freeze: () => node.signal('SIGSTOP'),
    thaw: () => node.signal('SIGCONT'),
    async restart({ wipe = false } = {}) {
      await node.kill9()
      if (wipe) node.wipe()
      await start()
    },
    stop: () => node.stop(),
  }
}

export interface EtcdMember extends EtcdApi {
  readonly name: string
  readonly pid: number
  kill9(): Promise<void>
  freeze(): void
  thaw(): void
  restart(): Promise<void>
}

/** Three members on loopback. */
export interface TestEtcdCluster {
  readonly members: readonly EtcdMember[]
  /** As the first that answers says. */
  leader(): Promise<EtcdMember>
  stop(): Promise<void>
}

/** Starts three members that elect a leader within a second. The caller must `stop` them. */
export async function startEtcdCluster(): Promise<TestEtcdCluster> {
  const ports = await Promise.all(Array.from({ length: 6 }, () => freePort()))
  const names = ['n1', 'n2', 'n3']
  const peers = names.map((name, i) => `${name}=http://127.0.0.1:${ports[i + 3]}`).join()
  const nodes = names.map(
    (name, i) => new EtcdProcess(name, '127.0.0.1', ports[i] ?? 0, ports[i + 3] ?? 0, peers, {}),
  )
  const apis = nodes.map((node) => createApi(node.url, {}))
  const ready = () =>
    waitFor(async () => (await Promise.all(apis.map((api) => api.isReady()))).every(Boolean), {
      timeoutMs: READY_TIMEOUT_MS,
      what: `the cluster: ${nodes[0]?.output()}`,
    })
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  for (const node of nodes) node.start()
  try {
    await ready()
  } catch (thrown) {
    await stop()
    throw thrown
  }
  const members = nodes.map((node, i): EtcdMember => {
    const api = apis[i] as ReturnType<typeof createApi>
    return {
      ...api,
      name: node.name,
      get pid() {
        return node.pid
      },
      kill9: () => node.kill9(),
      freeze: () => node.signal('SIGSTOP'),
      thaw: () => node.signal('SIGCONT'),
      async restart() {
        node.start()
        await waitFor(() => api.isReady(), { timeoutMs: READY_TIMEOUT_MS, what: node.output() })
      },
    }
  })
  return {
    members,
    async leader() {
      const said = await Promise.any(
        members.map(async (member) => {
          const status = await member.call<{ header: { member_id: string }; leader: string }>(
            '/maintenance/status',
            {},
          )
          return { member, id: status.header.member_id, leader: status.leader }
        }),
      )
      const all = await Promise.allSettled(
        members.map(async (member) => ({
          member,
          id: (await member.call<{ header: { member_id: string } }>('/maintenance/status', {})).header
            .member_id,
        })),
      )
      const found = all.find((one) => one.status === 'fulfilled' && one.value.id === said.leader)
      if (found?.status !== 'fulfilled') throw new GatewayError('GW_INTERNAL_STATE', 'no leader')
      return found.value.member
    },
    stop,
  }
}

/** One member with a folder of its own; started and ended by its pid. */
class EtcdProcess {
  readonly name: string
  readonly url: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-etcd-'))
  readonly #args: readonly string[]
  #child: ChildProcess | undefined
  #output = ''

  constructor(
    name: string,
    host: string,
    client: number,
    peer: number,
    cluster: string,
    { tls, tokenTtl }: EtcdTestOptions,
  ) {
    if (spawnSync('etcd', ['--version']).status !== 0) {
      throw new GatewayError('GW_INTERNAL_STATE', 'etcd is missing: run "npm run servers"')
    }
    this.name = name
    this.url = `${tls === undefined ? 'http' : 'https'}://${host}:${client}`
    const own = `http://${host}:${peer}`
    this.#args = [
      ...['--name', name, '--data-dir', join(this.#folder, 'data'), '--log-level', 'error'],
      ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
      ...['--listen-peer-urls', own, '--initial-advertise-peer-urls', own],
      ...['--initial-cluster', cluster, '--heartbeat-interval', '50', '--election-timeout', '500'],
      ...(tls === undefined ? [] : ['--cert-file', tls.cert, '--key-file', tls.key]),
      ...(tls?.clientCa === undefined ? [] : ['--client-cert-auth', '--trusted-ca-file', tls.clientCa]),
      ...(tokenTtl === undefined ? [] : ['--auth-token-ttl', String(tokenTtl)]),
    ]
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  output(): string {
    return this.#output
  }

  start(): void {
    const child = spawn('etcd', this.#args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-4000)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    this.#child = child
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
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

const encode = (text: string) => Buffer.from(text).toString('base64')
const decode = (text: string | undefined) => Buffer.from(text ?? '', 'base64').toString('utf8')

function rangeOf(prefix: string): { key: string; range_end: string } {
  const end = Buffer.from(prefix)
  end[end.length - 1] = (end.at(-1) ?? 0) + 1
  return { key: encode(prefix), range_end: end.toString('base64') }
}

function createApi(url: string, { auth = false, tls }: EtcdTestOptions) {
  const state: { token: string | undefined } = { token: undefined }
  const post = (path: string, body: unknown) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const open = url.startsWith('https:') ? tlsRequest : plainRequest
      const request = open(
        `${url}/v3${path}`,
        {
          method: 'POST',
          agent: false,
          timeout: 5000,
          ...(state.token === undefined ? {} : { headers: { authorization: state.token } }),
          ...(tls === undefined
            ? {}
            : { rejectUnauthorized: false, cert: readFileSync(tls.cert), key: readFileSync(tls.key) }),
        },
        async (response) => {
          try {
            let text = ''
            for await (const chunk of response) text += String(chunk)
            resolve({ status: response.statusCode ?? 0, text })
          } catch (thrown) {
            reject(thrown)
          }
        },
      )
      request.on('timeout', () => request.destroy())
      request.on('error', reject)
      request.end(JSON.stringify(body))
    })
  const call = async <T>(path: string, body: unknown): Promise<T> => {
    let answer = await post(path, body)
    // Tokens are forgotten with the process.
    if (answer.status === 401 || (auth && /user name is empty/.test(answer.text))) {
      state.token = undefined
      const login = await post('/auth/authenticate', { name: 'root', password: ROOT_PASSWORD })
      state.token = (JSON.parse(login.text) as { token?: string }).token
      answer = await post(path, body)
    }
    if (answer.status !== 200) {
      throw new GatewayError('GW_INTERNAL_STATE', `${path}: ${answer.status} ${answer.text}`)
    }
    return JSON.parse(answer.text) as T
  }
  const api: EtcdApi = {
    url,
    call,
    async put(key, value, lease) {
      const body = { key: encode(key), value: encode(value), ...(lease === undefined ? {} : { lease }) }
      const { header } = await call<{ header: { revision: string } }>('/kv/put', body)
      return Number(header.revision)
    },
    async remove(key) {
      await call('/kv/deleterange', { key: encode(key) })
    },
    async list(prefix) {
      const { kvs = [] } = await call<{ kvs?: Record<string, string>[] }>('/kv/range', rangeOf(prefix))
      return kvs.map((kv) => ({
        key: decode(kv['key']),
        value: decode(kv['value']),
        lease: kv['lease'] ?? '0',
        modRevision: Number(kv['mod_revision']),
      }))
    },
    grant: async (seconds) => (await call<{ ID: string }>('/lease/grant', { TTL: seconds })).ID,
    async revoke(lease) {
      await call('/lease/revoke', { ID: lease })
    },
    async compact(revision) {
      await call('/kv/compaction', { revision, physical: true })
    },
  }
  return {
    ...api,
    async isReady() {
      await call('/kv/range', { key: encode('/ready') })
      return true
    },
    async enableAuth() {
      const { status, text } = await post('/auth/user/add', { name: 'root', password: ROOT_PASSWORD })
      // After a restart it is on.
      if (/user name is empty|already exists/.test(text)) return
      if (status !== 200) throw new GatewayError('GW_INTERNAL_STATE', `auth: ${status} ${text}`)
      await post('/auth/role/add', { name: 'root' })
      await post('/auth/user/grant', { user: 'root', role: 'root' })
      await post('/auth/enable', {})
    },
    async setUser(name: string, password: string, { prefix, type }: Rights) {
      await call('/auth/user/delete', { name }).catch(() => {})
      await call('/auth/role/delete', { role: name }).catch(() => {})
      await call('/auth/role/add', { name })
      if (type !== 'NONE') {
        await call('/auth/role/grant', { name, perm: { permType: type, ...rangeOf(prefix) } })
      }
      await call('/auth/user/add', { name, password })
      await call('/auth/user/grant', { user: name, role: name })
    },
  }
}
