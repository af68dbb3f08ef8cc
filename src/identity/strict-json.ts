/** How deep a token's JSON may be nested: deeper ones are made to hurt, not to inform. */
const MAX_DEPTH = 16

/** A JSON object as it stands in a token. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Parses a JSON object and refuses what two parsers could read in two ways: a member that stands twice at any
 * level (RFC 7519 §4), bytes that are no UTF-8, a byte order mark. Undefined = refused.
 */
export function parseStrictObject(bytes: Uint8Array): JsonObject | undefined {
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return isUnambiguous(text) ? (value as JsonObject) : undefined
}

/** Takes valid JSON. False: a member twice in one object, or nested too deep. */
function isUnambiguous(text: string): boolean {
  /** One for each open bracket: the names so far, or undefined in an array. */
  const open: (Set<string> | undefined)[] = []
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '{':
      case '[':
        open.push(text[i] === '{' ? new Set() : undefined)
        if (open.length > MAX_DEPTH) return false
        break
      case '}':
      case ']':
        open.pop()
        break
      case '"': {
        const end = endOfString(text, i)
        const names = open.at(-1)
        if (names !== undefined && isFollowedByColon(text, end)) {
          // Decoded: "sub" and "\u0073ub" are one name.
          const name = JSON.parse(text.slice(i, end)) as string
          if (names.has(name)) return false
          names.add(name)
        }
        i = end - 1
      }
    }
  }
  return true
}

/** The place behind the closing quote of the string that begins at `from`. */
function endOfString(text: string, from: number): number {
  let i = from + 1
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i + 1
}

function isFollowedByColon(text: string, from: number): boolean {
  let i = from
  while (text[i] === ' ' || text[i] === '\t' || text[i] === '\n' || text[i] === '\r') i++
  return text[i] === ':'
}

/**
 * The value of a claim: the member of exactly this name, else the one that the dotted path leads to
 * (`realm_access.roles`). Undefined = there is none. Never looks at anything inherited.
 */
export function claimAt(claims: JsonObject, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const step of path.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, step))
      return undefined
    value = (value as JsonObject)[step]
  }
  return value
}

/** Nobody who gets it can change it for the others. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) deepFreeze(part)
  }
  return value
}
