import { Agent, request } from 'undici'
import { errorText } from '../../src/core/errors.ts'

/** One kind of request of a load; they take turns. */
export interface LoadRequest {
  readonly method: string
  /** Absolute URL. */
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface LoadFailure {
  /** ms since the load began. */
  readonly atMs: number
  readonly what: string
  readonly reason: string
}

export interface LoadReport {
  readonly sent: number
  readonly ok: number
  readonly failures: readonly LoadFailure[]
  /** ms, sorted. */
  readonly latencies: readonly number[]
  /** Answers by the text `statusOf` gave, e.g. the instance. */
  readonly seen: ReadonlyMap<string, number>
}

export interface LoadOptions {
  readonly requests: readonly LoadRequest[]
  /** Requests per second, sent on schedule whether or not earlier ones were answered (open loop). */
  readonly rps: number
  /** The load ends by itself after this. ms. */
  readonly maxMs: number
  /** Whether an answer is good. Default: 200–299. */
  readonly isGood?: (status: number, body: string) => boolean
  /** Counts answers by this. */
  readonly label?: (status: number, body: string) => string
}

/** The value below which the share `q` of the sorted numbers lies; 0 for none. */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0
}

/**
 * A steady open-loop load from this process over kept-alive connections, bounded in count and time.
 * `stop` waits for the answers that are still out and reports; a request without an answer in 10 s has failed.
 */
export function startLoad(options: LoadOptions): { stop(): Promise<LoadReport>; sent(): number } {
  const agent = new Agent({ connections: 128, pipelining: 1, keepAliveTimeout: 30_000 })
  const begun = performance.now()
  const failures: LoadFailure[] = []
  const latencies: number[] = []
  const seen = new Map<string, number>()
  const pending = new Set<Promise<void>>()
  const isGood = options.isGood ?? ((status) => status >= 200 && status < 300)
  const limit = Math.ceil((options.rps * options.maxMs) / 1000)
  let sent = 0
  let ok = 0

  async function one(spec: LoadRequest): Promise<void> {
    const start = performance.now()
    const what = `${spec.method} ${spec.url}`
    try {
      const answer = await request(spec.url, {
        method: spec.method as 'GET',
        dispatcher: agent,
        headersTimeout: 10_000,
        bodyTimeout: 10_000,
        ...(spec.headers === undefined ? {} : { headers: spec.headers }),
        ...(spec.body === undefined ? {} : { body: spec.body }),
      })
      const body = await answer.body.text()
      latencies.push(performance.now() - start)
      if (options.label !== undefined) {
        const label = options.label(answer.statusCode, body)
        seen.set(label, (seen.get(label) ?? 0) + 1)
      }
      if (isGood(answer.statusCode, body)) ok++
      else failures.push({ atMs: start - begun, what, reason: `${answer.statusCode} ${body.slice(0, 200)}` })
    } catch (thrown) {
      failures.push({ atMs: start - begun, what, reason: errorText(thrown) })
    }
  }

  const timer = setInterval(() => {
    const due = Math.min(limit, Math.floor(((performance.now() - begun) * options.rps) / 1000))
    while (sent < due) {
      const spec = options.requests[sent++ % options.requests.length] as LoadRequest
      const running: Promise<void> = one(spec).finally(() => pending.delete(running))
      pending.add(running)
    }
    if (sent >= limit) clearInterval(timer)
  }, 2)

  return {
    sent: () => sent,
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
      await agent.close()
      latencies.sort((a, b) => a - b)
      return { sent, ok, failures, latencies, seen }
    },
  }
}
