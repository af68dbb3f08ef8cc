import { principalKey } from '../core/principal.ts'
import type { PriorityClass } from '../core/priority-class.ts'
import { createClientNetwork } from '../limits/client-network.ts'
import type { ConcurrencyGate, GateRefusal, GateRule, Ticket } from '../limits/concurrency-gate.ts'
import type { GradientLimit } from '../limits/gradient.ts'
import { type ConcurrencyOptions, concurrencyOptions } from './concurrency-options.ts'
import { ConcurrencyPlaces, type Tally } from './concurrency-places.ts'
import { defineFilter, type Ending, type FilterContext, type FilterDeps, type FilterReply } from './filter.ts'
import { createClassifier } from './request-class.ts'

/** The place that one limit is for. */
interface Place {
  readonly key: string
  readonly gradient: GradientLimit | undefined
  readonly rule: GateRule
  readonly tally: Tally
  toldLimit: number
}

/** A request that entered. */
interface Visit {
  readonly place: Place
  readonly gate: ConcurrencyGate
  readonly gateKey: string
  readonly ticket: Ticket
}

const REASONS: Readonly<Record<GateRefusal, string>> = {
  limit: 'too many requests at a time',
  queue_full: 'too many requests at a time, and too many that wait',
  queue_timeout: 'too many requests at a time: none of them ended soon enough',
  displaced: 'too many requests at a time: more important ones go first',
}

/** The service was too slow, or threw a request away. Not: refused connections; they come of a service that is gone. */
const LOST: ReadonlySet<string> = new Set([
  'header_timeout',
  'connect_timeout',
  'idle_timeout',
  'deadline',
  'reset',
])
/** Larger bodies say how slow the client is, not the service. Bytes. */
const MAX_JUDGED_BODY = 65_536

/** Lets only so many requests to a service at a time: a fixed number, or one learnt from its answer times. */
export const concurrency = defineFilter({
  name: 'concurrency',
  summary:
    'Limits requests at a time, per service, route or client; fixed or learnt; important ones first, others wait or get 503.',
  options: concurrencyOptions,
  create: (options, deps) => {
    const limiter = new ConcurrencyLimiter(options, deps)
    return {
      inbound: (ctx) => limiter.enter(ctx),
      done: (ctx, ending) => limiter.leave(ctx, ending),
    }
  },
})

class ConcurrencyLimiter {
  readonly #options: ConcurrencyOptions
  readonly #deps: FilterDeps
  readonly #places: ConcurrencyPlaces
  readonly #own = new Map<string, Place>()
  readonly #visits = new WeakMap<FilterContext, Visit>()
  readonly #classOf: (ctx: FilterContext) => PriorityClass
  /** One subscriber has a whole /64 of IPv6. */
  readonly #networkOf = createClientNetwork(32, 64)

  constructor(options: ConcurrencyOptions, deps: FilterDeps) {
    this.#options = options
    this.#deps = deps
    this.#places = deps.shared('concurrency', () => new ConcurrencyPlaces())
    this.#classOf = createClassifier(options)
  }

  enter(ctx: FilterContext): FilterReply | undefined | Promise<FilterReply | undefined> {
    const place = this.#placeOf(ctx)
    const { key } = this.#options
    const gateKey = key === undefined ? place.key : `${place.key} ${clientKey(ctx, key, this.#networkOf)}`
    const gate = this.#places.gate(gateKey)
    const ticket = gate.enter(this.#classOf(ctx), place.rule)
    this.#visits.set(ctx, { place, gate, gateKey, ticket })
    if (ticket.state === 'in') {
      this.#count(place.tally, 1, 0)
      return undefined
    }
    if (ticket.state === 'refused') return this.#refuse(place, ticket)
    this.#count(place.tally, 0, 1)
    return new Promise((resolve) => {
      ticket.onSettled = () => {
        const isIn = ticket.state === 'in'
        this.#count(place.tally, isIn ? 1 : 0, -1)
        resolve(isIn ? undefined : this.#refuse(place, ticket))
      }
    })
  }

  leave(ctx: FilterContext, ending: Ending): void {
    const visit = this.#visits.get(ctx)
    if (visit === undefined) return
    this.#visits.delete(ctx)
    const { place, gate, gateKey, ticket } = visit
    if (ticket.state === 'in') {
      this.#count(place.tally, -1, 0)
      this.#learn(place, ctx, ticket, ending)
    } else if (ticket.state === 'waiting') {
      this.#count(place.tally, 0, -1)
    }
    gate.leave(ticket)
    if (this.#options.key !== undefined) this.#places.dropIdle(gateKey)
  }

  /** Only what the service itself did: refusals of the gateway and clients that left say nothing about it. */
  #learn(place: Place, ctx: FilterContext, { inFlight }: Ticket, ending: Ending): void {
    const { gradient } = place
    const { outcome, status, upstreamMs } = ending
    if (gradient === undefined || status === 101) return
    const now = this.#deps.clock.monotonic()
    // 503 is how a service sheds load by itself; other 5xx are quick failures, which would look like a fast service.
    if (LOST.has(outcome) || (outcome === 'ok' && status === 503)) {
      gradient.dropped(now, inFlight)
    } else if (outcome === 'ok' && status < 500 && upstreamMs !== undefined && isSmall(ctx)) {
      gradient.answered(now, { ms: upstreamMs, inFlight })
    } else {
      return
    }
    this.#tellLimit(place)
  }

  #placeOf(ctx: FilterContext): Place {
    const { serviceName, route } = ctx.decision
    const service = serviceName ?? ''
    const of =
      this.#options.scope === 'route' || serviceName === undefined ? `route ${route.spec.name}` : 'service'
    const id = `${of} ${service}`
    let place = this.#own.get(id)
    if (place === undefined) {
      place = this.#createPlace(`${encodeURIComponent(this.#deps.name)} ${id}`, service)
      this.#own.set(id, place)
    }
    return place
  }

  #createPlace(key: string, service: string): Place {
    const { adaptive, limit = 0, shares, queue } = this.#options
    const gradient =
      adaptive === undefined
        ? undefined
        : this.#places.gradient(
            key,
            { ...adaptive, windowMs: adaptive.window, probeIntervalMs: adaptive.probeInterval },
            this.#deps.random,
          )
    const rule: GateRule = {
      cap: (priorityClass) => capOf(gradient?.limit ?? limit, shares[priorityClass]),
      queueLength: queue.length,
      queueTimeoutMs: queue.timeout,
    }
    const tally = this.#places.tally(this.#deps.name, service)
    const place = { key, gradient, rule, tally, toldLimit: gradient?.limit ?? limit }
    this.#deps.metrics.set('sluice_concurrency_limit', tally.labels, place.toldLimit)
    return place
  }

  #tellLimit(place: Place): void {
    const limit = place.gradient?.limit ?? 0
    if (limit === place.toldLimit) return
    place.toldLimit = limit
    this.#deps.metrics.set('sluice_concurrency_limit', place.tally.labels, limit)
  }

  #count(tally: Tally, inFlight: number, queued: number): void {
    const { metrics } = this.#deps
    if (inFlight !== 0) {
      tally.inFlight += inFlight
      metrics.set('sluice_concurrency_in_flight', tally.labels, tally.inFlight)
    }
    if (queued !== 0) {
      tally.queued += queued
      metrics.set('sluice_concurrency_queued', tally.labels, tally.queued)
    }
  }

  #refuse(place: Place, { priorityClass, refusal = 'limit' }: Ticket): FilterReply {
    const { key, retryAfter } = this.#options
    const labels = [place.tally.labels[0], priorityClass, refusal]
    this.#deps.metrics.count('sluice_concurrency_refusals_total', labels)
    const seconds = Math.ceil((retryAfter / 1000) * (1 + this.#deps.random()))
    return {
      status: key === undefined ? 503 : 429,
      code: 'GW_RATE_CONCURRENCY',
      detail: key === undefined ? REASONS[refusal] : `${REASONS[refusal]} (per client)`,
      headers: { 'retry-after': String(seconds) },
    }
  }
}

/** Of requests in flight up to which a class is let in; who may come at all may come alone. */
function capOf(limit: number, percent: number): number {
  // 29 % of 100 is 28.999… in binary.
  return percent === 0 ? 0 : Math.max(1, Math.floor((limit * percent) / 100 + 1e-9))
}

function clientKey(
  ctx: FilterContext,
  keys: readonly ('principal' | 'client-ip')[],
  networkOf: (address: string) => string,
): string {
  for (const key of keys) {
    if (key === 'client-ip') return `ip:${networkOf(ctx.clientIp)}`
    if (ctx.principal !== undefined) return principalKey(ctx.principal)
  }
  return 'nobody'
}

function isSmall({ contentLength }: FilterContext): boolean {
  return contentLength !== undefined && contentLength <= MAX_JUDGED_BODY
}
