import type { GatewayError } from '../core/errors.ts'
import type { WorkerJob, WorkerReport } from './types.ts'

/** What a worker says at the end of a job. */
export type JobReport = Extract<WorkerReport, { readonly job: number }>

/** A command on its way through queue and worker; it settles once. */
export class Job {
  readonly command: WorkerJob
  readonly transfer: readonly ArrayBuffer[]
  /** Monotonic ms. */
  readonly deadline: number
  readonly promise: Promise<JobReport>
  /** When the worker began with it; monotonic ms. */
  startedAt: number | undefined
  #isSettled = false
  #resolve!: (report: JobReport) => void
  #reject!: (error: GatewayError) => void

  constructor(command: WorkerJob, deadline: number, transfer: readonly ArrayBuffer[] = []) {
    this.command = command
    this.deadline = deadline
    this.transfer = transfer
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Nobody waits for it any more. */
  get isSettled(): boolean {
    return this.#isSettled
  }

  done(report: JobReport): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#resolve(report)
  }

  fail(error: GatewayError): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#reject(error)
  }
}
