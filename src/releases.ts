import { hostname } from 'node:os'
import type { EventHub } from '../plugins/events.ts'
import { countRecord } from './canary/account.ts'
import { ReleaseController, type StateChange } from './canary/controller.ts'
import { PrometheusChecks } from './canary/prometheus.ts'
import type { ReleaseAction } from './canary/ramp.ts'
import type { ReleaseState } from './canary/release.ts'
import { type LedRule, ledRules, liveStates } from './canary/rules.ts'
import { followingOnly, LocalReleaseStore, type ReleaseStore } from './canary/store.ts'
import { Tally } from './canary/tally.ts'
import { changeText, viewRelease } from './canary/view.ts'
import { KvReleaseStore } from './canary-store.ts'
import { releaseRegistry } from './config/canary-store.ts'
import type { StaticConfig } from './config/load.ts'
import type { CanaryStates, ReleaseRule } from './core/canary.ts'
import { type Clock, type Random, sleep } from './core/duration.ts'
import { errorText, GatewayError } from './core/errors.ts'
import { createIdSource } from './core/ids.ts'
import type { RequestRecord } from './core/record.ts'
import type { CanaryView, ReleaseView } from './core/views.ts'
import type { ContractBreach } from './mirror/contract-book.ts'
import { type NotifyResult, Webhooks } from './notify/webhooks.ts'
import { ConsulKv } from './registry/consul-kv.ts'
import { contractTexts, hasContract } from './release-contract.ts'
import type { TableStore } from './routing/store.ts'

/** How long the first table waits for what is known of releases. ms. */
const LEARN_MS = 2000

const NO_STATES: ReadonlyMap<string, ReleaseState> = new Map()

export interface ReleasesDeps {
  readonly config: Pick<StaticConfig, 'canary' | 'registries'>
  readonly tables: TableStore
  /** It never decides. */
  readonly isFollower: boolean
  readonly events: EventHub
  /** What this gateway saw of services that do not keep the contract of a route. */
  breaches(): readonly ContractBreach[]
  /** A state changed: another table is due. */
  onChange(cause: string): void
  readonly clock: Clock
  readonly random: Random
  /** A webhook was told, or not. */
  onNotified(result: NotifyResult): void
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

/** Releases that lead themselves: counts, follows, decides when it is this gateway's turn. Nothing runs without such a rule. */
export class Releases {
  readonly #deps: ReleasesDeps
  readonly #run = createIdSource()(8)
  readonly #tally = new Tally(this.#run, Date.now())
  readonly #checks: PrometheusChecks
  readonly #webhooks: Webhooks
  readonly #abort = new AbortController()
  #opened: { readonly store: ReleaseStore; readonly controller: ReleaseController } | undefined
  #running: Promise<void> | undefined
  #unsubscribe: () => void = () => {}

  constructor(deps: ReleasesDeps) {
    this.#deps = deps
    const { clock, log, config } = deps
    this.#checks = new PrometheusChecks({ url: config.canary.prometheus, clock, log })
    this.#webhooks = new Webhooks({ log, onResult: (result) => deps.onNotified(result) })
  }

  #rules(): LedRule[] {
    const rules = this.#deps.tables.current()?.canaries.rules ?? []
    return ledRules(rules.map(({ rule }) => rule.spec))
  }

  #rule(name: string): LedRule | undefined {
    return this.#rules().find((each) => each.name === name)
  }

  #open() {
    if (this.#opened !== undefined) return this.#opened
    const { clock, log, config } = this.#deps
    const own = this.#createStore()
    const store = this.#deps.isFollower ? followingOnly(own) : own
    const controller = new ReleaseController({
      rules: () => this.#rules(),
      store,
      tally: this.#tally,
      values: ({ name }) => {
        const rule = this.#rule(name)
        return rule === undefined ? {} : this.#checks.take(rule)
      },
      breaches: ({ name }) => {
        const rule = this.#rule(name)
        const { tables, breaches } = this.#deps
        return rule === undefined ? [] : contractTexts(rule, tables.current(), breaches())
      },
      onChanges: (changes) => this.#changed(changes),
      onDecision: (state, before) => this.#decided(state, before),
      clock,
      log,
      interval: config.canary.interval,
    })
    this.#opened = { store, controller }
    return this.#opened
  }

  #createStore(): ReleaseStore {
    const { clock, random, log, config, isFollower } = this.#deps
    const name = releaseRegistry(config)
    const registry = name === undefined ? undefined : config.registries[name]
    if (registry?.type !== 'consul') return new LocalReleaseStore()
    const connection = { ...registry, url: registry.url ?? '' }
    const kv = new ConsulKv(connection, config.canary.prefix, { clock, random, log })
    return new KvReleaseStore(kv, { log, name: `${hostname()} ${process.pid}`, isFollower })
  }

  /** Before the first table: what the store knows, so that no user goes back and forth. Waits a bounded time; never rejects. */
  async learn(specs: readonly ReleaseRule[] = []): Promise<void> {
    if (ledRules(specs).length === 0) return
    const { controller } = this.#open()
    const abort = new AbortController()
    const late = sleep(LEARN_MS, abort.signal).then(() => {
      if (!abort.signal.aborted) throw new GatewayError('GW_STORE_UNAVAILABLE', 'it did not answer in time')
    })
    try {
      await Promise.race([controller.learn(), late])
    } catch (thrown) {
      this.#deps.log.warn(
        { err: errorText(thrown) },
        'releases begin as their files say: their store is out of reach',
      )
    }
    abort.abort()
  }

  /** Once there is a table. */
  start(): void {
    const look = () => {
      const rules = this.#rules()
      this.#checks.keepOnly(rules)
      if (rules.length > 0) this.#running ??= this.#open().controller.run(this.#abort.signal)
    }
    this.#unsubscribe = this.#deps.tables.onSwap(look)
    look()
  }

  /** One request that is over. */
  count(record: RequestRecord): void {
    if (record.canary !== undefined) countRecord(this.#tally, record)
  }

  get #states(): ReadonlyMap<string, ReleaseState> {
    return this.#opened?.controller.states ?? NO_STATES
  }

  /** What is in force for these rules. */
  live(specs: readonly ReleaseRule[] = []): CanaryStates {
    return liveStates(specs, this.#states)
  }

  /** This gateway decides. */
  get isDeciding(): boolean {
    return this.#opened?.controller.isDeciding ?? false
  }

  /** Adds where releases stand. */
  complete(views: readonly CanaryView[]): CanaryView[] {
    const rules = new Map(this.#rules().map((rule) => [rule.name, rule]))
    return views.map((view) => {
      const release = this.#view(rules.get(view.name))
      return release === undefined ? view : { ...view, release }
    })
  }

  #view(rule: LedRule | undefined): ReleaseView | undefined {
    const state = rule === undefined ? undefined : this.#states.get(rule.name)
    if (rule === undefined || state?.releaseId !== rule.releaseId) return undefined
    return viewRelease(rule, state, hasContract(rule, this.#deps.tables.current()))
  }

  /** What a person asks for. Throws GW_ADMIN_NOT_FOUND, GW_ADMIN_CONFLICT, and what the store throws. */
  async act(name: string, action: ReleaseAction, by: string, reason: string): Promise<ReleaseView> {
    const rule = this.#rule(name)
    if (rule === undefined) {
      throw new GatewayError('GW_ADMIN_NOT_FOUND', `no canary rule "${name}" with a ramp or a guard`)
    }
    const state = await this.#open().controller.act(name, action, by, reason)
    return viewRelease(rule, state, hasContract(rule, this.#deps.tables.current()))
  }

  #changed(changes: readonly StateChange[]): void {
    const rules = new Map(this.#rules().map((rule) => [rule.name, rule]))
    for (const { before, state } of changes) {
      if (rules.get(state.rule)?.releaseId !== state.releaseId) continue
      this.#deps.events.publish('canary', factsOf(before, state))
      this.#deps.onChange(`canary ${state.rule}: ${changeText(before, state)}`)
    }
  }

  #decided(state: ReleaseState, before: ReleaseState | undefined): void {
    const rule = this.#rule(state.rule)
    const facts = factsOf(before, state)
    this.#deps.log.info(facts, `canary ${state.rule}: ${changeText(before, state)}`)
    if (rule === undefined) return
    const text = `canary ${state.rule}: ${changeText(before, state)} (${state.by}: ${state.reason})`
    this.#webhooks.tell(rule.guard.webhooks, { text, service: rule.spec.service, ...facts })
  }

  async close(): Promise<void> {
    this.#unsubscribe()
    this.#abort.abort()
    this.#checks.close()
    await this.#running
    await this.#webhooks.close()
    await this.#opened?.store.close()
  }
}

/** For events, log and webhooks. */
function factsOf(before: ReleaseState | undefined, state: ReleaseState) {
  const { rule: canary, status, by, reason, since: at } = state
  return {
    canary,
    status,
    percent: state.percent / 100,
    ...(before === undefined ? {} : { before: { status: before.status, percent: before.percent / 100 } }),
    by,
    reason,
    at,
    // Of the step that ended.
    counts: state.history.at(-1)?.counts,
  }
}
