import type { BucketCounts } from '../core/log-histogram.ts'
import type { Evidence } from './evidence.ts'

/** A share of the traffic and how long it is watched. */
export interface RampStep {
  /** Of 10,000. */
  readonly percent: number
  /** At least so long. ms. */
  readonly forMs: number
  /** And at least so many requests of the canary. */
  readonly minRequests: number
  /** Then a person has to promote. */
  readonly hold: boolean
}

/** What one check of a guard compares. Shares are 0..1. */
export type GuardCheck =
  | {
      /** `error-ratio`: 5xx and failures of ours to reach the instance. `header-ratio`: answers that have a header. */
      readonly kind: 'share'
      readonly name: string
      /** Lower case; for `header-ratio`. */
      readonly header?: string
      /** More than this is bad, whatever stable does. */
      readonly max?: number
      /** More than this above stable is bad; undefined = not compared. */
      readonly maxIncrease?: number
    }
  | {
      readonly kind: 'latency'
      readonly name: string
      /** 0..1. */
      readonly quantile: number
      /** ms. */
      readonly maxMs?: number
      /** Times that of stable. */
      readonly maxRatio?: number
    }
  | {
      /** A number that somebody else measures: Prometheus. */
      readonly kind: 'value'
      readonly name: string
      readonly max?: number
      readonly min?: number
      /** Without an answer the step may still end. */
      readonly optional: boolean
    }

export interface Guard {
  readonly checks: readonly GuardCheck[]
  /** Chance of calling a canary bad that is like stable, over one step, all checks and looks together. 0..1. */
  readonly falseAlarm: number
  /** Fewer requests of the canary in a step: nothing is said. */
  readonly minRequests: number
  /** So many bad values of a `value` check in a row. */
  readonly failures: number
  readonly onFail: 'rollback' | 'hold'
}

/** Times of the week when steps upwards may be taken. */
export interface RampWindow {
  /** 0 = Sunday. */
  readonly days: readonly number[]
  /** Minutes of the day, from inclusive, to exclusive. */
  readonly from: number
  readonly to: number
  /** IANA name. */
  readonly zone: string
}

export interface Ramp {
  readonly steps: readonly RampStep[]
  /** ms since the epoch; undefined = at once. */
  readonly start?: number
  /** Empty = always. */
  readonly windows: readonly RampWindow[]
  readonly guard: Guard
}

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
  /** By name of the `value` check; missing = no answer. */
  readonly values: Readonly<Record<string, number>>
}

export type ReleaseStatus = 'waiting' | 'ramping' | 'holding' | 'paused' | 'promoted' | 'finished' | 'aborted'

/** What is known of one check in the current step. */
export interface CheckState {
  readonly evidence: Evidence
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
  /** The oldest first; bounded. */
  readonly history: readonly HistoryEntry[]
}
