import type { ReleaseCheckView, ReleaseView } from '../core/views.ts'
import { strength } from './evidence.ts'
import { alarmLevel } from './guard.ts'
import type { Ramp, ReleaseState } from './release.ts'
import type { LedRule } from './rules.ts'

/** A release for people: no inner numbers. `hasContract`: the contract of one of its routes is watched. */
export function viewRelease({ ramp }: LedRule, state: ReleaseState, hasContract = false): ReleaseView {
  return {
    status: state.status,
    percent: state.percent / 100,
    step: state.step + 1,
    steps: ramp.steps.length,
    plan: ramp.steps.map(({ percent, forMs, minRequests, hold }) => ({
      percent: percent / 100,
      forMs,
      minRequests,
      isHold: hold,
    })),
    since: state.since,
    by: state.by,
    reason: state.reason,
    counts: state.counts,
    checks: [...checksOf(ramp, state), ...contractOf(ramp, state, hasContract)],
    history: state.history.map((entry) => ({ ...entry, percent: entry.percent / 100 })),
  }
}

function checksOf({ guard }: Ramp, state: ReleaseState): ReleaseCheckView[] {
  const alarm = alarmLevel(guard)
  return guard.checks.map(({ name }) => {
    const check = state.checks[name]
    if (check === undefined) return { name, suspicion: 0, failures: 0 }
    // Below 0 the evidence is for the canary.
    const suspicion = Math.max(0, strength(check.evidence) / alarm)
    return { name, suspicion: Math.round(suspicion * 1000) / 1000, failures: check.failures }
  })
}

function contractOf(
  { guard }: Ramp,
  { breaches = [] }: ReleaseState,
  isWatched: boolean,
): ReleaseCheckView[] {
  if (guard.contract === 'ignore' || (!isWatched && breaches.length === 0)) return []
  return [{ name: 'contract', suspicion: breaches.length > 0 ? 1 : 0, failures: breaches.length, breaches }]
}

const share = (percent: number): string => `${percent / 100}%`

/** `5% -> 25%`, `ramping -> paused`. */
export function changeText(before: ReleaseState | undefined, { percent, status }: ReleaseState): string {
  if (before === undefined) return `${share(percent)}, ${status}`
  const steps = before.percent === percent ? [] : [`${share(before.percent)} -> ${share(percent)}`]
  if (before.status !== status) steps.push(`${before.status} -> ${status}`)
  return steps.length === 0 ? 'a new release' : steps.join(', ')
}
