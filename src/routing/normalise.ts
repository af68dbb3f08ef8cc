import type { ErrorCode } from '../core/errors.ts'

/** A request target taken apart, or why it is refused. */
export type Target =
  | {
      readonly kind: 'ok'
      readonly path: string
      /** `` or `?…`, as received. */
      readonly query: string
      /** Of an absolute-form target; it wins over Host (RFC 9112 §3.2.2). */
      readonly authority?: string
      /** Another reading of the path that some servers make: `%2F` decoded, `;params` cut. */
      readonly variant?: Variant
    }
  | { readonly kind: 'bad'; readonly code: ErrorCode; readonly detail: string }

/** `undefined` path: that reading climbs above the root. */
export interface Variant {
  readonly path: string | undefined
}

const HOST = /^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/
const IPV6 = /^\[[0-9a-f:.]+\](?::\d{1,5})?$/

/**
 * The host of `Host` or `:authority` for matching: lower case, no port, no trailing dot. Undefined when it is
 * missing or not one (user info, spaces, other signs).
 */
export function normaliseHost(authority: string | undefined): string | undefined {
  if (authority === undefined || authority === '' || authority.length > 255) return undefined
  const lower = authority.toLowerCase()
  if (lower.charCodeAt(0) === 91) {
    return IPV6.test(lower) ? lower.slice(0, lower.indexOf(']') + 1) : undefined
  }
  const colon = lower.indexOf(':')
  if (colon !== -1 && !/^:\d{1,5}$/.test(lower.slice(colon))) return undefined
  let host = colon === -1 ? lower : lower.slice(0, colon)
  if (host.endsWith('.')) host = host.slice(0, -1)
  return HOST.test(host) ? host : undefined
}

const bad = (detail: string): Target => ({ kind: 'bad', code: 'GW_ROUTE_BAD_TARGET', detail })

/** Anything that needs more than one look: escapes, empty or dot segments, path parameters. */
const NOT_PLAIN = /[%;]|\/\/|\/\./
/** Visible ASCII without the signs that have no place in a target (RFC 3986 §2; `\` is read as `/` by some). */
const FORBIDDEN = /[^\x21-\x7e]|[\\#]/

function isUnreserved(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 45 ||
    code === 46 ||
    code === 95 ||
    code === 126
  )
}

/** Escapes of unreserved characters decoded, others upper case (RFC 3986 §6.2.2); undefined when one is wrong. */
function normaliseEscapes(path: string): string | undefined {
  let out = ''
  let from = 0
  for (let at = path.indexOf('%'); at !== -1; at = path.indexOf('%', from)) {
    const hex = path.slice(at + 1, at + 3)
    if (!/^[0-9a-fA-F]{2}$/.test(hex)) return undefined
    const code = Number.parseInt(hex, 16)
    if (code < 0x20 || code === 0x7f) return undefined
    out += path.slice(from, at) + (isUnreserved(code) ? String.fromCharCode(code) : `%${hex.toUpperCase()}`)
    from = at + 3
  }
  return out + path.slice(from)
}

/** `.` and `..` removed (RFC 3986 §5.2.4); undefined when it climbs above the root. */
function removeDots(path: string, mergeSlashes: boolean): string | undefined {
  const out: string[] = []
  const segments = path.split('/')
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i] as string
    const isLast = i === segments.length - 1
    if (segment === '.') {
      if (isLast) out.push('')
    } else if (segment === '..') {
      if (out.length === 0) return undefined
      out.pop()
      if (isLast) out.push('')
    } else if (segment !== '' || isLast || !mergeSlashes) {
      out.push(segment)
    }
  }
  return `/${out.join('/')}`
}

/** Escapes, dots and slashes; undefined when that cannot be. Idempotent. */
export function normalisePath(path: string, mergeSlashes: boolean): string | undefined {
  if (!NOT_PLAIN.test(path)) return path
  const escaped = normaliseEscapes(path)
  return escaped === undefined ? undefined : removeDots(escaped, mergeSlashes)
}

const SECOND_READING = /%2F|%5C|;/

function secondReading(path: string): Variant | undefined {
  if (!SECOND_READING.test(path)) return undefined
  const read = path
    .replaceAll(/%2F|%5C/g, '/')
    .split('/')
    .map((segment) => segment.split(';', 1)[0])
    .join('/')
  return { path: removeDots(read, true) }
}

/** Whoever wraps a path deeper than this finds no server that unwraps it. */
const MAX_DECODES = 4
/** An escaped `%` before the digits of a dot, a slash or a backslash; also more than once. */
const DOUBLE = /%25(?:25)*(?:2[ef]|5c)/i

/**
 * A server that decodes once more than we do would climb. `%252e` in a name is no harm; a segment that becomes `..` has no
 * other purpose.
 */
function climbsDecoded(path: string): boolean {
  if (!DOUBLE.test(path)) return false
  let text = path
  for (let i = 0; i < MAX_DECODES && text.includes('%'); i++) {
    text = text.replace(/%(25|2e|2f|5c)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    if (text.split(/[/\\]/).some((segment) => segment.split(';', 1)[0] === '..')) return true
  }
  return false
}

/**
 * Takes a request target apart and normalises its path once; the same bytes are matched and forwarded.
 * Accepts origin-form and absolute-form; `*` comes back as it is. Errors: GW_ROUTE_BAD_TARGET, GW_ROUTE_AMBIGUOUS_PATH.
 */
export function normaliseTarget(target: string, mergeSlashes: boolean): Target {
  if (FORBIDDEN.test(target)) return bad('the request target holds a character that must be percent-encoded')
  let rest = target
  let authority: string | undefined
  if (target.charCodeAt(0) !== 47) {
    if (target === '*') return { kind: 'ok', path: '*', query: '' }
    const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(target)
    if (absolute === null) return bad('the request target is neither a path nor an absolute URL')
    authority = absolute[1] as string
    rest = absolute[2] as string
    if (rest.charCodeAt(0) !== 47) rest = `/${rest}`
  }
  const mark = rest.indexOf('?')
  const raw = mark === -1 ? rest : rest.slice(0, mark)
  const path = normalisePath(raw, mergeSlashes)
  if (path === undefined) return bad('the path has a wrong or forbidden escape, or climbs above the root')
  if (climbsDecoded(path)) {
    return { kind: 'bad', code: 'GW_ROUTE_AMBIGUOUS_PATH', detail: 'decoded once more, the path climbs' }
  }
  const variant = secondReading(path)
  return {
    kind: 'ok',
    path,
    query: mark === -1 ? '' : rest.slice(mark),
    ...(authority === undefined ? {} : { authority }),
    ...(variant === undefined ? {} : { variant }),
  }
}
