import { GatewayError } from './errors.ts'

/** One step of a pattern: a key, `*` (any key or element), `**` (any number of steps). */
type Step =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'one' }
  | { readonly kind: 'many' }

/** The way to a value: keys, and `[*]` for an element of a list. */
export type Steps = readonly string[]

/** How elements of lists stand in `Steps`. */
export const ELEMENT = '[*]'

const STEP = /\.?(?:(\*\*)|(\[\*\]|\*)|\['((?:[^'\\]|\\.)*)'\]|([^.[\]*]+))/y

/** Reads `$.items[*].id`, `**.updatedAt`, `$['a b']`; `$.` may be left out. Throws GW_CONFIG_INVALID. */
function parse(pattern: string): Step[] {
  const steps: Step[] = []
  const text = pattern.replace(/^\$/, '')
  STEP.lastIndex = 0
  while (STEP.lastIndex < text.length) {
    const [, many, one, quoted, key] = STEP.exec(text) ?? []
    if (many !== undefined) steps.push({ kind: 'many' })
    else if (one !== undefined) steps.push({ kind: 'one' })
    else if (quoted !== undefined) steps.push({ kind: 'key', key: quoted.replace(/\\(.)/g, '$1') })
    else if (key !== undefined) steps.push({ kind: 'key', key })
    else
      throw new GatewayError(
        'GW_CONFIG_INVALID',
        `"${pattern}" is no path: write $.items[*].id or **.updatedAt`,
      )
  }
  if (steps.length === 0)
    throw new GatewayError('GW_CONFIG_INVALID', `"${pattern}" names nothing: write $.field`)
  return steps
}

function matches(pattern: readonly Step[], at: number, path: Steps, from: number): boolean {
  const step = pattern[at]
  if (step === undefined) return from === path.length
  if (step.kind === 'many') {
    for (let i = from; i <= path.length; i++) if (matches(pattern, at + 1, path, i)) return true
    return false
  }
  const own = path[from]
  if (own === undefined || (step.kind === 'key' && own !== step.key)) return false
  return matches(pattern, at + 1, path, from + 1)
}

/**
 * A test whether a path is one of the patterns; what is below an ignored path is never reached by who asks at each
 * step. Throws GW_CONFIG_INVALID.
 */
export function compilePaths(patterns: readonly string[]): (path: Steps) => boolean {
  const compiled = patterns.map(parse)
  if (compiled.length === 0) return () => false
  return (path) => compiled.some((pattern) => matches(pattern, 0, path, 0))
}

/**
 * Reads the value at a path without wildcards: `$.host`, `$.endpoints[0]`, `$['a b'].c`; `$` is the whole. The reader
 * gives undefined where there is nothing. Throws GW_CONFIG_INVALID.
 */
export function compileReader(path: string): (document: unknown) => unknown {
  const plain = path.replace(/\[(\d+)\]/g, '.$1')
  const steps = plain === '$' ? [] : parse(plain)
  const keys = steps.map((step) => {
    if (step.kind === 'key') return step.key
    throw new GatewayError('GW_CONFIG_INVALID', `"${path}" names many values: write $.field or $.list[0]`)
  })
  return (document) => {
    let value = document
    for (const key of keys) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
      value = (value as Record<string, unknown>)[key]
    }
    return value
  }
}
