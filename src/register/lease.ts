import { setTimeout as pause } from 'node:timers/promises'
import { backoffMs, type Clock, type Random } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { type AgentAnswer, AgentClient, CALL_TIMEOUT_MS } from './agent.ts'
import { askHealth, type HealthFunction, type HealthReport } from './health.ts'
import { OWNER, OWNER_KEY, type Settings } from './settings.ts'

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
  /** The agent took it; also when it had forgotten it. */
  | { readonly type: 'registered'; readonly id: string; readonly agent: string }
  /** The agent does not know it any more; it is registered again at once. */
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
/** The reason of the maintenance mode; the gateway takes it for `draining`. */
const DRAINING = 'draining'

/**
 * An instance in Consul, or in the gateway's embedded registry: registered, kept alive by beats, registered again when
 * the agent forgot it, marked as draining, taken out. Nothing here throws or rejects; what fails is told and tried again.
 */
export class Lease {
  readonly #settings: Settings
  readonly #deps: LeaseDeps
  readonly #agent: AgentClient
  readonly #ended = new AbortController()
  /** `unsure`: the agent did not answer in time; it may have it. */
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
    this.#agent = new AgentClient(settings.agent)
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
   * sees maintenance. At most 3 s. False when the agent could not be told.
   */
  async drain(reason = ''): Promise<boolean> {
    if (this.#state === 'draining' || this.#state === 'gone') return true
    const wasKnown = this.#known !== 'no'
    this.#ended.abort()
    this.#change('draining', reason === '' ? 'asked to end' : reason)
    await this.#silence()
    if (!wasKnown) return true
    const words = reason === '' ? DRAINING : `${DRAINING}: ${reason}`
    return this.#lastWord(
      `/agent/service/maintenance/${this.#path}?enable=true&reason=${encodeURIComponent(words)}`,
      CALL_TIMEOUT_MS,
    )
  }

  /** Takes the instance out. False when the agent could not be told: it then forgets it by itself, later. */
  async release(limitMs = CALL_TIMEOUT_MS): Promise<boolean> {
    if (this.#state === 'gone') return true
    const wasKnown = this.#known !== 'no'
    this.#ended.abort()
    await this.#silence()
    const isTold = !wasKnown || (await this.#lastWord(`/agent/service/deregister/${this.#path}`, limitMs))
    this.#known = 'no'
    this.#change('gone', isTold ? 'deregistered' : 'the agent could not be told')
    return isTold
  }

  /** An older call that arrives after the last word would undo it. */
  async #silence(): Promise<void> {
    await Promise.race([this.#calling, pause(LAST_WORD_WAIT_MS, undefined, { ref: false })])
  }

  async #lastWord(path: string, limitMs: number): Promise<boolean> {
    try {
      const { status, body } = await this.#call('PUT', path, undefined, limitMs)
      if (status === 200 || status === 404) return true
      throw refusal(status, body)
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
      await pause(wait, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  #retryMs(every: number): number {
    if (this.#known !== 'no') return Math.min(every, RETRY_MS)
    return backoffMs(Math.max(1, this.#failedTries), REGISTER_BASE_MS, REGISTER_MAX_MS, this.#deps.random)
  }

  /** Registers where that is needed, then says how the instance is. True when the agent took it. */
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

  /** False when the agent does not know the check. */
  async #report({ state, output }: HealthReport): Promise<boolean> {
    const body = { Status: state, Output: output }
    const answer = await this.#call('PUT', `/agent/check/update/${encodeURIComponent(this.#checkId)}`, body)
    if (answer.status === 200) {
      this.#known = 'yes'
      return true
    }
    if (!isUnknown(answer)) throw refusal(answer.status, answer.body)
    const wasKnown = this.#known === 'yes'
    this.#known = 'no'
    if (wasKnown && !this.#ended.signal.aborted) {
      this.#deps.onEvent({ type: 'lost', reason: answer.body.trim() })
      this.#change('registering', 'the agent forgot it')
    }
    return false
  }

  async #register(): Promise<void> {
    if (this.#state === 'unregistered') this.#change('registering', `with ${this.#agent.url}`)
    const { service, id, address, port, tags, meta, weights, ttlMs, deregisterAfterMs } = this.#settings
    // Until the answer is here the agent may have it, and a drain must undo it.
    this.#known = 'unsure'
    const answer = await this.#call('PUT', '/agent/service/register?replace-existing-checks=true', {
      Name: service,
      ID: id,
      Address: address,
      Port: port,
      Tags: tags,
      Meta: meta,
      Weights: { Passing: weights.passing, Warning: weights.warning },
      Check: {
        CheckID: this.#checkId,
        Name: `${service} beats`,
        TTL: `${ttlMs}ms`,
        Status: 'critical',
        DeregisterCriticalServiceAfter: `${deregisterAfterMs}ms`,
      },
    })
    if (answer.status !== 200) {
      this.#known = 'no'
      throw refusal(answer.status, answer.body)
    }
    this.#known = 'yes'
    this.#deps.onEvent({ type: 'registered', id, agent: this.#agent.url })
  }

  /**
   * Takes out what a crashed process left behind: another id at our address and port would get requests that are
   * meant for us, and count us twice. Once for each life; a right to list that is missing is no obstacle.
   */
  async #clearLeftovers(): Promise<void> {
    if (this.#isClean || this.#ended.signal.aborted) return
    const { status, body } = await this.#call('GET', '/agent/services')
    this.#isClean = true
    if (status !== 200) return
    for (const id of leftovers(body, this.#settings)) {
      await this.#call('PUT', `/agent/service/deregister/${encodeURIComponent(id)}`)
    }
  }

  #call(method: 'GET' | 'PUT', path: string, body?: unknown, limitMs?: number): Promise<AgentAnswer> {
    const made = this.#agent.call(method, path, body, limitMs)
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

  get #checkId(): string {
    return `service:${this.#settings.id}`
  }

  get #path(): string {
    return encodeURIComponent(this.#settings.id)
  }
}

/** Newer agents say 404; before 1.11 it is a 500 with words, as for every other fault. */
export function isUnknown({ status, body }: AgentAnswer): boolean {
  return status === 404 || (status === 500 && /does not have associated TTL|Unknown check/i.test(body))
}

function refusal(status: number, body: string): GatewayError {
  const said = body.trim().slice(0, 200)
  return status === 403
    ? new GatewayError(
        'GW_REGISTRY_ACL',
        `the agent refused the token (403 ${said}): it needs service:write on the service's name`,
      )
    : new GatewayError('GW_REGISTRY_ANSWER', `the agent answered ${status} ${said}`)
}

/** Ids in an answer of `/v1/agent/services` that stand for the same service at the same place, registered by us. */
export function leftovers(body: string, { service, id, address, port }: Settings): string[] {
  let all: unknown
  try {
    all = JSON.parse(body)
  } catch {
    return []
  }
  if (typeof all !== 'object' || all === null) return []
  return Object.values(all as Record<string, unknown>).flatMap((value) => {
    const one = value as {
      ID?: string
      Service?: string
      Address?: string
      Port?: number
      Meta?: Record<string, string> | null
    } | null
    const isOurs =
      one?.Service === service &&
      one.Port === port &&
      (one.Address ?? '') === address &&
      one.Meta?.[OWNER_KEY] === OWNER
    return isOurs && one.ID !== undefined && one.ID !== id ? [one.ID] : []
  })
}
