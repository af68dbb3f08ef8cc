import type { z } from 'zod'

interface Def {
  readonly type: string
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly innerType?: z.core.$ZodType
  readonly element?: z.core.$ZodType
  readonly valueType?: z.core.$ZodType
  readonly in?: z.core.$ZodType
  readonly options?: readonly z.core.$ZodType[]
}

function step(schema: z.core.$ZodType, key: PropertyKey): z.core.$ZodType[] {
  const def = schema._zod.def as unknown as Def
  if (def.innerType !== undefined) return step(def.innerType, key)
  if (def.in !== undefined) return step(def.in, key)
  if (def.options !== undefined) return def.options.flatMap((option) => step(option, key))
  const next = def.shape?.[String(key)] ?? def.element ?? def.valueType
  return next === undefined ? [] : [next]
}

function keysOf(schema: z.core.$ZodType): string[] {
  const def = schema._zod.def as unknown as Def
  const inner = def.innerType ?? def.in
  if (inner !== undefined) return keysOf(inner)
  if (def.options !== undefined) return def.options.flatMap(keysOf)
  return Object.keys(def.shape ?? {})
}

/** The keys that a schema knows at a path, over all branches of a union: for "did you mean". */
export function knownKeys(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let schemas = [schema]
  for (const key of path) schemas = schemas.flatMap((each) => step(each, key))
  return [...new Set(schemas.flatMap(keysOf))]
}
