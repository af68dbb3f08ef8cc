import { isIP, type OnReadOpts, type Socket } from 'node:net'
import { buildConnector, Pool } from 'undici'
import type { ServicePolicy } from '../core/route.ts'
import type { Instance } from '../core/types.ts'

/** An upstream socket lives at most this long, so that a change of DNS is followed. ms. */
const CLIENT_TTL_MS = 300_000
/** Names and values of one answer's headers together. Bytes. */
const MAX_HEADER_BYTES = 64 * 1024
/** Taken off an upstream's `Keep-Alive: timeout=`, so that we close before it does. ms. */
const KEEP_ALIVE_MARGIN_MS = 1000
/** What one read takes at most. Bytes. */
const READ_BYTES = 64 * 1024

/** An error of an upstream socket with what it had received until then. */
export interface SocketFault extends Error {
  /** Bytes of HTTP that came on the connection in all; 0 = it was new and silent. */
  upstreamBytesRead?: number
}

/** `scheme://address:port` of an instance; IPv6 in brackets. h2c is HTTP in clear, so `http`. */
export function originOf(instance: Instance): string {
  const scheme = instance.scheme === 'https' ? 'https' : 'http'
  return `${scheme}://${authorityOf(instance)}`
}

/** `address:port`, IPv6 in brackets; the port always there. */
export function authorityOf(instance: Instance): string {
  const host = instance.address.includes(':') ? `[${instance.address}]` : instance.address
  return `${host}:${instance.port}`
}

/**
 * SNI and the name to verify: the policy's, else the instance's host name, else for an address the Host that
 * goes upstream (RFC 6066 §3 allows no address). Undefined = no SNI; the address itself is verified.
 */
export function serverNameFor(instance: Instance, policy: ServicePolicy, host: string): string | undefined {
  if (policy.tls.serverName !== undefined) return policy.tls.serverName
  if (isIP(instance.address) === 0) return instance.address
  const name = host.startsWith('[') ? '' : host.replace(/:\d+$/, '')
  return name === '' || isIP(name) !== 0 ? undefined : name
}

/** What `tls.connect` gets beside address and server name. */
export interface UpstreamTlsOptions {
  readonly rejectUnauthorized: boolean
  readonly minVersion: 'TLSv1.2'
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** TLS options towards a service, without the server name. Certificates are verified unless told otherwise. */
export function tlsOptions(policy: ServicePolicy): UpstreamTlsOptions {
  const { verify, ca, cert, key } = policy.tls
  return {
    rejectUnauthorized: verify,
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  }
}

/** Equal texts = a pool may stay as it is. */
export function poolSignature(instance: Instance, policy: ServicePolicy): string {
  return JSON.stringify([
    originOf(instance),
    instance.scheme,
    policy.tls,
    policy.maxConnections,
    policy.keepAliveMs,
    policy.timeouts.connectMs,
  ])
}

/** A pool of sockets to one instance. Opens nothing before the first request. */
export function createPool(instance: Instance, policy: ServicePolicy): Pool {
  const isH2c = instance.scheme === 'h2c'
  return new Pool(originOf(instance), {
    connect: annotatingConnector(instance, policy),
    connections: policy.maxConnections === 0 ? null : policy.maxConnections,
    // Over HTTP/1 a second request behind a slow first one is head-of-line blocking; 0 = no keep-alive.
    ...(isH2c
      ? { allowH2: true, useH2c: true }
      : { allowH2: false, pipelining: policy.keepAliveMs > 0 ? 1 : 0 }),
    keepAliveTimeout: Math.max(1, policy.keepAliveMs),
    keepAliveMaxTimeout: Math.max(1, policy.keepAliveMs),
    keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
    // The pool looks at each of its sockets for this, with every request: only where DNS can change.
    ...(isIP(instance.address) === 0 ? { clientTtl: CLIENT_TTL_MS } : {}),
    maxHeaderSize: MAX_HEADER_BYTES,
    // Each request brings its own; these hold for nothing but a mistake.
    headersTimeout: 0,
    bodyTimeout: 0,
    strictContentLength: true,
  })
}

/**
 * Node allocates 64 KiB for each read and gives most of it back afterwards. These sockets read into one buffer that
 * they share, and what came is copied out at once: cheap for usual answers, and less to collect.
 */
function readIntoOneBuffer(): OnReadOpts {
  return {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback(this: Socket, length: number, buffer: Uint8Array) {
      // False stops the reading until the stream asks for more.
      return this.push(Buffer.from(buffer.subarray(0, length)))
    },
  }
}

/**
 * Undici's connector; marks errors of a socket with what it had read. A raw ECONNRESET does not tell, and
 * without it a stale keep-alive socket looks like an instance that broke while working.
 */
function annotatingConnector(instance: Instance, policy: ServicePolicy): buildConnector.connector {
  const isH2c = instance.scheme === 'h2c'
  const options = {
    ...tlsOptions(policy),
    allowH2: isH2c,
    timeout: policy.timeouts.connectMs,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    // Happy eyeballs is for names: an address has one family.
    autoSelectFamily: isIP(instance.address) === 0,
    ...(instance.scheme === 'http' ? { onread: readIntoOneBuffer() } : {}),
  }
  const connect = buildConnector(options)
  return (target, callback) => {
    connect(target, (...result) => {
      const socket = result[1] as Socket | null | undefined
      // Undici passes nothing at all beside an error, whatever its types say.
      if (socket !== null && socket !== undefined) {
        socket.on('error', (error: SocketFault) => {
          error.upstreamBytesRead = socket.bytesRead
        })
        // Prior knowledge (RFC 9113 §3.3): there is no ALPN in clear that would say so.
        if (isH2c) Object.assign(socket, { alpnProtocol: 'h2' })
      }
      callback(...result)
    })
  }
}
