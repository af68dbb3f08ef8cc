import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { Headers } from '../core/headers.ts'

/** A request as either protocol brings it. */
export type ClientRequest = IncomingMessage | Http2ServerRequest
/** Where the answer goes, in either protocol. */
export type ClientResponse = ServerResponse | Http2ServerResponse

export const isHttp2 = (
  message: ClientRequest | ClientResponse,
): message is Http2ServerRequest | Http2ServerResponse => 'stream' in message

/** The header fields as received, without HTTP/2's pseudo fields. */
export function receivedHeaders(request: ClientRequest): Headers {
  const raw = request.rawHeaders
  if (!isHttp2(request)) return new Headers(raw.slice())
  const fields: string[] = []
  let cookieAt = -1
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    if (name === 'cookie' && cookieAt !== -1) {
      // HTTP/2 sends crumbs; HTTP/1.1 knows only one Cookie field (RFC 9113 §8.2.3).
      fields[cookieAt] += `; ${value}`
    } else if (name.charCodeAt(0) !== 58) {
      if (name === 'cookie') cookieAt = fields.length + 1
      fields.push(name, value)
    }
  }
  return new Headers(fields)
}

/** `Host` or `:authority`; undefined when it is missing or stands there twice. */
export function authorityOfRequest(request: ClientRequest, headers: Headers): string | undefined {
  if (isHttp2(request)) {
    const authority = request.headers[':authority']
    if (typeof authority === 'string' && authority !== '') return authority
  }
  const hosts = headers.getAll('host')
  return hosts.length === 1 ? hosts[0] : undefined
}

/** The client's certificate, when the listener asked for one and it is valid. Over either protocol. */
export function clientCertificateOf(request: ClientRequest): X509Certificate | undefined {
  const socket = request.socket as TLSSocket | undefined
  // One that a listener in mode `request` let through although nobody vouches for it is none.
  if (socket?.encrypted !== true || !socket.authorized) return undefined
  return socket.getPeerX509Certificate()
}

/** Declared length: undefined = unknown, 0 = no body. */
export function declaredLength(request: ClientRequest, headers: Headers): number | undefined {
  const length = headers.get('content-length')
  if (length !== undefined) return /^\d{1,15}$/.test(length) ? Number(length) : undefined
  if (isHttp2(request)) return request.stream.endAfterHeaders ? 0 : undefined
  return headers.has('transfer-encoding') ? undefined : 0
}

/** Values by name, duplicates as lists: what node:http2 takes. */
function groupFields(headers: Headers): Record<string, string | string[]> {
  const grouped: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>
  for (const name of headers.names()) {
    if (grouped[name] !== undefined) continue
    const values = headers.getAll(name)
    grouped[name] = values.length === 1 ? (values[0] as string) : values
  }
  return grouped
}

/** Sends status and headers. Throws when a value cannot be sent. */
export function writeHead(response: ClientResponse, status: number, headers: Headers): void {
  if (isHttp2(response)) response.writeHead(status, groupFields(headers))
  else response.writeHead(status, headers.raw())
}

/** Passes on an interim answer such as 103 Early Hints; HTTP/1.0 clients know none (RFC 9110 §15.2). */
export function writeInformational(response: ClientResponse, status: number, headers: Headers): void {
  if (response.headersSent) return
  if (isHttp2(response)) {
    response.stream.additionalHeaders({ ':status': status, ...groupFields(headers) })
    return
  }
  if (response.req.httpVersion === '1.0' || response.socket === null) return
  let head = `HTTP/1.1 ${status} ${status === 103 ? 'Early Hints' : 'Processing'}\r\n`
  const raw = headers.raw()
  for (let i = 0; i < raw.length; i += 2) {
    if (/[\r\n]/.test(`${raw[i]}${raw[i + 1]}`)) return
    head += `${raw[i]}: ${raw[i + 1]}\r\n`
  }
  response.socket.write(`${head}\r\n`, 'latin1')
}

/** Breaks an answer off so that the client cannot take it for complete. */
export function breakOff(response: ClientResponse): void {
  if (isHttp2(response)) {
    response.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    return
  }
  const { socket } = response
  // To an HTTP/1.0 client the end of the connection is the end of the answer; only a reset is not. A reset cannot
  // be forced through TLS, where the missing close_notify says the same.
  if (response.req.httpVersion === '1.0' && socket !== null && !('encrypted' in socket))
    socket.resetAndDestroy()
  response.destroy()
}
