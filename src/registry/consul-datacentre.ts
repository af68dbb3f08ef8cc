import type { Clock, Random } from '../core/duration.ts'
import type { GatewayError } from '../core/errors.ts'
import type { ServiceInstances } from '../core/types.ts'
import { type ConsulAnswer, type ConsulClient, parseAnswer } from './consul-client.ts'
import { type LoopOptions, runLoop, toRegistryError } from './consul-loop.ts'
import { type MappingOptions, rosterNames } from './consul-mapping.ts'
import { emptyListError, Freshness, ServiceReads } from './consul-reads.ts'
import { ReadQueue, Sweeper } from './consul-sweep.ts'
import { CheckTrigger } from './consul-trigger.ts'

/** Back to one watch a service only well below the limit: no to and fro at the border. */
const RETURN_RATIO = 0.8

/** `each`: a watch a service. `trigger`: one on all checks, and reads of what changed. `poll`: no watch. */
export type WatchPlan = 'each' | 'trigger' | 'poll'

export interface DatacentreOptions {
  /** Undefined = the agent's own. */
  readonly datacentre: string | undefined
  readonly mode: 'watch' | 'poll'
  readonly pollInterval: number
  /** Blocking queries that this datacentre may have open, the one for the roster among them. */
  readonly maxWatches: number
}

export interface DatacentreDeps {
  readonly client: ConsulClient
  readonly mapping: MappingOptions
  readonly clock: Clock
  readonly random: Random
  isWanted(name: string): boolean
  /** Something may be different; called often. */
  onChange(): void
  onPlan(plan: WatchPlan, services: number): void
}

/** Follows the services of one datacentre and keeps what it read last, whatever fails. */
export class DatacentreWatch {
  readonly label: string
  readonly #options: DatacentreOptions
  readonly #deps: DatacentreDeps
  readonly #reads: ServiceReads
  readonly #freshness: Freshness
  readonly #watches = new Map<string, AbortController>()
  readonly #trigger = new CheckTrigger()
  readonly #sweeper: Sweeper
  readonly #tasks = new Set<Promise<void>>()
  #plan: WatchPlan
  #stopTrigger: AbortController | undefined
  /** Aborts to end the back-offs: Consul is there again. */
  #wake = new AbortController()
  #isKnown = false
  #rosterError: GatewayError | undefined
  #triggerError: GatewayError | undefined
  #epoch = 0
  #lagMs: number | undefined
  #lastSuccess: number | undefined

  constructor(options: DatacentreOptions, deps: DatacentreDeps) {
    this.#options = options
    this.#deps = deps
    this.#reads = new ServiceReads(options.datacentre, deps.mapping, deps.clock)
    this.#freshness = new Freshness(deps.clock)
    this.#sweeper = new Sweeper(deps)
    this.#plan = options.mode === 'poll' ? 'poll' : 'each'
    this.label = options.datacentre ?? 'the agent’s datacentre'
  }

  /** Grows each time that the roster answers again after a failure. */
  get epoch(): number {
    return this.#epoch
  }

  get lagMs(): number | undefined {
    return this.#lagMs
  }

  get lastSuccess(): number | undefined {
    return this.#lastSuccess
  }

  /** The roster was read at least once. */
  get isKnown(): boolean {
    return this.#isKnown
  }

  /** Everything was read once, or failed. */
  get isSettled(): boolean {
    return this.isKnown ? this.#reads.isSettled : this.#rosterError !== undefined
  }

  /** Names of the services that are listed and wanted. */
  names(): Iterable<string> {
    return this.#reads.names()
  }

  has(name: string): boolean {
    return this.#reads.has(name)
  }

  /** What was read last. */
  service(name: string): ServiceInstances | undefined {
    return this.#reads.service(name)
  }

  /** What is known of it may be old. */
  isFailing(name: string): boolean {
    if (this.#plan === 'trigger' && this.#triggerError !== undefined) return true
    if (this.#plan === 'poll' && this.#rosterError !== undefined) return true
    return this.#reads.isFailing(name)
  }

  /** The most telling of the present errors, with what was read. */
  error(): { readonly what: string; readonly error: GatewayError } | undefined {
    if (this.#rosterError !== undefined) return { what: 'the list of services', error: this.#rosterError }
    if (this.#triggerError !== undefined) return { what: 'the checks', error: this.#triggerError }
    return this.#reads.firstError()
  }

  /** Records that were left out, and what smells of a token with too few rights. */
  problems(): string[] {
    const problems = this.#reads.problems()
    if (this.#reads.isHollow) {
      problems.push(
        `${this.label}: the list has ${this.#reads.size} services but 0 instances in all: the token lacks node:read?`,
      )
    }
    return problems
  }

  /** Resolves once the signal aborted and all loops are at their end. */
  async run(signal: AbortSignal): Promise<void> {
    const { mode, pollInterval } = this.#options
    const queue = new ReadQueue((name, own) => this.#readOnce(name, own), this.#deps.random, signal)
    await this.#loop(
      '/v1/catalog/services',
      mode === 'poll' ? pollInterval : undefined,
      (answer, hasMoved) => this.#takeRoster(answer, hasMoved, queue, signal),
      (error) => {
        this.#rosterError = error
      },
      signal,
    )
    await Promise.all(this.#tasks)
  }

  #loop(
    path: string,
    every: number | undefined,
    onAnswer: LoopOptions['onAnswer'],
    onError: (error: GatewayError) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, onChange } = this.#deps
    return runLoop(
      {
        every,
        restart: () => client.tokenChanged,
        wake: () => this.#wake.signal,
        read: (index, own) => this.#get(path, index, own),
        onAnswer: (answer, hasMoved) => {
          onAnswer(answer, hasMoved)
          onChange()
        },
        onError: (error) => {
          onError(error)
          onChange()
        },
      },
      this.#deps,
      signal,
    )
  }

  async #get(path: string, index: number, signal: AbortSignal): Promise<ConsulAnswer> {
    const answer = await this.#deps.client.get({ path, datacentre: this.#options.datacentre, index }, signal)
    this.#lastSuccess = this.#deps.clock.now()
    this.#lagMs = answer.lagMs
    return answer
  }

  #takeRoster(answer: ConsulAnswer, hasMoved: boolean, queue: ReadQueue, signal: AbortSignal): void {
    const all = rosterNames(parseAnswer(answer.text))
    this.#freshness.check(answer, all.length === 0)
    // Consul itself is a service: an empty list is one that was kept back, or one from before the start was over.
    if (all.length === 0) throw emptyListError()
    if (this.#rosterError !== undefined) {
      this.#epoch++
      this.#wake.abort()
      this.#wake = new AbortController()
    }
    this.#rosterError = undefined
    this.#isKnown = true
    const names = new Set(all.filter((name) => this.#deps.isWanted(name)))
    const { fresh, gone } = this.#reads.retain(names)
    for (const name of gone) {
      this.#unfollow(name)
      queue.forget(name)
    }
    this.#choosePlan(queue, signal)
    if (this.#plan === 'each') {
      for (const name of names) if (!this.#watches.has(name)) this.#follow(name, signal)
    } else {
      for (const name of this.#plan === 'poll' ? names : fresh) queue.mark(name)
      if (hasMoved && fresh.length === 0 && gone.length === 0) this.#sweeper.soon()
    }
  }

  #choosePlan(queue: ReadQueue, signal: AbortSignal): void {
    const limit = Math.max(1, this.#options.maxWatches - 1)
    const count = this.#reads.size
    if (this.#plan === 'each' && count > limit) {
      this.#plan = 'trigger'
      for (const name of [...this.#watches.keys()]) this.#unfollow(name)
      this.#startTrigger(queue, signal)
    } else if (this.#plan === 'trigger' && count <= limit * RETURN_RATIO) {
      this.#plan = 'each'
      this.#stopTrigger?.abort()
      this.#triggerError = undefined
      queue.clear()
    } else return
    this.#deps.onPlan(this.#plan, count)
  }

  #startTrigger(queue: ReadQueue, signal: AbortSignal): void {
    const stop = new AbortController()
    const own = AbortSignal.any([signal, stop.signal])
    this.#stopTrigger = stop
    this.#trigger.reset()
    const markAll = () => {
      for (const name of this.#reads.names()) queue.mark(name)
    }
    const freshness = new Freshness(this.#deps.clock)
    const onAnswer = (answer: ConsulAnswer, hasMoved: boolean) => {
      freshness.check(answer, false)
      const changes = this.#trigger.update(parseAnswer(answer.text))
      this.#triggerError = undefined
      if (changes === undefined) return markAll()
      // Other metadata or another port wake the watch, and are not in what it answers.
      if (hasMoved && changes.services.size === 0 && changes.nodes.size === 0) this.#sweeper.soon()
      for (const name of this.#reads.names()) {
        const isOnChangedNode = () =>
          this.#reads.service(name)?.instances.some(({ node }) => changes.nodes.has(node ?? '')) ?? true
        if (changes.services.has(name) || (changes.nodes.size > 0 && isOnChangedNode())) queue.mark(name)
      }
    }
    const onError = (error: GatewayError) => {
      this.#triggerError = error
      this.#trigger.reset()
    }
    this.#track(this.#loop('/v1/health/state/any', undefined, onAnswer, onError, own))
    this.#track(this.#sweeper.run(markAll, own))
  }

  #follow(name: string, signal: AbortSignal): void {
    const stop = new AbortController()
    this.#watches.set(name, stop)
    const loop = this.#loop(
      healthPath(name),
      undefined,
      (answer) => this.#reads.take(name, answer),
      (error) => this.#reads.fail(name, error),
      AbortSignal.any([signal, stop.signal]),
    )
    this.#track(loop)
  }

  #unfollow(name: string): void {
    this.#watches.get(name)?.abort()
    this.#watches.delete(name)
  }

  /** One read of one service, for the plans without a watch of its own. */
  async #readOnce(name: string, signal: AbortSignal): Promise<boolean> {
    try {
      this.#reads.take(name, await this.#get(healthPath(name), 0, signal))
      return true
    } catch (thrown) {
      if (signal.aborted) return true
      this.#reads.fail(name, toRegistryError(thrown))
      return false
    } finally {
      this.#deps.onChange()
    }
  }

  #track(task: Promise<void>): void {
    this.#tasks.add(task)
    void task.finally(() => this.#tasks.delete(task))
  }
}

function healthPath(name: string): string {
  return `/v1/health/service/${encodeURIComponent(name)}`
}
