import { backoffMs, type Random } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import { HandshakeFailure, ZooKeeperConnection, type ZooKeeperTls } from './connection.ts'
import { OP, type Session, type WatchEvent } from './messages.ts'
import { parseServers, type Server } from './servers.ts'

/** Which ensemble, and how. Times: ms. */
export interface ZooKeeperOptions {
  /** `host:port`; asked in a random order. */
  readonly servers: readonly string[]
  /** How long the servers remember this client while it is away; they have limits of their own. */
  readonly sessionTimeoutMs: number
  /** `user:password` for ACLs of the scheme digest. */
  readonly auth?: string | undefined
  readonly tls?: ZooKeeperTls | undefined
  /** Neither sockets nor timers hold the process. Default false. */
  readonly isBackground?: boolean | undefined
}

export interface ZooKeeperEvents {
  /** Connected. All watches are gone: read again what matters. `isNewSession`: ephemeral nodes are gone, too. */
  onConnected(about: { readonly server: string; readonly isNewSession: boolean }): void
  /** The connection is lost, or a server could not be connected to. It goes on trying. */
  onFailure(error: GatewayError): void
  onWatch(event: WatchEvent): void
}

const NO_SESSION = { id: 0n, password: Buffer.alloc(16) }
/** A round over all servers failed. ms. */
const ROUND_BASE_MS = 250
const ROUND_MAX_MS = 5000
/** Between two servers of a round, so that many clients that lost one do not come to the next in step. ms. */
const NEXT_SERVER_MS = 50
/** No server needs longer for its first word. ms. */
const MAX_CONNECT_MS = 5000
const MIN_CONNECT_MS = 500
/** A connection that lived this long was a good one. ms. */
const GOOD_MS = 2000

/**
 * A session with a ZooKeeper ensemble: connects, keeps alive, goes to another server when one fails, gets a new session
 * when the old one is over. Never gives up until `close`. Calls made while there is no connection are refused at once
 * (GW_REGISTRY_UNREACHABLE); those that were on their way when it was lost may or may not have been carried out.
 *
 * Watches fire once, and end with the connection. There is no list of them here to set again: who reads everything anew
 * with each `onConnected` misses nothing, and needs no server that remembers.
 */
export class ZooKeeperSession {
  readonly #options: ZooKeeperOptions
  readonly #events: ZooKeeperEvents
  readonly #random: Random
  readonly #servers: readonly Server[]
  #next = 0
  #session: Session
  #lastZxid = 0n
  #connection: ZooKeeperConnection | undefined
  #lastError = new GatewayError('GW_REGISTRY_UNREACHABLE', 'not connected yet')
  #refusedSince: number | undefined
  readonly #closing = new AbortController()
  #endPause: () => void = () => {}
  readonly #waiting = new Set<() => void>()
  #running: Promise<void> = Promise.resolve()

  /** Does nothing before `start`. Throws GW_REGISTRY_ANSWER for a server that is no `host:port`. */
  constructor(options: ZooKeeperOptions, events: ZooKeeperEvents, random: Random) {
    this.#options = options
    this.#events = events
    this.#random = random
    this.#servers = shuffled(parseServers(options.servers), random)
    this.#session = { ...NO_SESSION, timeoutMs: options.sessionTimeoutMs }
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Throws the last failure while there is none. */
  protected get connection(): ZooKeeperConnection {
    if (this.#connection === undefined) throw this.#lastError
    return this.#connection
  }

  get isConnected(): boolean {
    return this.#connection !== undefined
  }

  /** Owner of the ephemeral nodes that are made here; 0 before the first connection. */
  get sessionId(): bigint {
    return this.#session.id
  }

  /** Number of the last change that an answer took in. */
  get lastZxid(): bigint {
    return this.#connection?.lastZxid ?? this.#lastZxid
  }

  /** Resolves once it is connected. Rejects with the last failure after `limitMs`. */
  async ready(limitMs: number): Promise<void> {
    if (this.isConnected) return
    await new Promise<void>((resolve, reject) => {
      const done = () => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        if (this.isConnected) resolve()
        else reject(this.#lastError)
      }
      const timer = setTimeout(done, limitMs)
      this.#waiting.add(done)
    })
  }

  /** Ends the session, with it all its ephemeral nodes, and never connects again. At most `limitMs`. */
  async close(limitMs = 1000): Promise<void> {
    this.#closing.abort()
    this.#endPause()
    const connection = this.#connection
    if (connection !== undefined) {
      const timer = setTimeout(() => connection.destroy(this.#closedError()), limitMs)
      await connection.request(OP.closeSession, 'closing the session').catch(() => {})
      clearTimeout(timer)
      connection.destroy(this.#closedError())
    }
    await this.#running
  }

  #closedError(): GatewayError {
    return new GatewayError('GW_REGISTRY_UNREACHABLE', 'the session was closed')
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#closing.signal.aborted; ) {
      const server = this.#servers[this.#next++ % this.#servers.length] as Server
      const isGood = await this.#serve(server)
      if (this.#closing.signal.aborted) return
      failures = isGood ? 0 : failures + 1
      const rounds = Math.floor(failures / this.#servers.length)
      const isRoundOver = failures > 0 && failures % this.#servers.length === 0
      await this.#pause(
        isRoundOver
          ? backoffMs(rounds, ROUND_BASE_MS, ROUND_MAX_MS, this.#random)
          : NEXT_SERVER_MS * this.#random(),
      )
    }
  }

  /** One connection, from its beginning to its end. True when it was of use. */
  async #serve(server: Server): Promise<boolean> {
    const { auth, tls, isBackground = false, sessionTimeoutMs } = this.#options
    const share = sessionTimeoutMs / this.#servers.length
    try {
      const connection = await ZooKeeperConnection.open({
        server,
        session: this.#session,
        lastZxid: this.#lastZxid,
        connectTimeoutMs: Math.min(MAX_CONNECT_MS, Math.max(MIN_CONNECT_MS, share)),
        auth,
        tls,
        isBackground,
        signal: this.#closing.signal,
        onWatch: (event) => {
          if (!this.#closing.signal.aborted) this.#events.onWatch(event)
        },
      })
      const since = performance.now()
      this.#opened(connection)
      const error = await connection.closed
      this.#connection = undefined
      this.#lastZxid = connection.lastZxid
      this.#failed(error)
      return performance.now() - since >= GOOD_MS
    } catch (thrown) {
      this.#refused(thrown)
      return false
    }
  }

  #opened(connection: ZooKeeperConnection): void {
    if (this.#closing.signal.aborted) {
      connection.destroy(this.#closedError())
      return
    }
    const isNewSession = connection.session.id !== this.#session.id
    this.#session = connection.session
    this.#connection = connection
    this.#refusedSince = undefined
    this.#events.onConnected({ server: connection.server.name, isNewSession })
    for (const done of [...this.#waiting]) done()
  }

  #failed(error: GatewayError): void {
    this.#lastError = error
    if (!this.#closing.signal.aborted) this.#events.onFailure(error)
  }

  #refused(thrown: unknown): void {
    const kind = thrown instanceof HandshakeFailure ? thrown.kind : undefined
    if (kind === 'expired') this.#forget()
    const now = performance.now()
    if (kind === 'refused') {
      this.#refusedSince ??= now
      // A server closes without a word when it is behind what we have seen. One that lost its data is so for ever.
      if (now - this.#refusedSince > this.#session.timeoutMs) this.#forget()
    }
    this.#failed(
      thrown instanceof GatewayError
        ? thrown
        : new GatewayError('GW_REGISTRY_UNREACHABLE', 'cannot connect', { cause: thrown }),
    )
  }

  /** The next connection asks for a new session. */
  #forget(): void {
    this.#session = { ...NO_SESSION, timeoutMs: this.#options.sessionTimeoutMs }
    this.#lastZxid = 0n
    this.#refusedSince = undefined
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      if (this.#options.isBackground === true) timer.unref()
      this.#endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  return list
    .map((value) => ({ value, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}
