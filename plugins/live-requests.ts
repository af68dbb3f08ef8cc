import { checkDebugToken, DEBUG_HEADER } from '../src/core/debug-token.ts'
import type { Clock } from '../src/core/duration.ts'
import { Ring } from '../src/core/ring.ts'
import type { LiveVerdict } from '../src/routing/explain.ts'
import type { Intake } from './intake.ts'
import { type LiveExplanation, RequestTrace } from './request-trace.ts'

/** Explanations that are remembered. */
const KEPT = 100

export interface LiveRequestsDeps {
  /** Signs the tokens. */
  readonly key: string
  readonly clock: Clock
  newId(bytes: number): string
  /** What is known of instances at this moment. */
  live(): LiveVerdict
  /** A request came with a token. */
  onToken(result: 'valid' | 'expired' | 'invalid'): void
}

/** Real requests that came with a token of `admin.debugKey`, explained as `POST /api/explain` explains written ones. */
export class LiveRequests {
  readonly #deps: LiveRequestsDeps
  readonly #kept = new Ring<LiveExplanation>(KEPT)

  constructor(deps: LiveRequestsDeps) {
    this.#deps = deps
  }

  /** Undefined = nobody asked; for a request without the header this is one look-up. */
  begin(intake: Intake): RequestTrace | undefined {
    const token = intake.headers.get(DEBUG_HEADER)
    if (token === undefined) return undefined
    const { key, clock, newId, live, onToken } = this.#deps
    const result = checkDebugToken(key, token, clock.now())
    onToken(result)
    if (result !== 'valid') return undefined
    return new RequestTrace(intake, {
      id: newId(8),
      monotonic: () => clock.monotonic(),
      live,
      onOver: (explanation) => this.#kept.add(explanation),
    })
  }

  /** The newest first. */
  view(): LiveExplanation[] {
    return this.#kept.newest()
  }
}
