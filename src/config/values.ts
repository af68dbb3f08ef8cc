import { isIP, isIPv6 } from 'node:net'
import { RE2JS } from 're2js'
import { z } from 'zod'
import { parseDuration, parseSize } from '../core/duration.ts'

/** The building blocks of the schema: texts with a check, and what they become. */

/** `250ms`, `15s`, `10m`, `1h`; plain 0 where nothing is meant. Becomes ms. */
export const duration = () =>
  z.union([z.string(), z.literal(0)]).transform((value, ctx) => {
    const ms = parseDuration(String(value))
    if (ms !== undefined) return ms
    ctx.addIssue({
      code: 'custom',
      message: `"${value}" is no duration`,
      params: { fix: 'write it with its unit: 250ms, 15s, 10m, 1h' },
    })
    return z.NEVER
  })

/** `512B`, `64KiB`, `10MB`; plain 0 where nothing is meant. Becomes bytes. */
export const size = () =>
  z.union([z.string(), z.literal(0)]).transform((value, ctx) => {
    const bytes = parseSize(String(value))
    if (bytes !== undefined) return bytes
    ctx.addIssue({
      code: 'custom',
      message: `"${value}" is no size`,
      params: { fix: 'write it with its unit: 512B, 64KiB, 10MB' },
    })
    return z.NEVER
  })

function checked(test: (value: string) => string | undefined, fix: string) {
  return z.string().superRefine((value, ctx) => {
    const problem = test(value)
    if (problem !== undefined) ctx.addIssue({ code: 'custom', message: problem, params: { fix } })
  })
}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/

/** `shop.example.com`, `*.example.com` (one label), `**.example.com` (one or more). Becomes lower case. */
export const hostPattern = () =>
  z
    .string()
    .transform((value) => value.toLowerCase().replace(/\.$/, ''))
    .superRefine((value, ctx) => {
      const rest = value.replace(/^\*{1,2}\./, '')
      if (isIP(rest) !== 0 || /^\[[0-9a-f:.]+\]$/.test(rest)) return
      if (rest !== '' && rest.split('.').every((label) => LABEL.test(label))) return
      const fix = value.includes(':')
        ? 'leave the port out: routes are matched by host name alone'
        : 'write a host name, or *. (one label) or **. (one or more labels) before one; leave hosts out for any host'
      ctx.addIssue({ code: 'custom', message: `"${value}" is no host pattern`, params: { fix } })
    })

/** Letters, digits and -._~ are matched unescaped: a pattern with such an escape would match nothing. */
const UNRESERVED_ESCAPE = /%(?:2D|2E|3[0-9]|4[1-9A-F]|5[0-9A]|5F|6[1-9A-F]|7[0-9A]|7E)/

function pathProblem(value: string): string | undefined {
  if (!value.startsWith('/')) return `path "${value}" does not begin with "/"`
  if (/[^\x21-\x7e]|[\\#?;]/.test(value))
    return `path "${value}" holds a character that cannot stand in a path`
  if (/%(?![0-9A-F]{2})/.test(value)) return `path "${value}" has a wrong escape`
  if (/\/\/|\/\.{1,2}(?:\/|$)/.test(value) || UNRESERVED_ESCAPE.test(value))
    return `path "${value}" is not normalised`
  const names = new Set<string>()
  for (const segment of value.split('/')) {
    if (!/[{}]/.test(segment)) {
      if (segment.includes('*')) return `path "${value}" holds a "*"`
      continue
    }
    const name = /^\{([a-zA-Z_][\w-]*)\}$/.exec(segment)?.[1]
    if (name === undefined) return `"${segment}" in path "${value}" is no parameter`
    if (names.has(name)) return `parameter {${name}} stands twice in "${value}"`
    names.add(name)
  }
  return undefined
}

/** An exact path or prefix, normalised, with `{param}` as whole segments. */
export const pathPattern = () =>
  checked(
    pathProblem,
    'write /a/b, /items/{id} (a parameter is a whole segment); use pathPrefix for everything below, pathRegex for the rest',
  )

/** A path as it is, without parameters. */
export const literalPath = () =>
  checked(
    (value) =>
      /[{}]/.test(value) ? `"${value}" holds a parameter, which means nothing here` : pathProblem(value),
    'write a path such as /a/b; use rewrite.regex to move parts of the path',
  )

/** RE2 syntax, so that no text can make it slow. */
export const regex = () =>
  checked((value) => {
    try {
      RE2JS.compile(value)
      return undefined
    } catch (thrown) {
      return `"${value}" is no RE2 regular expression: ${(thrown as Error).message}`
    }
  }, 'RE2 has no look-around and no back-references: https://github.com/google/re2/wiki/Syntax')

/** What a replacement asks of its expression and does not get; undefined when all groups are there. */
export function groupProblem(pattern: string, replacement: string): string | undefined {
  let regex: RE2JS
  try {
    regex = RE2JS.compile(pattern)
  } catch {
    return undefined
  }
  const names = regex.namedGroups()
  for (const [text, number, name] of replacement.matchAll(/\\.|\$(\d)|\$\{([^}]*)\}/gs)) {
    const isMissing = name === undefined ? Number(number ?? 0) > regex.groupCount() : !(name in names)
    if (isMissing) return `"${pattern}" has no group ${text}`
  }
  return undefined
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. */
export const network = () =>
  checked((value) => {
    const [address = '', bits, more] = value.split('/')
    const max = isIPv6(address) ? 128 : 32
    const isGood =
      isIP(address) !== 0 &&
      more === undefined &&
      (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= max))
    return isGood ? undefined : `"${value}" is no network`
  }, 'write an address or a CIDR: 10.0.0.0/8, 2001:db8::/32')

/** `host:port`, `[::1]:port`. */
export const listenAddress = () =>
  checked((value) => {
    const match = /^(\[[^\]]+\]|[^:\s]+):(\d{1,5})$/.exec(value)
    return match !== null && Number(match[2]) <= 65535 ? undefined : `"${value}" is no address to listen on`
  }, 'write host:port, e.g. 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080')

const OURS = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** A header field name (RFC 9110 §5.1) that a rule may touch. Becomes lower case. */
export const headerName = () =>
  z
    .string()
    .transform((value) => value.toLowerCase())
    .superRefine((value, ctx) => {
      if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(value)) {
        ctx.addIssue({
          code: 'custom',
          message: `"${value}" is no header name`,
          params: { fix: 'letters, digits and - (RFC 9110 §5.1)' },
        })
      } else if (OURS.has(value)) {
        const fix =
          value === 'host'
            ? 'use the route key "host"'
            : 'the gateway sets framing and connection headers itself'
        ctx.addIssue({ code: 'custom', message: `header "${value}" cannot be edited`, params: { fix } })
      }
    })

/** A header value without line breaks (RFC 9110 §5.5). */
export const headerValue = () =>
  checked(
    (value) =>
      /[^\t\x20-\x7e\x80-\xff]/.test(value)
        ? 'a header value cannot hold control or wide characters'
        : undefined,
    'one line of Latin-1 text',
  )

/** A Host header as it goes out: `shop.example.com`, `10.0.0.1:8080`, `[::1]:8080`. */
export const authority = () =>
  checked(
    (value) =>
      /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(value)
        ? undefined
        : `"${value}" is no host`,
    'write a host name or address, with :port where needed',
  )

/** `http://10.0.0.1:8080`: scheme, host, port; no path. */
export const upstreamUrl = () =>
  checked((value) => {
    const match = /^(https?|h2c):\/\/(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?\/?$/.exec(value)
    if (match === null || Number(match[3] ?? 1) > 65535 || match[3] === '0')
      return `"${value}" is no upstream URL`
    return match[1] === 'h2c' ? 'h2c upstreams are not supported' : undefined
  }, 'write http://host:port or https://host:port without a path; use rewrite for the path')

/** A name of our own: routes, services, filters, registries. */
export const name = () =>
  checked(
    (value) =>
      /^[A-Za-z0-9](?:[\w.:-]*[\w])?$/.test(value) && value.length <= 128
        ? undefined
        : `"${value}" is no name`,
    'letters, digits, and . _ : - between them',
  )

/** An HTTP method, upper case. */
export const method = () =>
  checked(
    (value) => (/^[A-Z][A-Z-]*$/.test(value) ? undefined : `"${value}" is no method`),
    'write it in upper case: GET, POST',
  ).refine((value) => value !== 'CONNECT' && value !== 'TRACE', {
    message: 'CONNECT and TRACE are never served',
    params: { fix: 'remove it' },
  })

/** `application/json`, `text/*`, `application/*+json`. Becomes lower case. */
export const mediaTypePattern = () =>
  z
    .string()
    .transform((value) => value.toLowerCase())
    .superRefine((value, ctx) => {
      if (/^[!#$&^_.+0-9a-z-]+\/(?:\*(?:\+[0-9a-z.-]+)?|[!#$&^_.+0-9a-z-]+)$/.test(value)) return
      ctx.addIssue({
        code: 'custom',
        message: `"${value}" is no media type`,
        params: { fix: 'write application/json, text/* or application/*+json, without parameters' },
      })
    })
