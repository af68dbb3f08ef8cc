import type { GuardSpec, RampSpec } from '../core/canary.ts'
import type { BucketCounts } from '../core/log-histogram.ts'
import type { Evidence, Proportion } from './evidence.ts'

export type {
  GuardCheckSpec as GuardCheck,
  RampStepSpec as RampStep,
  RampWindowSpec as RampWindow,
} from '../core/canary.ts'

/** What judges a release: the part of a guard that decides. */
export type Guard = Pick<
  GuardSpec,
  'checks' | 'falseAlarm' | 'minRequests' | 'failures' | 'onFail' | 'contract'
>

/** Steps, and what watches them. */
export type Ramp = RampSpec & { readonly guard: Guard }

/** What one side did in one stretch of time, over all gateways. */
export interface SideCounts {
  readonly total: number
  readonly bad: number
  readonly latency: BucketCounts
  /** Answers by header that they had. */
  readonly headers: Readonly<Record<string, number>>
}

export interface Block {
  readonly canary: SideCounts
  readonly stable: SideCounts
  /** By name of the `value` check: an answer since the last look; NaN = it was asked in vain. */
  readonly values: Readonly<Record<string, number>>
  /** What the canary's answers lack or have otherwise than those of stable, in words. All that is known, not only what is new. */
  readonly breaches: readonly string[]
}

export type ReleaseStatus = 'waiting' | 'ramping' | 'holding' | 'paused' | 'promoted' | 'finished' | 'aborted'

/** Requests of one side only: they wait for the other one, to be compared with it. */
export interface Pending {
  /** When the first of them was counted. ms since the epoch. */
  readonly since: number
  readonly canary: Proportion
  readonly stable: Proportion
}

/** What is known of one check in the current step. */
export interface CheckState {
  readonly evidence: Evidence
  /** Absent = nothing waits. */
  readonly pending?: Pending | undefined
  /** For latency against stable: what stable took lately. */
  readonly stableLatency: BucketCounts
  /** Bad values in a row. */
  readonly failures: number
  /** A `value` check has had an answer. */
  readonly isKnown: boolean
}

/** One thing that happened to a release. */
export interface HistoryEntry {
  /** ms since the epoch. */
  readonly at: number
  readonly status: ReleaseStatus
  readonly percent: number
  /** `ramp`, or who. */
  readonly by: string
  readonly reason: string
  /** Requests and bad ones of both sides in the step that ended. */
  readonly counts: { readonly canary: Counted; readonly stable: Counted }
}

export interface Counted {
  readonly total: number
  readonly bad: number
}

/** Where a release stands; kept in the registry, so that all gateways and restarts agree. */
export interface ReleaseState {
  readonly rule: string
  /** Of what is released: another version begins anew. */
  readonly releaseId: string
  readonly status: ReleaseStatus
  /** Of 10,000. */
  readonly percent: number
  /** Index of the step; -1 = before the first. */
  readonly step: number
  /** When the step began. ms since the epoch. */
  readonly since: number
  readonly by: string
  readonly reason: string
  /** By name of the check. */
  readonly checks: Readonly<Record<string, CheckState>>
  /** In this step. */
  readonly counts: { readonly canary: Counted; readonly stable: Counted }
  /** Breaches of a contract that were seen in this step, those of `accepted` left out. Absent = none. */
  readonly breaches?: readonly string[]
  /** Breaches that a person has seen and lets pass, for the whole release. Absent = none. */
  readonly accepted?: readonly string[]
  /** The oldest first; bounded. */
  readonly history: readonly HistoryEntry[]
}
