import {
  type BucketCounts,
  countAbove,
  HISTOGRAM_BUCKETS,
  mergeCounts,
  quantileOf,
} from '../core/log-histogram.ts'
import {
  addProportions,
  againstLimit,
  againstStable,
  type Evidence,
  NO_PROPORTION,
  noComparison,
  noExcess,
  type Proportion,
  ratioOf,
  strength,
} from './evidence.ts'
import type { Block, CheckState, Guard, GuardCheck, Pending, SideCounts } from './release.ts'

/** What stable took is forgotten by this part with each block: the hours of the day differ. */
const FORGET = 0.2
/** Fewer answers of stable say nothing of its quantiles. */
const MIN_STABLE_LATENCY = 50
/** So long requests of one side wait for some of the other: then they are too far apart to be compared. ms. */
const PENDING_MS = 10 * 60_000
/** From this part of the way (of logarithms) to an alarm no step upwards is taken. */
const SUSPICION = 0.5

/** What a guard says after a block. */
export interface Verdict {
  readonly checks: Readonly<Record<string, CheckState>>
  /** Reasons in words; empty = nothing bad was found. */
  readonly bad: readonly string[]
  /** Not enough is known to go on: why. */
  readonly missing: readonly string[]
}

/** For a step that begins. */
export function freshChecks(guard: Guard): Record<string, CheckState> {
  return Object.fromEntries(
    guard.checks.map((check) => [
      check.name,
      {
        evidence: isCompared(check) ? noComparison() : noExcess(),
        stableLatency: new Array<number>(HISTOGRAM_BUCKETS).fill(0),
        failures: 0,
        isKnown: false,
      },
    ]),
  )
}

function isCompared(check: GuardCheck): boolean {
  return check.kind === 'share' && check.maxIncrease !== undefined
}

/** Evidence above this (its logarithm) is an alarm: each check may alarm falsely with an equal part of the chance. */
export function alarmLevel({ checks, falseAlarm }: Guard): number {
  return Math.log(Math.max(1, checks.length) / falseAlarm)
}

interface Circumstances {
  /** Requests of the canary in this step. */
  readonly canaryTotal: number
  /** The canary has it all: nothing may be left to compare with. */
  readonly isWhole: boolean
  /** ms since the epoch. */
  readonly now: number
}

/** Looks at one more block. Pure. */
export function judge(
  guard: Guard,
  before: Readonly<Record<string, CheckState>>,
  block: Block,
  { canaryTotal, isWhole, now }: Circumstances,
): Verdict {
  const fresh = freshChecks(guard)
  const checks: Record<string, CheckState> = {}
  const bad: string[] = []
  const missing: string[] = []
  const alarm = alarmLevel(guard)
  for (const check of guard.checks) {
    const state = before[check.name] ?? (fresh[check.name] as CheckState)
    const seen = look(check, state, { block, alarm, failures: guard.failures, now })
    checks[check.name] = seen.state
    if (seen.bad !== undefined) bad.push(seen.bad)
    if (seen.missing !== undefined) missing.push(seen.missing)
    if (seen.uncompared !== undefined && !isWhole) missing.push(seen.uncompared)
  }
  if (canaryTotal < guard.minRequests) {
    missing.push(`${canaryTotal} of ${guard.minRequests} requests of the canary`)
  }
  return { checks, bad, missing }
}

interface Look {
  readonly state: CheckState
  readonly bad?: string
  readonly missing?: string
  /** Stable did not do enough to be compared with. */
  readonly uncompared?: string
}

interface Sight {
  readonly block: Block
  readonly alarm: number
  readonly failures: number
  readonly now: number
}

function look(check: GuardCheck, state: CheckState, sight: Sight): Look {
  const { block, alarm, failures } = sight
  switch (check.kind) {
    case 'share':
      return lookAtShare(check, state, sight)
    case 'latency':
      return lookAtLatency(check, state, block, alarm)
    case 'value':
      return lookAtValue(check, state, block.values[check.name], failures)
  }
}

function lookAtShare(
  check: GuardCheck & { kind: 'share' },
  state: CheckState,
  { block: { canary, stable }, alarm, now }: Sight,
): Look {
  const [ours, theirs] = [shareOf(canary, check.header), shareOf(stable, check.header)]
  const { maxIncrease, max, name } = check
  if (maxIncrease !== undefined) {
    const waiting = gather(state.pending, ours, theirs, now)
    const evidence = isDue(waiting, now)
      ? againstStable(state.evidence, waiting.canary, waiting.stable)
      : state.evidence
    const isEmpty = waiting.canary.total + waiting.stable.total === 0
    const pending = isEmpty || isDue(waiting, now) ? undefined : waiting
    const increase = ratioOf(evidence.canary) - ratioOf(evidence.stable)
    const isBad = strength(evidence) > alarm && increase > maxIncrease
    const isOver = max !== undefined && ratioOf(evidence.canary) > max && strength(evidence) > alarm
    const look = { state: { ...state, evidence, pending }, ...suspicion(name, evidence, alarm) }
    if (isBad || isOver) return { ...look, bad: shareText(name, evidence) }
    if (evidence.stable.total + waiting.stable.total > 0) return look
    return { ...look, uncompared: `${name}: no request of stable to compare with` }
  }
  const evidence = againstLimit(state.evidence, ours, max ?? 1)
  return {
    state: { ...state, evidence },
    ...suspicion(name, evidence, alarm),
    ...(strength(evidence) > alarm
      ? { bad: `${name}: ${portion(evidence.canary)}, allowed are ${percent(max ?? 1)}` }
      : {}),
  }
}

function gather(before: Pending | undefined, canary: Proportion, stable: Proportion, now: number): Pending {
  return {
    since: before?.since ?? now,
    canary: addProportions(before?.canary ?? NO_PROPORTION, canary),
    stable: addProportions(before?.stable ?? NO_PROPORTION, stable),
  }
}

/** Of both sides there is something, or it is too late for the other. A block of one side is no evidence. */
function isDue({ since, canary, stable }: Pending, now: number): boolean {
  return (canary.total > 0 && stable.total > 0) || now - since >= PENDING_MS
}

/** Not bad enough to go back, too bad to go on. */
function suspicion(name: string, evidence: Evidence, alarm: number): { missing?: string } {
  return strength(evidence) > alarm * SUSPICION ? { missing: `${name}: looks worse, not surely` } : {}
}

function shareOf(side: SideCounts, header: string | undefined): Proportion {
  return { total: side.total, bad: header === undefined ? side.bad : (side.headers[header] ?? 0) }
}

function shareText(name: string, { canary, stable }: Evidence): string {
  return `${name}: canary ${portion(canary)}, stable ${portion(stable)}`
}

function portion({ total, bad }: Proportion): string {
  return `${bad} of ${total} (${percent(bad / total)})`
}

function percent(share: number): string {
  return Number.isNaN(share) ? 'none' : `${Math.round(share * 10_000) / 100} %`
}

function lookAtLatency(
  check: GuardCheck & { kind: 'latency' },
  state: CheckState,
  { canary, stable }: Block,
  alarm: number,
): Look {
  const { quantile, maxRatio, maxMs, name } = check
  const kept = state.stableLatency.map((count) => count * (1 - FORGET))
  const stableLatency = mergeCounts(kept, stable.latency)
  const limit = latencyLimit(stableLatency, quantile, maxRatio, maxMs)
  if (limit === undefined) {
    return {
      state: { ...state, stableLatency },
      uncompared: `${name}: too few answers of stable to compare with`,
    }
  }
  const total = canary.latency.reduce((sum, count) => sum + count, 0)
  // If the quantile is within the limit, no more than the rest of the answers are beyond it.
  const slow = { total, bad: countAbove(canary.latency, limit) }
  const evidence = againstLimit(state.evidence, slow, 1 - quantile)
  const text = `${name}: ${portion(evidence.canary)} of the canary’s answers took longer than ${Math.round(limit)} ms, allowed are ${percent(1 - quantile)}`
  return {
    state: { ...state, stableLatency, evidence },
    ...suspicion(name, evidence, alarm),
    ...(strength(evidence) > alarm ? { bad: text } : {}),
  }
}

/** ms. */
function latencyLimit(
  stable: BucketCounts,
  quantile: number,
  maxRatio: number | undefined,
  maxMs: number | undefined,
): number | undefined {
  if (maxRatio === undefined) return maxMs
  const total = stable.reduce((sum, count) => sum + count, 0)
  const known = total >= MIN_STABLE_LATENCY ? quantileOf(stable, quantile) : undefined
  if (known === undefined) return maxMs
  return Math.min(known * maxRatio, maxMs ?? Number.POSITIVE_INFINITY)
}

function lookAtValue(
  check: GuardCheck & { kind: 'value' },
  state: CheckState,
  value: number | undefined,
  failures: number,
): Look {
  const { name, max, min, optional } = check
  if (value === undefined || Number.isNaN(value)) {
    const isKnown = value === undefined && state.isKnown
    const { failures: row } = state
    const missing = row > 0 ? `${name}: bad ${row} of ${failures} times` : `${name}: no value`
    return { state: { ...state, isKnown }, ...(row > 0 || !(optional || isKnown) ? { missing } : {}) }
  }
  const isBad = (max !== undefined && value > max) || (min !== undefined && value < min)
  const row = isBad ? state.failures + 1 : 0
  const bounds = [min === undefined ? '' : `at least ${min}`, max === undefined ? '' : `at most ${max}`]
  return {
    state: { ...state, failures: row, isKnown: true },
    ...(row > 0 ? { missing: `${name}: ${value}, bad ${row} of ${failures} times` } : {}),
    ...(row >= failures
      ? {
          bad: `${name}: ${value}, ${row} times in a row; allowed is ${bounds.filter(Boolean).join(' and ')}`,
        }
      : {}),
  }
}
