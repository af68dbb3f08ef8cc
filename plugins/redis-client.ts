import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { Cluster, Redis } from 'ioredis'
import type { StaticConfig } from '../src/config/load.ts'
import type { Random } from '../src/core/duration.ts'
import { GatewayError } from '../src/core/errors.ts'

export type StoreConfig = StaticConfig['stores'][string]
export type RedisClient = Redis | Cluster

/** A Redis that came back is to be used within 2 s: the waits between tries stay below half of that. ms. */
const MAX_RECONNECT_MS = 800

/**
 * An ioredis client for a gateway: nothing waits in a queue while the connection is down, nothing that was sent is
 * sent again (it would count twice), and it tries to connect for ever. Not connected yet.
 */
export function createRedisClient(name: string, config: StoreConfig, random: Random): RedisClient {
  const retry = (times: number) => Math.min(times * 50, MAX_RECONNECT_MS) + Math.round(random() * 100)
  const { url, sentinels, cluster, connectTimeout } = config
  const options = {
    connectionName: `sluice-${name}`,
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // The store's own deadline is shorter and ends the wait of a request. This one frees what ioredis keeps, and
    // bounds the login, which may take longer than a command.
    commandTimeout: Math.max(connectTimeout, config.commandTimeout),
    connectTimeout,
    keepAlive: 5000,
    enableAutoPipelining: true,
    ...optional({ username: config.username, password: config.password }),
    ...tlsOptions(name, config),
  }
  if (cluster !== undefined) {
    return new Cluster(cluster.map(splitNode), {
      lazyConnect: true,
      enableOfflineQueue: false,
      enableAutoPipelining: true,
      clusterRetryStrategy: retry,
      slotsRefreshTimeout: Math.max(connectTimeout, 1000),
      slotsRefreshInterval: 1000,
      redisOptions: options,
    })
  }
  const db = config.database === undefined ? {} : { db: config.database }
  if (sentinels !== undefined) {
    return new Redis({
      ...options,
      ...db,
      name: sentinels.name,
      sentinels: sentinels.nodes.map(splitNode),
      ...optional({ sentinelUsername: sentinels.username, sentinelPassword: sentinels.password }),
      ...(config.tls === undefined
        ? {}
        : { enableTLSForSentinelMode: true, sentinelTLS: options.tls as ConnectionOptions }),
      retryStrategy: retry,
      sentinelRetryStrategy: retry,
      sentinelCommandTimeout: connectTimeout,
      failoverDetector: true,
    })
  }
  return new Redis(url as string, { ...options, ...db, retryStrategy: retry })
}

function splitNode(node: string): { host: string; port: number } {
  const at = node.lastIndexOf(':')
  return { host: node.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(node.slice(at + 1)) }
}

function tlsOptions(name: string, { tls, url }: StoreConfig): { tls?: ConnectionOptions } {
  if (tls === undefined) return url?.startsWith('rediss:') === true ? { tls: {} } : {}
  const read = (file: string | undefined) => {
    if (file === undefined) return undefined
    try {
      return readFileSync(file)
    } catch (cause) {
      throw new GatewayError('GW_CONFIG_INVALID', `store ${name}: tls: ${file} cannot be read`, { cause })
    }
  }
  return {
    tls: {
      rejectUnauthorized: tls.verify,
      ...optional({ ca: read(tls.ca), cert: read(tls.cert), key: read(tls.key), servername: tls.serverName }),
    },
  }
}

type Given<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> }

function optional<T extends Record<string, unknown>>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>
}
