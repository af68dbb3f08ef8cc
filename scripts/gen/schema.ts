import { z } from 'zod'
import { filterDefinition } from '../../src/config/routes.ts'
import { FILTERS } from '../../src/filters/list.ts'

/** A JSON schema (draft 7) as data. */
export interface JsonSchema {
  readonly $schema?: string
  type?: string | readonly string[]
  description?: string
  default?: unknown
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  enum?: unknown[]
  const?: unknown
  additionalProperties?: boolean | JsonSchema
  propertyNames?: JsonSchema
  [other: string]: unknown
}

/** One alternative for each type of filter, so that editors complete its options. */
function filterAlternatives(): JsonSchema[] {
  return FILTERS.map(({ name, summary, options }) => {
    const own = z.toJSONSchema(options, {
      io: 'input',
      target: 'draft-7',
      unrepresentable: 'any',
    }) as JsonSchema
    return {
      type: 'object',
      description: summary,
      properties: {
        type: { const: name },
        onError: { enum: ['closed', 'open'], description: filterDefinition.shape.onError.description ?? '' },
        mode: { enum: ['enforce', 'dryRun'], description: filterDefinition.shape.mode.description ?? '' },
        ...own.properties,
      },
      required: ['type', ...(own.required ?? [])],
      additionalProperties: false,
    }
  })
}

/** What people may write for a zod schema of the configuration. */
export function inputSchema(schema: z.ZodType, title: string): JsonSchema {
  const alternatives = filterAlternatives()
  const json = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      // Zod's own names of checks mean nothing to editors; the pattern beside it does.
      if (jsonSchema.format === 'starts_with') delete jsonSchema.format
      if ((zodSchema as unknown) !== filterDefinition) return
      for (const key of Object.keys(jsonSchema)) delete (jsonSchema as JsonSchema)[key]
      Object.assign(jsonSchema, { description: 'A filter and its options.', anyOf: alternatives })
    },
  }) as JsonSchema
  return { $schema: json.$schema as string, title, ...json }
}
