import type { Routed } from './table.ts'

/** The same request with another query (`` or `?…`), also for what goes upstream. */
export function withQuery(routed: Routed, query: string): Routed {
  if (query === routed.query) return routed
  const { upstreamTarget } = routed
  if (upstreamTarget === undefined) return { ...routed, query }
  // What goes upstream may have kept what was taken out of `query` for the log alone.
  const [path = ''] = upstreamTarget.split('?', 1)
  return { ...routed, query, upstreamTarget: path + query }
}
