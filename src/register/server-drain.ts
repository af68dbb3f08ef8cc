import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Server, Http2Session } from 'node:http2'
import type { Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'

/** A server of `node:http`, `node:https` or `node:http2`; Fastify's is `app.server`, Express' is what `listen` returns. */
export type ServedBy = HttpServer | HttpsServer | Http2Server | Http2SecureServer

/** The largest stream id (RFC 9113 §5.1.1): a GOAWAY with it says "no new ones, please" and refuses none. */
const LAST_STREAM = 2 ** 31 - 1

/**
 * Brings the clients of a server to leave without losing a request: from `begin` on each answer says
 * `Connection: close` (HTTP/2: GOAWAY), `close` stops listening and waits for what is under way.
 */
export class ServerDrain {
  readonly #server: ServedBy
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<Http2Session>()
  readonly #answers = new Set<ServerResponse>()
  #isLeaving = false

  constructor(server: ServedBy) {
    this.#server = server
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.on('session', (session: Http2Session) => {
      this.#sessions.add(session)
      session.once('close', () => this.#sessions.delete(session))
      if (this.#isLeaving) session.goaway(0, LAST_STREAM)
    })
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      // HTTP/2 forbids the field (RFC 9113 §8.2.2).
      if (request.httpVersionMajor !== 1) return
      this.#answers.add(response)
      response.once('close', () => this.#answers.delete(response))
      if (this.#isLeaving) sayClose(response)
    })
  }

  /** Goes on serving; whoever gets an answer does not come back on the same connection. */
  begin(): void {
    this.#isLeaving = true
    for (const answer of this.#answers) sayClose(answer)
    for (const session of this.#sessions) if (!session.destroyed) session.goaway(0, LAST_STREAM)
  }

  /** Stops listening; resolves when the last connection is gone. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      // The user may have closed it already: then this is told at once, and the sockets decide.
      this.#server.close(() => resolve(this.#gone()))
      for (const session of this.#sessions) session.close()
      if ('closeIdleConnections' in this.#server) this.#server.closeIdleConnections()
    })
  }

  async #gone(): Promise<void> {
    const open = [...this.#sockets].filter(({ destroyed }) => !destroyed)
    await Promise.all(open.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  }

  /** Cuts off whoever is left; how many that were. */
  destroy(): number {
    const left = [...this.#sockets].filter(({ destroyed }) => !destroyed)
    for (const socket of left) socket.destroy()
    return left.length
  }
}

function sayClose(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close')
}
