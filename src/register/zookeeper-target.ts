import { CURATOR_BASE } from '../zookeeper/own-records.ts'
import { isNodePath, parseServer } from '../zookeeper/servers.ts'
import { type Env, first, listOf, refuse } from './settings-text.ts'

/** Registration with ZooKeeper, in Curator's layout. */
export interface ZooKeeperRegistryOptions {
  readonly type: 'zookeeper'
  /** `host:port`. `SLUICE_REGISTER_SERVERS` (with commas), else `127.0.0.1:2181`. */
  readonly servers?: readonly string[] | undefined
  /** Node above the services, as in the gateway's configuration. Default `/services`. `SLUICE_REGISTER_PREFIX`. */
  readonly base?: string | undefined
  /** `user:password` for ACLs of the scheme digest: then only this user may change the instance. `SLUICE_REGISTER_AUTH`. */
  readonly auth?: string | undefined
  /** PEM files for servers that speak TLS; `{}` trusts the authorities that Node knows. Default: no TLS. */
  readonly tls?:
    | { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly verify?: boolean }
    | undefined
}

/** Which ZooKeeper, and where in it. */
export interface ZooKeeperTarget {
  readonly servers: readonly string[]
  readonly base: string
  readonly auth?: string | undefined
  readonly tls?:
    | {
        readonly ca?: string | undefined
        readonly cert?: string | undefined
        readonly key?: string | undefined
        readonly verify?: boolean | undefined
      }
    | undefined
}

/** Options before environment. Throws GW_REGISTER_OPTIONS. */
export function zooKeeperTarget(
  own: ZooKeeperRegistryOptions,
  env: Env,
): { readonly type: 'zookeeper' } & ZooKeeperTarget {
  const servers = own.servers ?? listOf(first(env['SLUICE_REGISTER_SERVERS']) ?? '127.0.0.1:2181')
  for (const server of servers) {
    if (parseServer(server) === undefined) {
      refuse('registry.servers', `"${server}" is no server of ZooKeeper: write 10.0.0.5:2181`)
    }
  }
  if (servers.length === 0) refuse('registry.servers', 'is empty: give one server at least')
  const base = first(own.base, env['SLUICE_REGISTER_PREFIX']) ?? CURATOR_BASE
  if (!isNodePath(base)) refuse('registry.base', `"${base}" is no path of a node: write /services`)
  const auth = first(own.auth, env['SLUICE_REGISTER_AUTH'])
  // The value is a secret, also when it is none.
  if (auth !== undefined && !/^[^:]+:./.test(auth)) refuse('registry.auth', 'is no user:password')
  return { type: 'zookeeper', servers, base, auth, tls: own.tls }
}
