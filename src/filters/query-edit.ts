import { withQuery } from '../routing/query.ts'
import type { FilterContext } from './filter.ts'

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** All values of a query parameter; `query` is `` or `?…`. */
export function queryValues(query: string, name: string): string[] {
  if (!query.startsWith('?')) return []
  const values: string[] = []
  for (const part of query.slice(1).split('&')) {
    const [key = '', ...rest] = part.split('=')
    if (decoded(key) === name) values.push(decoded(rest.join('=')))
  }
  return values
}

function without(query: string, name: string): string {
  const parts = query.slice(1).split('&')
  const kept = parts.filter((part) => decoded(part.split('=')[0] ?? '') !== name)
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}

/**
 * Takes a parameter out of the query, byte for byte as it was otherwise: for the log, and unless `onlyForLog` for the
 * service.
 */
export function dropQueryParameter(ctx: FilterContext, name: string, onlyForLog: boolean): void {
  const { decision } = ctx
  if (queryValues(decision.query, name).length === 0) return
  const query = without(decision.query, name)
  ctx.decision = onlyForLog ? { ...decision, query } : withQuery(decision, query)
}
