import { GatewayError } from '../core/errors.ts'
import { EtcdLogin, type EtcdUser, parseAnswer } from './login.ts'
import { type EtcdTls, EtcdTransport, type TransportError } from './transport.ts'
import { type WatchHandlers, type WatchOptions, watchStream } from './watch-stream.ts'
import {
  type EtcdEntry,
  isMemberFault,
  isUnknownLease,
  prefixRange,
  type RawEntry,
  readRefusal,
  refusalError,
  toBase64,
  toEntry,
  wantsLogin,
} from './wire.ts'

/** Keys that are read at once. */
const PAGE = 500

/** Which etcd, and as whom. */
export interface EtcdConnection extends EtcdUser {
  /** Client URLs of members, at least one; tried one after another. */
  readonly endpoints: readonly string[]
  readonly tls?: EtcdTls | undefined
  /** For one call to one member. ms, default 5000. */
  readonly timeoutMs?: number | undefined
}

/** How a call is made. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** Less than the connection's. ms. */
  readonly timeoutMs?: number | undefined
  /** To this member alone. */
  readonly endpoint?: string | undefined
  /** It must not happen twice: another member is asked only when nothing was sent. */
  readonly isOnce?: boolean | undefined
  /** Of a read: any member may answer, also without a quorum. What it says may be old. */
  readonly isSerializable?: boolean | undefined
}

/** What is under a prefix, as of one moment. */
export interface EtcdList {
  readonly entries: readonly EtcdEntry[]
  readonly revision: number
}

/** A condition of a transaction: the revision of the key's last change; 0 = there is no such key. */
export interface EtcdCondition {
  readonly key: string
  readonly modRevision: number
}

export type EtcdWrite =
  | { readonly put: string; readonly value: string; readonly lease?: string | undefined }
  | { readonly remove: string }

/**
 * One etcd cluster through the JSON gateway of its members, with a login where one is needed. Calls go to the member
 * that answered last, and on to the next when it is at fault. All throw GW_REGISTRY_UNREACHABLE, _TIMEOUT, _ACL or
 * _ANSWER; nothing is retried beyond one round.
 */
export class EtcdClient {
  readonly #connection: EtcdConnection
  readonly #transport: EtcdTransport
  readonly #login: EtcdLogin
  #at = 0

  /** Throws GW_REGISTRY_FILE when a PEM file cannot be read. */
  constructor(connection: EtcdConnection) {
    this.#connection = connection
    this.#transport = new EtcdTransport(connection.tls)
    this.#login = new EtcdLogin(connection, this.#transport)
  }

  /** The member that is asked first; for logs, too. */
  get endpoint(): string {
    const { endpoints } = this.#connection
    return endpoints[this.#at % endpoints.length] as string
  }

  /** The next call and watch begin with another member, where there is one. */
  rotate(): void {
    this.#at++
  }

  /** All keys that begin with the prefix, in their order, as of one revision. */
  async list(prefix: string, options: CallOptions = {}): Promise<EtcdList> {
    const { range_end } = prefixRange(prefix)
    const entries: EtcdEntry[] = []
    let { key } = prefixRange(prefix)
    let revision: string | undefined
    for (;;) {
      const answer: RangeAnswer = await this.#call(
        `read ${prefix}`,
        '/kv/range',
        {
          key,
          range_end,
          limit: PAGE,
          ...(revision === undefined ? {} : { revision }),
          ...(options.isSerializable === true ? { serializable: true } : {}),
        },
        options,
      )
      revision ??= answer.header.revision
      for (const raw of answer.kvs ?? []) entries.push(toEntry(raw))
      const last = answer.kvs?.at(-1)?.key
      if (answer.more !== true || last === undefined) return { entries, revision: Number(revision) }
      key = Buffer.concat([Buffer.from(last, 'base64'), Buffer.from([0])]).toString('base64')
    }
  }

  /** One key; undefined = there is none. */
  async get(key: string, options?: CallOptions): Promise<EtcdEntry | undefined> {
    const { kvs = [] } = await this.#call<RangeAnswer>(
      `read ${key}`,
      '/kv/range',
      { key: toBase64(key) },
      options,
    )
    return kvs[0] === undefined ? undefined : toEntry(kvs[0])
  }

  /** How many keys there are, and the newest change of those that changed after the revision (0 = none did). */
  async look(
    prefix: string,
    after: number,
    options?: CallOptions,
  ): Promise<{ count: number; newest: number }> {
    const body = { ...prefixRange(prefix), keys_only: true, min_mod_revision: after + 1 }
    const { kvs = [], count = '0' } = await this.#call<RangeAnswer>(
      `read ${prefix}`,
      '/kv/range',
      body,
      options,
    )
    return { count: Number(count), newest: Math.max(0, ...kvs.map((raw) => Number(raw.mod_revision))) }
  }

  /** Writes a key; `lease`: it goes when the lease does. Resolves to false when there is no such lease. */
  async put(key: string, value: string, lease?: string, options?: CallOptions): Promise<boolean> {
    return (await this.commit([], [{ put: key, value, lease }], options)) !== 'no-lease'
  }

  /** Takes a key out; it need not be there. */
  async remove(key: string, options?: CallOptions): Promise<void> {
    await this.#call(`remove ${key}`, '/kv/deleterange', { key: toBase64(key) }, options)
  }

  /**
   * Writes all or nothing. `changed`: a condition did not hold, nothing was written. With conditions it is sent once:
   * after an error it may have been written.
   */
  async commit(
    conditions: readonly EtcdCondition[],
    writes: readonly EtcdWrite[],
    options?: CallOptions,
  ): Promise<'done' | 'changed' | 'no-lease'> {
    const body = {
      compare: conditions.map(({ key, modRevision }) => ({
        key: toBase64(key),
        target: 'MOD',
        result: 'EQUAL',
        mod_revision: modRevision,
      })),
      success: writes.map(toOperation),
    }
    const keys = writes.map((write) => ('put' in write ? write.put : write.remove)).join(', ')
    const isOnce = conditions.length > 0
    const said = await this.#answer(`write ${keys}`, '/kv/txn', body, { isOnce, ...options })
    if ('refusal' in said) {
      if (isUnknownLease(said.refusal)) return 'no-lease'
      throw refusalError(said.refusal, `write ${keys}`)
    }
    return (said.value as { succeeded?: boolean }).succeeded === true ? 'done' : 'changed'
  }

  /** A lease that ends so many seconds after its last `keepAlive`. Resolves to its id. */
  async grant(seconds: number, options?: CallOptions): Promise<string> {
    return (await this.#call<{ ID: string }>('a lease', '/lease/grant', { TTL: seconds }, options)).ID
  }

  /** False: there is no such lease any more. */
  async keepAlive(lease: string, options?: CallOptions): Promise<boolean> {
    const body = { ID: lease }
    const { result } = await this.#call<{ result?: { TTL?: string } }>(
      'a lease',
      '/lease/keepalive',
      body,
      options,
    )
    // A dead lease is no error to etcd: the answer has no time in it.
    return Number(result?.TTL ?? 0) > 0
  }

  /** Ends a lease, and with it its keys; it need not be there. */
  async revoke(lease: string, options?: CallOptions): Promise<void> {
    const said = await this.#answer('a lease', '/lease/revoke', { ID: lease }, options)
    if ('refusal' in said && !isUnknownLease(said.refusal)) throw refusalError(said.refusal, 'a lease')
  }

  /**
   * Tells of changes under a prefix. `compacted`: etcd has forgotten the revision to start from; read anew. Resolves
   * with `ended` when the signal aborts, and rejects when the connection ends.
   */
  async watch(
    options: WatchOptions,
    handlers: WatchHandlers,
    signal: AbortSignal,
  ): Promise<'ended' | 'compacted'> {
    const { endpoint } = this
    for (let isSecond = false; ; isSecond = true) {
      const token = await this.#login.token(endpoint, this.#timeout({}))
      const end = await watchStream(this.#transport, endpoint, token, options, handlers, signal)
      if (typeof end === 'string') return end
      if (!wantsLogin(end) || isSecond || !this.#login.isNeeded)
        throw refusalError(end, `watch ${options.prefix}`)
      this.#login.forget(token)
    }
  }

  async #call<T>(what: string, path: string, body: unknown, options?: CallOptions): Promise<T> {
    const said = await this.#answer(what, path, body, options)
    if ('refusal' in said) throw refusalError(said.refusal, what)
    return said.value as T
  }

  /** One round over the members. */
  async #answer(what: string, path: string, body: unknown, options: CallOptions = {}): Promise<Said> {
    const { endpoints } = this.#connection
    const rounds = options.endpoint === undefined ? endpoints.length : 1
    // What a member said is more telling than that another one cannot be reached.
    let refused: Said | undefined
    for (let round = 1; ; round++) {
      const endpoint = options.endpoint ?? this.endpoint
      const isLast = round >= rounds || options.signal?.aborted === true
      try {
        const said = await this.#ask(endpoint, path, body, options)
        const isFinal = !('refusal' in said) || !isMemberFault(said.refusal) || options.isOnce === true
        if (isFinal || isLast) return said
        refused = said
      } catch (thrown) {
        const { isUnsent, code } = thrown as TransportError
        // Members know the same users: a second one only counts the wrong password twice.
        const isFinal = code === 'GW_REGISTRY_ACL' || (options.isOnce === true && isUnsent !== true)
        if (isLast && refused !== undefined) return refused
        if (isFinal || isLast) throw named(thrown, what)
      }
      this.rotate()
    }
  }

  async #ask(endpoint: string, path: string, body: unknown, options: CallOptions): Promise<Said> {
    const timeoutMs = this.#timeout(options)
    for (let isSecond = false; ; isSecond = true) {
      const token = await this.#login.token(endpoint, timeoutMs)
      const post = { endpoint, path, body, token, isLeaderless: options.isSerializable }
      const answer = await this.#transport.post(post, timeoutMs, options.signal)
      if (answer.status === 200) return { value: parseAnswer(endpoint, answer.text) }
      const refusal = readRefusal(answer.status, answer.text)
      if (!wantsLogin(refusal) || isSecond || !this.#login.isNeeded) return { refusal }
      this.#login.forget(token)
    }
  }

  #timeout(options: CallOptions): number {
    return options.timeoutMs ?? this.#connection.timeoutMs ?? 5000
  }
}

type Said = { readonly value: unknown } | { readonly refusal: ReturnType<typeof readRefusal> }

interface RangeAnswer {
  readonly header: { readonly revision: string }
  readonly kvs?: readonly RawEntry[]
  readonly more?: boolean
  readonly count?: string
}

function toOperation(write: EtcdWrite): object {
  if ('remove' in write) return { request_delete_range: { key: toBase64(write.remove) } }
  const { put, value, lease } = write
  return {
    request_put: { key: toBase64(put), value: toBase64(value), ...(lease === undefined ? {} : { lease }) },
  }
}

function named(thrown: unknown, what: string): unknown {
  if (!(thrown instanceof GatewayError)) return thrown
  return new GatewayError(thrown.code, `etcd: ${what}: ${thrown.message}`)
}
