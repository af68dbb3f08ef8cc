import { Worker } from 'node:worker_threads'
import { errorText, GatewayError } from '../core/errors.ts'
import { Job, type JobReport } from './job.ts'
import type { RulePart, WorkerCommand, WorkerReport } from './types.ts'

/** One more than it works on: the next request is there when this one is done. */
const IN_FLIGHT = 2
const CLOSE_MS = 1000

export interface RuleSetParts {
  readonly id: number
  readonly parts: readonly RulePart[]
  readonly blockingParanoia: number
}

export interface WorkerOwner {
  now(): number
  nextJob(): number
  /** It has room for a job. */
  onIdle(worker: WafWorker): void
  /** Its thread is gone; `isOurs`: it was told to go. */
  onExit(worker: WafWorker, problem: string, isOurs: boolean): void
}

/** One thread of the engine, from start to exit. */
export class WafWorker {
  readonly #thread: Worker
  readonly #owner: WorkerOwner
  /** In the order in which the thread does them. */
  readonly #inFlight: Job[] = []
  /** Jobs for transactions that are open in this thread. */
  readonly #own: Job[] = []
  readonly #exited: Promise<void>
  #isGone = false
  #isClosing = false
  #problem = 'the thread ended'
  #whenReady!: () => void
  #whenNotReady!: (error: GatewayError) => void
  /** Resolves once the library is loaded; rejects with GW_WAF_LIBRARY or GW_WAF_UNAVAILABLE. */
  readonly ready: Promise<void>
  /** Has all current rule sets: may get requests. */
  isReady = false

  constructor(library: string, owner: WorkerOwner) {
    this.#owner = owner
    this.ready = new Promise((resolve, reject) => {
      this.#whenReady = resolve
      this.#whenNotReady = reject
    })
    // Whoever needs it waits for it; a thread that dies before must not be an unhandled rejection.
    this.ready.catch(() => {})
    this.#thread = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: { library },
      name: 'waf',
    })
    this.#thread.on('message', (report: WorkerReport) => this.#onReport(report))
    this.#thread.on('error', (error) => {
      this.#problem = errorText(error)
    })
    this.#exited = new Promise((resolve) => {
      this.#thread.on('exit', () => {
        this.#gone()
        resolve()
      })
    })
  }

  get isGone(): boolean {
    return this.#isGone
  }

  get hasRoom(): boolean {
    return this.isReady && !this.#isGone && this.#inFlight.length < IN_FLIGHT
  }

  /** Waiting for this thread alone. */
  get waiting(): number {
    return this.#own.length
  }

  #onReport(report: WorkerReport): void {
    if (report.type === 'ready') {
      this.#whenReady()
    } else if (report.type === 'missing') {
      this.#whenNotReady(new GatewayError('GW_WAF_LIBRARY', report.problem))
    } else {
      this.#finish(report)
    }
  }

  #finish(report: JobReport): void {
    const job = this.#inFlight.shift()
    const next = this.#inFlight[0]
    if (next !== undefined) next.startedAt = this.#owner.now()
    if (job === undefined) return
    // A transaction that nobody waits for would stay open for ever.
    if (job.isSettled && job.command.type === 'request' && job.command.keep) this.end(report.job)
    job.done(report)
    this.pump()
    this.#owner.onIdle(this)
  }

  /** Puts a job of an open transaction in this thread's own queue. */
  enqueue(job: Job): void {
    if (this.#isGone) {
      job.fail(this.#lost())
      return
    }
    this.#own.push(job)
    this.pump()
  }

  pump(): void {
    while (this.hasRoom) {
      const job = this.#own.shift()
      if (job === undefined) return
      if (!job.isSettled) this.dispatch(job)
    }
  }

  dispatch(job: Job): void {
    if (this.#inFlight.length === 0) job.startedAt = this.#owner.now()
    this.#inFlight.push(job)
    this.#post(job.command, job.transfer)
  }

  #post(command: WorkerCommand, transfer: readonly ArrayBuffer[] = []): void {
    this.#thread.postMessage(command, transfer)
  }

  /** GW_CONFIG_INVALID as a text in `failed`; rejects with GW_WAF_UNAVAILABLE when the thread dies. */
  load(set: RuleSetParts, timeoutMs: number): Promise<JobReport> {
    const { id, parts, blockingParanoia } = set
    const job = this.#owner.nextJob()
    return this.#ask({ type: 'load', job, set: id, parts, blockingParanoia }, timeoutMs)
  }

  /** What it holds on the library's side. */
  async handles(timeoutMs: number): Promise<{ readonly sets: number; readonly transactions: number }> {
    const report = await this.#ask({ type: 'handles', job: this.#owner.nextJob() }, timeoutMs)
    return report.type === 'handles' ? report : { sets: 0, transactions: 0 }
  }

  #ask(command: Job['command'], timeoutMs: number): Promise<JobReport> {
    const job = new Job(command, this.#owner.now() + timeoutMs)
    if (this.#isGone) job.fail(this.#lost())
    else this.dispatch(job)
    return job.promise
  }

  drop(set: number): void {
    if (!this.#isGone) this.#post({ type: 'drop', set })
  }

  end(transaction: number): void {
    if (!this.#isGone) this.#post({ type: 'end', transaction })
  }

  /**
   * Fails what is past its deadline. True: the thread has been at one job for longer than `hungMs`; loading rules may take
   * longer, until its own deadline.
   */
  sweep(now: number, hungMs: number, late: () => GatewayError): boolean {
    for (const job of this.#own) if (job.deadline <= now) job.fail(late())
    for (const job of this.#inFlight) if (job.deadline <= now) job.fail(late())
    const current = this.#inFlight[0]
    if (current?.startedAt === undefined) return false
    return current.command.type === 'load' ? current.deadline <= now : now - current.startedAt > hungMs
  }

  /** Something is waited for. */
  get isBusy(): boolean {
    return this.#inFlight.length > 0 || this.#own.length > 0
  }

  #lost(): GatewayError {
    return new GatewayError('GW_WAF_UNAVAILABLE', `the WAF worker is gone: ${this.#problem}`)
  }

  #gone(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.isReady = false
    const lost = this.#lost()
    this.#whenNotReady(lost)
    for (const job of [...this.#inFlight.splice(0), ...this.#own.splice(0)]) job.fail(lost)
    this.#owner.onExit(this, this.#problem, this.#isClosing)
  }

  /**
   * Gives up on a thread that hangs. Native code cannot be interrupted: the thread ends when it comes back from it; until
   * then it is only left alone. Resolves when it ended.
   */
  abandon(problem: string): Promise<void> {
    this.#problem = problem
    void this.#thread.terminate()
    this.#gone()
    return this.#exited
  }

  /** Lets it free what it holds. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#problem = 'the WAF engine is closed'
    if (this.#isGone) return
    this.#post({ type: 'close' })
    const timer = setTimeout(() => void this.#thread.terminate(), CLOSE_MS)
    await this.#exited
    clearTimeout(timer)
  }
}
