import { IoRedisStore, type StoreDeps } from '../plugins/redis.ts'
import type { StaticConfig } from './config/load.ts'
import { GatewayError } from './core/errors.ts'
import type { RedisStore } from './core/redis-store.ts'

/** The configured stores. One is connected when the first filter asks for it. */
export interface Stores {
  /** Throws GW_CONFIG_INVALID with the names that there are. */
  get(name: string): RedisStore
  close(): void
}

export interface StoresOptions extends StoreDeps {
  /** False: only the names and files are checked, nothing is contacted. */
  readonly connect: boolean
}

export function createStores(configs: StaticConfig['stores'], options: StoresOptions): Stores {
  const open = new Map<string, IoRedisStore>()
  return {
    get(name) {
      const config = Object.hasOwn(configs, name) ? configs[name] : undefined
      if (config === undefined) {
        const names = Object.keys(configs)
        const known = names.length === 0 ? 'there are none' : `there are: ${names.join(', ')}`
        throw new GatewayError('GW_CONFIG_INVALID', `no store "${name}" under stores; ${known}`)
      }
      let store = open.get(name)
      if (store === undefined) {
        store = new IoRedisStore(name, config, options)
        open.set(name, store)
        if (options.connect) store.connect()
      }
      return store
    },
    close() {
      for (const store of open.values()) store.close()
      open.clear()
    },
  }
}
