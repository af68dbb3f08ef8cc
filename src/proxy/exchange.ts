import type { Readable } from 'node:stream'
import type { ErrorCode } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Instance } from '../core/types.ts'
import type { Routed } from '../routing/table.ts'

/** A request body on its way upstream. */
export type RequestBody =
  | { readonly kind: 'none' }
  /** Whole in memory: can be sent again. */
  | { readonly kind: 'buffer'; readonly bytes: Buffer }
  /** Sent as it arrives; can be sent again only while nothing was read. `length` undefined = chunked. */
  | { readonly kind: 'stream'; readonly stream: Readable; readonly length: number | undefined }

/** Sees a streamed body go by; what it does must be quick and must not throw. */
export interface BodyTap {
  data(chunk: Buffer): void
  /** All of it went by. */
  end(): void
}

/** Where the answer goes. Implemented by the public server; `forward` calls it in this order. */
export interface ResponseSink {
  /** A 1xx other than 100 and 101 (103 Early Hints): passed on at once. */
  informational(status: number, headers: Headers): void
  /**
   * Final status and headers, hop-by-hop ones removed. Called once. Outbound filters run inside.
   * `forward` reads no body before it is done.
   */
  head(status: number, headers: Headers): void | Promise<void>
  /** A piece of body. False = the client is slow: wait for `onDrain`. */
  write(chunk: Buffer): boolean
  /** Called when writing may go on. */
  onDrain(resume: () => void): void
  /** The answer is complete. */
  end(trailers: Headers | undefined): void
  /** The upstream broke after `head`: the client must notice (reset, RST_STREAM), never see a complete answer. */
  abort(): void
}

/** Whether and when the client left: as much of an AbortSignal as an exchange needs. */
export interface Departure {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** One request to forward. */
export interface Exchange {
  readonly routed: Routed
  readonly requestId: string
  readonly method: string
  /** Cleaned and edited; what goes upstream, except Host, framing and `x-sluice-attempt`. */
  readonly headers: Headers
  /** The client's Host, normalised with its port, for `host: preserve`. */
  readonly clientHost: string
  readonly clientIp: string
  readonly body: RequestBody
  readonly bodyTap?: BodyTap | undefined
  readonly sink: ResponseSink
  /** Is told of each try when it begins; the try itself then says what becomes of it. */
  readonly onTry?: ((attempt: BegunAttempt) => void) | undefined
  /** Aborts when the client leaves: the upstream request is cancelled, the outcome is `client_gone`. */
  readonly signal: Departure
}

/** A try under way. Monotonic ms. */
export interface BegunAttempt {
  readonly upstream: { readonly instance: Instance }
  readonly startedAt: number
  readonly endedAt: number | undefined
  readonly status: number | undefined
  readonly outcome: Outcome | undefined
}

/** One try, for log, metrics and explain. ms since the exchange began. */
export interface Attempt {
  readonly instance: Instance
  readonly startedMs: number
  readonly endedMs: number
  /** Status the instance answered; undefined when it did not. */
  readonly status: number | undefined
  readonly outcome: Outcome
}

/** What became of an exchange. */
export interface ForwardResult {
  readonly outcome: Outcome
  /** Set when nothing was sent to the client yet: answer with this problem. */
  readonly refuse?: { readonly code: ErrorCode; readonly retryAfterSeconds?: number } | undefined
  readonly attempts: readonly Attempt[]
  /** ms from the last try's start to its response headers. */
  readonly upstreamMs: number | undefined
  readonly bytesSent: number
  readonly bytesReceived: number
}

/** The live side of one instance: pool and counters. Keyed by `Instance.key`; outlives tables. */
export interface Upstream {
  readonly instance: Instance
  /** Requests and tunnels under way. */
  readonly inFlight: number
  /** ms (monotonic) until which it is not picked; 0 = in rotation. */
  readonly ejectedUntil: number
}

/** What the picker may look at besides the table. */
export interface PickRequest {
  readonly routed: Routed
  /** Keys of instances already tried. */
  readonly tried: ReadonlySet<string>
  /** For consistent hashing. */
  readonly headers: Headers
  readonly clientIp: string
}
