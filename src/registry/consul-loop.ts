import { backoffMs, type Clock, type Random, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { ConsulAnswer } from './consul-client.ts'

const BACKOFF_BASE_MS = 250
const BACKOFF_MAX_MS = 5000
const BURST = 5
const REFILL_PER_MS = 2 / 1000

/** Limits how often one watch may ask: a service that flaps must not make the gateway a load on Consul. */
export class TokenBucket {
  readonly #clock: Clock
  #tokens = BURST
  #at: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#at = clock.monotonic()
  }

  /** Takes one; the answer is how long to wait first. ms. */
  take(): number {
    const now = this.#clock.monotonic()
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#at) * REFILL_PER_MS) - 1
    this.#at = now
    return this.#tokens >= 0 ? 0 : -this.#tokens / REFILL_PER_MS
  }
}

/**
 * The index for the next read: 0 when it went backwards (the data are others: read them whole), never 0 when
 * it stands (0 does not block: a busy loop).
 */
export function nextIndex(asked: number, answered: number): number {
  return answered < asked ? 0 : Math.max(1, answered)
}

/** Something thrown by a read, as one of ours. */
export function toRegistryError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  return new GatewayError('GW_REGISTRY_ANSWER', errorText(thrown), { cause: thrown })
}

export interface LoopOptions {
  read(index: number, signal: AbortSignal): Promise<ConsulAnswer>
  /**
   * May throw when the answer makes no sense: an error like others. `hasMoved`: the index is another one, so
   * something changed, seen in the answer or not.
   */
  onAnswer(answer: ConsulAnswer, hasMoved: boolean): void
  onError(error: GatewayError): void
  /** Set: no blocking query, but a read this often. ms. */
  readonly every?: number | undefined
  /** Aborts to make the loop ask again at once, from index 0. A new signal each time. */
  restart(): AbortSignal
  /** Aborts to end a back-off. A new signal each time. */
  wake?(): AbortSignal
}

/** Asks for ever, until the signal aborts. Never rejects. */
export async function runLoop(
  options: LoopOptions,
  deps: { clock: Clock; random: Random },
  signal: AbortSignal,
): Promise<void> {
  const bucket = new TokenBucket(deps.clock)
  let index = 0
  let failures = 0
  while (!signal.aborted) {
    const restart = options.restart()
    const either = AbortSignal.any([signal, restart])
    try {
      const answer = await options.read(index, either)
      options.onAnswer(answer, answer.index !== index)
      failures = 0
      index = options.every === undefined ? nextIndex(index, answer.index) : 0
    } catch (thrown) {
      // Errors carry an index, too, and after a restart of Consul the same index can mean other data.
      index = 0
      if (signal.aborted) return
      if (restart.aborted) continue
      options.onError(toRegistryError(thrown))
      const pause = backoffMs(++failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS, deps.random)
      await sleep(pause, options.wake === undefined ? either : AbortSignal.any([either, options.wake()]))
      continue
    }
    if (options.every !== undefined) await sleep(options.every * (0.9 + 0.2 * deps.random()), either)
    else await sleep(bucket.take(), either)
    if (restart.aborted) index = 0
  }
}
