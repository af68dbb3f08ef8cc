import { hash } from 'node:crypto'
import type { Clock } from '../core/duration.ts'
import type { GatewayError } from '../core/errors.ts'
import type { Instance, ProviderStatus, ServiceInstances } from '../core/types.ts'
import { keepSame } from './keep-same.ts'
import type { RegistrySink } from './provider.ts'

/** Lines about what was left out; more are counted. */
const MAX_PROBLEMS = 100

/** What a provider that asks again and again has read this time. */
export interface Reading {
  /** Instances by service, also those of a service that could not be read this time, if they are known. */
  readonly services: ReadonlyMap<string, readonly Instance[]>
  /** Services whose read failed. */
  readonly failed?: ReadonlySet<string>
  /** Opaque, for logs. Default: a hash of the services. */
  readonly revision?: string
  readonly problems: readonly string[]
}

/** Makes snapshots and the status of what a provider reads by asking: what did not change stays the same object. */
export class Teller {
  readonly #sink: RegistrySink
  readonly #clock: Clock
  #known: ReadonlyMap<string, ServiceInstances> = new Map()
  #revision = ''
  #epoch = -1
  #hasFailed = true
  #problems: readonly string[] = []
  #lastSuccess: number | undefined
  #lastError: ProviderStatus['lastError']

  constructor(sink: RegistrySink, clock: Clock) {
    this.#sink = sink
    this.#clock = clock
    sink.status({ state: 'connecting' })
  }

  /** Everything, or all but the services that failed. */
  read({ services, failed = new Set(), revision, problems }: Reading): void {
    if (this.#hasFailed) this.#epoch++
    this.#hasFailed = false
    this.#lastError = undefined
    this.#known = keepSame(this.#known, services)
    this.#revision = revision ?? revisionOf(this.#known)
    this.#problems = shorten(problems)
    this.#tell(failed)
  }

  /** The same as the last time, which was good. */
  unchanged(): void {
    this.#tell(new Set())
  }

  /** Nothing could be read: what is known stays. */
  failed({ code, message }: GatewayError): void {
    this.#hasFailed = true
    // An error that stays the same keeps its time.
    if (this.#lastError?.message !== message) {
      this.#lastError = { at: this.#clock.now(), code, message }
    }
    if (this.#epoch < 0) {
      this.#sink.status({ state: 'failed', lastError: this.#lastError })
      return
    }
    this.#next(new Set(this.#known.keys()))
    this.#sink.status({
      state: 'stale',
      ...(this.#lastSuccess === undefined ? {} : { lastSuccess: this.#lastSuccess }),
      lastError: this.#lastError,
    })
  }

  #tell(failed: ReadonlySet<string>): void {
    this.#lastSuccess = this.#clock.now()
    this.#next(failed)
    this.#sink.status({ state: 'live', lastSuccess: this.#lastSuccess })
  }

  /** Also when nothing is new: the reducer then knows how fresh everything is. */
  #next(failed: ReadonlySet<string>): void {
    this.#sink.next({
      services: this.#known,
      failed,
      revision: this.#revision,
      epoch: this.#epoch,
      problems: this.#problems,
    })
  }
}

function revisionOf(services: ReadonlyMap<string, ServiceInstances>): string {
  return hash('sha1', JSON.stringify([...services.values()]), 'hex').slice(0, 12)
}

function shorten(problems: readonly string[]): readonly string[] {
  if (problems.length <= MAX_PROBLEMS) return problems
  return [...problems.slice(0, MAX_PROBLEMS), `… and ${problems.length - MAX_PROBLEMS} more`]
}
