import { Agent } from 'undici'
import { type SendContext, sendRequest } from './http-request.ts'
import type { WriteRecord } from './ledger.ts'
import type { LateRequest, LostRequest } from './outcome.ts'
import type { LoadSpec, RequestSpec } from './plan.ts'
import { talk } from './websocket.ts'

/** More than this under way means that nothing answers any more: further requests are not sent. */
const MAX_IN_FLIGHT = 4000
const TICK_MS = 2

export interface NameCounts {
  readonly name: string
  readonly sent: number
  readonly ok: number
  readonly lost: number
  readonly late: number
  /** ms beyond what the request takes by itself, sorted. */
  readonly latencies: readonly number[]
}

/** What a load saw. */
export interface LoadResult {
  /** ms since the epoch. */
  readonly startedAt: number
  readonly endedAt: number
  readonly sent: number
  readonly ok: number
  /** Due, but not sent: too many were under way. */
  readonly unsent: number
  /** The furthest that this process itself was behind its schedule. ms. */
  readonly clientLagMs: number
  readonly byName: readonly NameCounts[]
  readonly lost: readonly LostRequest[]
  readonly late: readonly LateRequest[]
  /** All requests that are not idempotent. */
  readonly writes: readonly WriteRecord[]
}

/** Takes turns by weight, evenly spread (smooth weighted round robin). */
export function createMix(specs: readonly RequestSpec[]): () => RequestSpec {
  const credits = specs.map(() => 0)
  const total = specs.reduce((sum, { weight }) => sum + weight, 0)
  return () => {
    let best = 0
    for (let i = 0; i < specs.length; i++) {
      credits[i] = (credits[i] ?? 0) + (specs[i]?.weight ?? 0)
      if ((credits[i] ?? 0) > (credits[best] ?? 0)) best = i
    }
    credits[best] = (credits[best] ?? 0) - total
    return specs[best] as RequestSpec
  }
}

/** Only these may be executed once at most: everything else a gateway may send again. RFC 9110 §9.2.2. */
const isWrite = (spec: RequestSpec) =>
  spec.kind !== 'websocket' && (spec.method === 'POST' || spec.method === 'PATCH')

interface Count {
  sent: number
  ok: number
  lost: number
  late: number
  latencies: number[]
}

/**
 * A steady open-loop load over kept-alive connections; no request is ever sent twice. `start` begins, `stop` sends
 * no more, waits for what is under way and reports.
 */
export class Load {
  readonly #spec: LoadSpec
  readonly #context: SendContext
  readonly #sockets: Agent
  readonly #agent: Agent
  readonly #runId: string
  readonly #next: () => RequestSpec
  readonly #counts = new Map<string, Count>()
  readonly #lost: LostRequest[] = []
  readonly #late: LateRequest[] = []
  readonly #writes: WriteRecord[] = []
  #inFlight = 0
  #due = 0
  #sent = 0
  #ok = 0
  #unsent = 0
  #lagMs = 0
  #begun = 0
  #startedAt = 0
  #timer: NodeJS.Timeout | undefined
  #drained: (() => void) | undefined

  constructor(options: { spec: LoadSpec; target: string; runId: string }) {
    this.#spec = options.spec
    this.#runId = options.runId
    this.#next = createMix(options.spec.requests)
    const { keepAlive, timeout, connections } = options.spec
    // The client closes what is idle, before the other side does: else a request meets a closing connection.
    const settings = { pipelining: 1, keepAliveTimeout: keepAlive, keepAliveMaxTimeout: keepAlive }
    this.#agent = new Agent({ ...settings, connections, connect: { timeout } })
    this.#sockets = new Agent({ ...settings, connections: null, connect: { timeout } })
    this.#context = {
      target: options.target.replace(/\/$/, ''),
      dispatcher: this.#agent,
      timeoutMs: timeout,
    }
    for (const { name } of options.spec.requests) {
      this.#counts.set(name, { sent: 0, ok: 0, lost: 0, late: 0, latencies: [] })
    }
  }

  /** So far. */
  progress(): { sent: number; ok: number; lost: number; late: number; inFlight: number } {
    return {
      sent: this.#sent,
      ok: this.#ok,
      lost: this.#lost.length,
      late: this.#late.length,
      inFlight: this.#inFlight,
    }
  }

  start(): void {
    this.#begun = performance.now()
    this.#startedAt = Date.now()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  #tick(): void {
    const elapsed = performance.now() - this.#begun
    if (elapsed > this.#spec.maxDuration) {
      clearInterval(this.#timer)
      return
    }
    const due = Math.floor((elapsed * this.#spec.rate) / 1000)
    if (due > this.#due)
      this.#lagMs = Math.max(this.#lagMs, elapsed - ((this.#due + 1) * 1000) / this.#spec.rate)
    for (; this.#due < due; this.#due++) {
      if (this.#inFlight >= MAX_IN_FLIGHT) this.#unsent++
      else void this.#one(this.#next())
    }
  }

  async #one(spec: RequestSpec): Promise<void> {
    const id = `${this.#runId}-${++this.#sent}`
    const counts = this.#counts.get(spec.name) as Count
    counts.sent++
    this.#inFlight++
    const at = Date.now()
    const start = performance.now()
    const failure =
      spec.kind === 'websocket'
        ? await talk(spec, id, { ...this.#context, dispatcher: this.#sockets })
        : await sendRequest(spec, id, this.#context)
    const tookMs = performance.now() - start
    const { name, kind, method, expectedMs } = spec
    if (isWrite(spec)) this.#writes.push({ id, name, at, isAnswered: failure === undefined })
    if (failure !== undefined) {
      counts.lost++
      this.#lost.push({ id, name, kind, method, at, until: at + Math.round(tookMs), ...failure })
    } else {
      counts.ok++
      this.#ok++
      counts.latencies.push(Math.max(0, tookMs - expectedMs))
      if (tookMs - expectedMs > this.#spec.late) {
        counts.late++
        this.#late.push({ id, name, kind, at, tookMs: Math.round(tookMs), expectedMs })
      }
    }
    this.#inFlight--
    if (this.#inFlight === 0) this.#drained?.()
  }

  /** Resolves with the result when everything under way has ended: each request has its own timeout. */
  async stop(): Promise<LoadResult> {
    clearInterval(this.#timer)
    const endedAt = Date.now()
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve
      })
    }
    await Promise.all([this.#agent.destroy(), this.#sockets.destroy()])
    const byName = [...this.#counts].map(([name, { latencies, ...counts }]) => ({
      name,
      ...counts,
      latencies: latencies.sort((a, b) => a - b),
    }))
    return {
      startedAt: this.#startedAt,
      endedAt,
      sent: this.#sent,
      ok: this.#ok,
      unsent: this.#unsent,
      clientLagMs: Math.round(this.#lagMs),
      byName,
      lost: this.#lost,
      late: this.#late,
      writes: this.#writes,
    }
  }
}
