import type { Target } from '../core/route.ts'
import { METHOD_FAILED, preflightMethod } from './conditions.ts'
import {
  type CompiledHosts,
  type Entry,
  isParam,
  type PathIndex,
  patternSegments,
  splitPath,
  visitCandidates,
  visitHosts,
} from './host-index.ts'
import { normaliseHost, normaliseTarget } from './normalise.ts'
import { comparePrecedence } from './precedence.ts'
import { rewritePath } from './rewrite.ts'
import type { Decision, DecisionTrace, Refusal, RequestShape, Table } from './table.ts'

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({})

interface Match {
  winner: Entry | undefined
  /** Routes that failed by their method alone. */
  methodOnly: Entry[] | undefined
}

function matchIndex(
  index: PathIndex,
  path: string,
  query: string,
  request: RequestShape,
  trace: DecisionTrace | undefined,
): Match {
  const match: Match = { winner: undefined, methodOnly: undefined }
  let best = Number.POSITIVE_INFINITY
  visitCandidates(index, path, (entries) => {
    for (const { entry, rank } of entries) {
      if (trace === undefined && best < rank) return
      const failed = entry.conditions(request, query)
      if (failed === METHOD_FAILED) {
        match.methodOnly ??= []
        match.methodOnly.push(entry)
      }
      if (failed !== undefined) {
        trace?.candidates.push({
          route: entry.route.spec.name,
          result: 'lost',
          reason: `condition not met: ${failed}`,
        })
        continue
      }
      if (trace !== undefined && match.winner !== undefined) noteRanking(match.winner, entry, trace)
      if (rank < best) {
        match.winner = entry
        best = rank
      }
    }
  })
  return match
}

/** Which of the two loses, and by which rule. */
function noteRanking(winner: Entry, entry: Entry, trace: DecisionTrace): void {
  const [order, rule] = comparePrecedence(winner.route, entry.route)
  const [better, loser] = order <= 0 ? [winner, entry] : [entry, winner]
  trace.candidates.push({
    route: loser.route.spec.name,
    result: 'outranked',
    reason: `by ${better.route.spec.name}: ${rule}`,
  })
}

/** Tries the hosts from most to least specific; without `hostFallback` only the best one counts. */
function matchHosts(
  table: Table,
  host: string,
  path: string,
  query: string,
  request: RequestShape,
  trace?: DecisionTrace,
): Match {
  let result: Match = { winner: undefined, methodOnly: undefined }
  visitHosts(table.hosts as CompiledHosts, host, (index, pattern) => {
    trace?.steps.push(`host ${pattern}: ${index.size} routes`)
    const match = matchIndex(index, path, query, request, trace)
    if (match.winner !== undefined || result.methodOnly === undefined) result = match
    return match.winner !== undefined || !table.hostFallback
  })
  return result
}

function allowedMethods(entries: readonly Entry[]): string[] {
  const allow = new Set<string>()
  for (const { route } of entries) {
    for (const method of route.spec.match.methods) allow.add(method)
    if (route.spec.match.methods.includes('GET')) allow.add('HEAD')
    if (route.spec.filters.some((filter) => filter.type === 'cors')) allow.add('OPTIONS')
  }
  return [...allow].sort()
}

function paramsOf(entry: Entry, path: string): Readonly<Record<string, string>> {
  if (entry.params.length === 0) return NO_PARAMS
  const params: Record<string, string> = Object.create(null) as Record<string, string>
  const segments = splitPath(path)
  patternSegments(entry.route.spec).forEach((pattern, i) => {
    if (isParam(pattern)) params[pattern.slice(1, -1)] = segments[i] as string
  })
  return params
}

function drawTarget(targets: readonly Target[], roll: number): Target | undefined {
  if (targets.length === 1) return targets[0]
  let sum = 0
  for (const target of targets) sum += target.weight
  let left = roll * sum
  for (const target of targets) {
    left -= target.weight
    if (left < 0) return target
  }
  return targets.findLast((target) => target.weight > 0)
}

function refuseUnmatched(match: Match, request: RequestShape, host: string, path: string): Refusal {
  if (match.methodOnly !== undefined) {
    return { kind: 'refuse', code: 'GW_ROUTE_METHOD', allow: allowedMethods(match.methodOnly), host, path }
  }
  const detail = `no route takes ${preflightMethod(request) ?? request.method} ${host}${path}`
  return { kind: 'refuse', code: 'GW_ROUTE_NOT_FOUND', detail: detail.slice(0, 300), host, path }
}

/**
 * Where a request goes, by the table alone: pure, no I/O, no clock. The data path, `explain`, `check` and the
 * tests call this one function. With `trace` it also notes why each candidate won or lost.
 */
export function decide(request: RequestShape, table: Table, trace?: DecisionTrace): Decision {
  if (request.method === 'CONNECT' || request.method === 'TRACE') {
    return { kind: 'refuse', code: 'GW_ROUTE_METHOD_REFUSED', allow: [] }
  }
  const target = normaliseTarget(request.target, table.mergeSlashes)
  if (target.kind === 'bad') return { kind: 'refuse', code: target.code, detail: target.detail }
  const { path, query } = target
  const host = normaliseHost(target.authority ?? request.authority)
  if (host === undefined) return { kind: 'refuse', code: 'GW_ROUTE_BAD_HOST', path }
  if (path === '*' && request.method !== 'OPTIONS') {
    return { kind: 'refuse', code: 'GW_ROUTE_BAD_TARGET', detail: '"*" is only for OPTIONS', host, path }
  }
  trace?.steps.push(`host ${host}, path ${path}`)
  const match = matchHosts(table, host, path, query, request, trace)
  if (target.variant !== undefined) {
    // A server behind us may decode %2F or cut ;params: both readings must take the same route.
    const other = target.variant.path
    const second = other === undefined ? undefined : matchHosts(table, host, other, query, request)
    if (second === undefined || second.winner !== match.winner) {
      trace?.steps.push(
        `read as ${other ?? 'a path above the root'} it takes ${second?.winner?.route.spec.name ?? 'no route'}`,
      )
      return { kind: 'refuse', code: 'GW_ROUTE_AMBIGUOUS_PATH', host, path }
    }
  }
  if (match.winner === undefined) return refuseUnmatched(match, request, host, path)
  const { route } = match.winner
  trace?.candidates.push({
    route: route.spec.name,
    result: 'won',
    reason: 'every condition met, none ranks higher',
  })
  const params = paramsOf(match.winner, path)
  const { action } = route.spec
  if (action.kind !== 'proxy') return { kind: 'route', route, host, path, query, params }
  const upstreamPath = rewritePath(route.spec, action.rewrite, path)
  if (upstreamPath === undefined) {
    return {
      kind: 'refuse',
      code: 'GW_ROUTE_BAD_TARGET',
      detail: 'the rewritten path is not valid',
      host,
      path,
    }
  }
  const serviceName = drawTarget(action.targets, request.roll)?.service ?? ''
  const service = table.services.get(serviceName)
  return {
    kind: 'route',
    route,
    host,
    path,
    query,
    params,
    serviceName,
    upstreamTarget: upstreamPath + query,
    ...(service === undefined ? {} : { service }),
  }
}
