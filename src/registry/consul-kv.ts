import { type Clock, type Random, sleep } from '../core/duration.ts'
import { errorText } from '../core/errors.ts'
import { ConsulCalls } from './consul-calls.ts'
import { ConsulClient, type ConsulConnection, parseAnswer } from './consul-client.ts'
import { runLoop } from './consul-loop.ts'

/** Consul ends a session this long after its TTL at the latest twice over; 10 s is the least it takes. s. */
const SESSION_TTL_S = 10
const RENEW_MS = 3000

/** One key below a prefix. */
export interface KvEntry {
  /** Without the prefix. */
  readonly key: string
  readonly value: string
  /** For compare-and-set. */
  readonly index: number
}

export interface KvDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void }
}

/** A prefix of Consul's key-value store, with a session of its own. Keys are given without the prefix. */
export class ConsulKv {
  readonly #prefix: string
  readonly #calls: ConsulCalls
  readonly #client: ConsulClient
  readonly #deps: KvDeps
  #session: string | undefined

  /** `prefix` ends with a slash. */
  constructor(connection: ConsulConnection, prefix: string, deps: KvDeps) {
    this.#prefix = prefix
    this.#deps = deps
    this.#calls = new ConsulCalls(connection)
    this.#client = new ConsulClient(connection, 2)
  }

  /** All keys that begin with `under`, from the leader: what was written before is there. Throws what `consul` throws. */
  async list(under: string): Promise<KvEntry[]> {
    const found = await this.#calls.call(({ kv }) =>
      kv.get({ key: this.#prefix + under, recurse: true, consistent: true } as never),
    )
    return this.#entries((found ?? []) as unknown as RawEntry[], (value) => value ?? '')
  }

  /** Tells of all keys that begin with `under`, at once and after each change, until the signal aborts. Never rejects. */
  async watch(
    under: string,
    onChange: (entries: readonly KvEntry[]) => void,
    onError: (text: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const decode = (value: string | null) =>
      value === null ? '' : Buffer.from(value, 'base64').toString('utf8')
    const options = {
      read: (index: number, one: AbortSignal) =>
        this.#client.get(
          {
            path: `/v1/kv/${encodeURI(this.#prefix + under)}`,
            datacentre: undefined,
            index,
            query: { recurse: '' },
            emptyText: '[]',
          },
          one,
        ),
      onAnswer: ({ text }: { text: string }) =>
        onChange(this.#entries(parseAnswer(text) as RawEntry[], decode)),
      onError: (error: Error) => onError(errorText(error)),
      restart: () => this.#client.tokenChanged,
    }
    await runLoop(options, this.#deps, signal)
  }

  /** `index`: only if it is still that (0: only if there is none). False = it is not. */
  async write(key: string, value: string, index?: number): Promise<boolean> {
    const cas = index === undefined ? {} : { cas: String(index) }
    return this.#set({ key: this.#prefix + key, value, ...cas })
  }

  /**
   * A key of this process alone, which goes when the process does: a lock, or what it says of itself. False: another
   * has it, or there is no session (yet).
   */
  async hold(key: string, value: string): Promise<boolean> {
    if (this.#session === undefined) return false
    return this.#set({ key: this.#prefix + key, value, acquire: this.#session })
  }

  async remove(key: string): Promise<void> {
    await this.#calls.call(({ kv }) => kv.del({ key: this.#prefix + key }))
  }

  /** Keeps a session until the signal aborts; then ends it, and with it all own keys and locks. Never rejects. */
  async keepSession(name: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#session === undefined) this.#session = await this.#createSession(name)
        else await this.#renew(this.#session)
      } catch (thrown) {
        // Without an answer it may still be there, and with it what it holds.
        if ((thrown as { statusCode?: number }).statusCode === 404) this.#session = undefined
        this.#deps.log.warn({ err: errorText(thrown) }, 'the session with Consul could not be renewed')
      }
      await sleep(RENEW_MS, signal)
    }
    const last = this.#session
    this.#session = undefined
    if (last === undefined) return
    await this.#calls.call(({ session }) => session.destroy(last)).catch(() => {})
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #createSession(name: string): Promise<string> {
    // Without node checks: the session is this process's, not the agent's. Another may take over at once.
    const options = { name, ttl: `${SESSION_TTL_S}s`, behavior: 'delete', lockdelay: '1s', checks: [] }
    const { ID } = (await this.#calls.call(({ session }) => session.create(options as never))) as {
      ID: string
    }
    return ID
  }

  async #renew(id: string): Promise<void> {
    await this.#calls.call(({ session }) => session.renew(id))
  }

  async #set(options: { key: string; value: string; cas?: string; acquire?: string }): Promise<boolean> {
    return (await this.#calls.call(({ kv }) => kv.set(options as never))) as unknown as boolean
  }

  #entries(raw: readonly RawEntry[], decode: (value: string | null) => string): KvEntry[] {
    return raw.map(({ Key, Value, ModifyIndex }) => ({
      key: Key.slice(this.#prefix.length),
      value: decode(Value),
      index: ModifyIndex,
    }))
  }
}

interface RawEntry {
  readonly Key: string
  readonly Value: string | null
  readonly ModifyIndex: number
}
