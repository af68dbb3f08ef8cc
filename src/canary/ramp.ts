import { freshChecks, judge, type Verdict } from './guard.ts'
import type {
  Block,
  Counted,
  HistoryEntry,
  Ramp,
  RampStep,
  RampWindow,
  ReleaseState,
  ReleaseStatus,
  SideCounts,
} from './release.ts'

/** Entries of the history that are kept. */
const KEPT_HISTORY = 50
/** Breaches of a contract that are kept, of one step and let pass. */
const KEPT_BREACHES = 50
const KEPT_ACCEPTED = 500
/** … and that a reason names. */
const TOLD_BREACHES = 3
const NOTHING = { total: 0, bad: 0 }
const NO_COUNTS = { canary: NOTHING, stable: NOTHING }

/** A release that has not begun. `now`: ms since the epoch, of the store where there is one. */
export function newRelease(rule: string, releaseId: string, ramp: Ramp, now: number): ReleaseState {
  return {
    rule,
    releaseId,
    status: 'waiting',
    percent: 0,
    step: -1,
    since: now,
    by: 'ramp',
    reason: ramp.start === undefined ? 'about to begin' : `begins at ${new Date(ramp.start).toISOString()}`,
    checks: freshChecks(ramp.guard),
    counts: NO_COUNTS,
    history: [],
  }
}

/**
 * One look at a release: takes in what the sides did since the last look and, if that is due, goes a step up, back
 * to 0, or to its end. Pure; equal input, equal output. Data that is missing neither promotes nor aborts.
 */
export function advance(ramp: Ramp, state: ReleaseState, block: Block, now: number): ReleaseState {
  if (state.status === 'aborted' || state.status === 'finished') return state
  if (state.status === 'waiting') {
    const isDue = now >= (ramp.start ?? 0) && isOpen(ramp.windows, now)
    return isDue ? toStep(ramp, state, 0, now, 'ramp', 'begun') : state
  }
  const counts = {
    canary: add(state.counts.canary, block.canary),
    stable: add(state.counts.stable, block.stable),
  }
  const verdict = judge(ramp.guard, state.checks, block, {
    canaryTotal: counts.canary.total,
    isWhole: state.percent >= 10_000,
    now,
  })
  const breaches = openBreaches(ramp, state, block.breaches)
  const seen: ReleaseState = { ...state, counts, checks: verdict.checks, breaches }
  if (verdict.bad.length > 0) return fail(ramp, seen, verdict, now)
  if (breaches.length > 0) return breach(ramp, seen, breaches, now)
  return proceed(ramp, seen, verdict, now)
}

function fail(ramp: Ramp, state: ReleaseState, { bad }: Verdict, now: number): ReleaseState {
  const reason = bad.join('; ')
  if (ramp.guard.onFail === 'rollback') return takeBack(ramp, state, reason, now)
  if (state.status === 'holding') return { ...state, reason }
  return { ...enter(ramp, state, 'holding', now, 'ramp', reason, state), checks: state.checks }
}

/** Breaches of this step that nobody has let pass. Those of a gateway that has gone stay. */
function openBreaches(ramp: Ramp, state: ReleaseState, found: readonly string[]): readonly string[] {
  if (ramp.guard.contract === 'ignore') return []
  const accepted = new Set(state.accepted)
  const open = new Set([...(state.breaches ?? []), ...found].filter((one) => !accepted.has(one)))
  return [...open].slice(0, KEPT_BREACHES)
}

/** A version that breaks a contract is not given to more clients until a person has seen it. */
function breach(ramp: Ramp, state: ReleaseState, breaches: readonly string[], now: number): ReleaseState {
  const more = breaches.length - TOLD_BREACHES
  const told = breaches.slice(0, TOLD_BREACHES).join('; ')
  const reason = `contract: ${told}${more > 0 ? `; and ${more} more` : ''}`
  if (ramp.guard.contract === 'rollback') return takeBack(ramp, state, reason, now)
  if (state.status === 'paused') return state
  if (state.status === 'holding') return { ...state, reason }
  return keepData(enter(ramp, state, 'holding', now, 'ramp', reason, state), state)
}

function takeBack(ramp: Ramp, state: ReleaseState, reason: string, now: number): ReleaseState {
  return enter(ramp, { ...state, percent: 0, step: -1 }, 'aborted', now, 'ramp', reason, state)
}

function proceed(ramp: Ramp, state: ReleaseState, { missing }: Verdict, now: number): ReleaseState {
  const step = ramp.steps[state.step] as RampStep
  if (state.status === 'holding' || state.status === 'paused') return state
  const waits = [...missing]
  const left = state.since + step.forMs - now
  if (left > 0) waits.unshift(`${Math.ceil(left / 1000)} s of this step`)
  if (state.counts.canary.total < step.minRequests) {
    waits.push(`${state.counts.canary.total} of ${step.minRequests} requests of this step`)
  }
  const next = state.step + 1
  const isLast = next >= ramp.steps.length
  if (!isLast && !isOpen(ramp.windows, now)) waits.push('outside of the times for steps upwards')
  if (waits.length > 0) return { ...state, reason: `waits for: ${waits.join('; ')}` }
  if (!isLast) return toStep(ramp, state, next, now, 'ramp', 'nothing bad was found')
  return enter(ramp, state, 'finished', now, 'ramp', 'every step went well', state)
}

/** A step upwards; the checks begin anew: what was seen with a smaller share says little of this one. */
function toStep(
  ramp: Ramp,
  state: ReleaseState,
  index: number,
  now: number,
  by: string,
  reason: string,
): ReleaseState {
  const step = ramp.steps[index] as RampStep
  const status = statusAt(step, step.percent)
  const text = step.hold ? `${reason}; a person has to promote` : reason
  return enter(ramp, { ...state, step: index, percent: step.percent }, status, now, by, text, state)
}

function statusAt(step: RampStep | undefined, percent: number): ReleaseStatus {
  if (step?.hold === true) return 'holding'
  return percent >= 10_000 ? 'promoted' : 'ramping'
}

function enter(
  ramp: Ramp,
  state: ReleaseState,
  status: ReleaseStatus,
  now: number,
  by: string,
  reason: string,
  before: ReleaseState,
): ReleaseState {
  const entry: HistoryEntry = { at: now, status, percent: state.percent, by, reason, counts: before.counts }
  return {
    ...state,
    status,
    since: now,
    by,
    reason,
    counts: NO_COUNTS,
    checks: freshChecks(ramp.guard),
    breaches: [],
    history: [...before.history, entry].slice(-KEPT_HISTORY),
  }
}

function add(one: Counted, { total, bad }: SideCounts): Counted {
  return { total: one.total + total, bad: one.bad + bad }
}

/** Whether a step upwards may be taken now. */
export function isOpen(windows: readonly RampWindow[], now: number): boolean {
  if (windows.length === 0) return true
  return windows.some(({ days, from, to, zone }) => {
    const { day, minute } = localTime(now, zone)
    return days.includes(day) && minute >= from && minute < to
  })
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

function localTime(now: number, zone: string): { day: number; minute: number } {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(now)
  const part = (type: string) => parts.find((each) => each.type === type)?.value ?? ''
  return { day: DAYS.indexOf(part('weekday')), minute: Number(part('hour')) * 60 + Number(part('minute')) }
}

/** What a person may ask for. */
export type ReleaseAction =
  | { readonly kind: 'promote' | 'pause' | 'resume' | 'abort' }
  /** Of 10,000. */
  | { readonly kind: 'set'; readonly percent: number; readonly force: boolean }

/** The state after it, or in words why it cannot be done. Downwards and abort are always possible. */
export function act(
  ramp: Ramp,
  state: ReleaseState,
  action: ReleaseAction,
  by: string,
  now: number,
  why: string,
): ReleaseState | string {
  const isOver = state.status === 'aborted' || state.status === 'finished'
  switch (action.kind) {
    case 'abort':
      return enter(ramp, { ...state, percent: 0, step: -1 }, 'aborted', now, by, why, state)
    case 'pause':
      if (isOver || state.status === 'paused') return `the release is ${state.status}`
      return keepData(enter(ramp, state, 'paused', now, by, why, state), state)
    case 'resume':
      return resume(ramp, state, by, now, why)
    case 'promote':
      if (isOver) return `the release is ${state.status}; a new one needs another version, or set`
      return promote(ramp, state, by, now, why)
    case 'set':
      return set(ramp, state, action, by, now, why)
  }
}

function keepData(state: ReleaseState, before: ReleaseState): ReleaseState {
  const { counts, checks, breaches = [] } = before
  return { ...state, counts, checks, breaches }
}

function resume(
  ramp: Ramp,
  state: ReleaseState,
  by: string,
  now: number,
  why: string,
): ReleaseState | string {
  if (state.status === 'aborted' || state.status === 'waiting') return toStep(ramp, state, 0, now, by, why)
  const step = Math.max(0, state.step)
  // Where a person has to promote anyway, there is nothing to go on with.
  const isHeld = state.status === 'holding' && ramp.steps[step]?.hold !== true
  if (state.status !== 'paused' && !isHeld) return `the release is ${state.status}, not paused`
  const from = isHeld ? accept(state) : state
  return enter(ramp, { ...from, step }, statusAt(ramp.steps[step], state.percent), now, by, why, state)
}

/** A person has seen what holds the release, and lets it pass. */
function accept(state: ReleaseState): ReleaseState {
  const { breaches = [], accepted = [] } = state
  return { ...state, accepted: [...new Set([...accepted, ...breaches])].slice(-KEPT_ACCEPTED) }
}

function promote(ramp: Ramp, state: ReleaseState, by: string, now: number, why: string): ReleaseState {
  const next = state.step + 1
  const seen = accept(state)
  if (next < ramp.steps.length) return toStep(ramp, seen, next, now, by, why)
  return enter(ramp, seen, 'finished', now, by, why, seen)
}

function set(
  ramp: Ramp,
  state: ReleaseState,
  { percent, force }: { percent: number; force: boolean },
  by: string,
  now: number,
  why: string,
): ReleaseState | string {
  const allowed = ramp.steps[state.step + 1]?.percent ?? 10_000
  if (percent > Math.max(state.percent, allowed) && !force) {
    return `${percent / 100} % is beyond the next step (${allowed / 100} %); promote step by step, or force it`
  }
  // The step whose share this is, or the last one below it.
  const step = Math.max(
    -1,
    ramp.steps.findLastIndex((each) => each.percent <= percent),
  )
  return enter(ramp, { ...state, percent, step: Math.max(0, step) }, 'paused', now, by, why, state)
}
