import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How long a client that has begun to send a request's headers may go on once the server closes. ms. */
const GRACE_MS = 1000

/** What node:http keeps on a socket that it serves. */
interface Served extends Socket {
  readonly parser?: object | null
  readonly _httpMessage?: ServerResponse | null
}

/**
 * Ends the HTTP/1 connections on which no request is under way. Node's `closeIdleConnections` leaves those alone
 * that never sent one (browsers and load balancers open some in advance), and a closing server no longer looks at
 * its time limits: each of them would hold the shutdown up to its very end. `closingForMs`: since `close`.
 */
export function closeSilent(sockets: Iterable<Socket>, closingForMs: number): void {
  for (const socket of sockets) {
    const { parser, _httpMessage: answer } = socket as Served
    // Without a parser it is a tunnel.
    if (parser === undefined || parser === null || (answer !== undefined && answer !== null)) continue
    if (socket.bytesRead === 0 || closingForMs >= GRACE_MS) socket.destroy()
  }
}
