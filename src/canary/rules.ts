import type { CanaryLive, CanaryRule, CanaryStates, GuardSpec, ReleaseRule } from '../core/canary.ts'
import { identityOf } from '../core/identity.ts'
import type { RampedRule } from './controller.ts'
import type { ReleaseState } from './release.ts'

/** A rule that leads itself, with all that its file says. */
export interface LedRule extends RampedRule {
  readonly spec: CanaryRule
  readonly guard: GuardSpec
}

/** Nothing is watched but contracts: time and numbers of requests alone. */
const NO_GUARD: GuardSpec = Object.freeze({
  intervalMs: 30_000,
  minRequests: 0,
  checks: [],
  falseAlarm: 0.01,
  failures: 1,
  onFail: 'hold',
  contract: 'hold',
  keepPins: [],
  webhooks: [],
})

const known = new WeakMap<CanaryRule, LedRule>()

/** Undefined = it has neither ramp nor guard. */
export function ledRule(spec: CanaryRule): LedRule | undefined {
  if (spec.ramp === undefined && spec.guard === undefined) return undefined
  let rule = known.get(spec)
  if (rule === undefined) {
    rule = lead(spec)
    known.set(spec, rule)
  }
  return rule
}

function lead(spec: CanaryRule): LedRule {
  const { name, service, stable, variants, guard = NO_GUARD } = spec
  const selects = variants.map(({ select }) => select)
  const released = [service, stable ?? null, selects]
  if (spec.ramp !== undefined) {
    return { name, spec, guard, releaseId: identityOf(released), ramp: { ...spec.ramp, guard } }
  }
  // A guard alone watches the share that the file says; another share is another release.
  const percent = variants.reduce((sum, variant) => sum + variant.percent, 0)
  const ramp = { windows: [], steps: [{ percent, forMs: 0, minRequests: 0, hold: true }], guard }
  return { name, spec, guard, releaseId: identityOf([...released, percent]), ramp }
}

export function ledRules(specs: readonly ReleaseRule[]): LedRule[] {
  return specs.flatMap((spec) => (spec.kind === 'canary' ? (ledRule(spec) ?? []) : []))
}

/** What the states mean for these rules. One of an earlier release says nothing. */
export function liveStates(
  specs: readonly ReleaseRule[],
  states: ReadonlyMap<string, ReleaseState>,
): CanaryStates {
  const live = new Map<string, CanaryLive>()
  for (const { name, releaseId } of ledRules(specs)) {
    const state = states.get(name)
    if (state?.releaseId !== releaseId) continue
    const { percent, status } = state
    live.set(name, { percent, state: status, ...(status === 'aborted' ? { releasedPins: true } : {}) })
  }
  return live
}
