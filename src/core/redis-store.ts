/** A Lua script that runs in the store, atomically. */
export interface RedisScript {
  /** For logs; unique. */
  readonly name: string
  readonly lua: string
  /** How many keys it takes; 0 = any number. */
  readonly keys: number
}

/**
 * One of the configured `stores`, a Redis. Every call is bounded in time and rejects with GW_STORE_UNAVAILABLE; while
 * the store is known to be down, at once. Keys are without the prefix of the configuration.
 */
export interface RedisStore {
  readonly name: string
  readonly isUp: boolean
  /** A Redis cluster: keys of one script must share a hash tag. Default false. */
  readonly isCluster?: boolean
  run(script: RedisScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>
  /** All fields of a hash; empty when there is none. */
  hash(key: string): Promise<Readonly<Record<string, string>>>
  /** Remembers a key for so long; true = it was not there. */
  setIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean>
  /** When the first try to connect is over, well or not. Never rejects; bounded by the connect timeout. */
  settled?(): Promise<void>
}
