import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GatewayError } from '../../src/core/errors.ts'
import { freePort } from './ports.ts'
import { waitFor } from './wait.ts'

const BINARY = join(import.meta.dirname, '../../.cache/servers/consul/usr/bin/consul')
const READY_TIMEOUT_MS = 30_000

/** An agent registration (`PUT /v1/agent/service/register`), Consul's own field names. */
export type ServiceRegistration = { readonly Name: string; readonly ID?: string } & Record<string, unknown>

/** Calls of Consul's HTTP API that tests need. All throw GW_INTERNAL_STATE for an answer that is not 2xx. */
export interface ConsulApi {
  readonly url: string
  get<T>(path: string): Promise<T>
  put<T>(path: string, body?: unknown): Promise<T>
  delete(path: string): Promise<void>
  register(service: ServiceRegistration): Promise<void>
  deregister(id: string): Promise<void>
  /** `checkId` as in the registration; a service's only check is `service:<id>`. */
  pass(checkId: string, note?: string): Promise<void>
  warn(checkId: string, note?: string): Promise<void>
  fail(checkId: string, note?: string): Promise<void>
  maintenance(serviceId: string, enable: boolean): Promise<void>
  nodeMaintenance(enable: boolean): Promise<void>
}

/** What tests do with access control. */
export interface AclCalls {
  /** Creates a policy and gives its ID. */
  createPolicy(name: string, rules: string): Promise<string>
  updatePolicy(id: string, name: string, rules: string): Promise<void>
  /** Creates a token with these policies and gives its secret. */
  createToken(...policyIds: string[]): Promise<string>
  deleteToken(secret: string): Promise<void>
}

/** A real Consul server of its own. With `acl` also its calls. */
export interface TestConsul extends ConsulApi, AclCalls {
  readonly pid: number
  /** SIGKILL, and wait for the end. */
  kill9(): Promise<void>
  /** Starts again on the same port; `wipe` = without its data. Kills it first where it runs. */
  restart(options?: { wipe?: boolean }): Promise<void>
  /** Ends the process and removes its folder. */
  stop(): Promise<void>
  /** With `tls`. */
  readonly tlsUrl: string
  /** With `acl`: the token that may do everything. */
  readonly masterToken: string
}

export interface ConsulTestOptions {
  /** Tokens are needed (default policy deny); the helpers use the master token. */
  readonly acl?: boolean
  /** PEM files: it also listens with TLS, and wants a certificate that `ca` signed. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string }
  /** Serves its pages, too. Default false. */
  readonly hasUi?: boolean
  /** Take the port, but do not start: `restart` starts it. Default false. */
  readonly isDown?: boolean
}

export const MASTER_TOKEN = '6f1c2d3e-0000-4000-8000-00000000feed'
const SERVERS = 3

const aclConfig = {
  acl: {
    enabled: true,
    default_policy: 'deny',
    // What an agent found out of a token holds so long; by default 30 s, and then a token may be new to it for as long.
    token_ttl: '1s',
    policy_ttl: '1s',
    tokens: { master: MASTER_TOKEN, agent: MASTER_TOKEN },
  },
}

/** Starts a single server on free loopback ports and waits until it takes writes. The caller must `stop` it. */
export async function startConsul(options: ConsulTestOptions = {}): Promise<TestConsul> {
  const ports = await freePorts(5)
  const [http, serfLan, server, serfWan, https] = ports as [number, number, number, number, number]
  const { tls } = options
  const node = new ConsulProcess({
    node_name: 'n1',
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    bootstrap: true,
    ui: options.hasUi === true,
    ports: {
      http,
      dns: -1,
      grpc: -1,
      serf_lan: serfLan,
      serf_wan: serfWan,
      server,
      ...(tls === undefined ? {} : { https }),
    },
    ...(tls === undefined
      ? {}
      : { cert_file: tls.cert, key_file: tls.key, ca_file: tls.ca, verify_incoming_https: true }),
    ...(options.acl === true ? aclConfig : {}),
  })
  const url = `http://127.0.0.1:${http}`
  const api = createApi(url, options.acl === true ? MASTER_TOKEN : undefined)
  const start = async () => {
    node.start()
    await waitFor(() => isReady(api), { timeoutMs: READY_TIMEOUT_MS, what: `Consul: ${node.output()}` })
  }
  if (options.isDown !== true) await start()
  return {
    ...api,
    masterToken: MASTER_TOKEN,
    tlsUrl: `https://127.0.0.1:${https}`,
    get pid() {
      return node.pid
    },
    kill9: () => node.kill9(),
    async restart({ wipe = false } = {}) {
      await node.kill9()
      if (wipe) node.wipe()
      await start()
    },
    stop: () => node.stop(),
    ...aclCalls(api),
  }
}

export interface ClusterNode extends ConsulApi {
  readonly name: string
  readonly address: string
  readonly pid: number
}

/** Three servers on 127.0.0.11 to .13, and a client agent on .14 if it was asked for. */
export interface TestCluster {
  /** Not a server: what runs on every host. Undefined = not asked for. */
  readonly agent: ClusterNode | undefined
  /** SIGKILL, and started again with its data; resolves when it is back in the cluster. */
  restart(url: string): Promise<void>
  /** `consul leave`: it goes in order. Resolves when the process is over. */
  leave(url: string): Promise<void>
  readonly nodes: readonly ClusterNode[]
  /** As the cluster says now. Throws while there is none. */
  leader(): Promise<ClusterNode>
  /** Two others. */
  followers(): Promise<ClusterNode[]>
  /** SIGKILL for the leader; gives the node that was it. */
  killLeader(): Promise<ClusterNode>
  /** SIGKILL for one. */
  kill(url: string): Promise<void>
  stop(): Promise<void>
}

export interface ClusterOptions {
  /** Tokens are needed (default policy deny); the helpers use the master token. */
  readonly acl?: boolean
  /** Also start a client agent; with `acl` it has the right to register its node, nothing more. */
  readonly hasAgent?: boolean
}

/** Starts three servers that elect a leader in about a second (`raft_multiplier` 1). */
export async function startConsulCluster({
  acl = false,
  hasAgent = false,
}: ClusterOptions = {}): Promise<TestCluster> {
  const addresses = ['127.0.0.11', '127.0.0.12', '127.0.0.13', ...(hasAgent ? ['127.0.0.14'] : [])]
  const http = await freePort('127.0.0.11')
  const [serfLan, server, serfWan] = (await freePorts(3, '127.0.0.11')) as [number, number, number]
  const members = addresses.map((address, i) => {
    const process = new ConsulProcess({
      node_name: `n${i + 1}`,
      bind_addr: address,
      client_addr: address,
      ...(i < SERVERS ? { bootstrap_expect: SERVERS } : { server: false }),
      ...(acl ? aclConfig : {}),
      retry_join: addresses.map((other) => `${other}:${serfLan}`),
      retry_interval: '1s',
      ports: { http, dns: -1, grpc: -1, serf_lan: serfLan, serf_wan: serfWan, server },
    })
    process.start()
    const url = `http://${address}:${http}`
    const node: ClusterNode = {
      ...createApi(url, acl ? MASTER_TOKEN : undefined),
      name: `n${i + 1}`,
      address,
      get pid() {
        return process.pid
      },
    }
    return { node, process }
  })
  const servers = members.slice(0, SERVERS)
  const stop = async () => {
    await Promise.all(members.map(({ process }) => process.stop()))
  }
  const leader = async () => {
    const alive = servers.filter(({ process }) => process.isRunning)
    const said = await Promise.any(alive.map(({ node }) => node.get<string>('/v1/status/leader')))
    const found = alive.find(({ node }) => said === `${node.address}:${server}`)
    if (found === undefined) throw new GatewayError('GW_INTERNAL_STATE', `no leader: ${said}`)
    return found
  }
  try {
    await waitFor(async () => (await Promise.all(members.map(({ node }) => isReady(node)))).every(Boolean), {
      timeoutMs: READY_TIMEOUT_MS,
      what: `the cluster: ${members[0]?.process.output()}`,
    })
  } catch (thrown) {
    await stop()
    throw thrown
  }
  return {
    nodes: servers.map(({ node }) => node),
    agent: members[SERVERS]?.node,
    leader: async () => (await leader()).node,
    async followers() {
      const { node } = await leader()
      return servers.filter((member) => member.process.isRunning && member.node !== node).map((m) => m.node)
    },
    async killLeader() {
      const { node, process } = await leader()
      await process.kill9()
      return node
    },
    async kill(url) {
      await members.find(({ node }) => node.url === url)?.process.kill9()
    },
    async restart(url) {
      const member = members.find(({ node }) => node.url === url)
      await member?.process.kill9()
      member?.process.start()
      await waitFor(async () => member !== undefined && isReady(member.node), {
        timeoutMs: READY_TIMEOUT_MS,
        what: `${member?.node.name} to be back`,
      })
    },
    async leave(url) {
      const member = members.find(({ node }) => node.url === url)
      await member?.node.put('/v1/agent/leave')
      await member?.process.exited()
    },
    stop,
  }
}

/** Those of the server with the master token. */
export function aclCalls(api: ConsulApi): AclCalls {
  return {
    async createPolicy(name, rules) {
      const { ID } = await api.put<{ ID: string }>('/v1/acl/policy', { Name: name, Rules: rules })
      return ID
    },
    async updatePolicy(id, name, rules) {
      await api.put(`/v1/acl/policy/${id}`, { ID: id, Name: name, Rules: rules })
    },
    async createToken(...policyIds) {
      const body = { Policies: policyIds.map((ID) => ({ ID })) }
      const { SecretID } = await api.put<{ SecretID: string }>('/v1/acl/token', body)
      return SecretID
    },
    async deleteToken(secret) {
      const tokens = await api.get<{ AccessorID: string }[]>('/v1/acl/tokens')
      for (const { AccessorID } of tokens) {
        const { SecretID } = await api.get<{ SecretID: string }>(`/v1/acl/token/${AccessorID}`)
        if (SecretID === secret) await api.delete(`/v1/acl/token/${AccessorID}`)
      }
    },
  }
}

/** There is a leader, and its writes arrived in the catalog. */
async function isReady(api: ConsulApi): Promise<boolean> {
  if ((await api.get<string>('/v1/status/leader')) === '') return false
  return 'consul' in (await api.get<Record<string, unknown>>('/v1/catalog/services'))
}

async function freePorts(count: number, host?: string): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await freePort(host))
  return [...ports]
}

/** One agent with a folder of its own; started and ended by its pid. */
class ConsulProcess {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-consul-'))
  #child: ChildProcess | undefined
  #output = ''

  constructor(config: Record<string, unknown>) {
    if (!existsSync(BINARY)) {
      throw new GatewayError('GW_INTERNAL_STATE', `${BINARY} is missing: run "npm run servers"`)
    }
    const base = {
      server: true,
      data_dir: join(this.#folder, 'data'),
      log_level: 'warn',
      disable_update_check: true,
      leave_on_terminate: false,
      skip_leave_on_interrupt: true,
      performance: { raft_multiplier: 1 },
    }
    writeFileSync(join(this.#folder, 'agent.json'), JSON.stringify({ ...base, ...config }))
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  output(): string {
    return this.#output
  }

  start(): void {
    mkdirSync(join(this.#folder, 'data'), { recursive: true })
    const child = spawn(BINARY, ['agent', '-config-file', join(this.#folder, 'agent.json')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-4000)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    this.#child = child
  }

  async exited(): Promise<void> {
    if (this.#child !== undefined && this.isRunning) await once(this.#child, 'exit')
  }

  async kill9(): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.isRunning) return
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

function createApi(url: string, token: string | undefined): ConsulApi {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: token === undefined ? {} : { 'x-consul-token': token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = (await answer.text()).trim()
    if (!answer.ok) {
      throw new GatewayError('GW_INTERNAL_STATE', `${method} ${path}: ${answer.status} ${text}`)
    }
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
  const put = <T>(path: string, body?: unknown) => call<T>('PUT', path, body)
  const report = (verb: string) => (checkId: string, note?: string) =>
    put<void>(
      `/v1/agent/check/${verb}/${encodeURIComponent(checkId)}${note === undefined ? '' : `?note=${encodeURIComponent(note)}`}`,
    )
  return {
    url,
    get: (path) => call('GET', path),
    put,
    delete: (path) => call<void>('DELETE', path),
    register: (service) => put('/v1/agent/service/register', service),
    deregister: (id) => put(`/v1/agent/service/deregister/${encodeURIComponent(id)}`),
    pass: report('pass'),
    warn: report('warn'),
    fail: report('fail'),
    maintenance: (id, enable) =>
      put(`/v1/agent/service/maintenance/${encodeURIComponent(id)}?enable=${enable}&reason=test`),
    nodeMaintenance: (enable) => put(`/v1/agent/maintenance?enable=${enable}&reason=test`),
  }
}
