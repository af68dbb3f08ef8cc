import type { Dispatcher } from 'undici'
import type { Clock } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'
import type { Outcome } from '../core/outcome.ts'
import type { ResponseSink } from './exchange.ts'
import { cleanResponseHeaders, cleanTrailers, headersFromUpstream } from './hop-headers.ts'
import type { LiveUpstream } from './live-upstream.ts'
import { classifyFailure, type Failure, failed } from './retry.ts'

/** Up to here the body of an unwanted answer is read to keep its socket; beyond, the socket is closed. Bytes. */
const DISCARD_BYTES = 64 * 1024
/** The same in time. ms. */
const DISCARD_MS = 1000

/** What an attempt reports to the exchange it belongs to. Each of `onDone`, `onFailure` at most once. */
export interface AttemptOwner {
  readonly sink: ResponseSink
  readonly clock: Clock
  /** ms the client may leave us waiting while it reads; 0 = for ever. */
  readonly idleMs: number
  /** Headers are there. False = another try will answer: this answer is thrown away. */
  onHead(attempt: Attempt, status: number, headers: Headers): boolean
  onDone(attempt: Attempt): void
  onFailure(attempt: Attempt, failure: Failure, error: unknown): void
}

/** One try at one instance: undici's handler, from dispatch to the last byte. */
export class Attempt implements Dispatcher.DispatchHandler {
  readonly upstream: LiveUpstream
  /** Monotonic ms. */
  readonly startedAt: number
  /** Monotonic ms of the response headers. */
  headAt: number | undefined
  endedAt: number | undefined
  status: number | undefined
  outcome: Outcome | undefined
  /** Of the breaker's probe; 0 = it is none. */
  mark = 0
  /** Response body bytes that went to the sink. */
  bytesReceived = 0
  wasWritten = false
  wasAnswered = false
  /** `sink.head` was called: from here on nothing can be tried again. */
  hasHead = false
  readonly #owner: AttemptOwner
  #controller: Dispatcher.DispatchController | undefined
  #isOver = false
  #isDiscarding = false
  #discarded = 0
  #discardTimer: NodeJS.Timeout | undefined
  #stallTimer: NodeJS.Timeout | undefined
  /** What arrived although paused, while `sink.head` was at work. */
  #held: Buffer[] | undefined
  #heldEnd: { readonly trailers: Headers | undefined } | undefined

  /** `now`: monotonic ms. */
  constructor(upstream: LiveUpstream, owner: AttemptOwner, now: number) {
    this.upstream = upstream
    this.#owner = owner
    this.startedAt = now
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#isOver) {
      controller.abort(cancelled())
      return
    }
    this.#controller = controller
    this.wasWritten = true
  }

  onResponseStarted(): void {
    this.wasAnswered = true
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#isOver) return
    this.wasAnswered = true
    const headers = headersFromUpstream(controller.rawHeaders)
    cleanResponseHeaders(headers)
    if (status < 200) {
      if (status > 101) this.#owner.sink.informational(status, headers)
      return
    }
    this.status = status
    this.headAt = this.#owner.clock.monotonic()
    if (this.#owner.onHead(this, status, headers)) this.#pass(controller, status, headers)
    else this.#discard(controller, headers)
  }

  #pass(controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    this.hasHead = true
    let pending: void | Promise<void>
    try {
      pending = this.#owner.sink.head(status, headers)
    } catch (thrown) {
      this.#failHead(thrown)
      return
    }
    if (pending === undefined) return
    this.#held = []
    controller.pause()
    pending.then(
      () => this.#release(controller),
      (thrown: unknown) => this.#failHead(thrown),
    )
  }

  #failHead(thrown: unknown): void {
    if (this.#isOver) return
    this.cancel()
    // It throws only while nothing was sent, so the client can still be told.
    this.hasHead = false
    this.#owner.onFailure(this, failed('internal', 'GW_GATEWAY_INTERNAL'), thrown)
  }

  #release(controller: Dispatcher.DispatchController): void {
    const held = this.#held
    if (this.#isOver || held === undefined) return
    this.#held = undefined
    let canGoOn = true
    for (const chunk of held) canGoOn = this.#write(chunk)
    if (this.#heldEnd !== undefined) this.#finish(this.#heldEnd.trailers)
    else if (canGoOn) controller.resume()
    else this.#waitForDrain()
  }

  #discard(controller: Dispatcher.DispatchController, headers: Headers): void {
    this.#isDiscarding = true
    if (Number(headers.get('content-length') ?? 0) > DISCARD_BYTES) {
      this.cancel()
      return
    }
    this.#discardTimer = setTimeout(() => controller.abort(cancelled()), DISCARD_MS)
    this.#discardTimer.unref()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isDiscarding) {
      this.#discarded += chunk.length
      if (this.#discarded > DISCARD_BYTES) controller.abort(cancelled())
      return
    }
    if (this.#isOver) return
    if (this.#held !== undefined) {
      this.#held.push(chunk)
      return
    }
    if (!this.#write(chunk)) {
      controller.pause()
      this.#waitForDrain()
    }
  }

  #write(chunk: Buffer): boolean {
    this.bytesReceived += chunk.length
    return this.#owner.sink.write(chunk)
  }

  #waitForDrain(): void {
    if (this.#owner.idleMs > 0) {
      clearTimeout(this.#stallTimer)
      this.#stallTimer = setTimeout(this.#onStalled, this.#owner.idleMs)
    }
    this.#owner.sink.onDrain(this.#onDrained)
  }

  readonly #onDrained = (): void => {
    clearTimeout(this.#stallTimer)
    if (!this.#isOver) this.#controller?.resume()
  }

  readonly #onStalled = (): void => {
    if (this.#isOver) return
    this.cancel()
    this.#owner.onFailure(this, failed('client_timeout', 'GW_REQUEST_TIMEOUT'), undefined)
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    clearTimeout(this.#discardTimer)
    if (this.#isOver || this.#isDiscarding) return
    const raw = controller.rawTrailers
    const trailers =
      raw === undefined || raw === null || raw.length === 0
        ? undefined
        : cleanTrailers(headersFromUpstream(raw))
    if (this.#held === undefined) this.#finish(trailers)
    else this.#heldEnd = { trailers }
  }

  #finish(trailers: Headers | undefined): void {
    this.#isOver = true
    clearTimeout(this.#stallTimer)
    this.#owner.sink.end(trailers)
    this.#owner.onDone(this)
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    clearTimeout(this.#discardTimer)
    if (this.#isOver || this.#isDiscarding) return
    this.#isOver = true
    clearTimeout(this.#stallTimer)
    this.#owner.onFailure(this, classifyFailure(error, this), error)
  }

  /** Ends it from our side; nothing is reported any more. A try still in the queue ends when its turn comes. */
  cancel(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#stallTimer)
    clearTimeout(this.#discardTimer)
    this.#controller?.abort(cancelled())
  }
}

function cancelled(): GatewayError {
  return new GatewayError('GW_UPSTREAM_RESET', 'cancelled by the gateway')
}
