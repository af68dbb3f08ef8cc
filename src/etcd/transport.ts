import { readFileSync } from 'node:fs'
import { type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { errorText, GatewayError } from '../core/errors.ts'

/** A member that accepts no connection within this is passed over. ms. */
const CONNECT_MS = 2000
/** A quiet connection is asked by the kernel whether it is still there. ms. */
const KEEP_ALIVE_MS = 10_000
/** Of one answer; etcd takes no request above 1.5 MiB by default, and lists come in pages. Bytes. */
const MAX_ANSWER = 64 * 1024 * 1024

/** PEM files. `verify: false` trusts any certificate. */
export interface EtcdTls {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly verify?: boolean | undefined
}

export interface EtcdAnswer {
  readonly status: number
  readonly text: string
}

export interface EtcdPost {
  /** URL of a member. */
  readonly endpoint: string
  /** Below `/v3`. */
  readonly path: string
  readonly body: unknown
  readonly token: string | undefined
  /** A member without a leader may answer, too, from what it has. */
  readonly isLeaderless?: boolean | undefined
}

/** Whether nothing was sent: then also what must not happen twice may be tried elsewhere. */
export interface TransportError extends GatewayError {
  readonly isUnsent?: boolean
}

/**
 * Calls of etcd's JSON gateway, each over a connection of its own: they are rare, and a stale connection would cost
 * more than a new one. Depends on Node alone: the Register library speaks through it, too.
 */
export class EtcdTransport {
  readonly #tls: Record<string, unknown>

  /** Throws GW_REGISTRY_FILE when a PEM file cannot be read. */
  constructor(tls: EtcdTls | undefined) {
    this.#tls = {
      ...(tls?.ca === undefined ? {} : { ca: readPem(tls.ca) }),
      ...(tls?.cert === undefined ? {} : { cert: readPem(tls.cert) }),
      ...(tls?.key === undefined ? {} : { key: readPem(tls.key) }),
      ...(tls?.verify === undefined ? {} : { rejectUnauthorized: tls.verify }),
    }
  }

  /** One answer, whatever its status. Throws GW_REGISTRY_UNREACHABLE, _TIMEOUT, _ANSWER. */
  async post(post: EtcdPost, timeoutMs: number, signal?: AbortSignal): Promise<EtcdAnswer> {
    const limit = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)))
    const either = signal === undefined ? limit : AbortSignal.any([limit, signal])
    try {
      const response = await this.#open(post, either, Math.min(CONNECT_MS, timeoutMs))
      let text = ''
      response.setEncoding('utf8')
      for await (const chunk of response as AsyncIterable<string>) {
        text += chunk
        if (text.length > MAX_ANSWER) {
          throw new GatewayError('GW_REGISTRY_ANSWER', `${post.endpoint}: the answer is too long for etcd`)
        }
      }
      return { status: response.statusCode ?? 0, text }
    } catch (thrown) {
      if (thrown instanceof GatewayError) throw thrown
      if (limit.aborted || (signal?.reason as Error | undefined)?.name === 'TimeoutError') {
        throw new GatewayError('GW_REGISTRY_TIMEOUT', `${post.endpoint}: no answer in ${timeoutMs} ms`)
      }
      throw new GatewayError('GW_REGISTRY_UNREACHABLE', `${post.endpoint}: ${errorText(thrown)}`)
    }
  }

  /** The beginning of an answer without an end. Throws GW_REGISTRY_UNREACHABLE. */
  async stream(post: EtcdPost, signal: AbortSignal): Promise<IncomingMessage> {
    try {
      return await this.#open(post, signal, CONNECT_MS)
    } catch (thrown) {
      if (thrown instanceof GatewayError) throw thrown
      throw new GatewayError('GW_REGISTRY_UNREACHABLE', `${post.endpoint}: ${errorText(thrown)}`)
    }
  }

  #open({ endpoint, path, body, token, isLeaderless }: EtcdPost, signal: AbortSignal, connectMs: number) {
    const text = JSON.stringify(body)
    const url = new URL(`${endpoint.replace(/\/+$/, '')}/v3${path}`)
    const options = {
      method: 'POST',
      agent: false as const,
      signal,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        // A member that lost sight of its leader is to end a watch, and not to wait with it.
        ...(isLeaderless === true ? {} : { 'grpc-metadata-hasleader': 'true' }),
        ...(token === undefined ? {} : { authorization: token }),
      },
    }
    return new Promise<IncomingMessage>((resolve, reject) => {
      const request: ClientRequest =
        url.protocol === 'https:' ? tlsRequest(url, { ...options, ...this.#tls }) : plainRequest(url, options)
      let isSent = false
      const late = setTimeout(() => {
        request.destroy(
          new GatewayError('GW_REGISTRY_TIMEOUT', `${endpoint}: no connection in ${connectMs} ms`),
        )
      }, connectMs)
      request.on('socket', (socket) => {
        socket.setKeepAlive(true, KEEP_ALIVE_MS)
        socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
          isSent = true
          clearTimeout(late)
        })
      })
      request.on('response', (response) => {
        clearTimeout(late)
        resolve(response)
      })
      request.on('error', (error) => {
        clearTimeout(late)
        const ours =
          error instanceof GatewayError || signal.aborted
            ? error
            : new GatewayError('GW_REGISTRY_UNREACHABLE', `${endpoint}: ${errorText(error)}`)
        reject(Object.assign(ours, { isUnsent: !isSent }))
      })
      request.end(text)
    })
  }
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new GatewayError('GW_REGISTRY_FILE', `${file} cannot be read`, { cause })
  }
}
