import { GatewayError } from '../core/errors.ts'

export type Algorithm = 'token-bucket' | 'sliding-window' | 'fixed-window'

/** A limit as an operator writes it. */
export interface LimitSpec {
  readonly algorithm: Algorithm
  /** So many in a window; 0 = nothing passes. */
  readonly limit: number
  readonly windowMs: number
  /** Token bucket: how many may come at once. */
  readonly burst: number
}

/**
 * A limit ready to count. All numbers are integers below 2^53, and so is everything computed from them, here and in
 * Lua: nobody gains by rounding, and both sides agree to the last digit.
 */
export interface Limit extends LimitSpec {
  /** Token bucket: one token is so many units … */
  readonly unit: number
  /** … and so many of them come back in a tick. */
  readonly refill: number
  /** µs. */
  readonly tick: number
}

/** What is remembered for one key: three integers whose meaning depends on the algorithm. */
export interface LimitState {
  /** Bucket: units owed. Sliding: count of this window. Fixed: count. */
  readonly a: number
  /** Bucket: µs when that was so. Sliding: number of this window. Fixed: µs of the first request. */
  readonly b: number
  /** Bucket: units a token when it was written. Sliding: count of the window before. Fixed: 0. */
  readonly c: number
}

/** What one limit says to one request. */
export interface Decision {
  readonly isAllowed: boolean
  /** Burst of a bucket, limit of a window. */
  readonly limit: number
  /** What is left after this request. */
  readonly remaining: number
  /** Until all of it is there again (bucket) or the window ends. ms, rounded up. */
  readonly resetMs: number
  /** Until the same request would pass, when nobody else comes. ms, rounded up; 0 = it did pass. */
  readonly retryAfterMs: number
}

/** A decision, and what is to be remembered when the request goes on. */
export interface Evaluation extends Decision {
  readonly next: LimitState
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Throws GW_CONFIG_INVALID for numbers that cannot be counted exactly. */
export function compileLimit(spec: LimitSpec): Limit {
  const { limit, windowMs, burst } = spec
  const isBucket = spec.algorithm === 'token-bucket'
  if (limit === 0 || !isBucket) {
    requireExact(spec, limit * windowMs)
    return { ...spec, burst: isBucket ? burst : limit, unit: 0, refill: 0, tick: 1 }
  }
  for (const tick of [1, 1000]) {
    const window = (windowMs * 1000) / tick
    const divisor = gcd(limit, window)
    const [unit, refill] = [window / divisor, limit / divisor]
    // Twice: a sum of what is owed and what is asked for stays exact, too.
    if (burst * unit * 2 + refill <= Number.MAX_SAFE_INTEGER) return { ...spec, unit, refill, tick }
  }
  return requireExact(spec, Number.POSITIVE_INFINITY) as never
}

function requireExact({ limit, windowMs }: LimitSpec, product: number): void {
  if (product * 2 <= Number.MAX_SAFE_INTEGER) return
  const text = `${limit} in ${windowMs} ms cannot be counted exactly: use a shorter window or a smaller limit`
  throw new GatewayError('GW_CONFIG_INVALID', text)
}

/**
 * What the limit says to a request of this cost at `nowUs`. Pure. A clock that went back neither gives anything nor
 * takes it.
 */
export function evaluate(
  limit: Limit,
  state: LimitState | undefined,
  cost: number,
  nowUs: number,
): Evaluation {
  if (limit.limit === 0) return blocked(limit, nowUs)
  switch (limit.algorithm) {
    case 'token-bucket':
      return evaluateBucket(limit, state, cost, nowUs)
    case 'sliding-window':
      return evaluateSliding(limit, state, cost, Math.floor(nowUs / 1000))
    case 'fixed-window':
      return evaluateFixed(limit, state, cost, nowUs)
  }
}

function blocked({ windowMs }: Limit, nowUs: number): Evaluation {
  const next = { a: 0, b: nowUs, c: 0 }
  return { isAllowed: false, limit: 0, remaining: 0, resetMs: windowMs, retryAfterMs: windowMs, next }
}

/**
 * Kept is what is owed, not what is left: who raises a limit gives at once, and what is unknown owes nothing.
 */
function evaluateBucket(
  limit: Limit,
  state: LimitState | undefined,
  cost: number,
  nowUs: number,
): Evaluation {
  const { burst, unit, refill, tick, windowMs } = limit
  let owed = 0
  let at = nowUs
  if (state !== undefined) {
    owed = state.c === unit ? state.a : Math.ceil((state.a / state.c) * unit)
    const ticks = Math.floor((nowUs - Math.min(state.b, nowUs)) / tick)
    if (ticks >= Math.ceil(owed / refill)) owed = 0
    else {
      owed -= ticks * refill
      at = Math.min(state.b, nowUs) + ticks * tick
    }
  }
  const capacity = burst * unit
  const wanted = owed + cost * unit
  const isAllowed = wanted <= capacity
  if (isAllowed) owed = wanted
  const wait = cost > burst ? windowMs * 1000 : Math.ceil((wanted - capacity) / refill) * tick
  return {
    isAllowed,
    limit: burst,
    remaining: Math.max(0, Math.floor((capacity - owed) / unit)),
    resetMs: Math.ceil((Math.ceil(owed / refill) * tick) / 1000),
    retryAfterMs: isAllowed ? 0 : Math.ceil(wait / 1000),
    next: { a: owed, b: at, c: unit },
  }
}

/**
 * Two windows: the one before counts as far as it still reaches into the last `windowMs`. A clock that went back by
 * more than a window is another clock (a replica was promoted): what was counted by the old one is forgotten, or it
 * would be held against clients for as long as the clocks differ.
 */
function evaluateSliding(
  { limit, windowMs }: Limit,
  state: LimitState | undefined,
  cost: number,
  nowMs: number,
): Evaluation {
  let index = Math.floor(nowMs / windowMs)
  let into = nowMs - index * windowMs
  let [current, previous] = [0, 0]
  if (state !== undefined) {
    if (state.b === index + 1) [index, into] = [state.b, 0]
    if (state.b === index) [current, previous] = [state.a, state.c]
    else if (state.b === index - 1) previous = state.a
  }
  const tail = previous * (windowMs - into)
  const isAllowed = tail + (current + cost) * windowMs <= limit * windowMs
  const retryAfterMs = isAllowed ? 0 : slidingWait(limit, windowMs, current, previous, cost, into)
  if (isAllowed) current += cost
  return {
    isAllowed,
    limit,
    remaining: Math.max(0, Math.floor((limit * windowMs - current * windowMs - tail) / windowMs)),
    resetMs: windowMs - into,
    retryAfterMs,
    next: { a: current, b: index, c: previous },
  }
}

function slidingWait(
  limit: number,
  windowMs: number,
  current: number,
  previous: number,
  cost: number,
  into: number,
): number {
  if (cost > limit) return windowMs
  const room = limit - current - cost
  if (room >= 0) return windowMs - Math.floor((room * windowMs) / previous) - into
  return windowMs - into + (windowMs - Math.floor(((limit - cost) * windowMs) / current))
}

/** A window begins with the first request after the last one. */
function evaluateFixed(
  { limit, windowMs }: Limit,
  state: LimitState | undefined,
  cost: number,
  nowUs: number,
): Evaluation {
  let [count, since] = [0, nowUs]
  if (state !== undefined && nowUs < state.b + windowMs * 1000) {
    count = state.a
    since = Math.min(state.b, nowUs)
  }
  const isAllowed = count + cost <= limit
  if (isAllowed) count += cost
  const resetMs = Math.ceil((since + windowMs * 1000 - nowUs) / 1000)
  return {
    isAllowed,
    limit,
    remaining: Math.max(0, limit - count),
    resetMs,
    retryAfterMs: isAllowed ? 0 : resetMs,
    next: { a: count, b: since, c: 0 },
  }
}
