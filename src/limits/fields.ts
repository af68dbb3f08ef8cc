import type { Decision } from './limit.ts'

/** `draft`: RateLimit and RateLimit-Policy. `legacy`: the X-RateLimit trio. */
export type FieldStyle = 'draft' | 'legacy' | 'both' | 'none'

/** A decision, and which limit said so. */
export interface Reported {
  /** Of the rule; safe in a quoted string. */
  readonly name: string
  /** In a window. */
  readonly quota: number
  readonly windowMs: number
  readonly decision: Decision
}

/** ms as whole seconds, rounded up: who waits that long has waited long enough. */
export const wholeSeconds = (ms: number): number => Math.ceil(ms / 1000)

/** `Retry-After` in seconds; at least 1. */
export function retryAfter(decisions: readonly Decision[]): string {
  const longest = decisions.reduce((most, { retryAfterMs }) => Math.max(most, retryAfterMs), 0)
  return String(Math.max(1, wholeSeconds(longest)))
}

/** The one that will refuse first: refusing already, then the smallest share left, then the latest to reset. */
export function nearest(all: readonly Reported[]): Reported | undefined {
  let found: Reported | undefined
  for (const one of all) if (found === undefined || isNearer(one.decision, found.decision)) found = one
  return found
}

function isNearer(a: Decision, b: Decision): boolean {
  if (a.retryAfterMs !== b.retryAfterMs) return a.retryAfterMs > b.retryAfterMs
  const [left, right] = [a.remaining * b.limit, b.remaining * a.limit]
  return left === right ? a.resetMs > b.resetMs : left < right
}

/**
 * Header fields for a client: draft-ietf-httpapi-ratelimit-headers-10 (structured fields: every policy, and the state
 * of the nearest one) and the X-RateLimit trio that most clients know (reset in seconds from now).
 */
export function limitFields(all: readonly Reported[], style: FieldStyle): [name: string, value: string][] {
  const one = nearest(all)
  if (one === undefined || style === 'none') return []
  const fields: [string, string][] = []
  const { limit, remaining, resetMs } = one.decision
  if (style !== 'legacy') {
    const policies = all.map(
      ({ name, quota, windowMs }) => `"${name}";q=${quota};w=${Math.max(1, wholeSeconds(windowMs))}`,
    )
    fields.push(['ratelimit-policy', policies.join(', ')])
    fields.push(['ratelimit', `"${one.name}";r=${remaining};t=${wholeSeconds(resetMs)}`])
  }
  if (style !== 'draft') {
    fields.push(['x-ratelimit-limit', String(limit)])
    fields.push(['x-ratelimit-remaining', String(remaining)])
    fields.push(['x-ratelimit-reset', String(wholeSeconds(resetMs))])
  }
  return fields
}
