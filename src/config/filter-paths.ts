import { resolve } from 'node:path'
import { globalRegistry, type z } from 'zod'

interface Def {
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly innerType?: z.core.$ZodType
  readonly in?: z.core.$ZodType
  readonly element?: z.core.$ZodType
}

/** The schema behind `optional`, `default` and checks, and whether one of them calls it a path. */
function unwrap(schema: z.core.$ZodType): { readonly schema: z.core.$ZodType; readonly isPath: boolean } {
  const isPath = (globalRegistry.get(schema) as { format?: unknown } | undefined)?.format === 'path'
  const def = schema._zod.def as unknown as Def
  const inner = def.innerType ?? def.in
  if (inner === undefined || isPath) return { schema, isPath }
  return unwrap(inner)
}

/** A file, or a list of files. */
function absolute(schema: z.core.$ZodType, value: unknown, folder: string): unknown {
  const { schema: inner, isPath } = unwrap(schema)
  if (typeof value === 'string') return isPath ? resolve(folder, value) : value
  const { element } = inner._zod.def as unknown as Def
  if (!Array.isArray(value) || element === undefined) return value
  return unwrap(element).isPath ? value.map((each) => absolute(element, each, folder)) : value
}

/**
 * Options of a filter with those that name a file (their schema says `format: path`) made absolute: relative to the
 * folder of the file they are written in, wherever the gateway was started.
 */
export function absolutePaths<T extends Readonly<Record<string, unknown>>>(
  schema: z.core.$ZodType,
  options: T,
  folder: string,
): T {
  const shape = (unwrap(schema).schema._zod.def as unknown as Def).shape ?? {}
  const resolved = { ...options } as Record<string, unknown>
  for (const [key, value] of Object.entries(options)) {
    const option = shape[key]
    if (option !== undefined) resolved[key] = absolute(option, value, folder)
  }
  return resolved as T
}
