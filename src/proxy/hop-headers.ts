import { GatewayError } from '../core/errors.ts'
import { Headers } from '../core/headers.ts'
import type { Instance } from '../core/types.ts'
import { authorityOf } from './transport.ts'

/** Fields of one connection, never of the message (RFC 9110 §7.6.1, RFC 9112; the last two by old habit). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'http2-settings',
])

/** A `Connection` header that names one of these tries to strip what routing and security stand on. */
const NEVER_BY_CONNECTION: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'authorization',
  'cookie',
  'set-cookie',
  'cache-control',
  'forwarded',
  'via',
])

/** Trailers must not change how the message was framed, routed or authorised (RFC 9110 §6.5.1). */
const NEVER_IN_TRAILERS: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'content-range',
  'authorization',
  'set-cookie',
  'cache-control',
  'expect',
  'max-forwards',
])

/** What the gateway itself writes for each try, so what the message carries under these names is dropped. */
const WRITTEN_PER_TRY: ReadonlySet<string> = new Set([
  ...[...HOP_BY_HOP].filter((name) => name !== 'te'),
  'host',
  'content-length',
  'expect',
  'x-sluice-attempt',
])

/**
 * Makes a client's request fit to go on: hop-by-hop fields, `Expect` (our server has answered it) and what
 * `Connection` names are removed; `TE` stays only as `trailers`; `Via` is added (RFC 9110 §7.6.3).
 * Call it before the gateway sets fields of its own: else `Connection: x-forwarded-for` would strip those.
 * Throws GW_REQUEST_MALFORMED for framing that two parsers can read in two ways (RFC 9112 §6.3).
 */
export function cleanRequestHeaders(headers: Headers, httpVersion: string): void {
  refuseAmbiguousFraming(headers)
  const wantsTrailers = hasToken(headers.get('te'), 'trailers')
  removeConnectionNamed(headers)
  removeHopByHop(headers)
  headers.delete('expect')
  if (wantsTrailers) headers.append('te', 'trailers')
  headers.append('via', `${httpVersion} sluice`)
}

/** Makes an upstream's answer fit to go to the client. `Via` is not added: it would only tell who we are. */
export function cleanResponseHeaders(headers: Headers): void {
  removeConnectionNamed(headers)
  removeHopByHop(headers)
}

/** Trailers without the fields that must not come there; undefined when none is left. */
export function cleanTrailers(trailers: Headers): Headers | undefined {
  for (const name of [...trailers.names()]) if (NEVER_IN_TRAILERS.has(name)) trailers.delete(name)
  return trailers.size === 0 ? undefined : trailers
}

/** A message whose length can be read in two ways is how requests are smuggled. */
function refuseAmbiguousFraming(headers: Headers): void {
  const lengths = headers.getAll('content-length')
  const coding = headers.get('transfer-encoding')
  if (lengths.length > 0 && coding !== undefined) {
    throw new GatewayError('GW_REQUEST_MALFORMED', 'Content-Length beside Transfer-Encoding')
  }
  if (lengths.length > 1 || (lengths[0] !== undefined && !/^\d{1,15}$/.test(lengths[0]))) {
    throw new GatewayError('GW_REQUEST_MALFORMED', 'Content-Length is repeated or no number')
  }
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    throw new GatewayError('GW_REQUEST_MALFORMED', 'Transfer-Encoding other than chunked')
  }
}

function removeConnectionNamed(headers: Headers): void {
  const connection = headers.get('connection')
  // Nearly always one of these, and what they name goes anyway.
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return
  for (const part of connection.split(',')) {
    const name = part.trim().toLowerCase()
    if (name !== '' && !NEVER_BY_CONNECTION.has(name)) headers.delete(name)
  }
}

function removeHopByHop(headers: Headers): void {
  const names = headers.names()
  for (let i = names.length - 1; i >= 0; i--) {
    const name = names[i]
    if (name !== undefined && HOP_BY_HOP.has(name)) {
      headers.delete(name)
      i = Math.min(i, names.length)
    }
  }
}

function hasToken(value: string | undefined, token: string): boolean {
  if (value === undefined) return false
  return value.split(',').some((part) => part.trim().toLowerCase().split(';')[0] === token)
}

/** The Host that goes upstream. */
export function upstreamHost(
  mode: 'preserve' | 'upstream' | { readonly value: string },
  clientHost: string,
  instance: Instance,
): string {
  if (mode === 'preserve') return clientHost
  return mode === 'upstream' ? authorityOf(instance) : mode.value
}

/** The flat list for one try: the request's fields, then Host, framing and the number of the try. */
export function fieldsForTry(
  headers: Headers,
  host: string,
  contentLength: number | undefined,
  attempt: number,
): string[] {
  const raw = headers.raw()
  const names = headers.names()
  const fields: string[] = []
  for (let i = 0; i < names.length; i++) {
    if (WRITTEN_PER_TRY.has(names[i] as string)) continue
    fields.push(raw[i * 2] as string, raw[i * 2 + 1] as string)
  }
  fields.push('host', host)
  if (contentLength !== undefined) fields.push('content-length', String(contentLength))
  fields.push('x-sluice-attempt', String(attempt))
  return fields
}

/** An upstream's fields as undici has them: a flat list of buffers (HTTP/1) or an object (HTTP/2). */
export function headersFromUpstream(raw: unknown): Headers {
  const flat: string[] = []
  if (Array.isArray(raw)) {
    for (const part of raw) flat.push(Buffer.isBuffer(part) ? part.toString('latin1') : String(part))
  } else if (typeof raw === 'object' && raw !== null) {
    for (const [name, value] of Object.entries(raw)) {
      if (name.startsWith(':')) continue
      for (const one of Array.isArray(value) ? value : [value]) flat.push(name, String(one))
    }
  }
  return new Headers(flat)
}
