import { z } from 'zod'
import type { RedisStore } from '../core/redis-store.ts'
import type { FilterContext, FilterDeps, FilterHandlers, FilterReply } from './filter.ts'
import { networkOptions } from './limit-key.ts'

/** Options that `rate-limit` and `quota` have alike. */
export const storeOptions = {
  store: z
    .string()
    .min(1)
    .optional()
    .describe('Name of a store: gateways count together. Default: each gateway counts for itself.'),
  scope: z
    .enum(['route', 'filter'])
    .optional()
    .describe(
      'Who shares counters: `route` = each route has its own; `filter` = all routes with this filter. Default: filter for a filter with a name, route for one written in a route.',
    ),
  headers: z
    .enum(['both', 'draft', 'legacy', 'none'])
    .default('both')
    .describe(
      'On every answer: `draft` = RateLimit and RateLimit-Policy, `legacy` = X-RateLimit-Limit, -Remaining, -Reset. Default both.',
    ),
  ...networkOptions,
}

/** What happens without the store. */
export const gatewayOptions = {
  gateways: z
    .int()
    .min(1)
    .max(1000)
    .default(1)
    .describe(
      'How many gateways share the store: each lets in so small a part while the store is down. Default 1.',
    ),
  onStoreError: z
    .enum(['local', 'open', 'closed'])
    .default('local')
    .describe(
      'While the store is down: `local` = each gateway counts its part, `open` = everything passes, `closed` = 503. Default local.',
    ),
}

/** Names that counters of a request begin with. */
export function createScope(
  { name }: FilterDeps,
  type: string,
  scope: 'route' | 'filter' | undefined,
): (ctx: FilterContext) => string {
  const isByRoute = (scope ?? (name === type ? 'route' : 'filter')) === 'route'
  if (!isByRoute) return () => name
  return ({ decision }) => `${name}/${encodeURIComponent(decision.route.spec.name)}`
}

/** `onStoreError: closed`. */
export const STORE_REFUSAL: FilterReply = {
  status: 503,
  code: 'GW_STORE_UNAVAILABLE',
  headers: { 'Retry-After': '1' },
}

/** The first requests find the store connected, where that is possible at all. */
export function waitForStore(
  store: RedisStore | undefined,
  { isCheck }: FilterDeps,
): Pick<FilterHandlers, 'prepare'> {
  if (isCheck || store?.settled === undefined) return {}
  return { prepare: () => store.settled?.() ?? Promise.resolve() }
}
