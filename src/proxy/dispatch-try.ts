import type { Readable } from 'node:stream'
import type { Timeouts } from '../core/route.ts'
import type { Attempt } from './attempt.ts'
import type { Exchange } from './exchange.ts'
import { fieldsForTry, upstreamHost } from './hop-headers.ts'
import type { BodySource } from './request-body.ts'
import { serverNameFor } from './transport.ts'

/** What one try sends, beside the exchange. */
export interface TryOptions {
  /** The streamed body, if there is one. */
  readonly source: BodySource | undefined
  readonly timeouts: Timeouts
  /** Goes out as `x-sluice-attempt`. */
  readonly number: number
  /** Stay away from sockets that were used before: one of them has just proved stale. */
  readonly needsNewSocket: boolean
}

/** Hands one try to the instance's pool. What becomes of it is reported to the attempt. */
export function dispatchTry(exchange: Exchange, attempt: Attempt, options: TryOptions): void {
  const { upstream } = attempt
  const { body, routed } = exchange
  const { action } = routed.route.spec
  const mode = action.kind === 'proxy' ? action.host : 'preserve'
  const host = upstreamHost(mode, exchange.clientHost, upstream.instance)
  const length = body.kind === 'stream' ? body.length : undefined
  const pool = options.needsNewSocket ? upstream.newSocketPool() : upstream.pool
  const request = {
    path: routed.upstreamTarget ?? '/',
    method: exchange.method,
    headers: fieldsForTry(exchange.headers, host, length, options.number),
    body: bodyForTry(exchange, options.source),
    headersTimeout: options.timeouts.headersMs,
    bodyTimeout: options.timeouts.idleMs,
    // Undici reads it for each request, its types do not know it; without it SNI would follow Host.
    servername:
      upstream.instance.scheme === 'https' ? serverNameFor(upstream.instance, upstream.policy, host) : null,
  }
  pool.dispatch(request, attempt)
  if (options.needsNewSocket) pool.close(() => {})
}

/** A feed is no Readable, but it is all that undici's writer asks of one. */
function bodyForTry({ body }: Exchange, source: BodySource | undefined): Buffer | Readable | null {
  if (body.kind === 'buffer') return body.bytes
  return source === undefined ? null : (source.open() as unknown as Readable)
}
