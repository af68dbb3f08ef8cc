import type { Headers } from '../core/headers.ts'
import type { Principal } from '../core/principal.ts'
import { claimAt } from '../identity/strict-json.ts'

/** What may go into a header; claims by name or dotted path. */
export const HEADER_SOURCE = /^(?:id|kind|realm|roles|groups|scopes|claims\.[\w.:/-]+)$/

/**
 * Everything that is not printable ASCII, the sign of the escape itself, and spaces at the ends, which parsers cut
 * off. Who reads the header decodes it as a piece of a URL.
 */
const UNSAFE = /[^\x20-\x7e]+|%|^ +| +$/g
/** The same inside of a list, where a comma would make one entry two. */
const UNSAFE_IN_LIST = /[^\x20-\x7e]+|[%,]|^ +| +$/g

const escapeWith = (text: string, unsafe: RegExp): string =>
  text.toWellFormed().replace(unsafe, (part) => encodeURIComponent(part))

function textOf(value: unknown, unsafe: RegExp): string | undefined {
  if (typeof value === 'string') return escapeWith(value, unsafe)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return undefined
}

function sourceOf(principal: Principal, source: string): unknown {
  return source.startsWith('claims.')
    ? claimAt(principal.claims, source.slice('claims.'.length))
    : principal[source as 'id' | 'kind' | 'realm' | 'roles' | 'groups' | 'scopes']
}

/**
 * A source as the value of a header: texts, numbers, true and false; lists of them joined by commas. Undefined:
 * nothing there, or something that has no such form.
 */
export function principalHeader(principal: Principal, source: string): string | undefined {
  const value = sourceOf(principal, source)
  if (!Array.isArray(value)) return textOf(value, UNSAFE)
  const texts = value.map((each: unknown) => textOf(each, UNSAFE_IN_LIST))
  return texts.length > 0 && texts.every((each) => each !== undefined) ? texts.join(',') : undefined
}

/** Sets each header to its source; those without a value are not there, whoever set them. */
export function setPrincipalHeaders(
  headers: Headers,
  wanted: readonly (readonly [header: string, source: string])[],
  principal: Principal | undefined,
): void {
  for (const [header, source] of wanted) {
    const value = principal === undefined ? undefined : principalHeader(principal, source)
    if (value === undefined) headers.delete(header)
    else headers.set(header, value)
  }
}
