import type { Routed } from './table.ts'

/** The same request with another query (`` or `?…`), also for what goes upstream. */
export function withQuery(routed: Routed, query: string): Routed {
  if (query === routed.query) return routed
  const { upstreamTarget } = routed
  if (upstreamTarget === undefined) return { ...routed, query }
  const path = upstreamTarget.slice(0, upstreamTarget.length - routed.query.length)
  return { ...routed, query, upstreamTarget: path + query }
}
