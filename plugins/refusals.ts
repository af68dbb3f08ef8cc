import { type ErrorCode, errorEntry } from '../src/core/errors.ts'
import type { RefusalFinding, RequestRecord } from '../src/core/record.ts'
import type { RefusalCount, RefusalsView, RefusalView } from '../src/core/refusal-view.ts'
import { Ring } from '../src/core/ring.ts'
import type { OverloadView } from '../src/core/views.ts'

/** Refusals that are remembered. */
const KEPT = 500
/** Pairs of route, filter and code that are counted apart; beyond that `_other`. */
const MAX_COUNTS = 2000
const OTHER = '_other'
/** Counts of the last minute are kept in pieces of this. ms. */
const PIECE_MS = 5000
const PIECES = 13

/** What the gateway refuses without a filter. */
const OWN: ReadonlyMap<ErrorCode, string> = new Map([
  ['GW_GATEWAY_OVERLOADED', 'overload'],
  ['GW_UPSTREAM_BREAKER_OPEN', 'breaker'],
  ['GW_UPSTREAM_OVERFLOW', 'service'],
  ['GW_REQUEST_BODY_TOO_LARGE', 'limits'],
  ['GW_REQUEST_HEADERS_TOO_LARGE', 'limits'],
  ['GW_REQUEST_URL_TOO_LONG', 'limits'],
  ['GW_REQUEST_MEDIA_TYPE', 'limits'],
])

interface Count {
  readonly route: string
  readonly filter: string
  readonly code: string
  total: number
  /** By piece of the last minute. */
  readonly pieces: Uint32Array
  /** Number of the piece under way. */
  latest: number
}

export interface RefusalsDeps {
  now(): number
  overload(): OverloadView
}

/** Requests that the gateway itself did not let through: the last ones, and how many by route, filter and code. */
export class Refusals {
  readonly #deps: RefusalsDeps
  readonly #kept = new Ring<RefusalView>(KEPT)
  /** By route, then by filter and code. */
  readonly #counts = new Map<string, Map<string, Count>>()
  #size = 0

  constructor(deps: RefusalsDeps) {
    this.#deps = deps
  }

  /** A request is over; for one that was not refused this is two comparisons. */
  record(record: RequestRecord): void {
    const { refusal, code } = record
    if (refusal === undefined && code === undefined) return
    // A filter may also answer by itself, as cors does.
    if (code === undefined && record.status < 400) return
    const own = code === undefined ? undefined : OWN.get(code)
    const found = refusal ?? (own === undefined ? undefined : { filter: own, type: own })
    if (found !== undefined) this.#note(record, found)
  }

  #note(record: RequestRecord, { filter, type, reason }: RefusalFinding): void {
    const { requestId, route = '', code = '', status, clientIp: client } = record
    const at = this.#deps.now()
    this.#kept.add({
      at,
      requestId,
      route,
      filter,
      type,
      code,
      status,
      client,
      reason: reason ?? this.#reasonOf(record),
    })
    const count = this.#count(route, filter, code)
    count.total++
    const piece = advance(count, at)
    count.pieces[piece] = (count.pieces[piece] as number) + 1
  }

  #reasonOf({ code, service, status }: RequestRecord): string {
    if (code === 'GW_GATEWAY_OVERLOADED') return overloadText(this.#deps.overload())
    if (code === 'GW_UPSTREAM_BREAKER_OPEN') return `the breaker of ${service ?? 'its service'} is open`
    if (code === 'GW_UPSTREAM_OVERFLOW') return `${service ?? 'its service'} has as many requests as it may`
    return code === undefined ? `the filter answered ${status}` : errorEntry(code).title
  }

  #count(route: string, filter: string, code: string): Count {
    const key = `${filter} ${code}`
    const known = this.#counts.get(route)?.get(key)
    if (known !== undefined) return known
    if (this.#size >= MAX_COUNTS && route !== OTHER) return this.#count(OTHER, OTHER, OTHER)
    const count: Count = { route, filter, code, total: 0, pieces: new Uint32Array(PIECES), latest: 0 }
    const counts = this.#counts.get(route) ?? new Map<string, Count>()
    this.#counts.set(route, counts)
    counts.set(key, count)
    this.#size++
    return count
  }

  /** Forgets the counts of routes that are gone. */
  keepOnly({ routes }: { readonly routes: { has(name: string): boolean } }): void {
    for (const [route, counts] of this.#counts) {
      if (route === '' || route === OTHER || routes.has(route)) continue
      this.#size -= counts.size
      this.#counts.delete(route)
    }
  }

  /** The last `limit` refusals, and all counts. */
  view(limit: number): RefusalsView {
    const now = this.#deps.now()
    const counts = [...this.#counts.values()].flatMap((of) =>
      [...of.values()].map((one) => viewCount(one, now)),
    )
    return {
      refusals: this.#kept.newest(limit),
      counts: counts.sort((a, b) => b.lastMinute - a.lastMinute || b.total - a.total),
    }
  }
}

/** The place of the piece under way; those that time has passed by are emptied. */
function advance(count: Count, at: number): number {
  const piece = Math.floor(at / PIECE_MS)
  const steps = piece < count.latest ? PIECES : Math.min(PIECES, piece - count.latest)
  for (let i = 0; i < steps; i++) count.pieces[(piece - i) % PIECES] = 0
  count.latest = piece
  return piece % PIECES
}

function viewCount(count: Count, now: number): RefusalCount {
  advance(count, now)
  const { route, filter, code, total, pieces } = count
  return { route, filter, code, total, lastMinute: pieces.reduce((sum, one) => sum + one, 0) }
}

function overloadText({ reason, delayMs, heap, inFlight }: OverloadView): string {
  switch (reason) {
    case 'event_loop':
      return `the event loop is late by ${Math.round(delayMs ?? 0)} ms`
    case 'heap':
      return `${Math.round((heap ?? 0) * 100)} % of the heap is in use`
    case 'rss':
      return 'the process needs too much memory'
    default:
      return `${inFlight} requests are under way (overload.maxRequests)`
  }
}
