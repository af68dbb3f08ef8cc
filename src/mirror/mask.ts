import { ExactNumber, type Json, kindOf } from './json.ts'

/** Names of fields whose values nobody should see. */
const SECRET = /pass|secret|token|auth|cookie|session|credential|api[-_]?key|private|signature|\biban\b|card/i
/** Characters of a value that are shown. */
const SHOWN = 24

/**
 * A value as an example in a report: its form without its content. Letters become `a`, digits of texts `9`, so that a
 * changed format shows and a name does not; numbers and truth values stand as they are; fields with a secret's name
 * show their kind alone.
 */
export function maskValue(path: string, value: Json | undefined): string {
  if (value === undefined) return 'absent'
  const kind = kindOf(value)
  if (SECRET.test(path)) return `(${kind})`
  if (Array.isArray(value)) return `(list of ${value.length})`
  if (kind === 'object') return '(object)'
  if (value instanceof ExactNumber) return value.text.slice(0, SHOWN * 2)
  if (typeof value !== 'string') return String(value)
  const form = value.slice(0, SHOWN).replace(/\p{L}/gu, 'a').replace(/\p{N}/gu, '9')
  return value.length > SHOWN ? `"${form}…" (${value.length} characters)` : `"${form}"`
}
