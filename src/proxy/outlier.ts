import type { OutlierPolicy } from '../core/health-policy.ts'

/** Counting and judging of what requests met at an instance. No clock, no live objects: see ejector.ts for these. */

/** Why an instance is out. */
export type EjectionCause =
  | 'connect'
  | 'local'
  | 'gateway-errors'
  | 'server-errors'
  | 'success-rate'
  | 'failure-percent'
  | 'check'

/** Results of all instances of a service since the start; live. */
export interface Totals {
  successes: number
  failures: number
}

/** What one instance's requests met. Mutable: touched by each answer. */
export interface OutlierRecord {
  readonly totals: Totals
  /** The last 30 results, the newest in the lowest bit; 1 = failed. */
  history: number
  /** How many of these there are. */
  known: number
  /** In a row, until now. */
  connects: number
  locals: number
  gatewayErrors: number
  /** Failures of any kind, connects apart. */
  errors: number
  /** `totals` when these began. */
  successesBefore: number
  failuresBefore: number
  /** The status of all of them; 0 = they differ, or there was none. */
  errorStatus: number
  /** In words: the last failure that was no status. */
  lastFault: string
  /** Since the last sweep. */
  requests: number
  failures: number
  /** Ejections that make the next one longer. */
  times: number
}

const HISTORY_BITS = 30
const HISTORY_MASK = 0x3fff_ffff
/** An ejection is made when the row would be this unlikely for one that fails as seldom as the others. */
const CHANCE = 1e-6
/** Nobody is an outlier when the others fail more often than this. */
const MAX_OTHERS = 0.5
/** The others must have succeeded so often while the row grew: else it is a fault of all that has just begun. */
const MIN_SUCCESSES = 5
/** Standard errors by which the others may really be worse than what was seen of them. */
const CAUTION = 2
/** Success rates less than this below the mean are no reason, however close together the rest is. */
const MIN_RATE_GAP = 0.05
/** A connect failure keeps an instance out for at most this many times its first time. */
const MAX_CONNECT_TIMES = 12

/** `totals`: shared by the instances of a service. */
export function createRecord(totals: Totals): OutlierRecord {
  return {
    totals,
    successesBefore: 0,
    failuresBefore: 0,
    history: 0,
    known: 0,
    connects: 0,
    locals: 0,
    gatewayErrors: 0,
    errors: 0,
    errorStatus: 0,
    lastFault: '',
    requests: 0,
    failures: 0,
    times: 0,
  }
}

/** Whether a status speaks against the instance. 4xx is the client's doing; 501 and 505 speak of the request. */
export function isServerError(status: number): boolean {
  return status >= 500 && status !== 501 && status !== 505
}

/** It answered, and not with a server error. */
export function noteSuccess(record: OutlierRecord): void {
  record.requests++
  record.totals.successes++
  record.history = (record.history << 1) & HISTORY_MASK
  if (record.known < HISTORY_BITS) record.known++
  if (record.errors !== 0 || record.connects !== 0) clearRows(record)
}

function clearRows(record: OutlierRecord): void {
  record.connects = 0
  record.locals = 0
  record.gatewayErrors = 0
  record.errors = 0
  record.errorStatus = 0
  record.lastFault = ''
}

/** Begins anew, as after a time out; how often it was ejected stays. */
export function clearRecord(record: OutlierRecord): void {
  clearRows(record)
  record.history = 0
  record.known = 0
  record.requests = 0
  record.failures = 0
}

function noteFailure(record: OutlierRecord, status: number): void {
  if (record.errors === 0) {
    record.successesBefore = record.totals.successes
    record.failuresBefore = record.totals.failures
  }
  record.totals.failures++
  record.requests++
  record.failures++
  record.history = ((record.history << 1) & HISTORY_MASK) | 1
  if (record.known < HISTORY_BITS) record.known++
  record.errorStatus = record.errors === 0 || record.errorStatus === status ? status : 0
  record.errors++
}

/** It answered with a server error. */
export function noteServerError(record: OutlierRecord, status: number): void {
  noteFailure(record, status)
  record.connects = 0
  record.locals = 0
  if (status >= 502 && status <= 504) record.gatewayErrors++
  else record.gatewayErrors = 0
}

/** It was connected to and then failed: reset, timeout, no HTTP. */
export function noteFault(record: OutlierRecord, fault: string): void {
  noteFailure(record, 0)
  record.connects = 0
  record.locals++
  record.lastFault = fault
}

/** It could not be connected to. Nobody was asked anything, so this is no result in the history. */
export function noteConnectFailure(record: OutlierRecord, fault: string): void {
  record.connects++
  record.lastFault = fault
}

const isReached = (count: number, limit: number) => limit > 0 && count >= limit

/** Which row of failures is long enough, before anybody is compared with; the longest reason first. */
export function causeOf(record: OutlierRecord, policy: OutlierPolicy): EjectionCause | undefined {
  if (isReached(record.connects, policy.connectFailures)) return 'connect'
  if (isReached(record.locals, policy.localFailures)) return 'local'
  if (isReached(record.gatewayErrors, policy.gatewayErrors)) return 'gateway-errors'
  if (isReached(record.errors, policy.serverErrors)) return 'server-errors'
  return undefined
}

function countBits(value: number): number {
  let bits = value - ((value >> 1) & 0x5555_5555)
  bits = (bits & 0x3333_3333) + ((bits >> 2) & 0x3333_3333)
  return Math.imul((bits + (bits >> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}

/** How the other instances did. */
export interface Others {
  /** Of their last 30 results each. */
  readonly failed: number
  readonly known: number
  /** While the row grew. */
  readonly successesSince: number
  readonly failuresSince: number
}

export function othersOf(records: Iterable<OutlierRecord>, one: OutlierRecord): Others {
  let [failed, known] = [0, 0]
  for (const record of records) {
    if (record === one) continue
    failed += countBits(record.history)
    known += record.known
  }
  const { totals, successesBefore, failuresBefore, errors } = one
  return {
    failed,
    known,
    successesSince: totals.successes - successesBefore,
    failuresSince: totals.failures - failuresBefore - errors,
  }
}

/**
 * Whether `row` failures one after the other say something about the instance and not about what was asked: the
 * others, asked the same, must do well at the same time, and fail so seldom that the row is no chance. With clean
 * others that takes 5 or 6 in a row, with more noise more; where everybody fails nobody stands out.
 */
export function standsOut(row: number, others: Others): boolean {
  const { failed, known, successesSince, failuresSince } = others
  if (successesSince < MIN_SUCCESSES || failuresSince > successesSince) return false
  if (known === 0 || failed > known * MAX_OTHERS) return false
  const share = (failed + 1) / (known + 2)
  const worst = share + CAUTION * Math.sqrt((share * (1 - share)) / known)
  return worst ** row <= CHANCE
}

/** How long it stays out; `times` counts this ejection. ms. */
export function ejectionMs(
  cause: EjectionCause,
  times: number,
  policy: OutlierPolicy,
  random: () => number,
): number {
  const { baseTimeMs, connectTimeMs, maxTimeMs, jitter } = policy
  const plain =
    cause === 'connect' ? connectTimeMs * Math.min(times, MAX_CONNECT_TIMES) : baseTimeMs * Math.max(1, times)
  return Math.min(plain, maxTimeMs) * (1 + jitter * random())
}

/** One that a sweep finds. */
export interface Finding<T> {
  readonly one: T
  readonly cause: 'success-rate' | 'failure-percent'
  /** In words. */
  readonly reason: string
}

const percent = (share: number) => `${Math.round(share * 1000) / 10} %`

/** Who lies apart from the rest in this interval, the worst first. */
export function sweepOutliers<T extends { readonly record: OutlierRecord }>(
  all: readonly T[],
  policy: OutlierPolicy,
): Finding<T>[] {
  const found = [...byFailurePercent(all, policy), ...bySuccessRate(all, policy)]
  const seen = new Set<T>()
  return found.filter(({ one }) => !seen.has(one) && seen.add(one))
}

function rated<T extends { readonly record: OutlierRecord }>(
  all: readonly T[],
  { minInstances, minRequests }: { readonly minInstances: number; readonly minRequests: number },
): { one: T; rate: number; requests: number; failures: number }[] {
  const enough = all
    .filter(({ record }) => record.requests >= minRequests)
    .map((one) => {
      const { requests, failures } = one.record
      return { one, rate: 1 - failures / requests, requests, failures }
    })
    .sort((a, b) => a.rate - b.rate)
  return enough.length < minInstances ? [] : enough
}

function bySuccessRate<T extends { readonly record: OutlierRecord }>(
  all: readonly T[],
  { successRate }: OutlierPolicy,
): Finding<T>[] {
  if (successRate.stdevs === 0) return []
  const list = rated(all, successRate)
  if (list.length === 0) return []
  const mean = list.reduce((sum, { rate }) => sum + rate, 0) / list.length
  const deviation = Math.sqrt(list.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / list.length)
  const limit = Math.min(mean - successRate.stdevs * deviation, mean - MIN_RATE_GAP)
  return list
    .filter(({ rate }) => rate < limit)
    .map(({ one, rate }) => ({
      one,
      cause: 'success-rate',
      reason: `${percent(rate)} of its requests succeeded, ${percent(mean)} is the mean of ${list.length} instances`,
    }))
}

function byFailurePercent<T extends { readonly record: OutlierRecord }>(
  all: readonly T[],
  { failurePercent }: OutlierPolicy,
): Finding<T>[] {
  if (failurePercent.percent === 0) return []
  const list = rated(all, failurePercent)
  const requests = list.reduce((sum, one) => sum + one.requests, 0)
  const failures = list.reduce((sum, one) => sum + one.failures, 0)
  return list
    .filter((one) => {
      const share = 1 - one.rate
      const others = (failures - one.failures) / Math.max(1, requests - one.requests)
      return share * 100 >= failurePercent.percent && others <= share / 2
    })
    .map(({ one, rate, requests: asked, failures: bad }) => ({
      one,
      cause: 'failure-percent',
      reason: `${bad} of ${asked} requests failed (${percent(1 - rate)})`,
    }))
}

/** The row that led to `cause`, in words: `5 of 5 answers were 503`. */
export function rowText(record: OutlierRecord, cause: EjectionCause): string {
  const { connects, locals, gatewayErrors, errors, errorStatus, lastFault } = record
  if (cause === 'connect')
    return connects === 1 ? lastFault : `${connects} of ${connects} connects failed: ${lastFault}`
  if (cause === 'local') return `${locals} of ${locals} requests failed: ${lastFault}`
  const row = cause === 'gateway-errors' ? gatewayErrors : errors
  if (errorStatus !== 0) return `${row} of ${row} answers were ${errorStatus}`
  return cause === 'gateway-errors'
    ? `${row} of ${row} answers were 502, 503 or 504`
    : `${row} of ${row} requests failed or were answered 5xx`
}
