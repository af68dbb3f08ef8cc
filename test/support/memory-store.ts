import { GatewayError } from '../../src/core/errors.ts'
import type { RedisStore } from '../../src/core/redis-store.ts'
import type { FilterResources } from '../../src/filters/filter.ts'
import { NO_RESOURCES } from './filter-environment.ts'

/** The port of Redis without a Redis: for what is not about Redis. */
export interface MemoryStore extends RedisStore {
  isUp: boolean
  readonly hashes: Map<string, Record<string, string>>
  readonly keys: Map<string, number>
}

export function memoryStore(): MemoryStore {
  const hashes = new Map<string, Record<string, string>>()
  const keys = new Map<string, number>()
  const store: MemoryStore = {
    name: 'main',
    isUp: true,
    hashes,
    keys,
    run: () => refused(),
    hash: async (key) => (store.isUp ? (hashes.get(key) ?? {}) : refused()),
    async setIfAbsent(key, _value, ttlMs) {
      if (!store.isUp) return refused()
      if (keys.has(key)) return false
      keys.set(key, ttlMs)
      return true
    },
  }
  return store
}

function refused(): Promise<never> {
  return Promise.reject(new GatewayError('GW_INTERNAL_STATE', 'no connection to 10.9.8.7'))
}

/** What a static configuration with this one store offers. */
export const withStore = (store: RedisStore): FilterResources => ({ ...NO_RESOURCES, store: () => store })
