import { errorEntry } from '../core/errors.ts'
import {
  CHANGES,
  type ChangeKind,
  type Fate,
  type PreviewExample,
  type PreviewResult,
} from '../core/preview-view.ts'
import type { ReplayedRequest } from '../core/replay.ts'
import type { RouteSpec } from '../core/route.ts'
import { decide } from '../routing/decide.ts'
import type { Slicer } from '../routing/sliced.ts'
import type { RequestShape, Routed, Table } from '../routing/table.ts'
import type { RecordedRequest } from './recorder.ts'

/** What the filters of a route would have said; one for each table, asked in order of time. */
export interface FilterReplay {
  /** Name of the filter that refuses; undefined = none, as far as can be told. */
  refusedBy(spec: RouteSpec, request: ReplayedRequest): string | undefined
}

/** The side that a canary rule gives. */
export type SideReplay = (request: ReplayedRequest, routed: Routed, table: Table) => string | undefined

export interface PreviewInput {
  readonly before: Table
  readonly after: Table
  readonly requests: readonly RecordedRequest[]
  /** Of each kind of change. */
  readonly maxExamples: number
  readonly filters: { readonly before: FilterReplay; readonly after: FilterReplay }
  readonly side?: SideReplay
  readonly slicer: Slicer
}

/** A share that is the same for the same request: a weighted service must not change because the draw did. */
function rollOf(index: number): number {
  return (index * 0.618_033_988_749_895) % 1
}

function shapeOf(request: RecordedRequest, roll: number): RequestShape {
  const { method, target, authority, scheme, headers, client } = request
  return { method, target, authority, scheme, header: (name) => headers[name], clientIp: client, roll }
}

function actionText({ route }: Routed): string {
  const { action } = route.spec
  if (action.kind === 'proxy') return 'proxied'
  return action.kind === 'redirect' ? `${action.status} redirect` : `${action.status} response`
}

function fateOf(
  request: RecordedRequest,
  shape: RequestShape,
  table: Table,
  filters: FilterReplay,
  side: SideReplay | undefined,
): Fate {
  const decision = decide(shape, table)
  if (decision.kind === 'refuse') {
    return { answer: `${errorEntry(decision.code).status} ${decision.code}` }
  }
  const { route, host, path, query, serviceName } = decision
  const replayed: ReplayedRequest = {
    at: request.at,
    method: request.method,
    host,
    path,
    query,
    route: route.spec.name,
    clientIp: request.client,
    clientKey: request.clientKey,
    principal: request.principal,
    header: shape.header,
  }
  const refusedBy = filters.refusedBy(route.spec, replayed)
  const own = side?.(replayed, decision, table)
  return {
    route: route.spec.name,
    ...(serviceName === undefined ? {} : { service: serviceName }),
    ...(own === undefined ? {} : { side: own }),
    answer: actionText(decision),
    ...(refusedBy === undefined ? {} : { refusedBy }),
  }
}

function changesOf(before: Fate, after: Fate): ChangeKind[] {
  const changes: ChangeKind[] = []
  for (const key of ['route', 'service', 'side', 'answer'] as const) {
    if (before[key] !== after[key]) changes.push(key)
  }
  if (before.refusedBy === undefined && after.refusedBy !== undefined) changes.push('refused')
  if (before.refusedBy !== undefined && after.refusedBy === undefined) changes.push('admitted')
  return changes
}

const percentOf = (count: number, total: number): number =>
  total === 0 ? 0 : Math.round((count / total) * 10_000) / 100

/**
 * What another table would have made of recorded requests, by the very function that routes them. In slices, so that
 * the loop is never held. Changes nothing.
 */
export async function previewTables(input: PreviewInput): Promise<PreviewResult> {
  const { before, after, filters, side, slicer, maxExamples } = input
  const requests = input.requests.toSorted((a, b) => a.at - b.at)
  const counts = new Map(CHANGES.map((change) => [change, { count: 0, examples: [] as PreviewExample[] }]))
  const refusals = new Map<string, { before: number; after: number }>()
  const refuse = (filter: string | undefined, when: 'before' | 'after') => {
    if (filter === undefined) return
    const own = refusals.get(filter) ?? { before: 0, after: 0 }
    own[when]++
    refusals.set(filter, own)
  }
  let changed = 0
  let index = 0
  for (const request of requests) {
    const turn = slicer.pause()
    if (turn !== undefined) await turn
    const shape = shapeOf(request, rollOf(index++))
    const was = fateOf(request, shape, before, filters.before, side)
    const will = fateOf(request, shape, after, filters.after, side)
    refuse(was.refusedBy, 'before')
    refuse(will.refusedBy, 'after')
    const changes = changesOf(was, will)
    if (changes.length > 0) changed++
    for (const change of changes) {
      const own = counts.get(change)
      if (own === undefined) continue
      own.count++
      if (own.examples.length < maxExamples) own.examples.push(exampleOf(request, was, will))
    }
  }
  const total = requests.length
  const [first, last] = [requests[0], requests.at(-1)]
  return {
    total,
    ...(first === undefined || last === undefined ? {} : { from: first.at, to: last.at }),
    changed,
    changedPercent: percentOf(changed, total),
    changes: Object.fromEntries(
      [...counts].map(([change, own]) => [change, { ...own, percent: percentOf(own.count, total) }]),
    ) as unknown as PreviewResult['changes'],
    refusals: [...refusals].map(([filter, own]) => ({
      filter,
      ...own,
      beforePercent: percentOf(own.before, total),
      afterPercent: percentOf(own.after, total),
    })),
  }
}

function exampleOf(request: RecordedRequest, before: Fate, after: Fate): PreviewExample {
  const { at, method, scheme, authority = '', target } = request
  const text = target.startsWith('/') ? `${method} ${scheme}://${authority}${target}` : `${method} ${target}`
  return { at, request: text.slice(0, 500), before, after }
}
