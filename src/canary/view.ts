import type { ReleaseView } from '../core/views.ts'
import { strength } from './evidence.ts'
import { alarmLevel } from './guard.ts'
import type { ReleaseState } from './release.ts'
import type { LedRule } from './rules.ts'

/** A release for people: no inner numbers. */
export function viewRelease({ ramp }: LedRule, state: ReleaseState): ReleaseView {
  const alarm = alarmLevel(ramp.guard)
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
    checks: ramp.guard.checks.map(({ name }) => {
      const check = state.checks[name]
      if (check === undefined) return { name, suspicion: 0, failures: 0 }
      // Below 0 the evidence is for the canary.
      const suspicion = Math.max(0, strength(check.evidence) / alarm)
      return { name, suspicion: Math.round(suspicion * 1000) / 1000, failures: check.failures }
    }),
    history: state.history.map((entry) => ({ ...entry, percent: entry.percent / 100 })),
  }
}

const share = (percent: number): string => `${percent / 100}%`

/** `5% -> 25%`, `ramping -> paused`. */
export function changeText(before: ReleaseState | undefined, { percent, status }: ReleaseState): string {
  if (before === undefined) return `${share(percent)}, ${status}`
  const steps = before.percent === percent ? [] : [`${share(before.percent)} -> ${share(percent)}`]
  if (before.status !== status) steps.push(`${before.status} -> ${status}`)
  return steps.length === 0 ? 'a new release' : steps.join(', ')
}
