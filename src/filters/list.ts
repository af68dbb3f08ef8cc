import type { z } from 'zod'
import type { FilterDefinition } from './filter.ts'

/** Every filter of the gateway; the only place where one is registered. Order = order in the documentation. */
export const FILTERS: readonly FilterDefinition[] = []

/** The options schema of each filter by its type, for the configuration and the editor schema. */
export function filterSchemas(): ReadonlyMap<string, z.ZodType> {
  return new Map(FILTERS.map((filter) => [filter.name, filter.options]))
}
