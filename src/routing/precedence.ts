import type { RouteSpec } from '../core/route.ts'
import { isParam, patternSegments } from './host-index.ts'
import type { Precedence, Route } from './table.ts'

/** What a route's place in the order depends on. */
export function precedenceOf(spec: RouteSpec): Precedence {
  const { path, methods, headers, cookies, query } = spec.match
  const segments = path.kind === 'regex' ? [] : patternSegments(spec)
  const exactClass = segments.some(isParam) ? 1 : 0
  return {
    priority: spec.priority,
    pathClass: path.kind === 'regex' ? 3 : path.kind === 'prefix' ? 2 : exactClass,
    segments,
    hasMethods: methods.length > 0,
    headerCount: headers.length + cookies.length,
    queryCount: query.length,
  }
}

/** The rules of precedence within a host, in words; `compareRoutes` says which one decided. */
export type PrecedenceRule =
  | 'priority'
  | 'exact before parameters before prefix before regex'
  | 'longer prefix'
  | 'literal segment before parameter'
  | 'has a method condition'
  | 'more header and cookie conditions'
  | 'more query conditions'
  | 'alphabetical name'

function compareSegments(a: Precedence, b: Precedence): number {
  const length = Math.min(a.segments.length, b.segments.length)
  for (let i = 0; i < length; i++) {
    const [inA, inB] = [isParam(a.segments[i] as string), isParam(b.segments[i] as string)]
    if (inA !== inB) return inA ? 1 : -1
  }
  return 0
}

/**
 * Negative: `a` wins. In Gateway API order with an explicit priority before it: priority, exact, longest prefix,
 * method, most headers, most query conditions, name.
 */
export function compareRoutes(a: Route, b: Route): number {
  return comparePrecedence(a, b)[0]
}

/** As `compareRoutes`, with the rule that decided. */
export function comparePrecedence(a: Route, b: Route): [number, PrecedenceRule] {
  const [pa, pb] = [a.precedence, b.precedence]
  if (pa.priority !== pb.priority) return [pb.priority - pa.priority, 'priority']
  if (pa.pathClass !== pb.pathClass) {
    return [pa.pathClass - pb.pathClass, 'exact before parameters before prefix before regex']
  }
  if (pa.segments.length !== pb.segments.length) {
    return [pb.segments.length - pa.segments.length, 'longer prefix']
  }
  const literal = compareSegments(pa, pb)
  if (literal !== 0) return [literal, 'literal segment before parameter']
  if (pa.hasMethods !== pb.hasMethods) return [pa.hasMethods ? -1 : 1, 'has a method condition']
  if (pa.headerCount !== pb.headerCount) {
    return [pb.headerCount - pa.headerCount, 'more header and cookie conditions']
  }
  if (pa.queryCount !== pb.queryCount) return [pb.queryCount - pa.queryCount, 'more query conditions']
  return [a.spec.name < b.spec.name ? -1 : 1, 'alphabetical name']
}
