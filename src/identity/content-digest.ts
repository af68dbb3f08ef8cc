import { createHash, timingSafeEqual } from 'node:crypto'
import { parseDictionary } from 'structured-headers'

const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ['sha-256', 'sha256'],
  ['sha-512', 'sha512'],
])

/**
 * Whether a `Content-Digest` field (RFC 9530) fits the body. Every digest of a known algorithm must; others are
 * ignored, but one known there must be: `unknown` otherwise, `malformed` for what is no such field.
 */
export function checkContentDigest(field: string, body: Buffer): 'right' | 'wrong' | 'unknown' | 'malformed' {
  let members: ReturnType<typeof parseDictionary>
  try {
    members = parseDictionary(field)
  } catch {
    return 'malformed'
  }
  let known = 0
  for (const [name, [value]] of members) {
    const algorithm = ALGORITHMS.get(name)
    if (algorithm === undefined) continue
    if (!(value instanceof ArrayBuffer)) return 'malformed'
    const expected = createHash(algorithm).update(body).digest()
    const given = Buffer.from(value)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return 'wrong'
    known++
  }
  return known === 0 ? 'unknown' : 'right'
}
