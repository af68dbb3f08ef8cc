import { setTimeout as pause } from 'node:timers/promises'
import { backoffMs, type Clock, type Random } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { CALL_TIMEOUT_MS } from './agent.ts'
import { askHealth, type HealthFunction, type HealthReport } from './health.ts'
import type { Registrar } from './registrar.ts'
import { createRegistrar } from './registrars.ts'
import type { Settings } from './settings.ts'

/** Where an instance is in its life, as far as the registry knows. */
export type LeaseState =
  | 'unregistered'
  | 'registering'
  | 'passing'
  | 'warning'
  | 'critical'
  | 'draining'
  | 'gone'

/** What happens to a lease, as it happens. */
export type LeaseEvent =
  | { readonly type: 'state'; readonly from: LeaseState; readonly to: LeaseState; readonly reason: string }
  /** The registry took it; also when it had forgotten it. */
  | { readonly type: 'registered'; readonly id: string; readonly agent: string }
  /** The registry does not know it any more; it is registered again at once. */
  | { readonly type: 'lost'; readonly reason: string }
  /** Something failed and is tried again; the same one is told at most once a minute. */
  | { readonly type: 'problem'; readonly code: string; readonly message: string }

export interface LeaseDeps {
  readonly clock: Clock
  readonly random: Random
  /** Default: passing as long as the event loop turns. */
  readonly health?: HealthFunction | undefined
  /** For the health function. ms, default 2000. */
  readonly healthTimeoutMs?: number | undefined
  readonly onEvent: (event: LeaseEvent) => void
}

/** After a beat that failed. ms. */
const RETRY_MS = 1000
/** Between tries to register. ms. */
const REGISTER_BASE_MS = 500
const REGISTER_MAX_MS = 10_000
/** A call that is on its way when a last word is due may take this long: the last word must be ours. ms. */
const LAST_WORD_WAIT_MS = 1000
/** The same problem is told again after this. ms. */
const TELL_AGAIN_MS = 60_000

/**
 * An instance in a registry: registered, kept alive by beats, registered again when the registry forgot it, marked as
 * draining, taken out. Nothing here throws or rejects; what fails is told and tried again.
 */
export class Lease {
  readonly #settings: Settings
  readonly #deps: LeaseDeps
  readonly #registrar: Registrar
  readonly #ended = new AbortController()
  /** Ends the wait for the next beat. */
  #wake = new AbortController()
  /** `unsure`: the registry did not answer in time; it may have it. */
  #known: 'no' | 'unsure' | 'yes' = 'no'
  #isClean = false
  #failedTries = 0
  #state: LeaseState = 'unregistered'
  #told: { text: string; at: number } | undefined
  /** The call that is on its way; never rejects. */
  #calling: Promise<unknown> = Promise.resolve()

  /** Nothing is sent before `start`. Throws GW_REGISTER_OPTIONS for PEM files that cannot be read. */
  constructor(settings: Settings, deps: LeaseDeps) {
    this.#settings = settings
    this.#deps = deps
    this.#registrar = createRegistrar(settings, () => this.#wake.abort())
  }

  get id(): string {
    return this.#settings.id
  }

  get state(): LeaseState {
    return this.#state
  }

  /** Registers and beats until `drain` or `release`. The timers do not hold the process. */
  start(): void {
    void this.#beatForEver()
  }

  /**
   * Ends the beats and marks the instance as draining: gateways send it nothing new, and whoever else reads the registry
   * sees maintenance. At most 3 s. False when the registry could not be told.
   */
  async drain(reason = ''): Promise<boolean> {
    if (this.#state === 'draining' || this.#state === 'gone') return true
    const wasKnown = this.#known !== 'no'
    this.#ended.abort()
    this.#change('draining', reason === '' ? 'asked to end' : reason)
    await this.#silence()
    if (!wasKnown) return true
    return this.#lastWord(() => this.#registrar.mark(reason))
  }

  /** Takes the instance out. False when the registry could not be told: it then forgets it by itself, later. */
  async release(limitMs = CALL_TIMEOUT_MS): Promise<boolean> {
    if (this.#state === 'gone') return true
    const wasKnown = this.#known !== 'no'
    this.#ended.abort()
    await this.#silence()
    const isTold = !wasKnown || (await this.#lastWord(() => this.#registrar.remove(limitMs)))
    this.#registrar.close()
    this.#known = 'no'
    this.#change('gone', isTold ? 'deregistered' : 'the registry could not be told')
    return isTold
  }

  /** An older call that arrives after the last word would undo it. */
  async #silence(): Promise<void> {
    await Promise.race([this.#calling, pause(LAST_WORD_WAIT_MS, undefined, { ref: false })])
  }

  async #lastWord(call: () => Promise<void>): Promise<boolean> {
    try {
      await this.#call(call)
      return true
    } catch (thrown) {
      this.#tell(thrown)
      return false
    }
  }

  async #beatForEver(): Promise<void> {
    const { signal } = this.#ended
    const every = this.#settings.ttlMs / 3
    while (!signal.aborted) {
      const isGood = await this.#beat()
      const wait = isGood ? every * (0.9 + 0.2 * this.#deps.random()) : this.#retryMs(every)
      const either = AbortSignal.any([signal, this.#wake.signal])
      await pause(wait, undefined, { signal: either, ref: false }).catch(() => {})
      if (this.#wake.signal.aborted) this.#wake = new AbortController()
    }
  }

  #retryMs(every: number): number {
    if (this.#known !== 'no') return Math.min(every, RETRY_MS)
    return backoffMs(Math.max(1, this.#failedTries), REGISTER_BASE_MS, REGISTER_MAX_MS, this.#deps.random)
  }

  /** Registers where that is needed, then says how the instance is. True when the registry took it. */
  async #beat(): Promise<boolean> {
    try {
      const { health, healthTimeoutMs = 2000 } = this.#deps
      const report =
        health === undefined
          ? ({ state: 'passing', output: 'passing' } as const)
          : await askHealth(health, healthTimeoutMs)
      if (this.#ended.signal.aborted) return false
      if (this.#known === 'no') await this.#register()
      if (this.#ended.signal.aborted) return false
      if (!(await this.#report(report))) {
        await this.#register()
        if (this.#ended.signal.aborted || !(await this.#report(report))) return false
      }
      this.#failedTries = 0
      this.#told = undefined
      this.#change(report.state, report.output)
      await this.#clearLeftovers()
      return true
    } catch (thrown) {
      this.#failedTries++
      if (!this.#ended.signal.aborted) this.#tell(thrown)
      return false
    }
  }

  /** False when the registry does not know it. */
  async #report(report: HealthReport): Promise<boolean> {
    const unknown = await this.#call(() => this.#registrar.report(report))
    if (unknown === undefined) {
      this.#known = 'yes'
      return true
    }
    const wasKnown = this.#known === 'yes'
    this.#known = 'no'
    if (wasKnown && !this.#ended.signal.aborted) {
      this.#deps.onEvent({ type: 'lost', reason: unknown })
      this.#change('registering', 'the registry forgot it')
    }
    return false
  }

  async #register(): Promise<void> {
    if (this.#state === 'unregistered') this.#change('registering', `with ${this.#registrar.url}`)
    // Until the answer is here the registry may have it, and a drain must undo it.
    this.#known = 'unsure'
    try {
      await this.#call(() => this.#registrar.register())
    } catch (thrown) {
      if (isRefusal(thrown)) this.#known = 'no'
      throw thrown
    }
    this.#known = 'yes'
    this.#deps.onEvent({ type: 'registered', id: this.id, agent: this.#registrar.url })
  }

  /** Once for each life. */
  async #clearLeftovers(): Promise<void> {
    if (this.#isClean || this.#ended.signal.aborted) return
    await this.#call(() => this.#registrar.clearLeftovers())
    this.#isClean = true
  }

  #call<T>(call: () => Promise<T>): Promise<T> {
    const made = call()
    this.#calling = made.catch(() => {})
    return made
  }

  #change(to: LeaseState, reason: string): void {
    const from = this.#state
    if (from === to) return
    this.#state = to
    this.#deps.onEvent({ type: 'state', from, to, reason })
  }

  #tell(thrown: unknown): void {
    const code = thrown instanceof GatewayError ? thrown.code : 'GW_INTERNAL_STATE'
    const message = errorText(thrown)
    const at = this.#deps.clock.monotonic()
    if (this.#told?.text === message && at - this.#told.at < TELL_AGAIN_MS) return
    this.#told = { text: message, at }
    this.#deps.onEvent({ type: 'problem', code, message })
  }
}

/** It was answered, and not taken. */
function isRefusal(thrown: unknown): boolean {
  return thrown instanceof GatewayError && ['GW_REGISTRY_ACL', 'GW_REGISTRY_ANSWER'].includes(thrown.code)
}
