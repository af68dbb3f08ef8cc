import { readFile } from 'node:fs/promises'
import { isNode, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { errorText, GatewayError } from '../core/errors.ts'

/** One entry of a file, and where it stands. */
export interface Placed<T> {
  readonly value: T
  /** `file:line`; for an entry of the configuration: `key[index]`. */
  readonly place: string
}

/** Reads a text file. Throws GW_CONFIG_INVALID naming it. */
export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_INVALID', `${file} cannot be read`, { cause })
  }
}

/**
 * The entries of a YAML or JSON text: a list, or a list under `key`. Throws GW_CONFIG_INVALID with `file:line` of
 * every mistake; values are never repeated in it: they may be secrets.
 */
export function parseEntries<T>(
  file: string,
  text: string,
  key: string,
  schema: z.ZodType<T>,
): readonly Placed<T>[] {
  const counter = new LineCounter()
  const document = parseDocument(text, { lineCounter: counter, uniqueKeys: true, prettyErrors: false })
  const lineAt = (offset: number) => counter.linePos(offset).line
  const broken = document.errors.map(
    (error) => `${file}:${lineAt(error.pos[0])}: no valid YAML (${error.code})`,
  )
  if (broken.length > 0) throw new GatewayError('GW_CONFIG_INVALID', broken.join('\n'))
  let root: unknown
  try {
    root = document.toJS({ maxAliasCount: 100 })
  } catch (thrown) {
    throw new GatewayError('GW_CONFIG_INVALID', `${file}:1: ${errorText(thrown)}`)
  }
  const isWrapped = root !== null && typeof root === 'object' && !Array.isArray(root)
  const list = isWrapped ? (root as Record<string, unknown>)[key] : root
  if (!Array.isArray(list)) {
    throw new GatewayError('GW_CONFIG_INVALID', `${file}:1: write a list under \`${key}\``)
  }
  const unknown = isWrapped ? Object.keys(root as object).filter((name) => name !== key) : []
  const problems = unknown.map((name) => `${file}:1: unknown key "${name}"; write the list under \`${key}\``)
  const lineOf = (path: readonly PropertyKey[]): number => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true)
      if (isNode(node) && node.range) return lineAt(node.range[0])
    }
    return 1
  }
  const entries: Placed<T>[] = []
  list.forEach((entry: unknown, index) => {
    const path = isWrapped ? [key, index] : [index]
    const result = schema.safeParse(entry)
    if (result.success) {
      entries.push({ value: result.data, place: `${file}:${lineOf(path)}` })
      return
    }
    for (const issue of result.error.issues) {
      const name = issue.path.map(String).join('.')
      const line = lineOf([...path, ...issue.path])
      problems.push(`${file}:${line}: ${name === '' ? '' : `${name}: `}${issue.message}`)
    }
  })
  if (problems.length > 0) throw new GatewayError('GW_CONFIG_INVALID', problems.join('\n'))
  return entries
}

/** Entries written in the configuration itself. */
export function placed<T>(key: string, values: readonly T[]): readonly Placed<T>[] {
  return values.map((value, index) => ({ value, place: `${key}[${index}]` }))
}

/** Throws GW_CONFIG_INVALID when two entries have the same `keyOf`. */
export function refuseDuplicates<T>(
  entries: readonly Placed<T>[],
  what: string,
  keyOf: (value: T) => string | undefined,
): void {
  const seen = new Map<string, string>()
  for (const { value, place } of entries) {
    const key = keyOf(value)
    if (key === undefined) continue
    const first = seen.get(key)
    if (first !== undefined) {
      throw new GatewayError('GW_CONFIG_INVALID', `${place}: the same ${what} as ${first}`)
    }
    seen.set(key, place)
  }
}
