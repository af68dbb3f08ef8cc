import type { ErrorCode } from '../src/core/errors.ts'
import type { Headers } from '../src/core/headers.ts'
import type { RequestRecord } from '../src/core/record.ts'
import type { FilterTrace } from '../src/filters/filter.ts'
import type { BegunAttempt } from '../src/proxy/exchange.ts'
import type { SideDecision } from '../src/routing/canary.ts'

/** Is told what becomes of one request, step by step. */
export interface Tracing extends FilterTrace {
  /** Why which version was taken; `chooseSide` fills it. */
  readonly steps: string[]
  /** Of a local answer. */
  code: ErrorCode | undefined
  /** The version is decided; no instance is picked yet. */
  decided(decision: SideDecision | undefined): void
  readonly onTry: (attempt: BegunAttempt) => void
  /** The head of the answer is about to go out. */
  answering(status: number, headers: Headers): void
  over(record: RequestRecord): void
}
