import type { Clock, Random } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { ConsulConnection } from '../registry/consul-client.ts'
import { consulConfigKv } from './consul.ts'
import { type EtcdKvOptions, etcdConfigKv } from './etcd.ts'
import type { ConfigKv } from './kv.ts'

/** Longer than that nobody waits for etcd. ms. */
const CALL_MS = 3000

export interface ConnectDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void }
}

/** A registry of the configuration. */
export type StoreRegistry =
  | (Omit<ConsulConnection, 'url'> & { readonly type: 'consul'; readonly url?: string | undefined })
  | (Omit<EtcdKvOptions, 'endpoints'> & {
      readonly type: 'etcd'
      readonly endpoints?: readonly string[] | undefined
    })
  | { readonly type: 'dns' | 'embedded' | 'file' | 'http' | 'nacos' | 'zookeeper' }

/** The key-value store of a registry. Throws GW_CLI_MISUSE for one that has none, GW_REGISTRY_FILE for PEM files. */
export function connectStore(
  registry: StoreRegistry | undefined,
  prefix: string,
  deps: ConnectDeps,
): ConfigKv {
  switch (registry?.type) {
    case 'consul':
      return consulConfigKv({ ...registry, url: registry.url ?? '' }, prefix, deps)
    case 'etcd':
      return etcdConfigKv(
        { ...registry, endpoints: registry.endpoints ?? [], timeoutMs: CALL_MS },
        prefix,
        deps,
      )
    default:
      throw new GatewayError('GW_CLI_MISUSE', 'configuration.store has to name a consul or etcd registry')
  }
}
