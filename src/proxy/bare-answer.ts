import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import { type ErrorCode, errorEntry, problemBody } from '../core/errors.ts'

/** How long a refused client may take to close its connection. ms. */
const CLOSE_MS = 2000

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
}

/** The answer under way on a socket, if there is one. */
const answering = (socket: Duplex) =>
  (socket as Duplex & { _httpMessage?: ServerResponse | null })._httpMessage

/**
 * An answer on a bare socket, for what is no request; then the connection is closed. An earlier request of the
 * same connection gets its answer first: these bytes within it would be read as part of it.
 */
export function answerAndClose(socket: Duplex, code: ErrorCode): void {
  const earlier = answering(socket)
  if (earlier === undefined || earlier === null) {
    writeAndClose(socket, code)
  } else if (earlier.req.complete) {
    earlier.once('close', () => answerAndClose(socket, code))
  } else if (earlier.headersSent) {
    // The body that this answer belongs to is what broke. A refusal is already written; let it out.
    cutOff(socket)
  } else {
    writeAndClose(socket, code)
  }
}

/** Sends what was written, then destroys. */
function cutOff(socket: Duplex): void {
  socket.once('finish', () => socket.destroy())
  socket.end()
}

function writeAndClose(socket: Duplex, code: ErrorCode): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const { status } = errorEntry(code)
  const body = problemBody(code, 'none')
  const allow = status === 405 ? 'Allow: \r\n' : ''
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}\r\nContent-Type: application/problem+json\r\n${allow}` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
  // A client that does not close its side would keep the socket for ever.
  const timer = setTimeout(() => socket.destroy(), CLOSE_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}

/** The same over HTTP/2. */
export function refuseStream(response: Http2ServerResponse, code: ErrorCode): void {
  const { status } = errorEntry(code)
  const body = problemBody(code, 'none')
  response.writeHead(status, {
    'content-type': 'application/problem+json',
    ...(status === 405 ? { allow: '' } : {}),
  })
  response.end(body)
}
