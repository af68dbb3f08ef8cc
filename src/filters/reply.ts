import { errorEntry, GatewayError, problemBody } from '../core/errors.ts'
import { Headers } from '../core/headers.ts'
import type { FilterReply } from './filter.ts'

/** A reply ready to be sent. `headers` holds content-type and content-length as far as they apply. */
export interface LocalAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

const EMPTY = Buffer.alloc(0)

/**
 * Renders a reply: its own body, or the problem document of its code (RFC 9457), or nothing.
 * A 1xx is the mistake of a filter: it throws `GW_FILTER_FAILED`.
 */
export function renderReply(reply: FilterReply, requestId: string): LocalAnswer {
  if (reply.status < 200 || reply.status > 599) {
    throw new GatewayError('GW_FILTER_FAILED', `a filter replied with status ${reply.status}`)
  }
  const headers = new Headers()
  for (const [name, value] of Object.entries(reply.headers ?? {})) {
    for (const each of typeof value === 'string' ? [value] : value) headers.append(name.toLowerCase(), each)
  }
  const isBodiless = reply.status === 204 || reply.status === 304
  if (isBodiless) return { status: reply.status, headers, body: EMPTY }
  let body: Buffer = EMPTY
  if (reply.body !== undefined) {
    body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body
  } else if (reply.code !== undefined) {
    body = Buffer.from(problemBody(reply.code, requestId, reply.detail, reply.status))
    headers.set('content-type', 'application/problem+json')
    if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  }
  headers.set('content-length', String(body.length))
  return { status: reply.status, headers, body }
}

/** The fail-closed answer. */
export function failedReply(): FilterReply {
  return { status: errorEntry('GW_FILTER_FAILED').status, code: 'GW_FILTER_FAILED' }
}
