import { resolve } from 'node:path'
import { globalRegistry, type z } from 'zod'

interface Def {
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly innerType?: z.core.$ZodType
  readonly in?: z.core.$ZodType
}

/** The schema behind `optional`, `default` and checks, and whether one of them calls it a path. */
function unwrap(schema: z.core.$ZodType): { readonly schema: z.core.$ZodType; readonly isPath: boolean } {
  const isPath = (globalRegistry.get(schema) as { format?: unknown } | undefined)?.format === 'path'
  const def = schema._zod.def as unknown as Def
  const inner = def.innerType ?? def.in
  if (inner === undefined || isPath) return { schema, isPath }
  return unwrap(inner)
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
  const found = Object.entries(options).filter(
    ([key, value]) => typeof value === 'string' && shape[key] !== undefined && unwrap(shape[key]).isPath,
  )
  if (found.length === 0) return options
  return {
    ...options,
    ...Object.fromEntries(found.map(([key, path]) => [key, resolve(folder, String(path))])),
  }
}
