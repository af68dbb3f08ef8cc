import type { Clock, Random } from '../core/duration.ts'
import { type ErrorCode, errorText } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'
import { withSpanId } from '../core/ids.ts'
import type { Outcome } from '../core/outcome.ts'
import type { RetryPolicy, Timeouts } from '../core/route.ts'
import { effectiveRetries, effectiveTimeouts } from '../routing/explain.ts'
import { Attempt, type AttemptOwner } from './attempt.ts'
import type { Deadline } from './deadlines.ts'
import { dispatchTry } from './dispatch-try.ts'
import type { Attempt as AttemptRecord, Exchange, ForwardResult, ResponseSink } from './exchange.ts'
import type { LiveUpstream } from './live-upstream.ts'
import { BodySource, type BodyWatcher } from './request-body.ts'
import {
  type Failure,
  failed,
  mayRetryFailure,
  mayRetryStatus,
  type RetryShape,
  retryAfterMs,
  retryDelayMs,
} from './retry.ts'
import type { Upstreams } from './upstreams.ts'

export interface ForwardDeps {
  readonly clock: Clock
  readonly random: Random
  /** Random hex digits for so many bytes. */
  newId(bytes: number): string
  readonly log: { warn(fields: object, text: string): void }
}

const NONE: ReadonlySet<string> = new Set()
/** What a client is told to wait when no instance is there. s. */
const NO_INSTANCE_RETRY_S = 2
const OVERFLOW_RETRY_S = 1
/** An `x-sluice-attempt` beyond this is nonsense. */
const MAX_ATTEMPT_HEADER = 99

/**
 * Sends one request to an instance of its service, tries again where that is safe, and streams the answer to
 * the sink. Resolves when all is over, never rejects; `refuse` is set when the client still has to be answered.
 */
export function forward(exchange: Exchange, upstreams: Upstreams, deps: ForwardDeps): Promise<ForwardResult> {
  if (exchange.routed.service === undefined) return Promise.resolve(UNKNOWN_SERVICE)
  return new Promise((resolve) => new Forwarding(exchange, upstreams, deps, resolve).start())
}

const UNKNOWN_SERVICE: ForwardResult = {
  outcome: 'no_service',
  refuse: { code: 'GW_UPSTREAM_UNKNOWN_SERVICE', retryAfterSeconds: NO_INSTANCE_RETRY_S },
  attempts: [],
  upstreamMs: undefined,
  bytesSent: 0,
  bytesReceived: 0,
}

/** One exchange with all its tries. */
class Forwarding implements AttemptOwner, BodyWatcher {
  readonly sink: ResponseSink
  readonly clock: Clock
  readonly #exchange: Exchange
  readonly #upstreams: Upstreams
  readonly #deps: ForwardDeps
  readonly #resolve: (result: ForwardResult) => void
  readonly #startedAt: number
  readonly #timeouts: Timeouts
  readonly #retries: RetryPolicy
  readonly #attempts: Attempt[] = []
  /** Tries that an outer layer made before this request came here. */
  readonly #inherited: number
  #tried: Set<string> | undefined
  #source: BodySource | undefined
  #current: Attempt | undefined
  #retriesDone = 0
  #hasRetriedStale = false
  #budgetFrom: LiveUpstream | undefined
  #isSettled = false
  #deadline: Deadline | undefined
  #tryTimer: NodeJS.Timeout | undefined

  constructor(
    exchange: Exchange,
    upstreams: Upstreams,
    deps: ForwardDeps,
    resolve: (result: ForwardResult) => void,
  ) {
    this.#exchange = exchange
    this.sink = exchange.sink
    this.#upstreams = upstreams
    this.#deps = deps
    this.clock = deps.clock
    this.#resolve = resolve
    this.#startedAt = deps.clock.monotonic()
    this.#timeouts = effectiveTimeouts(exchange.routed)
    this.#retries = effectiveRetries(exchange.routed)
    const attempt = Number(exchange.headers.get('x-sluice-attempt') ?? 1)
    this.#inherited = Number.isInteger(attempt) && attempt > 1 ? Math.min(attempt, MAX_ATTEMPT_HEADER) - 1 : 0
  }

  get idleMs(): number {
    return this.#timeouts.idleMs
  }

  start(): void {
    const { signal, body } = this.#exchange
    if (signal.aborted) {
      this.#settle('client_gone')
      return
    }
    signal.addEventListener('abort', this.#onClientGone, { once: true })
    if (this.#timeouts.totalMs > 0) {
      const { deadlines } = this.#upstreams
      this.#deadline = deadlines.begin(this.#timeouts.totalMs, this.#startedAt, this.#onDeadline)
    }
    if (body.kind === 'stream') {
      const { replayBytes } = this.#retries
      const { bodyTap } = this.#exchange
      this.#source = new BodySource(body.stream, replayBytes, this.#timeouts.idleMs, this, bodyTap)
    }
    this.#tryNext(undefined)
  }

  /** Picks and dispatches. `failure`: why there is a further try. */
  #tryNext(failure: Failure | undefined): void {
    if (this.#isSettled) return
    const blockedMs = this.#upstreams.health.blockedForMs(this.#exchange.routed)
    if (blockedMs > 0) {
      // What is known of the first try is the better answer, where there is one.
      if (failure !== undefined && failure.outcome !== 'no_instance')
        this.#refuse(failure.outcome, failure.code)
      else this.#refuse('breaker_open', 'GW_UPSTREAM_BREAKER_OPEN', Math.ceil(blockedMs / 1000))
      return
    }
    // With all tried, one of them again is better than none.
    const upstream = this.#pick(this.#tried ?? NONE) ?? (failure === undefined ? undefined : this.#pick(NONE))
    if (upstream === undefined) {
      if (failure !== undefined) this.#refuse(failure.outcome, failure.code)
      else this.#refuse('no_instance', 'GW_UPSTREAM_NO_INSTANCE', NO_INSTANCE_RETRY_S)
    } else if (upstream.isFull) {
      this.#refuse('overflow', 'GW_UPSTREAM_OVERFLOW', OVERFLOW_RETRY_S)
    } else {
      this.#dispatch(upstream, false)
    }
  }

  #pick(tried: ReadonlySet<string>): LiveUpstream | undefined {
    const { routed, headers, clientIp } = this.#exchange
    return this.#upstreams.pick({ routed, tried, headers, clientIp })
  }

  #dispatch(upstream: LiveUpstream, needsNewSocket: boolean): void {
    // The first try begins with the exchange: one look at the clock less.
    const now = this.#attempts.length === 0 ? this.#startedAt : this.clock.monotonic()
    const attempt = new Attempt(upstream, this, now)
    this.#current = attempt
    if (this.#attempts.length > 0) this.#beginSpan()
    this.#attempts.push(attempt)
    this.#exchange.onTry?.(attempt)
    attempt.mark = this.#upstreams.begin(upstream, attempt.startedAt)
    if (this.#timeouts.perTryMs > 0) {
      this.#tryTimer = setTimeout(this.#onTryTimeout, this.#timeouts.perTryMs)
    }
    dispatchTry(this.#exchange, attempt, {
      source: this.#source,
      timeouts: this.#timeouts,
      number: this.#inherited + this.#attempts.length,
      needsNewSocket,
    })
  }

  /** Two tries under one span id would be one call in the trace. */
  #beginSpan(): void {
    const { headers } = this.#exchange
    const sent = headers.get('traceparent')
    if (sent !== undefined) headers.set('traceparent', withSpanId(sent, this.#deps.newId(8)))
  }

  onHead(attempt: Attempt, status: number, headers: Headers): boolean {
    this.#upstreams.health.answered(attempt.upstream, status, attempt.mark)
    clearTimeout(this.#tryTimer)
    if (!mayRetryStatus(status, this.#shape(), this.#retries)) return true
    const delayMs = this.#statusDelay(headers)
    if (delayMs === undefined || !this.#mayTryAgain(attempt, false)) return true
    attempt.outcome = 'ok'
    this.#closeAttempt(attempt)
    this.#tryLater(failed('no_instance', 'GW_UPSTREAM_NO_INSTANCE'), delayMs)
    return false
  }

  /** The wait before a status retry, or undefined when the answer itself is the better answer. */
  #statusDelay(headers: Headers): number | undefined {
    const header = headers.get('retry-after')
    const asked = retryAfterMs(header)
    if (header !== undefined && asked === undefined) return undefined
    const { random } = this.#deps
    const delayMs =
      asked === undefined || asked === 0
        ? retryDelayMs(this.#retriesDone + 1, random)
        : asked * (1 + random() / 2)
    const { totalMs } = this.#timeouts
    const isTooLate = totalMs > 0 && this.clock.monotonic() - this.#startedAt + delayMs >= totalMs
    return isTooLate ? undefined : delayMs
  }

  onDone(attempt: Attempt): void {
    this.#settle('ok', attempt)
  }

  onFailure(attempt: Attempt, failure: Failure, error: unknown): void {
    if (this.#isSettled) return
    clearTimeout(this.#tryTimer)
    attempt.outcome = failure.outcome
    this.#report(attempt, failure, error)
    if (attempt.hasHead) {
      this.sink.abort()
      this.#settle(failure.outcome, attempt)
      return
    }
    this.#closeAttempt(attempt)
    const mayRetry = mayRetryFailure(failure.cause, this.#shape(), this.#retries)
    if (mayRetry && failure.cause === 'stale' && !this.#hasRetriedStale && !attempt.upstream.isOut) {
      this.#hasRetriedStale = true
      queueMicrotask(() => this.#retryStale(attempt.upstream))
    } else if (mayRetry && this.#mayMoveOn(attempt, failure)) {
      queueMicrotask(() => this.#tryNext(failure))
    } else if (mayRetry && this.#mayTryAgain(attempt, failure.outcome === 'reset')) {
      const hasOthers = (this.#exchange.routed.service?.eligible.length ?? 0) > 1
      const isAtOnce = this.#retriesDone === 1 && hasOthers
      this.#tryLater(failure, isAtOnce ? 0 : retryDelayMs(this.#retriesDone, this.#deps.random))
    } else {
      this.#giveUp(failure, error)
    }
  }

  /** What speaks against the instance. A socket that went stale in the pool does not, nor does what the client did. */
  #report({ upstream, mark }: Attempt, failure: Failure, error: unknown): void {
    const { outcome, cause, isConnectFailure } = failure
    // Not written in time: it waited for a socket. With none at all there is nobody to connect to.
    const isWaiting = outcome === 'header_timeout' && cause === 'connect-failure'
    if (isWaiting && upstream.pool.stats.connected > 0) return
    if (isConnectFailure || isWaiting) this.#upstreams.health.connectFailed(upstream, errorText(error), mark)
    else if (outcome === 'header_timeout') this.#upstreams.health.faulted(upstream, 'no answer in time', mark)
    else if ((outcome === 'reset' && cause !== 'stale') || outcome === 'upstream_protocol')
      this.#upstreams.health.faulted(upstream, errorText(error), mark)
  }

  #retryStale(upstream: LiveUpstream): void {
    if (!this.#isSettled) this.#dispatch(upstream, true)
  }

  #giveUp(failure: Failure, error: unknown): void {
    if (failure.outcome === 'internal') {
      const { requestId } = this.#exchange
      this.#deps.log.warn({ requestId, error: errorText(error) }, 'the gateway failed to pass a request on')
    }
    this.#refuse(failure.outcome, failure.code)
  }

  /**
   * Refused, so nobody did any work: asking the next one multiplies nothing. Each instance is asked once, outside tries
   * and budget; a request is not lost while one of them lives.
   */
  #mayMoveOn(attempt: Attempt, failure: Failure): boolean {
    if (failure.outcome !== 'connect_failed' || this.#retries.attempts === 0) return false
    this.#tried ??= new Set()
    // All that may be asked were: one of them again is no moving on.
    if (this.#tried.has(attempt.upstream.key)) return false
    this.#tried.add(attempt.upstream.key)
    const { service } = this.#exchange.routed
    return this.#tried.size < (service?.eligible.length ?? 0) + (service?.reserve.length ?? 0)
  }

  /**
   * Takes one of the policy's tries and a place in the budget; the instance counts as tried. `isBroken`: the connection
   * broke, as all of an instance's do when it crashes. The first try after that is free: it is work that moves, once, and
   * a crash must not find the budget smaller than what the instance was working on.
   */
  #mayTryAgain(attempt: Attempt, isBroken: boolean): boolean {
    if (this.#retriesDone >= this.#retries.attempts) return false
    this.#releaseBudget()
    if (isBroken && this.#retriesDone === 0) {
      this.#upstreams.countMove(attempt.upstream)
    } else {
      if (!this.#upstreams.beginRetry(attempt.upstream)) return false
      this.#budgetFrom = attempt.upstream
    }
    this.#retriesDone++
    this.#tried ??= new Set()
    this.#tried.add(attempt.upstream.key)
    return true
  }

  #tryLater(failure: Failure, delayMs: number): void {
    // Not at once: undici's parser may be at work below us and must not be entered again.
    if (delayMs < 1) queueMicrotask(() => this.#tryNext(failure))
    else this.#tryTimer = setTimeout(() => this.#tryNext(failure), delayMs)
  }

  #shape(): RetryShape {
    return {
      method: this.#exchange.method,
      hasIdempotencyKey: this.#exchange.headers.has('idempotency-key'),
      canReplay: this.#source?.canReplay ?? true,
      isInnerLayer: this.#inherited > 0,
    }
  }

  readonly #onTryTimeout = (): void => {
    const attempt = this.#current
    if (attempt === undefined || attempt.hasHead) return
    attempt.cancel()
    const cause = attempt.wasWritten ? 'timeout' : 'connect-failure'
    const failure = failed('header_timeout', 'GW_UPSTREAM_TIMEOUT', cause)
    this.onFailure(attempt, failure, undefined)
  }

  readonly #onDeadline = (): void => {
    const attempt = this.#current
    // A body that streams may be what took so long.
    if (attempt?.wasWritten === true && !attempt.hasHead && this.#source === undefined) {
      this.#upstreams.health.faulted(attempt.upstream, 'no answer in time', attempt.mark)
    }
    this.#stop('deadline', 'GW_UPSTREAM_DEADLINE')
  }

  readonly #onClientGone = (): void => this.#stop('client_gone', undefined)

  onIdle(): void {
    this.#stop('client_timeout', 'GW_REQUEST_TIMEOUT')
  }

  onBroken(): void {
    this.#stop('client_gone', undefined)
  }

  /** Ends the exchange from our side, whatever it is doing. */
  #stop(outcome: Outcome, code: ErrorCode | undefined): void {
    if (this.#isSettled) return
    const attempt = this.#current
    attempt?.cancel()
    if (attempt?.hasHead === true) {
      this.sink.abort()
      this.#settle(outcome, attempt)
    } else {
      this.#settle(outcome, attempt, code === undefined ? undefined : { code })
    }
  }

  #refuse(outcome: Outcome, code: ErrorCode, retryAfterSeconds?: number): void {
    this.#settle(outcome, undefined, retryAfterSeconds === undefined ? { code } : { code, retryAfterSeconds })
  }

  /** Counts a try out, once. */
  #closeAttempt(attempt: Attempt): void {
    if (attempt.endedAt !== undefined) return
    attempt.endedAt = this.clock.monotonic()
    this.#upstreams.end(attempt.upstream, attempt.mark)
    if (this.#current === attempt) this.#current = undefined
  }

  #releaseBudget(): void {
    if (this.#budgetFrom === undefined) return
    this.#upstreams.endRetry(this.#budgetFrom)
    this.#budgetFrom = undefined
  }

  #settle(outcome: Outcome, attempt?: Attempt, refuse?: ForwardResult['refuse']): void {
    if (this.#isSettled) return
    this.#isSettled = true
    if (this.#deadline !== undefined) this.#upstreams.deadlines.end(this.#deadline)
    clearTimeout(this.#tryTimer)
    this.#exchange.signal.removeEventListener('abort', this.#onClientGone)
    if (attempt !== undefined) {
      attempt.outcome ??= outcome
      this.#closeAttempt(attempt)
    }
    this.#releaseBudget()
    const { body } = this.#exchange
    const last = this.#attempts.at(-1)
    const result: ForwardResult = {
      outcome,
      attempts: this.#attempts.map((one) => this.#record(one)),
      upstreamMs: last?.headAt === undefined ? undefined : last.headAt - last.startedAt,
      bytesSent: body.kind === 'buffer' ? body.bytes.length : (this.#source?.bytesRead ?? 0),
      bytesReceived: last?.bytesReceived ?? 0,
      refuse,
    }
    this.#source?.close()
    this.#resolve(result)
  }

  #record(attempt: Attempt): AttemptRecord {
    return {
      instance: attempt.upstream.instance,
      startedMs: attempt.startedAt - this.#startedAt,
      endedMs: (attempt.endedAt ?? attempt.startedAt) - this.#startedAt,
      status: attempt.status,
      outcome: attempt.outcome ?? 'ok',
    }
  }
}
