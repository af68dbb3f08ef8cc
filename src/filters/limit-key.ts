import { createHash } from 'node:crypto'
import { z } from 'zod'
import { principalKey } from '../core/principal.ts'
import { createClientNetwork } from '../limits/client-network.ts'
import { cookieValue } from '../routing/conditions.ts'
import type { FilterContext } from './filter.ts'

const KEY =
  /^(?:principal|client-ip|route|method|constant|(?:claim|header|cookie):[!#$%&'*+\-.^_`|~0-9A-Za-z:/]+)$/

/** Why GW_RATE_KEY, for the operator. */
export const NO_KEY = 'it lacks what the limit counts by (onMissingKey: deny)'

/** What counts requests apart. */
export const keyOption = () =>
  z
    .array(
      z.string().regex(KEY, {
        error: 'write principal, client-ip, route, method, constant, or claim:NAME, header:NAME, cookie:NAME',
      }),
    )
    .min(1)
    .default(['principal'])
    .describe(
      'What has a counter of its own, all of it together: `principal`, `claim:NAME`, `header:NAME`, `cookie:NAME`, `client-ip`, `route`, `method`, `constant` (one counter for all). Default: principal.',
    )

export const missingKeyOption = () =>
  z
    .enum(['ip', 'deny', 'skip'])
    .default('ip')
    .describe(
      'When a request has no such principal, claim, header or cookie: `ip` counts its network instead, `deny` answers 403, `skip` does not count it. Default ip.',
    )

export const networkOptions = {
  ipv4Prefix: z
    .int()
    .min(8)
    .max(32)
    .default(32)
    .describe('How much of an IPv4 address is one client. Default 32.'),
  ipv6Prefix: z
    .int()
    .min(16)
    .max(128)
    .default(64)
    .describe('How much of an IPv6 address is one client. Default 64.'),
}

export type OnMissingKey = 'ip' | 'deny' | 'skip'

/** `deny`, `skip`: a part is missing, and that is what the rule wants then. */
export type KeyReader = (ctx: FilterContext) => { readonly key: string } | 'deny' | 'skip'

type Part = (ctx: FilterContext) => string | undefined

/** Longer ones are hashed: a client must not choose how much memory its counter takes. */
const MAX_PLAIN = 120

/**
 * The counter of a request. Values of headers, cookies and claims are hashed: they may be secrets, and they are of any
 * length. Parts carry their kind, so that a value cannot pass for another kind of part.
 */
export function createKeyReader(
  names: readonly string[],
  onMissing: OnMissingKey,
  network: (address: string) => string,
): KeyReader {
  const parts = names.map((name) => createPart(name, network))
  const read = (part: Part, ctx: FilterContext): string | undefined =>
    part(ctx) ?? (onMissing === 'ip' ? `i=${network(ctx.clientIp)}` : undefined)
  const [only] = parts
  if (parts.length === 1 && only !== undefined) {
    return (ctx) => {
      const value = read(only, ctx)
      return value === undefined ? (onMissing as 'deny' | 'skip') : { key: value }
    }
  }
  return (ctx) => {
    let key = ''
    for (const part of parts) {
      const value = read(part, ctx)
      if (value === undefined) return onMissing as 'deny' | 'skip'
      key += key === '' ? value : `&${value}`
    }
    return { key }
  }
}

function createPart(text: string, network: (address: string) => string): Part {
  const at = text.indexOf(':')
  const [kind, name] = at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
  switch (kind) {
    case 'principal':
      return ({ principal }) => (principal === undefined ? undefined : bounded('p', principalKey(principal)))
    case 'claim':
      return ({ principal }) => hashed('c', name, claimOf(principal?.claims, name))
    case 'header': {
      const header = name.toLowerCase()
      return ({ headers }) => hashed('h', header, headers.get(header))
    }
    case 'cookie':
      return ({ headers }) => hashed('k', name, cookieValue(headers.get('cookie'), name))
    case 'client-ip':
      return ({ clientIp }) => `i=${network(clientIp)}`
    case 'route':
      return ({ decision }) => bounded('r', encodeURIComponent(decision.route.spec.name))
    case 'method':
      return ({ method }) => bounded('m', encodeURIComponent(method))
    default:
      return () => 'all'
  }
}

/** Own and plain: a list or an object is no name for somebody. */
function claimOf(claims: Readonly<Record<string, unknown>> | undefined, name: string): string | undefined {
  if (claims === undefined || !Object.hasOwn(claims, name)) return undefined
  const value = claims[name]
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined
}

const bounded = (kind: string, text: string): string =>
  text.length <= MAX_PLAIN ? `${kind}=${text}` : `${kind}~${digest(text)}`

/** Empty is missing. */
const hashed = (kind: string, name: string, value: string | undefined): string | undefined =>
  value === undefined || value === '' ? undefined : `${kind}~${digest(`${name}\n${value}`)}`

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 27)

/** The network of a client, for the options of `networkOptions`. */
export const networkReader = ({ ipv4Prefix, ipv6Prefix }: { ipv4Prefix: number; ipv6Prefix: number }) =>
  createClientNetwork(ipv4Prefix, ipv6Prefix)
