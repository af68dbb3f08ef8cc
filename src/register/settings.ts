import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { parseDuration } from '../core/duration.ts'
import { type EtcdEnvironment, etcdEnvironment } from '../core/etcd-environment.ts'
import type { EtcdConnection } from '../etcd/client.ts'
import { OWN_PREFIX, trimPrefix } from '../etcd/own-keys.ts'
import { parseServer } from '../zookeeper/servers.ts'
import { type AgentOptions, agentUrl } from './agent.ts'
import { type Env, first, listOf, refuse } from './settings-text.ts'
import { type ZooKeeperRegistryOptions, type ZooKeeperTarget, zooKeeperTarget } from './zookeeper-target.ts'

/** What is said of an instance. All of it may come from the environment; what is written here wins. */
export interface InstanceOptions {
  /** Name of the service. `SLUICE_REGISTER_SERVICE`. */
  readonly service?: string | undefined
  /** Unique for each start of a process. Default: service, host, port and 8 random hex digits. */
  readonly id?: string | undefined
  /**
   * Where clients reach it: an IP address or a host name. `SLUICE_REGISTER_ADDRESS`, `HOST_IP`, under Marathon `HOST`;
   * else the address the server listens on, else that of the interface on the way to the agent.
   */
  readonly address?: string | undefined
  /** `SLUICE_REGISTER_PORT`, under Marathon `PORT0`; else the port the server listens on. */
  readonly port?: number | undefined
  /** Canary rules choose by it. Metadata `version`. `SLUICE_REGISTER_VERSION`. */
  readonly version?: string | undefined
  /** Metadata `zone`. `SLUICE_REGISTER_ZONE`. */
  readonly zone?: string | undefined
  /** `http` (default), `https` or `h2c`. Metadata `scheme`. */
  readonly scheme?: 'http' | 'https' | 'h2c' | undefined
  /** Share of traffic against the others, 1 to 65535; default 1. `SLUICE_REGISTER_WEIGHT`. */
  readonly weight?: number | { readonly passing: number; readonly warning: number } | undefined
  /** `SLUICE_REGISTER_TAGS`, comma-separated. */
  readonly tags?: readonly string[] | undefined
  /** Keys `A-Z a-z 0-9 _ -`, values at most 512 characters. `SLUICE_REGISTER_META`: `team=shop,tier=1`. */
  readonly meta?: Readonly<Record<string, string>> | undefined
  /** Routes that the gateway takes from it where that is enabled: `shop.example.com/cart strip=/cart`. */
  readonly routes?: readonly string[] | undefined
  /** What the gateway's `declaredRoutes.tagPrefix` says. Default `sluice.`. */
  readonly routeTagPrefix?: string | undefined
}

/** Registration with etcd. What is left out comes from the variables of etcd's own client. */
export interface EtcdRegistryOptions {
  readonly type: 'etcd'
  /** Client URLs of members. `ETCDCTL_ENDPOINTS`, else `http://127.0.0.1:2379`. */
  readonly endpoints?: readonly string[] | undefined
  /** As in the gateway's configuration. Default `/sluice`. `SLUICE_REGISTER_PREFIX`. */
  readonly prefix?: string | undefined
  /** `ETCDCTL_USER`. */
  readonly username?: string | undefined
  /** `ETCDCTL_PASSWORD`. */
  readonly password?: string | undefined
  /** Wins over the password; read again at each login. `SLUICE_REGISTER_PASSWORD_FILE`. */
  readonly passwordFile?: string | undefined
  /** PEM files. `ETCDCTL_CACERT`, `ETCDCTL_CERT`, `ETCDCTL_KEY`. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** How it is registered. */
export interface RegistrarOptions extends InstanceOptions {
  /** Default: Consul, or a gateway's embedded registry. `SLUICE_REGISTER_REGISTRY`: `consul`, `etcd` or `zookeeper`. */
  readonly registry?:
    | 'consul'
    | 'etcd'
    | 'zookeeper'
    | { readonly type: 'consul' }
    | EtcdRegistryOptions
    | ZooKeeperRegistryOptions
    | undefined
  /** The local agent of Consul. `CONSUL_HTTP_ADDR`, else `http://$HOST_IP:8500`, else `http://127.0.0.1:8500`. */
  readonly agent?: string | undefined
  /** `CONSUL_HTTP_TOKEN`. */
  readonly token?: string | undefined
  /** Wins over the token; read again for each call. `CONSUL_HTTP_TOKEN_FILE`. */
  readonly tokenFile?: string | undefined
  /** Without a beat for so long the instance is critical. `15s` or ms; default 15s, at least 1s. `SLUICE_REGISTER_TTL`. */
  readonly ttl?: string | number | undefined
  /** Consul forgets an instance that was critical for so long. Default 5m; its minimum is 1m. etcd and ZooKeeper: when the TTL is over. */
  readonly deregisterAfter?: string | number | undefined
}

/** Which etcd, and where in it. */
export interface EtcdTarget extends EtcdConnection {
  /** Of the own layout, without a slash at its end. */
  readonly prefix: string
}

/** Which registry, and how it is reached. */
export type RegistryTarget =
  | ({ readonly type: 'consul' } & AgentOptions)
  | ({ readonly type: 'etcd' } & EtcdTarget)
  | ({ readonly type: 'zookeeper' } & ZooKeeperTarget)

/** Checked and complete. Times in ms. */
export interface Settings {
  readonly registry: RegistryTarget
  readonly service: string
  readonly id: string
  readonly address: string
  readonly port: number
  readonly weights: { readonly passing: number; readonly warning: number }
  readonly tags: readonly string[]
  readonly meta: Readonly<Record<string, string>>
  readonly ttlMs: number
  readonly deregisterAfterMs: number
}

/** Metadata that tells instances of this library from others; its leftovers are cleared away at the next start. */
export const OWNER_KEY = 'registered-by'
export const OWNER = 'sluice-register'

const MIN_TTL_MS = 1000
const MIN_DEREGISTER_MS = 60_000
const MAX_META_VALUE = 512
const MAX_META_KEYS = 64

/** `15s`, `1m` or ms. Throws GW_REGISTER_OPTIONS. */
export function durationMs(key: string, value: string | number): number {
  const ms = typeof value === 'number' ? value : parseDuration(value)
  if (ms === undefined || !Number.isFinite(ms) || ms < 0) {
    refuse(key, `"${value}" is no duration: write 15s, 1m or milliseconds as a number`)
  }
  return ms
}

/** Which agent: options before environment. Throws GW_REGISTER_OPTIONS. */
export function agentOptions(options: RegistrarOptions, env: Env): AgentOptions {
  const hostIp = first(env['HOST_IP'])
  const fallback = hostIp === undefined ? 'http://127.0.0.1:8500' : `http://${bracketed(hostIp)}:8500`
  const isTls = ['true', '1'].includes(env['CONSUL_HTTP_SSL'] ?? '')
  return {
    url: agentUrl(first(options.agent, env['CONSUL_HTTP_ADDR']) ?? fallback, isTls),
    token: first(options.token, env['CONSUL_HTTP_TOKEN']),
    tokenFile: first(options.tokenFile, env['CONSUL_HTTP_TOKEN_FILE']),
    ca: first(env['CONSUL_CACERT']),
    cert: first(env['CONSUL_CLIENT_CERT']),
    key: first(env['CONSUL_CLIENT_KEY']),
  }
}

/** Which registry: options before environment. Throws GW_REGISTER_OPTIONS. */
export function registryTarget(options: RegistrarOptions, env: Env): RegistryTarget {
  const given = options.registry ?? first(env['SLUICE_REGISTER_REGISTRY']) ?? 'consul'
  const type = typeof given === 'string' ? given : given.type
  if (type === 'consul') return { type, ...agentOptions(options, env) }
  if (type === 'zookeeper') {
    return zooKeeperTarget(typeof given === 'object' && given.type === type ? given : { type }, env)
  }
  if (type !== 'etcd') refuse('registry', `"${type}" is none: write consul, etcd or zookeeper`)
  const own: EtcdRegistryOptions =
    typeof given === 'object' && given.type === 'etcd' ? given : { type: 'etcd' }
  return etcdTarget(own, etcdEnvironment(env), env)
}

function etcdTarget(own: EtcdRegistryOptions, found: EtcdEnvironment, env: Env): RegistryTarget {
  const endpoints = own.endpoints ?? found.endpoints
  for (const endpoint of endpoints) {
    if (/^https?:\/\/[^/]/.test(endpoint) && URL.canParse(endpoint)) continue
    refuse('registry.endpoints', `"${endpoint}" is no member of etcd: write http://10.0.0.5:2379`)
  }
  if (endpoints.length === 0) refuse('registry.endpoints', 'is empty: give one member at least')
  const isOwnUser = own.username !== undefined
  return {
    type: 'etcd',
    endpoints,
    prefix: trimPrefix(first(own.prefix, env['SLUICE_REGISTER_PREFIX']) ?? OWN_PREFIX),
    username: own.username ?? found.username,
    password: isOwnUser ? own.password : (own.password ?? found.password),
    passwordFile: own.passwordFile ?? first(env['SLUICE_REGISTER_PASSWORD_FILE']),
    tls: { ca: own.ca ?? found.ca, cert: own.cert ?? found.cert, key: own.key ?? found.key },
  }
}

/** The URL of what is registered with: decides which of our addresses others reach. */
export function targetUrl(target: RegistryTarget): string {
  if (target.type === 'consul') return target.url
  if (target.type === 'etcd') return target.endpoints[0] ?? ''
  const { host = '', port = 0 } = parseServer(target.servers[0] ?? '') ?? {}
  return `zookeeper://${bracketed(host)}:${port}`
}

/** The address as given by whoever runs the process; undefined = find it. */
export function givenAddress(options: InstanceOptions, env: Env): string | undefined {
  return first(
    options.address,
    env['SLUICE_REGISTER_ADDRESS'],
    env['HOST_IP'],
    // HOST is also a variable of many shells; beside PORT0 it is Marathon's.
    env['PORT0'] === undefined ? undefined : env['HOST'],
  )
}

/** The port as given by whoever runs the process; undefined = the one the server listens on. */
export function givenPort(options: InstanceOptions, env: Env): number | undefined {
  if (options.port !== undefined) return checkedPort('port', options.port)
  const text = first(env['SLUICE_REGISTER_PORT'], env['PORT0'])
  return text === undefined ? undefined : checkedPort('SLUICE_REGISTER_PORT or PORT0', Number(text))
}

function checkedPort(key: string, port: number): number {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) refuse(key, `${port} is no port (1 to 65535)`)
  return port
}

/** The service's name. Throws GW_REGISTER_OPTIONS when nobody gave one. */
export function serviceName(options: InstanceOptions, env: Env): string {
  return (
    first(options.service, env['SLUICE_REGISTER_SERVICE']) ??
    refuse('service', 'is missing: give a name, here or in SLUICE_REGISTER_SERVICE')
  )
}

/** Puts options and environment together. `place`: where clients reach it. Throws GW_REGISTER_OPTIONS. */
export function resolveSettings(
  options: RegistrarOptions,
  env: Env,
  place: { readonly address: string; readonly port: number },
): Settings {
  const service = serviceName(options, env)
  const ttlMs = durationMs('ttl', options.ttl ?? first(env['SLUICE_REGISTER_TTL']) ?? '15s')
  if (ttlMs < MIN_TTL_MS) refuse('ttl', `${ttlMs} ms is too short: at least 1s`)
  const deregisterAfterMs = durationMs('deregisterAfter', options.deregisterAfter ?? '5m')
  if (deregisterAfterMs < MIN_DEREGISTER_MS) {
    refuse('deregisterAfter', `${deregisterAfterMs} ms is too short: Consul takes no less than 1m`)
  }
  const host = hostname().slice(0, 63)
  const registry = registryTarget(options, env)
  return {
    registry,
    service,
    id: options.id ?? `${service}-${host}-${place.port}-${randomBytes(4).toString('hex')}`,
    // Consul has the address of its node; others know nothing, and they are on this machine alone.
    address: place.address === '' && registry.type !== 'consul' ? '127.0.0.1' : place.address,
    port: checkedPort('port', place.port),
    weights: weightsOf(options, env),
    tags: tagsOf(options, env),
    meta: metaOf(options, env),
    ttlMs,
    deregisterAfterMs,
  }
}

function weightsOf({ weight }: InstanceOptions, env: Env): Settings['weights'] {
  const text = first(env['SLUICE_REGISTER_WEIGHT'])
  const given = weight ?? (text === undefined ? 1 : Number(text))
  const weights = typeof given === 'number' ? { passing: given, warning: given } : given
  const isGood = (value: number, least: number) =>
    Number.isInteger(value) && value >= least && value <= 65_535
  if (!isGood(weights.passing, 1)) refuse('weight', `${weights.passing} is no weight: 1 to 65535`)
  if (!isGood(weights.warning, 0)) refuse('weight.warning', `${weights.warning} is no weight: 0 to 65535`)
  return weights
}

function tagsOf({ tags, routes, routeTagPrefix }: InstanceOptions, env: Env): string[] {
  const given = tags ?? listOf(env['SLUICE_REGISTER_TAGS'])
  return [...given, ...(routes ?? []).map((route) => `${routeTagPrefix ?? 'sluice.'}route=${route}`)]
}

function metaOf({ meta, version, zone, scheme }: InstanceOptions, env: Env): Record<string, string> {
  const given = meta ?? Object.fromEntries(listOf(env['SLUICE_REGISTER_META']).map(pair))
  const all: Record<string, string | undefined> = {
    ...given,
    [OWNER_KEY]: OWNER,
    version: first(version, env['SLUICE_REGISTER_VERSION'], given['version']),
    zone: first(zone, env['SLUICE_REGISTER_ZONE'], given['zone']),
    scheme: scheme ?? given['scheme'],
  }
  const checked: Record<string, string> = {}
  for (const [key, value] of Object.entries(all)) {
    if (value === undefined) continue
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(key)) {
      refuse(`meta.${key}`, 'a key has 1 to 128 of A-Z, a-z, 0-9, _ and -')
    }
    if (value.length > MAX_META_VALUE) {
      refuse(`meta.${key}`, `${value.length} characters are too long: at most ${MAX_META_VALUE}; use a tag`)
    }
    checked[key] = value
  }
  const count = Object.keys(checked).length
  if (count > MAX_META_KEYS) refuse('meta', `${count} keys are too many: at most ${MAX_META_KEYS}`)
  return checked
}

function pair(text: string): [string, string] {
  const equals = text.indexOf('=')
  if (equals < 1) refuse('SLUICE_REGISTER_META', `"${text}" is no key=value`)
  return [text.slice(0, equals), text.slice(equals + 1)]
}

/** An IPv6 address in brackets, anything else as it is. */
export function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}
