import type { RequestKind } from './plan.ts'

/**
 * How a request was lost. `no-answer`: not one byte of an answer; `wrong-answer`: another one than expected;
 * `cut`: the answer (or the conversation of a WebSocket) began and broke off.
 */
export type LossClass = 'no-answer' | 'wrong-answer' | 'cut'

/** What the client saw of a lost request. */
export interface Failure {
  readonly loss: LossClass
  readonly status?: number
  /** `code` of the problem document. */
  readonly code?: string
  readonly requestId?: string
  readonly error?: string
}

/** One request that was lost. Times: ms since the epoch. */
export interface LostRequest extends Failure {
  readonly id: string
  readonly name: string
  readonly kind: RequestKind
  readonly method: string
  readonly at: number
  readonly until: number
}

/** One that was answered well, but slower than allowed. */
export interface LateRequest {
  readonly id: string
  readonly name: string
  readonly kind: RequestKind
  readonly at: number
  /** How long it took; ms. */
  readonly tookMs: number
  /** What it takes by itself; ms. */
  readonly expectedMs: number
}
