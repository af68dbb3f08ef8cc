import type { Headers } from '../core/headers.ts'
import { claimAt, type JsonObject } from '../identity/strict-json.ts'

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

/**
 * A claim as the value of a header: texts, numbers, true and false; lists of them joined by commas. Undefined: no
 * such claim, or something that has no such form.
 */
export function claimHeader(claims: JsonObject, path: string): string | undefined {
  const value = claimAt(claims, path)
  if (!Array.isArray(value)) return textOf(value, UNSAFE)
  const texts = value.map((each: unknown) => textOf(each, UNSAFE_IN_LIST))
  return texts.every((each) => each !== undefined) ? texts.join(',') : undefined
}

/** Sets each header to its claim; those without a claim are not there, whatever the client sent. */
export function setClaimHeaders(
  headers: Headers,
  wanted: readonly (readonly [header: string, path: string])[],
  claims: JsonObject | undefined,
): void {
  for (const [header, path] of wanted) {
    const value = claims === undefined ? undefined : claimHeader(claims, path)
    if (value === undefined) headers.delete(header)
    else headers.set(header, value)
  }
}
