import type { RetryPolicy, Timeouts } from '../core/route.ts'
import type { Routed, Service } from '../routing/table.ts'

/** The service's timeouts with what the route sets over them. The route must have a service. */
export function effectiveTimeouts(routed: Routed): Timeouts {
  return over((routed.service as Service).policy.timeouts, routed.route.spec.timeouts)
}

/** The service's retry policy with what the route sets over it. */
export function effectiveRetries(routed: Routed): RetryPolicy {
  return over((routed.service as Service).policy.retries, routed.route.spec.retries)
}

function over<T extends object>(base: T, own: Partial<T>): T {
  for (const _key in own) return { ...base, ...own }
  return base
}
