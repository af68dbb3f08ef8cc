import { availableParallelism } from 'node:os'
import { backoffMs, type Clock, type Random } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { Job, type JobReport } from './job.ts'
import { findLibrary } from './library.ts'
import type { RuleSource } from './rules.ts'
import type { InspectedAnswer, InspectedRequest, Verdict } from './types.ts'
import { type RuleSetParts, WafWorker } from './waf-worker.ts'

/** The static part of the configuration. */
export interface EngineSettings {
  /** Threads; 0 = one less than cores, at most 4. */
  readonly workers: number
  /** Path of libmodsecurity; undefined = looked for. */
  readonly library?: string | undefined
  /** Requests that may wait for a thread. */
  readonly queue: number
  /** ms for one phase, waiting included. */
  readonly timeout: number
}

export interface EngineDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** How many wait for a thread. */
  onQueue(length: number): void
  onRestart(): void
  event(data: Readonly<Record<string, unknown>>): void
}

/** Rules that every thread has loaded. `release` it when it is not used any more. */
export interface RuleSet {
  readonly id: number
  release(): void
}

/** A transaction that waits for its answer in the thread that has seen the request. */
export interface OpenTransaction {
  readonly id: number
  readonly worker: WafWorker
}

/** A request on its way through the engine. */
export interface Inspection {
  /** Rejects with GW_WAF_BUSY or GW_WAF_UNAVAILABLE. */
  readonly verdict: Promise<{ readonly verdict: Verdict; readonly transaction: OpenTransaction | undefined }>
  /** Nobody wants to know any more. */
  cancel(): void
}

interface LoadedSet extends RuleSetParts {
  readonly digest: string
  users: number
}

const RESTART_BASE_MS = 100
const RESTART_MAX_MS = 5000
/** A thread that lived this long begins again with the short wait. ms. */
const STEADY_MS = 30_000
const PARSER_LOCK = 'sluice-waf-rules'
/** 900 rules take a tenth of a second; a loaded machine more. ms. */
const LOAD_MS = 30_000

/** How many threads the setting means on this machine. */
export function workerCount(setting: number, cores = availableParallelism()): number {
  return setting > 0 ? setting : Math.max(1, Math.min(4, cores - 1))
}

/**
 * libmodsecurity in threads: rule sets that all of them have, one bounded queue before them, and a new thread for one that
 * died or hangs. Nothing runs before the first rule set is asked for.
 */
export class WafEngine {
  readonly #settings: EngineSettings
  readonly #deps: EngineDeps
  readonly #count: number
  readonly #workers = new Set<WafWorker>()
  readonly #queue: Job[] = []
  readonly #sets = new Map<number, LoadedSet>()
  readonly #bornAt = new WeakMap<WafWorker, number>()
  /** Threads that were given up and are still in native code. */
  #stuck = 0
  #nextId = 1
  #failures = 0
  #sweeper: NodeJS.Timeout | undefined
  readonly #restarts = new Set<NodeJS.Timeout>()
  #isClosed = false

  constructor(settings: EngineSettings, deps: EngineDeps) {
    this.#settings = settings
    this.#deps = deps
    this.#count = workerCount(settings.workers)
  }

  /** Threads that take requests. */
  get ready(): number {
    return [...this.#workers].filter(({ isReady }) => isReady).length
  }

  /** Requests that wait for a thread. */
  get queued(): number {
    return this.#queue.length
  }

  /**
   * Loads rules in every thread. Throws GW_WAF_LIBRARY, GW_CONFIG_INVALID (with file, line, column: no thread has it then)
   * and GW_WAF_UNAVAILABLE.
   */
  acquire(source: RuleSource, blockingParanoia: number): Promise<RuleSet> {
    return this.#inTurn(async () => {
      if (this.#isClosed) throw new GatewayError('GW_WAF_UNAVAILABLE', 'the WAF engine is closed')
      const digest = `${blockingParanoia} ${source.digest}`
      const known = [...this.#sets.values()].find((each) => each.digest === digest)
      if (known !== undefined) return this.#use(known)
      await this.#start()
      const set: LoadedSet = { id: this.#nextId++, parts: source.parts, blockingParanoia, digest, users: 0 }
      await this.#loadEverywhere(set)
      this.#sets.set(set.id, set)
      return this.#use(set)
    })
  }

  /** One at a time in the whole process, whoever loads: the library's parser has global state. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return navigator.locks.request(PARSER_LOCK, work)
  }

  #use(set: LoadedSet): RuleSet {
    set.users++
    let isReleased = false
    return {
      id: set.id,
      release: () => {
        if (isReleased) return
        isReleased = true
        if (--set.users > 0) return
        this.#sets.delete(set.id)
        for (const worker of this.#workers) worker.drop(set.id)
      },
    }
  }

  async #start(): Promise<void> {
    if (this.#workers.size > 0 || this.#restarts.size > 0) return
    const library = findLibrary(this.#settings.library)
    const started: WafWorker[] = []
    try {
      // One after the other: the library must not be set up in two threads at a time.
      for (let i = 0; i < this.#count; i++) {
        const worker = this.#spawn(library)
        started.push(worker)
        await worker.ready
      }
    } catch (thrown) {
      // Without the library no thread will ever run: the next one who asks begins anew.
      for (const worker of started) void worker.close()
      this.#workers.clear()
      throw thrown
    }
    for (const worker of started) worker.isReady = true
  }

  #spawn(library: string): WafWorker {
    const worker = new WafWorker(library, {
      now: () => this.#deps.clock.monotonic(),
      nextJob: () => this.#nextId++,
      onIdle: (idle) => this.#feed(idle),
      onExit: (gone, problem, isOurs) => this.#onExit(gone, problem, isOurs),
    })
    this.#workers.add(worker)
    this.#bornAt.set(worker, this.#deps.clock.monotonic())
    return worker
  }

  /** A thread that dies meanwhile loads it when it starts again; one that says no decides for all. */
  async #loadEverywhere(set: LoadedSet): Promise<void> {
    let loaded = 0
    let lost: unknown
    for (const worker of [...this.#workers]) {
      if (!worker.isReady) continue
      const report = await this.#load(worker, set).catch((thrown: unknown) => {
        lost = thrown
        return undefined
      })
      if (report?.type === 'failed') {
        for (const each of this.#workers) each.drop(set.id)
        throw new GatewayError('GW_CONFIG_INVALID', report.problem)
      }
      if (report !== undefined) loaded++
    }
    if (loaded > 0) return
    throw new GatewayError('GW_WAF_UNAVAILABLE', `no WAF worker could load the rules`, { cause: lost })
  }

  #load(worker: WafWorker, set: RuleSetParts): Promise<JobReport> {
    const loading = worker.load(set, LOAD_MS)
    this.#watch()
    return loading
  }

  #onExit(worker: WafWorker, problem: string, isOurs: boolean): void {
    const isKnown = this.#workers.delete(worker)
    if (!isKnown || isOurs || this.#isClosed) return
    const livedMs = this.#deps.clock.monotonic() - (this.#bornAt.get(worker) ?? 0)
    this.#failures = livedMs > STEADY_MS ? 1 : this.#failures + 1
    const waitMs = Math.round(backoffMs(this.#failures, RESTART_BASE_MS, RESTART_MAX_MS, this.#deps.random))
    this.#deps.log.warn(
      { err: problem, waitMs, ready: this.ready },
      'a WAF worker ended; it is started again',
    )
    this.#deps.event({ event: 'waf_worker_ended', err: problem, ready: this.ready })
    this.#restartLater(waitMs)
  }

  #restartLater(waitMs: number): void {
    const timer = setTimeout(() => {
      this.#restarts.delete(timer)
      // Each given-up thread may hold a core: not ever more of them.
      if (this.#stuck > this.#count) this.#restartLater(RESTART_MAX_MS)
      else void this.#restart()
    }, waitMs)
    timer.unref()
    this.#restarts.add(timer)
  }

  async #restart(): Promise<void> {
    if (this.#isClosed) return
    this.#deps.onRestart()
    try {
      await this.#inTurn(async () => {
        if (this.#isClosed) return
        const worker = this.#spawn(findLibrary(this.#settings.library))
        await worker.ready
        await this.#bringUp(worker)
      })
    } catch (thrown) {
      // A thread that ended has its next start planned already.
      if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_WAF_UNAVAILABLE') {
        this.#deps.log.warn({ err: errorText(thrown) }, 'a WAF worker cannot be started')
        this.#restartLater(RESTART_MAX_MS)
      }
    }
  }

  async #bringUp(worker: WafWorker): Promise<void> {
    for (const set of [...this.#sets.values()]) {
      const report = await this.#load(worker, set)
      if (report.type === 'failed') {
        this.#deps.log.warn({ err: report.problem }, 'rules that were good cannot be loaded again')
      }
    }
    worker.isReady = true
    this.#deps.log.info({ ready: this.ready }, 'a WAF worker is back')
    this.#deps.event({ event: 'waf_worker_back', ready: this.ready })
    this.#feed(worker)
  }

  /** Phases 1 and 2. `keep`: the answer will be shown, too; `end` it then. */
  inspect(set: RuleSet, request: InspectedRequest, keep: boolean): Inspection {
    const id = this.#nextId++
    const body = request.body
    const loaded = this.#sets.get(set.id)
    // Rules that were replaced stay until the last request that began with them.
    const hold = loaded === undefined ? undefined : this.#use(loaded)
    const job = this.#job({ type: 'request', job: id, set: set.id, request, keep }, body)
    const holder: { worker?: WafWorker } = {}
    this.#place(job, holder)
    const verdict = job.promise
      .finally(() => hold?.release())
      .then((report) => ({
        verdict: verdictOf(report),
        transaction: keep && holder.worker !== undefined ? { id, worker: holder.worker } : undefined,
      }))
    return { verdict, cancel: () => job.fail(new GatewayError('GW_WAF_UNAVAILABLE', 'not wanted any more')) }
  }

  #job(command: Job['command'], body: Uint8Array | undefined): Job {
    const deadline = this.#deps.clock.monotonic() + this.#settings.timeout
    return new Job(command, deadline, body === undefined ? [] : [body.buffer as ArrayBuffer])
  }

  readonly #holders = new WeakMap<Job, { worker?: WafWorker }>()

  #place(job: Job, holder: { worker?: WafWorker }): void {
    const worker = this.#idlest()
    if (this.#isClosed) {
      job.fail(new GatewayError('GW_WAF_UNAVAILABLE', 'the WAF engine is closed'))
    } else if (worker !== undefined && this.#queue.length === 0) {
      holder.worker = worker
      worker.dispatch(job)
      this.#watch()
    } else if (this.#queue.length >= this.#settings.queue) {
      job.fail(new GatewayError('GW_WAF_BUSY', `${this.#queue.length} requests wait for the WAF already`))
    } else {
      this.#holders.set(job, holder)
      this.#queue.push(job)
      this.#deps.onQueue(this.#queue.length)
      this.#watch()
    }
  }

  #idlest(): WafWorker | undefined {
    let best: WafWorker | undefined
    for (const worker of this.#workers) {
      if (!worker.hasRoom) continue
      if (!worker.isBusy) return worker
      best ??= worker
    }
    return best
  }

  #feed(worker: WafWorker): void {
    worker.pump()
    let hasChanged = false
    while (worker.hasRoom) {
      const job = this.#queue.shift()
      if (job === undefined) break
      hasChanged = true
      if (job.isSettled) continue
      const holder = this.#holders.get(job)
      if (holder !== undefined) holder.worker = worker
      worker.dispatch(job)
    }
    if (hasChanged) this.#deps.onQueue(this.#queue.length)
  }

  /** Phase 3. Rejects with GW_WAF_UNAVAILABLE. */
  async answer(transaction: OpenTransaction, answer: InspectedAnswer): Promise<Verdict> {
    return this.#ask(
      transaction,
      this.#job({ type: 'answer', job: this.#nextId++, transaction: transaction.id, answer }, undefined),
    )
  }

  /** Phase 4. `body` is handed over. Rejects with GW_WAF_UNAVAILABLE. */
  async answerBody(transaction: OpenTransaction, body: Uint8Array): Promise<Verdict> {
    return this.#ask(
      transaction,
      this.#job({ type: 'answerBody', job: this.#nextId++, transaction: transaction.id, body }, body),
    )
  }

  async #ask({ worker }: OpenTransaction, job: Job): Promise<Verdict> {
    if (worker.waiting >= this.#settings.queue) throw new GatewayError('GW_WAF_BUSY', 'too many answers wait')
    worker.enqueue(job)
    this.#watch()
    return verdictOf(await job.promise)
  }

  /** Phase 5; must be called once for each transaction. */
  end({ id, worker }: OpenTransaction): void {
    worker.end(id)
  }

  /** One timer for all jobs, while there are any. */
  #watch(): void {
    if (this.#sweeper !== undefined) return
    this.#sweeper = setInterval(() => this.#sweep(), Math.max(10, Math.min(100, this.#settings.timeout / 4)))
    this.#sweeper.unref()
  }

  #sweep(): void {
    const now = this.#deps.clock.monotonic()
    const { timeout } = this.#settings
    const late = () => new GatewayError('GW_WAF_UNAVAILABLE', `the WAF did not answer within ${timeout} ms`)
    let isBusy = false
    for (const worker of [...this.#workers]) {
      if (worker.sweep(now, timeout, late)) {
        this.#stuck++
        void worker.abandon(`one job took longer than ${timeout} ms`).then(() => this.#stuck--)
      } else if (worker.isBusy) isBusy = true
    }
    for (const job of this.#queue) if (job.deadline <= now) job.fail(late())
    while (this.#queue[0]?.isSettled === true) this.#queue.shift()
    this.#deps.onQueue(this.#queue.length)
    if (isBusy || this.#queue.length > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }

  /** Rule sets and open transactions in all threads. */
  async handles(): Promise<{ readonly sets: number; readonly transactions: number }> {
    const all = await Promise.all([...this.#workers].map((worker) => worker.handles(this.#settings.timeout)))
    return {
      sets: all.reduce((sum, { sets }) => sum + sets, 0),
      transactions: all.reduce((sum, { transactions }) => sum + transactions, 0),
    }
  }

  /** Ends the threads, which free what they hold; what waits fails. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#sweeper)
    for (const timer of this.#restarts) clearTimeout(timer)
    for (const job of this.#queue.splice(0)) {
      job.fail(new GatewayError('GW_WAF_UNAVAILABLE', 'the WAF engine is closed'))
    }
    await Promise.all([...this.#workers].map((worker) => worker.close()))
  }
}

function verdictOf(report: JobReport): Verdict {
  if (report.type === 'done') return report.verdict
  const problem = report.type === 'failed' ? report.problem : `unexpected ${report.type}`
  throw new GatewayError('GW_WAF_UNAVAILABLE', `the WAF engine failed: ${problem}`)
}
