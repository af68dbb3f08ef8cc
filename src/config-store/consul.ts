import { errorText, GatewayError } from '../core/errors.ts'
import type { ConsulConnection } from '../registry/consul-client.ts'
import { ConsulKv, type KvDeps } from '../registry/consul-kv.ts'
import type { ConfigKv } from './kv.ts'

/** What the package `consul` throws, as one of ours. */
function toRegistryError(thrown: unknown, what: string): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  const status = (thrown as { statusCode?: number }).statusCode
  const text = `Consul: ${what}: ${errorText(thrown)}`
  if (status === 403) {
    return new GatewayError('GW_REGISTRY_ACL', `${text} (the token lacks the right to these keys)`)
  }
  if (status !== undefined) return new GatewayError('GW_REGISTRY_ANSWER', text)
  return new GatewayError('GW_REGISTRY_UNREACHABLE', text, { cause: thrown })
}

async function named<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (thrown) {
    throw toRegistryError(thrown, what)
  }
}

/** Configuration in Consul's key-value store. */
export function consulConfigKv(connection: ConsulConnection, prefix: string, deps: KvDeps): ConfigKv {
  const kv = new ConsulKv(connection, prefix, deps)
  return {
    label: `consul ${connection.url}`,
    prefix,
    list: (under) => named(`read ${prefix}${under}`, kv.list(under)),
    write: (key, value, index) => named(`write ${prefix}${key}`, kv.write(key, value, index)),
    remove: (key) => named(`remove ${prefix}${key}`, kv.remove(key)),
    watch: (...args) => kv.watch(...args),
    close: () => kv.close(),
  }
}
