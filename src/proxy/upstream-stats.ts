import type { Instance } from '../core/types.ts'

/** An instance went out of rotation, came back or should have gone and could not. */
export interface EjectionEvent {
  readonly kind: 'ejected' | 'kept' | 'returned'
  readonly service: string
  readonly instanceKey: string
  /** In words, for people. */
  readonly reason: string
  /** ms it stays out; 0 for the other kinds. */
  readonly forMs: number
}

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
  /** Failed connects since the last success. */
  readonly failures: number
  /** Requests and tunnels begun since the start. */
  readonly requests: number
  /** Sockets of its pool; all 0 before its first request. */
  readonly pool: { connected: number; free: number; pending: number; queued: number; running: number }
}

/** Counters of one service over all its instances; live. */
export interface ServiceLoad {
  /** Requests and tunnels under way. */
  inFlight: number
  /** Retries under way. */
  retrying: number
  /** Retries begun since the start. */
  retries: number
  /** Retries not done because the budget was used up. */
  retryOverflows: number
}

/** One service as metrics see it. */
export interface ServiceStats extends Readonly<ServiceLoad> {
  readonly service: string
}
