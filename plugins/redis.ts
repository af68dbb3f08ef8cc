import { createHash } from 'node:crypto'
import { Cluster } from 'ioredis'
import type { Clock, Random } from '../src/core/duration.ts'
import { errorText, GatewayError, toError } from '../src/core/errors.ts'
import type { RedisScript, RedisStore } from '../src/core/redis-store.ts'
import { Breaker } from './breaker.ts'
import { createRedisClient, type RedisClient, type StoreConfig } from './redis-client.ts'

/** Why a call failed. `refused`: not sent, the store is known to be down. */
export type StoreFailure = 'timeout' | 'connection' | 'answer' | 'refused'

export interface StoreDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** Once a change, not for each request. `reason`: why it is down; undefined = the first word of it. */
  onState(store: string, isUp: boolean, reason: string | undefined): void
  onFailure(store: string, failure: StoreFailure): void
}

/** So many silent probes, and a new connection is made: the old one may lead nowhere. */
const PROBES_BEFORE_RECONNECT = 3

/** A Redis through ioredis, with a deadline on each call and a breaker before it. */
export class IoRedisStore implements RedisStore {
  readonly name: string
  readonly isCluster: boolean
  readonly #config: StoreConfig
  readonly #deps: StoreDeps
  readonly #client: RedisClient
  readonly #breaker: Breaker
  readonly #shas = new WeakMap<RedisScript, string>()
  readonly #settled = Promise.withResolvers<void>()
  #silentProbes = 0
  #isClosed = false
  /** A probe goes where the trouble was: in a cluster only one node may have it. */
  #lastFailedKey = ''

  /** Not connected yet. Throws GW_CONFIG_INVALID for a PEM file that cannot be read. */
  constructor(name: string, config: StoreConfig, deps: StoreDeps) {
    this.name = name
    this.#config = config
    this.#deps = deps
    this.#client = createRedisClient(name, config, deps.random)
    this.isCluster = this.#client instanceof Cluster
    this.#breaker = new Breaker({
      failures: config.breaker.failures,
      probeIntervalMs: config.breaker.probeInterval,
      probe: () => this.#probe(),
      onChange: (isOpen, reason) => this.#changed(isOpen, reason),
    })
    let lastError = 'the connection is closed'
    // Without a listener an error would end the process.
    this.#client.on('error', (error: unknown) => {
      lastError = errorText(error)
    })
    this.#client.on('close', () => {
      this.#settled.resolve()
      if (!this.#isClosed) this.#breaker.open(lastError)
    })
    this.#client.on('ready', () => {
      lastError = 'the connection is closed'
      if (!this.#breaker.isOpen) this.#deps.onState(this.name, true, undefined)
      this.#settled.resolve()
      this.#breaker.probeNow()
    })
  }

  get isUp(): boolean {
    return !this.#breaker.isOpen && this.#client.status === 'ready'
  }

  /** Begins to connect; the client goes on trying by itself. */
  connect(): void {
    this.#deps.onState(this.name, false, undefined)
    this.#client.connect().catch((error: unknown) => {
      if (!this.#isClosed) this.#breaker.open(errorText(error))
      this.#settled.resolve()
    })
  }

  async settled(): Promise<void> {
    const limit = Promise.withResolvers<void>()
    const timer = setTimeout(limit.resolve, this.#config.connectTimeout)
    await Promise.race([this.#settled.promise, limit.promise])
    clearTimeout(timer)
  }

  run(script: RedisScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    let sha = this.#shas.get(script)
    if (sha === undefined) {
      sha = createHash('sha1').update(script.lua).digest('hex')
      this.#shas.set(script, sha)
    }
    const rest = [...keys.map((key) => this.#config.keyPrefix + key), ...args]
    const hashed = sha
    return this.#bounded(keys[0] ?? '', async () => {
      try {
        return await this.#client.evalsha(hashed, keys.length, ...rest)
      } catch (error) {
        // A Redis that was restarted or promoted does not know the script; EVAL leaves it there.
        if (!errorText(error).startsWith('NOSCRIPT')) throw error
        return this.#client.eval(script.lua, keys.length, ...rest)
      }
    })
  }

  hash(key: string): Promise<Readonly<Record<string, string>>> {
    return this.#bounded(key, () => this.#client.hgetall(this.#config.keyPrefix + key))
  }

  async setIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean> {
    const set = () => this.#client.set(this.#config.keyPrefix + key, value, 'PX', Math.ceil(ttlMs), 'NX')
    return (await this.#bounded(key, set)) === 'OK'
  }

  close(): void {
    this.#isClosed = true
    this.#breaker.close()
    this.#settled.resolve()
    this.#client.disconnect()
  }

  async #bounded<T>(key: string, send: () => Promise<T>): Promise<T> {
    if (!this.isUp) {
      this.#deps.onFailure(this.name, 'refused')
      throw new GatewayError('GW_STORE_UNAVAILABLE', `store ${this.name} is down`)
    }
    try {
      const value = await withDeadline(send(), this.#config.commandTimeout, this.#deps.clock)
      this.#breaker.succeeded()
      return value
    } catch (thrown) {
      const failure = failureOf(thrown)
      this.#lastFailedKey = key
      this.#deps.onFailure(this.name, failure)
      this.#breaker.failed(errorText(thrown))
      const text = `store ${this.name}: ${failure}`
      throw new GatewayError('GW_STORE_UNAVAILABLE', text, { cause: toError(thrown) })
    }
  }

  /** A write, because a replica or a full Redis answers reads all the same. */
  async #probe(): Promise<void> {
    if (this.#client.status !== 'ready') throw new GatewayError('GW_STORE_UNAVAILABLE')
    const key = `${this.#config.keyPrefix}${inSlotOf(this.#lastFailedKey)}:probe`
    try {
      const write = this.#client.set(key, 1, 'PX', 1000)
      await withDeadline(write, this.#config.commandTimeout, this.#deps.clock)
      this.#silentProbes = 0
    } catch (error) {
      if (failureOf(error) === 'timeout' && ++this.#silentProbes % PROBES_BEFORE_RECONNECT === 0) {
        this.#client.disconnect(true)
      }
      throw error
    }
  }

  #changed(isOpen: boolean, reason: string): void {
    const { log, onState } = this.#deps
    if (isOpen) log.warn({ store: this.name, err: reason }, 'a store is down')
    else log.info({ store: this.name }, 'a store is back')
    onState(this.name, !isOpen, reason)
  }
}

/** A key of the same slot: its hash tag, or all of it as one. */
function inSlotOf(key: string): string {
  const tag = /\{([^}]+)\}/.exec(key)?.[1] ?? key
  return tag === '' ? 'up' : `{${tag}}`
}

function failureOf(thrown: unknown): StoreFailure {
  const error = toError(thrown)
  if (error.name === 'ReplyError') return 'answer'
  return error instanceof StoreTimeout || error.message === 'Command timed out' ? 'timeout' : 'connection'
}

class StoreTimeout extends GatewayError {
  constructor(ms: number) {
    super('GW_STORE_UNAVAILABLE', `no answer within ${ms} ms`)
  }
}

/** So often a deadline is put off at most. */
const MAX_EXTENSIONS = 3

/**
 * Rejects after `ms`. When this process itself stood still meanwhile, nobody could have been in time: the deadline is
 * put off, and before it counts, what waits in the socket is read.
 */
function withDeadline<T>(pending: Promise<T>, ms: number, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    let began = clock.monotonic()
    let extensions = 0
    const expire = () => {
      const now = clock.monotonic()
      if (now - began > ms * 1.25 && extensions < MAX_EXTENSIONS) {
        extensions++
        began = now
        timer = setTimeout(expire, ms)
      } else {
        setImmediate(() => reject(new StoreTimeout(ms)))
      }
    }
    let timer = setTimeout(expire, ms)
    pending.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
