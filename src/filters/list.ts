import type { z } from 'zod'
import { compression } from './compression.ts'
import { cors } from './cors.ts'
import type { FilterDefinition } from './filter.ts'
import { headers } from './headers.ts'
import { ipAllow } from './ip-allow.ts'
import { ipDeny } from './ip-deny.ts'
import { requestId } from './request-id.ts'
import { securityHeaders } from './security-headers.ts'
import { sizeLimit } from './size-limit.ts'

/** Every filter there is: the only registration. In alphabetical order. */
export const FILTERS: readonly FilterDefinition[] = [
  compression,
  cors,
  headers,
  ipAllow,
  ipDeny,
  requestId,
  securityHeaders,
  sizeLimit,
]

/** Option schemas by filter type, for the configuration's checks. */
export function filterSchemas(): ReadonlyMap<string, z.ZodType> {
  return new Map(FILTERS.map((filter) => [filter.name, filter.options]))
}
