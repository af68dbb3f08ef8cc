import type { z } from 'zod'
import { acl } from './acl.ts'
import { apiKey } from './api-key.ts'
import { basic } from './basic.ts'
import { compression } from './compression.ts'
import { concurrency } from './concurrency.ts'
import { cors } from './cors.ts'
import type { FilterDefinition } from './filter.ts'
import { forwardAuth } from './forward-auth.ts'
import { headers } from './headers.ts'
import { hmac } from './hmac.ts'
import { ipAllow } from './ip-allow.ts'
import { ipDeny } from './ip-deny.ts'
import { jwt } from './jwt.ts'
import { mtls } from './mtls.ts'
import { quota } from './quota.ts'
import { rateLimit } from './rate-limit.ts'
import { requestId } from './request-id.ts'
import { securityHeaders } from './security-headers.ts'
import { sizeLimit } from './size-limit.ts'
import { waf } from './waf.ts'

/** Every filter of the gateway; the only place where one is registered. Order = order in the documentation. */
export const FILTERS: readonly FilterDefinition[] = [
  requestId,
  headers,
  ipAllow,
  ipDeny,
  jwt,
  forwardAuth,
  apiKey,
  basic,
  hmac,
  mtls,
  acl,
  cors,
  securityHeaders,
  sizeLimit,
  rateLimit,
  quota,
  concurrency,
  waf,
  compression,
] as readonly FilterDefinition[]

/** The options schema of each filter by its type, for the configuration and the editor schema. */
export function filterSchemas(): ReadonlyMap<string, z.ZodType> {
  return new Map(FILTERS.map((filter) => [filter.name, filter.options]))
}
