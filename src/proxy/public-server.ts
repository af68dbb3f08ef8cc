import {
  createServer,
  type IncomingMessage,
  METHODS,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { type FastifyInstance, type FastifyServerFactory, fastify } from 'fastify'
import { type ErrorCode, problemBody } from '../core/errors.ts'
import { answerAndClose, refuseStream } from './bare-answer.ts'
import type { Certificates } from './certificates.ts'
import type { ClientRequest, ClientResponse } from './client-side.ts'
import { closeSilent } from './silent-connections.ts'

/** Limits on one listener. ms, bytes. */
export interface ListenerLimits {
  readonly headerBytes: number
  readonly urlBytes: number
  readonly headersTimeout: number
  readonly requestTimeout: number
  readonly keepAliveTimeout: number
  readonly connections: number
}

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly limits: ListenerLimits
  /** Absent = clear text. */
  readonly tls?: {
    readonly certificates: Certificates
    readonly http2: boolean
    readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  }
  /** `wantsContinue`: the client waits for 100 before it sends its body. */
  onRequest(request: ClientRequest, response: ClientResponse, wantsContinue: boolean): void
  onUpgrade(request: ClientRequest, socket: Duplex, head: Buffer): void
  /** A request that never became one: nothing was routed. */
  onMalformed(code: ErrorCode): void
}

/** One listener for clients. */
export interface PublicServer {
  readonly isSecure: boolean
  /** Resolves to the port. */
  listen(): Promise<number>
  /** Open client connections. */
  connections(): Promise<number>
  /** HTTP/2 clients are told to go (GOAWAY); new connections are still taken. */
  beginDrain(): void
  /** Stops listening and closes idle connections; resolves when the last connection is gone. */
  close(): Promise<void>
  /** Cuts off what is left; returns how many connections that were. */
  destroy(): Promise<number>
}

/** An offer to go on in another version of HTTP, alone or in a list. */
const OTHER_HTTP = /(?:^|,)\s*(?:h2c?|http)(?![\w-])/i
/** Streams of one HTTP/2 connection at a time. */
const MAX_STREAMS = 250
/** How often a closing server looks for connections that have become idle. ms. */
const SWEEP_MS = 100
/** RFC 9113 §6.8: this id in a GOAWAY means "no stream is refused yet, but open no new ones". */
const LAST_STREAM_ID = 2 ** 31 - 1

type AnyServer = Server | Http2SecureServer

function createNodeServer(options: ListenerOptions): AnyServer {
  const { limits, tls } = options
  const http: ServerOptions = {
    // Node counts the request line with the headers.
    maxHeaderSize: limits.headerBytes + limits.urlBytes,
    headersTimeout: limits.headersTimeout,
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: limits.keepAliveTimeout,
    connectionsCheckingInterval: 2000,
    insecureHTTPParser: false,
    // `decide` refuses a missing Host itself, as a problem document.
    requireHostHeader: false,
    noDelay: true,
    // A request that declares no body has no stream to be read, ended and closed.
    optimizeEmptyRequests: true,
    // HTTP/2 in clear is not offered: a client that asks for it goes on in HTTP/1.1 (RFC 9110 §7.8). Not in a
    // list either: an instance that took it up would answer requests which nothing here has looked at.
    shouldUpgradeCallback: (request) => !OTHER_HTTP.test(request.headers.upgrade ?? ''),
  }
  if (tls === undefined) return createServer(http)
  const secure = { ...http, ...tls.certificates.tlsOptions(), minVersion: tls.minVersion }
  if (!tls.http2) return createHttpsServer(secure)
  return createSecureServer({
    ...secure,
    allowHTTP1: true,
    settings: { maxConcurrentStreams: MAX_STREAMS, enableConnectProtocol: false },
    // Against rapid resets (CVE-2023-44487) and floods of frames.
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
  })
}

const CLIENT_ERRORS: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'GW_REQUEST_HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'GW_REQUEST_TIMEOUT',
}

function attach(server: AnyServer, options: ListenerOptions): void {
  const { limits } = options
  if (limits.connections > 0) server.maxConnections = limits.connections
  // Node drops headers beyond the count without a word; the walk counts and refuses instead.
  if ('maxHeadersCount' in server) server.maxHeadersCount = 0
  server.on('checkContinue', (request: ClientRequest, response: ClientResponse) =>
    options.onRequest(request, response, true),
  )
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    options.onMalformed('GW_REQUEST_EXPECT')
    const body = problemBody('GW_REQUEST_EXPECT', 'none')
    response.writeHead(417, { 'content-type': 'application/problem+json', connection: 'close' })
    response.end(body)
  })
  server.on('connect', (_request: ClientRequest, place: Duplex | Http2ServerResponse) => {
    options.onMalformed('GW_ROUTE_METHOD_REFUSED')
    if ('stream' in place) refuseStream(place, 'GW_ROUTE_METHOD_REFUSED')
    else answerAndClose(place, 'GW_ROUTE_METHOD_REFUSED')
  })
  server.on('upgrade', (request: ClientRequest, socket: Duplex, head: Buffer) =>
    options.onUpgrade(request, socket, head),
  )
}

function createApp(server: AnyServer, options: ListenerOptions): FastifyInstance {
  const answered = new WeakSet<Socket>()
  const app = fastify({
    serverFactory: ((handler) => {
      server.on('request', handler)
      return server
    }) as FastifyServerFactory,
    // The router must not judge paths: the walk normalises and matches the raw target.
    rewriteUrl: () => '/',
    logger: false,
    // Requests that come on kept-alive connections while we drain are served.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: (error, socket) => {
      if (error.code === 'ECONNRESET') return
      // The client left in the middle, or its handshake failed: nobody waits for HTTP in clear.
      if (error.code === 'HPE_INVALID_EOF_STATE' || error.code?.startsWith('ERR_SSL') === true) {
        socket.destroy()
        return
      }
      // The parser complains again with each further piece.
      if (answered.has(socket)) return
      answered.add(socket)
      const code = CLIENT_ERRORS[error.code ?? ''] ?? 'GW_REQUEST_MALFORMED'
      options.onMalformed(code)
      answerAndClose(socket, code)
    },
  })
  const known = new Set(app.supportedMethods)
  for (const method of METHODS) if (method !== 'CONNECT' && !known.has(method)) app.addHttpMethod(method)
  // Hijacked here, before Fastify would look at method, path or body; also what it knows no route for.
  app.addHook('onRequest', (request, reply) => {
    reply.hijack()
    const raw = request.raw as ClientRequest & { originalUrl?: string }
    if (raw.originalUrl !== undefined) raw.url = raw.originalUrl
    options.onRequest(raw, reply.raw, false)
  })
  app.all('/', () => {})
  return app
}

/** Creates a listener for clients: Fastify over a server of our own, every request hijacked to `onRequest`. */
export function createPublicServer(options: ListenerOptions): PublicServer {
  const server = createNodeServer(options)
  attach(server, options)
  const app = createApp(server, options)
  const { tls } = options
  const sockets = new Set<Socket>()
  const sessions = new Set<ServerHttp2Session>()
  let isDraining = false
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  /** Where HTTP/1 is spoken: over TLS that is not the socket which `connection` brings. */
  const speakers = tls === undefined ? sockets : new Set<Socket>()
  if (tls !== undefined) {
    server.on('secureConnection', (socket: TLSSocket) => {
      if (socket.alpnProtocol === 'h2') return
      speakers.add(socket)
      socket.once('close', () => speakers.delete(socket))
    })
  }
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    // Told before its first request, a client would have to ask somebody else.
    session.once('stream', () => {
      if (isDraining) session.goaway(0, LAST_STREAM_ID)
    })
    // Node limits the idle time of HTTP/1 connections only. A stream that is silent for so long still ends in peace.
    session.setTimeout(options.limits.keepAliveTimeout, () => session.close())
  })
  tls?.certificates.onChange(() => {
    const secure = server as unknown as { setSecureContext(options: object): void }
    secure.setSecureContext({ ...tls.certificates.tlsOptions(), minVersion: tls.minVersion })
  })
  return {
    isSecure: tls !== undefined,
    async listen() {
      await app.listen({ host: options.host, port: options.port })
      return (server.address() as AddressInfo).port
    },
    connections: () =>
      new Promise((resolve) => server.getConnections((error, count) => resolve(error === null ? count : 0))),
    beginDrain() {
      isDraining = true
      for (const session of sessions) if (!session.destroyed) session.goaway(0, LAST_STREAM_ID)
    },
    async close() {
      for (const session of sessions) session.close()
      const since = performance.now()
      const closeIdle = () => {
        if ('closeIdleConnections' in server) server.closeIdleConnections()
        closeSilent(speakers, performance.now() - since)
      }
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      closeIdle()
      // An answer whose headers went out before the drain kept its connection alive.
      const sweep = setInterval(closeIdle, SWEEP_MS)
      await closed
      clearInterval(sweep)
      await app.close()
    },
    async destroy() {
      const left = [...sockets].filter((socket) => !socket.destroyed).length
      for (const session of sessions) session.destroy()
      for (const socket of sockets) socket.destroy()
      return left
    },
  }
}
