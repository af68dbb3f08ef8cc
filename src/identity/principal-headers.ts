import type { Headers } from '../core/headers.ts'
import type { Principal } from '../core/principal.ts'

/** What may go into a header: `id`, `kind`, `realm`, `roles`, `groups`, `scopes`, `claims.NAME`. */
export const HEADER_SOURCE = /^(?:id|kind|realm|roles|groups|scopes|claims\.[\w.:/-]+)$/

/**
 * Text fit for a header: everything but visible ASCII and blanks, and `%` itself, as percent-encoded UTF-8, so that
 * no value can end the header, and `decodeURIComponent` gives it back.
 */
export function headerText(text: string): string {
  if (/^[\x21-\x24\x26-\x7e](?:[\x20-\x24\x26-\x7e]*[\x21-\x24\x26-\x7e])?$/.test(text)) return text
  const encoded = text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]/gu, (char) => encodeURIComponent(char))
  return encoded.replace(/^ +| +$/g, (blanks) => '%20'.repeat(blanks.length))
}

function textOf(principal: Principal, source: string): string | undefined {
  const value = source.startsWith('claims.')
    ? principal.claims[source.slice('claims.'.length)]
    : principal[source as 'id' | 'kind' | 'realm' | 'roles' | 'groups' | 'scopes']
  if (value === undefined || value === null) return undefined
  if (Array.isArray(value)) {
    // A comma inside of one must not make two of it.
    return value.map((each) => headerText(String(each)).replaceAll(',', '%2C')).join(',')
  }
  return typeof value === 'object' ? headerText(JSON.stringify(value)) : headerText(String(value))
}

/** Writes what the principal is into headers; a header without a value is removed. `mapping`: header to source. */
export function writePrincipal(
  headers: Headers,
  principal: Principal,
  mapping: Readonly<Record<string, string>>,
): void {
  for (const name in mapping) {
    const value = textOf(principal, mapping[name] as string)
    if (value === undefined || value === '') headers.delete(name)
    else headers.set(name, value)
  }
}
