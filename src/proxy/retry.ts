import type { ErrorCode } from '../core/errors.ts'
import { toError } from '../core/errors.ts'
import type { Outcome } from '../core/outcome.ts'
import type { RetryCause, RetryPolicy } from '../core/route.ts'
import type { SocketFault } from './transport.ts'

/** Why a try failed, and what that allows. */
export interface Failure {
  readonly outcome: Outcome
  readonly code: ErrorCode
  /** Under which cause of the policy it may be tried again; undefined = never. */
  readonly cause: RetryCause | 'stale' | undefined
  /** The instance could not be connected to: it goes out of rotation. */
  readonly isConnectFailure: boolean
}

/** What of a try decides about its failure. */
export interface TryState {
  /** The request's bytes may have reached the instance. */
  readonly wasWritten: boolean
  /** A byte of the response arrived. */
  readonly wasAnswered: boolean
}

/** What of a request decides about trying it again. */
export interface RetryShape {
  readonly method: string
  readonly hasIdempotencyKey: boolean
  /** No body, a buffered one, or nothing lost of the stream yet. */
  readonly canReplay: boolean
  /** An outer layer is already trying again (`x-sluice-attempt` > 1): retries would multiply. */
  readonly isInnerLayer: boolean
}

/** RFC 9110 §9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

const CONNECT_TIMEOUTS: ReadonlySet<string> = new Set(['UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT'])
const PROTOCOL_ERRORS: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_RES_EXCEEDED_MAX_SIZE',
])
const POOL_GONE: ReadonlySet<string> = new Set(['UND_ERR_DESTROYED', 'UND_ERR_CLOSED'])
const REFUSED_BY_US: ReadonlySet<string> = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED'])
const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/

/** Sorts an error of undici, net or tls into what happened. Pure. */
export function classifyFailure(thrown: unknown, state: TryState): Failure {
  const error: SocketFault & { code?: unknown; socket?: { bytesRead?: number } } = toError(thrown)
  const code = typeof error.code === 'string' ? error.code : ''
  if (REFUSED_BY_US.has(code)) return failed('internal', 'GW_GATEWAY_INTERNAL')
  if (!state.wasWritten) return connectFailure(code)
  if (code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH') return failed('bad_request', 'GW_REQUEST_MALFORMED')
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return failed('header_timeout', 'GW_UPSTREAM_TIMEOUT', 'timeout')
  if (code === 'UND_ERR_BODY_TIMEOUT') return failed('idle_timeout', 'GW_UPSTREAM_TIMEOUT')
  if (code.startsWith('HPE_') || error.name === 'HTTPParserError' || PROTOCOL_ERRORS.has(code)) {
    return failed('upstream_protocol', 'GW_UPSTREAM_PROTOCOL')
  }
  if (code === 'UND_ERR_SOCKET' && error.message.startsWith('bad ')) {
    return failed('upstream_protocol', 'GW_UPSTREAM_PROTOCOL')
  }
  if (state.wasAnswered) return failed('reset', 'GW_UPSTREAM_RESET')
  const bytesRead = error.upstreamBytesRead ?? error.socket?.bytesRead ?? 0
  // Bytes came on this connection, none of them for this request: it was kept alive and has gone stale.
  return failed('reset', 'GW_UPSTREAM_RESET', bytesRead > 0 ? 'stale' : 'reset')
}

function connectFailure(code: string): Failure {
  // The pool was closed while the request waited in it: no word about the instance.
  if (POOL_GONE.has(code)) return failed('connect_failed', 'GW_UPSTREAM_CONNECT', 'connect-failure')
  const base = { cause: 'connect-failure', isConnectFailure: true } as const
  if (CONNECT_TIMEOUTS.has(code)) {
    return { ...base, outcome: 'connect_timeout', code: 'GW_UPSTREAM_CONNECT_TIMEOUT' }
  }
  if (TLS_CODE.test(code)) return { ...base, outcome: 'tls_failed', code: 'GW_UPSTREAM_TLS' }
  return { ...base, outcome: 'connect_failed', code: 'GW_UPSTREAM_CONNECT' }
}

/** A failure that is no word about the connection; without `cause` it is final. */
export function failed(outcome: Outcome, code: ErrorCode, cause?: Failure['cause']): Failure {
  return { outcome, code, cause, isConnectFailure: false }
}

/**
 * Whether a failure allows another try. Never written: any method. Written but unanswered: only if
 * doing it twice is doing it once. `stale` counts as `reset`.
 */
export function mayRetryFailure(
  cause: Failure['cause'],
  request: RetryShape,
  policy: RetryPolicy,
): cause is RetryCause | 'stale' {
  if (cause === undefined || !request.canReplay) return false
  if (cause === 'connect-failure') return policy.on.includes(cause)
  return isRepeatable(request, policy) && policy.on.includes(cause === 'stale' ? 'reset' : cause)
}

/** Whether an instance's answer is a reason to ask another one. */
export function mayRetryStatus(status: number, request: RetryShape, policy: RetryPolicy): boolean {
  if (status < 400 || !request.canReplay || !isRepeatable(request, policy)) return false
  if (status >= 502 && status <= 504 && policy.on.includes('gateway-error')) return true
  if (status >= 500 && policy.on.includes('5xx')) return true
  return policy.statuses.includes(status)
}

/** Doing it twice is the same as once, and nobody else does it. */
function isRepeatable(request: RetryShape, policy: RetryPolicy): boolean {
  if (request.isInnerLayer) return false
  return IDEMPOTENT.has(request.method) || (policy.idempotencyKey && request.hasIdempotencyKey)
}

const BACKOFF_BASE_MS = 25
const BACKOFF_MAX_MS = 250

/** Full jitter: random in [0, (2^n - 1) * 25 ms), at most 250 ms; n = 1, 2, 3 … counts the retries. */
export function retryDelayMs(retry: number, random: () => number): number {
  return random() * Math.min(BACKOFF_MAX_MS, (2 ** retry - 1) * BACKOFF_BASE_MS)
}

/** An answer's `Retry-After` in ms; undefined when absent, a date, or over 300 s (then it is no retry). */
export function retryAfterMs(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{1,3}$/.test(value)) return undefined
  const seconds = Number(value)
  return seconds > 300 ? undefined : seconds * 1000
}
