import { connect as connectPlain, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { GatewayError } from '../core/errors.ts'
import { FrameSplitter, JuteReader, JuteWriter } from './jute.ts'
import {
  connectRequest,
  OP,
  readConnectAnswer,
  readWatchEvent,
  type Session,
  type WatchEvent,
  XID,
  ZooKeeperRefusal,
} from './messages.ts'
import type { Server } from './servers.ts'

/** PEM texts for a server that speaks TLS. */
export interface ZooKeeperTls {
  readonly ca?: Buffer | undefined
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
  /** False trusts any certificate. Default true. */
  readonly verify?: boolean | undefined
}

export interface ConnectionOptionsOf {
  readonly server: Server
  readonly session: Session
  readonly lastZxid: bigint
  /** For connecting and the first answer. ms. */
  readonly connectTimeoutMs: number
  /** `user:password`. */
  readonly auth: string | undefined
  readonly tls: ZooKeeperTls | undefined
  /** Neither sockets nor timers hold the process. */
  readonly isBackground: boolean
  /** Ends the attempt to connect; an open connection goes on. */
  readonly signal: AbortSignal
  readonly onWatch: (event: WatchEvent) => void
}

interface Pending {
  readonly xid: number
  readonly what: string
  readonly resolve: (reader: JuteReader) => void
  readonly reject: (error: GatewayError) => void
}

/** How a handshake ended without a connection. */
export class HandshakeFailure extends GatewayError {
  /** `expired`: the session is over. `refused`: the server took the connection, but closed it without a word. */
  readonly kind: 'expired' | 'refused' | 'unreachable'

  constructor(kind: HandshakeFailure['kind'], message: string, options?: ErrorOptions) {
    super('GW_REGISTRY_UNREACHABLE', message, options)
    this.kind = kind
  }
}

/**
 * One connection to one server, from its handshake to its end. Requests are answered in order; a server that says
 * nothing for two thirds of the session's time is given up, since its session would be lost otherwise.
 */
export class ZooKeeperConnection {
  readonly server: Server
  /** Resolves with the reason when the connection is over. Never rejects. */
  readonly closed: Promise<GatewayError>
  /** Of the last change that an answer took in. */
  lastZxid: bigint
  readonly #socket: Socket
  readonly #options: ConnectionOptionsOf
  readonly #splitter = new FrameSplitter()
  readonly #pending: Pending[] = []
  #session: Session | undefined
  #onHandshake: (session: Session | undefined) => void = () => {}
  #onClosed: (error: GatewayError) => void = () => {}
  #error: GatewayError | undefined
  #timer: NodeJS.Timeout | undefined
  #xid = 0
  #sentAt = 0
  #heardAt = 0

  private constructor(options: ConnectionOptionsOf) {
    this.server = options.server
    this.lastZxid = options.lastZxid
    this.#options = options
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve
    })
    const { host, port } = options.server
    const socket = options.tls === undefined ? connectPlain({ host, port }) : connectTls(tlsOptions(options))
    this.#socket = socket
    if (options.isBackground) socket.unref()
    socket.setNoDelay()
    socket.on(options.tls === undefined ? 'connect' : 'secureConnect', () =>
      this.#write(connectRequest(options.session, options.lastZxid)),
    )
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (cause) => this.destroy(this.#unreachable('the connection failed', cause)))
    socket.on('close', () => this.destroy(this.#unreachable('the server closed the connection')))
  }

  /**
   * Connects and takes up the session, or gets a new one. Rejects with a HandshakeFailure, or GW_REGISTRY_TIMEOUT for a
   * server that says nothing.
   */
  static async open(options: ConnectionOptionsOf): Promise<ZooKeeperConnection> {
    const { server, connectTimeoutMs, signal } = options
    const connection = new ZooKeeperConnection(options)
    const onAbort = () => connection.destroy(connection.#unreachable('given up'))
    signal.addEventListener('abort', onAbort, { once: true })
    let hasConnected = false
    connection.#socket.once('connect', () => {
      hasConnected = true
    })
    let timer: NodeJS.Timeout | undefined
    try {
      const answer = await Promise.race([
        new Promise<Session | undefined>((resolve) => {
          connection.#onHandshake = resolve
        }),
        connection.closed.then((cause) => {
          throw new HandshakeFailure(hasConnected ? 'refused' : 'unreachable', cause.message, cause)
        }),
        new Promise<never>((_, reject) => {
          const text = `${server.name}: no answer in ${connectTimeoutMs} ms`
          timer = setTimeout(() => reject(new GatewayError('GW_REGISTRY_TIMEOUT', text)), connectTimeoutMs)
          if (options.isBackground) timer.unref()
        }),
      ])
      if (answer === undefined) throw new HandshakeFailure('expired', `${server.name}: the session is over`)
      connection.#begin(answer)
      return connection
    } catch (thrown) {
      onAbort()
      throw thrown
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Valid once it is open. */
  get session(): Session {
    return this.#session ?? this.#options.session
  }

  /** Rejects with a ZooKeeperRefusal, or with the reason of the connection's end. `what` is for messages. */
  request(op: number, what: string, write?: (body: JuteWriter) => void): Promise<JuteReader> {
    if (this.#error !== undefined) return Promise.reject(this.#error)
    return new Promise((resolve, reject) => {
      this.#xid = this.#xid === 0x7fff_ffff ? 1 : this.#xid + 1
      const body = new JuteWriter().int(this.#xid).int(op)
      write?.(body)
      this.#pending.push({ xid: this.#xid, what, resolve, reject })
      this.#write(body.frame())
    })
  }

  /** Ends it; what waits for an answer gets the error. */
  destroy(error: GatewayError): void {
    if (this.#error !== undefined) return
    this.#error = error
    clearInterval(this.#timer)
    this.#socket.destroy()
    for (const { reject } of this.#pending.splice(0)) reject(error)
    this.#onClosed(error)
  }

  #begin(session: Session): void {
    this.#session = session
    const { auth, isBackground } = this.#options
    if (auth !== undefined) {
      const packet = new JuteWriter().int(XID.auth).int(OP.auth).int(0)
      this.#write(packet.text('digest').bytes(Buffer.from(auth, 'utf8')).frame())
    }
    const every = Math.max(50, session.timeoutMs / 6)
    let lastTick = performance.now()
    this.#timer = setInterval(() => {
      const now = performance.now()
      // After a pause of this process the answers wait in the socket: they are read first.
      const isLate = now - lastTick > 2 * every
      lastTick = now
      this.#lookAfter(now, isLate)
    }, every)
    if (isBackground) this.#timer.unref()
  }

  #lookAfter(now: number, isLate: boolean): void {
    const { timeoutMs } = this.session
    if (!isLate && now - this.#heardAt > (timeoutMs * 2) / 3) {
      const text = `${this.server.name}: silent for ${Math.round(now - this.#heardAt)} ms`
      this.destroy(new GatewayError('GW_REGISTRY_TIMEOUT', text))
    } else if (now - this.#sentAt >= timeoutMs / 3 - 1 || now - this.#heardAt >= timeoutMs / 3 - 1) {
      this.#write(new JuteWriter().int(XID.ping).int(OP.ping).frame())
    }
  }

  #write(frame: Buffer): void {
    this.#sentAt = performance.now()
    this.#socket.write(frame)
  }

  #take(chunk: Buffer): void {
    this.#heardAt = performance.now()
    try {
      for (const frame of this.#splitter.push(chunk)) {
        if (this.#error !== undefined) return
        this.#takeFrame(new JuteReader(frame))
      }
    } catch (thrown) {
      this.destroy(
        thrown instanceof GatewayError ? thrown : this.#unreachable('an answer makes no sense', thrown),
      )
    }
  }

  #takeFrame(reader: JuteReader): void {
    if (this.#session === undefined) {
      const session = readConnectAnswer(reader)
      // Frames that come with this one belong to the session already.
      this.#session = session
      this.#onHandshake(session)
      return
    }
    const xid = reader.int()
    const zxid = reader.long()
    const refusal = reader.int()
    if (zxid > this.lastZxid) this.lastZxid = zxid
    if (xid === XID.ping) return
    if (xid === XID.notification) {
      const event = readWatchEvent(reader)
      if (event !== undefined) this.#options.onWatch(event)
      return
    }
    if (xid === XID.auth) {
      if (refusal !== 0) this.destroy(new ZooKeeperRefusal(refusal, this.server.name))
      return
    }
    const pending = this.#pending.shift()
    if (pending?.xid !== xid) {
      const text = `${this.server.name} answered request ${xid} instead of ${pending?.xid}`
      throw new GatewayError('GW_REGISTRY_ANSWER', text)
    }
    if (refusal === 0) pending.resolve(reader)
    else pending.reject(new ZooKeeperRefusal(refusal, pending.what))
  }

  #unreachable(what: string, cause?: unknown): GatewayError {
    const options = cause === undefined ? undefined : { cause }
    return new GatewayError('GW_REGISTRY_UNREACHABLE', `${this.server.name}: ${what}`, options)
  }
}

function tlsOptions({ server, tls }: ConnectionOptionsOf): ConnectionOptions {
  const { ca, cert, key, verify } = tls ?? {}
  return {
    host: server.host,
    port: server.port,
    rejectUnauthorized: verify !== false,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  }
}
