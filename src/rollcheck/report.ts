import type { LedgerFindings } from './ledger.ts'
import type { LoadResult } from './load.ts'
import type { LateRequest, LostRequest } from './outcome.ts'
import type { Plan } from './plan.ts'
import { type Life, type Meanwhile, meanwhile } from './timeline.ts'

/** At most so many of a kind are listed one by one; the counts are whole. */
const LISTED = 1000

export interface KindReport {
  readonly name: string
  readonly sent: number
  readonly ok: number
  readonly lost: number
  readonly late: number
  /** ms beyond what the request takes by itself. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** What a rollcheck found; what `--json` prints. Times: ms since the epoch. */
export interface Report {
  /** `ok`: nothing lost or duplicated; `loss`; `failed`: the roll did not come to its end, and nothing was lost. */
  readonly result: 'ok' | 'loss' | 'failed'
  /** Why the roll ended early. */
  readonly failure?: string
  readonly target: string
  readonly startedAt: number
  readonly endedAt: number
  readonly rate: number
  readonly sent: number
  readonly ok: number
  /** Due, but not sent, because nothing answered any more. */
  readonly unsent: number
  readonly clientLagMs: number
  readonly lateMs: number
  readonly requests: readonly KindReport[]
  readonly counts: {
    readonly lost: number
    readonly duplicated: number
    readonly lostWrites: number
    readonly executedButFailed: number
    readonly late: number
  }
  readonly lost: readonly (LostRequest & { readonly meanwhile: readonly Meanwhile[] })[]
  readonly late: readonly (LateRequest & { readonly meanwhile: readonly Meanwhile[] })[]
  /** Absent without `ledger` in the plan. */
  readonly ledger?: LedgerFindings
  readonly instances: readonly Life[]
}

/** The value below which the share `q` of the sorted numbers lies; 0 for none. */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0
}

const round = (ms: number) => Math.round(ms * 10) / 10

/** Puts everything together. Pure. */
export function createReport(input: {
  readonly plan: Plan
  readonly target: string
  readonly result: LoadResult
  readonly lives: readonly Life[]
  readonly failure: string | undefined
  readonly ledger: LedgerFindings | undefined
}): Report {
  const { plan, result, lives, ledger, failure } = input
  const counts = {
    lost: result.lost.length,
    duplicated: ledger?.duplicated.length ?? 0,
    lostWrites: ledger?.lostWrites.length ?? 0,
    executedButFailed: ledger?.executedButFailed.length ?? 0,
    late: result.late.length,
  }
  const hasLoss = counts.lost + counts.duplicated + counts.lostWrites + result.unsent > 0
  return {
    result: hasLoss ? 'loss' : failure === undefined ? 'ok' : 'failed',
    ...(failure === undefined ? {} : { failure }),
    target: input.target,
    startedAt: result.startedAt,
    endedAt: result.endedAt,
    rate: plan.load.rate,
    sent: result.sent,
    ok: result.ok,
    unsent: result.unsent,
    clientLagMs: result.clientLagMs,
    lateMs: plan.load.late,
    requests: result.byName.map(({ latencies, ...kind }) => ({
      ...kind,
      p50Ms: round(quantile(latencies, 0.5)),
      p99Ms: round(quantile(latencies, 0.99)),
      maxMs: round(latencies.at(-1) ?? 0),
    })),
    counts,
    lost: result.lost
      .slice(0, LISTED)
      .map((one) => ({ ...one, meanwhile: meanwhile(lives, one.at, one.until) })),
    late: result.late
      .slice(0, LISTED)
      .map((one) => ({ ...one, meanwhile: meanwhile(lives, one.at, one.at + one.tookMs) })),
    ...(ledger === undefined ? {} : { ledger }),
    instances: lives,
  }
}

/** 0 nothing lost or duplicated, 1 something was, 2 the roll did not come to its end. */
export function exitCodeOf({ result }: Report): 0 | 1 | 2 {
  return ({ ok: 0, loss: 1, failed: 2 } as const)[result]
}
