import { z } from 'zod'
import { withQuery } from '../routing/query.ts'
import type { FilterContext } from './filter.ts'
import { headerName } from './header-options.ts'

/** A cookie name (RFC 6265 §4.1.1) or a parameter name that needs no escape. */
const plainName = () => z.string().regex(/^[\w.~!#$&'*+^`|-]+$/, { error: 'letters, digits and -._~' })

/** Where a request may have its token. */
export const tokenLocation = z.union([
  z.strictObject({
    header: headerName().describe('Header with the token.'),
    prefix: z
      .string()
      .regex(/^[\w-]+$/, { error: 'one word, such as Bearer' })
      .optional()
      .describe('Scheme before the token, whatever its case. Default: none.'),
  }),
  z.strictObject({ cookie: plainName().describe('Cookie with the token.') }),
  z.strictObject({
    query: plainName().describe('Query parameter with the token. It stands in logs on the way here.'),
  }),
])

export type TokenLocation = z.output<typeof tokenLocation>

/** Tokens found at one place: none, one, or more than one. */
export interface TokenPlace {
  find(ctx: FilterContext): readonly string[]
  /** Takes them off the request. */
  strip(ctx: FilterContext): void
}

export function tokenPlace(location: TokenLocation): TokenPlace {
  if ('cookie' in location) return inCookie(location.cookie)
  if ('query' in location) return inQuery(location.query)
  return inHeader(location.header, location.prefix?.toLowerCase())
}

function inHeader(name: string, prefix: string | undefined): TokenPlace {
  const read = (value: string): string | undefined => {
    if (prefix === undefined) return value
    if (value.slice(0, prefix.length).toLowerCase() !== prefix) return undefined
    const rest = value.slice(prefix.length)
    // "Bearer" alone is a token that is empty, "Bearers x" is another scheme.
    if (rest !== '' && !rest.startsWith(' ')) return undefined
    return rest.replace(/^ +/, '')
  }
  return {
    find(ctx) {
      if (!ctx.headers.has(name)) return []
      const values = ctx.headers.getAll(name)
      const tokens = values.map(read)
      const found = tokens.filter((each) => each !== undefined)
      // A second field of another scheme is a second answer to "who is it", too.
      return found.length > 0 && values.length > 1 ? tokens.map((each) => each ?? '') : found
    },
    strip(ctx) {
      if (ctx.headers.getAll(name).some((value) => read(value) !== undefined)) ctx.headers.delete(name)
    },
  }
}

function inCookie(name: string): TokenPlace {
  const nameOf = (pair: string) => pair.slice(0, Math.max(0, pair.indexOf('='))).trim()
  return {
    find(ctx) {
      const pairs = ctx.headers.get('cookie')?.split(';') ?? []
      return pairs
        .filter((pair) => nameOf(pair) === name)
        .map((pair) =>
          pair
            .slice(pair.indexOf('=') + 1)
            .trim()
            .replace(/^"(.*)"$/, '$1'),
        )
    },
    strip(ctx) {
      const cookie = ctx.headers.get('cookie')
      if (cookie === undefined) return
      const pairs = cookie.split(';').map((pair) => pair.trim())
      const left = pairs.filter((pair) => nameOf(pair) !== name)
      if (left.length === pairs.length) return
      if (left.length === 0) ctx.headers.delete('cookie')
      else ctx.headers.set('cookie', left.join('; '))
    },
  }
}

function inQuery(name: string): TokenPlace {
  const nameOf = (pair: string) => decodeField(pair.split('=', 1)[0] ?? '')
  const split = (query: string) => (query === '' ? [] : query.slice(1).split('&'))
  return {
    find: (ctx) =>
      split(ctx.decision.query)
        .filter((pair) => nameOf(pair) === name)
        .map((pair) => decodeField(pair.slice(pair.indexOf('=') + 1))),
    strip(ctx) {
      const pairs = split(ctx.decision.query)
      const left = pairs.filter((pair) => nameOf(pair) !== name)
      if (left.length === pairs.length) return
      ctx.decision = withQuery(ctx.decision, left.length === 0 ? '' : `?${left.join('&')}`)
    },
  }
}

/** As a form field; what is wrongly escaped stays as it is. */
function decodeField(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
