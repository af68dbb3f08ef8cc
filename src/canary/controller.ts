import { type Clock, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { act, advance, newRelease, type ReleaseAction } from './ramp.ts'
import type { Ramp, ReleaseState } from './release.ts'
import type { ReleaseStore, StoredRelease } from './store.ts'
import { breachesIn, Differences, type SidePair, type Tallies, type Tally } from './tally.ts'

/** So often somebody else may write in between before a person is told to try again. */
const TRIES = 5

/** A rule with a ramp. */
export interface RampedRule {
  readonly name: string
  /** Hash of what is released: the selectors of the sides. */
  readonly releaseId: string
  readonly ramp: Ramp
}

/** A state that another one took the place of. */
export interface StateChange {
  readonly before: ReleaseState | undefined
  readonly state: ReleaseState
}

export interface ControllerDeps {
  /** Of the table in force. */
  rules(): readonly RampedRule[]
  readonly store: ReleaseStore
  readonly tally: Tally
  /** What came in since the last call, by name of the check; NaN = it was asked in vain. */
  values(rule: RampedRule): Readonly<Record<string, number>>
  /** What this gateway saw of the canary's answers that breaks a contract, in words. */
  breaches(rule: RampedRule): readonly string[]
  /** What differs in something that has an effect: percent, status. */
  onChanges(changes: readonly StateChange[]): void
  /** This gateway took a decision. */
  onDecision(state: ReleaseState, before: ReleaseState | undefined): void
  readonly clock: Clock
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** ms between looks. */
  readonly interval: number
}

/** Leads releases through their ramps: of all gateways one decides, all count, all follow. */
export class ReleaseController {
  readonly #deps: ControllerDeps
  readonly #differences = new Differences()
  #states: ReadonlyMap<string, ReleaseState> = new Map()
  #isDeciding = false
  #isStoreUp = true

  constructor(deps: ControllerDeps) {
    this.#deps = deps
  }

  /** As far as this gateway knows. */
  get states(): ReadonlyMap<string, ReleaseState> {
    return this.#states
  }

  /** This gateway is the one that decides. */
  get isDeciding(): boolean {
    return this.#isDeciding
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const watching = this.#deps.store.watch((states) => this.#follow(states), signal)
    while (!signal.aborted) {
      await this.look()
      await sleep(this.#deps.interval, signal)
    }
    await watching
  }

  #follow(found: ReadonlyMap<string, ReleaseState>): void {
    const before = this.#states
    // A registry that lost its data must not send users back and forth: what was known stays, and is written again.
    const states = new Map([...before, ...found])
    this.#states = states
    const changes = [...found.values()].flatMap((state): StateChange[] => {
      const old = before.get(state.rule)
      const isSame =
        old?.percent === state.percent && old.status === state.status && old.releaseId === state.releaseId
      return isSame ? [] : [{ before: old, state }]
    })
    if (changes.length > 0) this.#deps.onChanges(changes)
  }

  /** Takes over what the store has, before anything runs. Rejects when the store cannot be reached. */
  async learn(): Promise<void> {
    const stored = await this.#deps.store.load()
    this.#states = new Map([...stored].map(([rule, { state }]) => [rule, state]))
  }

  /** One look: publish, and if it is this gateway's turn, decide. Never rejects. */
  async look(): Promise<void> {
    const { store, rules, log } = this.#deps
    const ramped = rules()
    if (ramped.length === 0) {
      this.#isDeciding = false
      return
    }
    try {
      await store.publish(this.#tallies(ramped))
      const isDeciding = await store.mayDecide()
      if (!isDeciding) this.#differences.forget()
      this.#isDeciding = isDeciding
      if (isDeciding) await this.#decide(ramped)
      this.#isStoreUp = true
    } catch (thrown) {
      this.#isDeciding = false
      // What happened meanwhile cannot be told from what came before.
      this.#differences.forget()
      if (this.#isStoreUp)
        log.warn({ err: errorText(thrown) }, 'releases are held: their store is out of reach')
      this.#isStoreUp = false
    }
  }

  #tallies(ramped: readonly RampedRule[]): Tallies {
    const { tally, breaches } = this.#deps
    const found = ramped
      .map((rule) => [rule.name, breaches(rule)] as const)
      .filter(([, { length }]) => length > 0)
    const totals = tally.totals(new Set(ramped.map(({ name }) => name)))
    return found.length === 0 ? totals : { ...totals, breaches: Object.fromEntries(found) }
  }

  async #decide(ramped: readonly RampedRule[]): Promise<void> {
    const { store, clock } = this.#deps
    const found = await store.collect()
    const blocks = this.#differences.take(found, clock.now())
    const stored = await store.load()
    for (const rule of ramped) {
      const seen = { ...blocks(rule.name), breaches: breachesIn(found, rule.name) }
      await this.#step(rule, stored.get(rule.name), seen)
    }
  }

  async #step(
    rule: RampedRule,
    stored: StoredRelease | undefined,
    seen: SidePair & { readonly breaches: readonly string[] },
  ): Promise<void> {
    const { store, values, clock, onDecision } = this.#deps
    const now = clock.now()
    const known = this.#known(rule, stored)
    const before = known ?? newRelease(rule.name, rule.releaseId, rule.ramp, now)
    const block = { ...seen, values: values(rule) }
    const next = advance(rule.ramp, before, block, now)
    if (next === stored?.state) return
    if (!(await store.save(next, stored?.revision ?? 0))) return
    if (next.status !== known?.status || next.percent !== known.percent) onDecision(next, known)
  }

  #known(rule: RampedRule, stored: StoredRelease | undefined): ReleaseState | undefined {
    const state = stored?.state ?? this.#states.get(rule.name)
    return state?.releaseId === rule.releaseId ? state : undefined
  }

  /** What a person asks for; any gateway may take it. Throws GW_ADMIN_NOT_FOUND, _CONFLICT. */
  async act(name: string, action: ReleaseAction, by: string, why: string): Promise<ReleaseState> {
    const { store, clock, onDecision } = this.#deps
    const rule = this.#deps.rules().find((each) => each.name === name)
    if (rule === undefined) throw new GatewayError('GW_ADMIN_NOT_FOUND', `no canary "${name}" with a ramp`)
    for (let i = 0; i < TRIES; i++) {
      const stored = (await store.load()).get(name)
      const known = this.#known(rule, stored)
      const before = known ?? newRelease(name, rule.releaseId, rule.ramp, clock.now())
      const next = act(rule.ramp, before, action, by, clock.now(), why)
      if (typeof next === 'string') throw new GatewayError('GW_ADMIN_CONFLICT', next)
      if (!(await store.save(next, stored?.revision ?? 0))) continue
      onDecision(next, known)
      return next
    }
    throw new GatewayError('GW_ADMIN_CONFLICT', 'the release changed meanwhile; try again')
  }
}
