import type { Instance } from '../core/types.ts'
import type { Breaker, BreakerState } from './breaker.ts'
import type { EjectionCause, Totals } from './outlier.ts'

/** An instance went out of rotation, came back or should have gone and could not. */
export interface EjectionEvent {
  readonly type: 'ejection'
  readonly kind: 'ejected' | 'kept' | 'returned'
  readonly service: string
  readonly instanceKey: string
  /** In words, for people. */
  readonly reason: string
  /** ms it stays out; 0 for the other kinds, and when a check decides. */
  readonly forMs: number
  /** What took it out, or would have. */
  readonly cause: EjectionCause | undefined
}

/** Too few of a service's instances are in rotation: ejections are ignored, or no longer. */
export interface PanicEvent {
  readonly type: 'panic'
  readonly kind: 'entered' | 'left'
  readonly service: string
  readonly reason: string
}

/** The circuit breaker of a service changed its state. */
export interface BreakerEvent {
  readonly type: 'breaker'
  readonly kind: BreakerState
  readonly service: string
  readonly reason: string
}

export type HealthEvent = EjectionEvent | PanicEvent | BreakerEvent

/** One instance as metrics and topology see it. */
export interface UpstreamStats {
  readonly service: string
  readonly instance: Instance
  readonly inFlight: number
  /** Since when the table has it in its state. ms since the epoch. */
  readonly since: number
  /** When it got its last request or tunnel. ms since the epoch; undefined = never. */
  readonly lastRequestAt: number | undefined
  /** ms until it is back in rotation; 0 = it is. */
  readonly ejectedForMs: number
  /** Why it is out of rotation, in words; undefined = it is not. */
  readonly ejected: string | undefined
  /** Why its zone keeps it out, in words; undefined = it does not. */
  readonly outOfZone: string | undefined
  /** Failed connects since the last success. */
  readonly failures: number
  /** Requests and tunnels begun since the start. */
  readonly requests: number
  /** Sockets of its pool; all 0 before its first request. */
  readonly pool: { connected: number; free: number; pending: number; queued: number; running: number }
}

/** Counters of one service over all its instances; live. */
export interface ServiceLoad extends Totals {
  /** Requests and tunnels under way. */
  inFlight: number
  /** Retries under way. */
  retrying: number
  /** Retries begun since the start. */
  retries: number
  /** Retries not done because the budget was used up. */
  retryOverflows: number
  /** Requests refused because the breaker was open. */
  breakerRefusals: number
  /** Undefined = the service has none. */
  breaker: Breaker | undefined
}

/** One service as metrics see it. */
export interface ServiceStats extends Readonly<Omit<ServiceLoad, 'breaker' | keyof Totals>> {
  readonly service: string
  readonly isPanic: boolean
  /** Undefined = the service has none. */
  readonly breaker: BreakerState | undefined
}
