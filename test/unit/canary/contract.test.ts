import { expect, test } from 'vitest'
import { act, advance, newRelease } from '../../../src/canary/ramp.ts'
import type { Block, Ramp, ReleaseState } from '../../../src/canary/release.ts'
import { ledRule } from '../../../src/canary/rules.ts'
import { viewRelease } from '../../../src/canary/view.ts'
import type { CanaryRule, ContractRule, GuardSpec } from '../../../src/core/canary.ts'
import { aRule } from '../../support/canary.ts'

const PRICE = 'items: $.price is gone'
const ID = 'items: $.id is string'

const guardOf = (contract: ContractRule): GuardSpec => ({
  intervalMs: 30_000,
  minRequests: 0,
  checks: [],
  falseAlarm: 0.01,
  failures: 3,
  onFail: 'rollback',
  contract,
  keepPins: [],
  webhooks: [],
})
const steps = [100, 1000, 10_000].map((percent) => ({ percent, forMs: 60_000, minRequests: 0, hold: false }))
const rampOf = (contract: ContractRule): Ramp => ({ windows: [], steps, guard: guardOf(contract) })
const ruleOf = (contract: ContractRule): CanaryRule => ({
  ...aRule('v2', 0),
  ramp: { windows: [], steps },
  guard: guardOf(contract),
})

const SIDE = { total: 100, bad: 0, latency: [], headers: {} }
const block = (...breaches: string[]): Block => ({ canary: SIDE, stable: SIDE, values: {}, breaches })

/** One look every 30 s. */
function run(ramp: Ramp, state: ReleaseState, ...blocks: readonly Block[]): ReleaseState {
  let current = state
  blocks.forEach((each, i) => {
    current = advance(ramp, current, each, state.since + (i + 1) * 30_000)
  })
  return current
}
const begun = (ramp: Ramp) => run(ramp, newRelease('v2', 'a', ramp, 0), block())
const by = (ramp: Ramp, state: ReleaseState, kind: 'promote' | 'resume' | 'pause' | 'abort') =>
  act(ramp, state, { kind }, 'ada', state.since, 'seen') as ReleaseState

const RAMP = rampOf('hold')

test('a version that breaks a contract goes no step upwards, and says why', () => {
  const held = run(RAMP, begun(RAMP), block(), block(ID, PRICE))
  expect(held).toMatchObject({
    status: 'holding',
    percent: 100,
    step: 0,
    by: 'ramp',
    reason: `contract: ${ID}; ${PRICE}`,
    breaches: [ID, PRICE],
  })
  // The step was over by time: without the breach it would have gone up.
  expect(run(RAMP, begun(RAMP), block(), block()).percent).toBe(1000)
  expect(held.counts.canary.total).toBe(200)
  expect(run(RAMP, held, block(), block(), block())).toMatchObject({
    status: 'holding',
    breaches: [ID, PRICE],
  })
})

test('a person lets it pass for the whole release; another breach holds it again', () => {
  const held = run(RAMP, begun(RAMP), block(PRICE))
  const promoted = by(RAMP, held, 'promote')
  expect(promoted).toMatchObject({ status: 'ramping', percent: 1000, accepted: [PRICE], breaches: [] })
  const whole = run(RAMP, promoted, block(PRICE), block(PRICE))
  expect(whole).toMatchObject({ status: 'promoted', percent: 10_000 })
  const again = run(RAMP, whole, block(PRICE, ID))
  expect(again).toMatchObject({ status: 'holding', percent: 10_000, reason: `contract: ${ID}` })
  expect(by(RAMP, again, 'promote').status).toBe('finished')
})

test('resume goes on with the step that was held; a pause alone lets nothing pass', () => {
  const held = run(RAMP, begun(RAMP), block(PRICE))
  const resumed = by(RAMP, held, 'resume')
  expect(resumed).toMatchObject({ status: 'ramping', percent: 100, accepted: [PRICE] })
  expect(run(RAMP, resumed, block(PRICE), block(PRICE)).percent).toBe(1000)
  const paused = by(RAMP, begun(RAMP), 'pause')
  const seen = run(RAMP, paused, block(PRICE))
  expect(seen).toMatchObject({ status: 'paused', reason: 'seen', breaches: [PRICE] })
  expect(run(RAMP, by(RAMP, seen, 'resume'), block(PRICE)).status).toBe('holding')
  const waits = { ...RAMP, steps: RAMP.steps.map((step) => ({ ...step, hold: true })) }
  expect(act(waits, begun(waits), { kind: 'resume' }, 'ada', 1, '')).toBe(
    'the release is holding, not paused',
  )
})

test('rollback takes it back, ignore does not look', () => {
  const strict = rampOf('rollback')
  expect(run(strict, begun(strict), block(PRICE))).toMatchObject({
    status: 'aborted',
    percent: 0,
    reason: `contract: ${PRICE}`,
  })
  const blind = rampOf('ignore')
  expect(run(blind, begun(blind), block(PRICE), block(PRICE))).toMatchObject({
    status: 'ramping',
    percent: 1000,
  })
})

test('a reason names three and counts the others; no more than fifty are kept', () => {
  const many = Array.from({ length: 60 }, (_, i) => `items: $.f${i} is gone`)
  const held = run(RAMP, begun(RAMP), block(...many))
  expect(held.reason).toBe(`contract: ${many.slice(0, 3).join('; ')}; and 47 more`)
  expect(held.breaches).toHaveLength(50)
})

test('the view has it as a check where a contract is watched, or was broken', () => {
  const [rule, blind] = [ledRule(ruleOf('hold')), ledRule(ruleOf('ignore'))]
  if (rule === undefined || blind === undefined) throw new TypeError('no rule')
  const state = begun(rule.ramp)
  expect(viewRelease(rule, state).checks).toEqual([])
  expect(viewRelease(rule, state, true).checks).toEqual([
    { name: 'contract', suspicion: 0, failures: 0, breaches: [] },
  ])
  const held = run(rule.ramp, state, block(PRICE))
  expect(viewRelease(rule, held).checks).toEqual([
    { name: 'contract', suspicion: 1, failures: 1, breaches: [PRICE] },
  ])
  expect(viewRelease(blind, state, true).checks).toEqual([])
})

test('a ramp without a guard is held, too', () => {
  const { guard: _, ...spec } = ruleOf('hold')
  expect(ledRule(spec)?.guard.contract).toBe('hold')
})
