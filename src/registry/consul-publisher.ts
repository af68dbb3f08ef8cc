import type { Clock } from '../core/duration.ts'
import type { GatewayError } from '../core/errors.ts'
import type { ProviderStatus, ServiceInstances, Snapshot } from '../core/types.ts'
import type { DatacentreWatch } from './consul-datacentre.ts'
import type { RegistrySink } from './provider.ts'

/** Answers of a server that heard so long nothing of a leader are worth a line in the log. ms. */
const LAG_WARN_MS = 10_000
const MAX_PROBLEMS = 100

export interface PublisherDeps {
  readonly clock: Clock
  readonly log: { warn(fields: object, text: string): void }
}

interface Failure {
  readonly label: string
  readonly what: string
  readonly error: GatewayError
}

/** Makes one snapshot out of all datacentres, as soon as each was read once. */
export class Publisher {
  readonly #name: string
  readonly #datacentres: readonly DatacentreWatch[]
  readonly #sink: RegistrySink
  readonly #deps: PublisherDeps
  readonly #signal: AbortSignal
  #pending: NodeJS.Immediate | undefined
  #last: Snapshot | undefined
  #count = 0
  #isLagging = false
  #lastError: ProviderStatus['lastError']
  /** Of services in several datacentres: what was put together, and from what. */
  readonly #merged = new Map<string, { parts: readonly ServiceInstances[]; whole: ServiceInstances }>()

  constructor(
    name: string,
    datacentres: readonly DatacentreWatch[],
    sink: RegistrySink,
    deps: PublisherDeps,
    signal: AbortSignal,
  ) {
    this.#name = name
    this.#datacentres = datacentres
    this.#sink = sink
    this.#deps = deps
    this.#signal = signal
  }

  /** Publishes once what happens in one turn of the event loop. */
  soon(): void {
    this.#pending ??= setImmediate(() => {
      this.#pending = undefined
      if (this.#signal.aborted) return
      this.#publish()
      this.#tellStatus()
    })
  }

  #publish(): void {
    // Nothing was ever read: an empty snapshot would say that there are no services.
    if (!this.#datacentres.some(({ isKnown }) => isKnown)) return
    if (this.#last === undefined && !this.#datacentres.every(({ isSettled }) => isSettled)) return
    const services = new Map<string, ServiceInstances>()
    const failed = new Set<string>()
    const isStale = new Set<DatacentreWatch>()
    for (const name of new Set(this.#datacentres.flatMap((datacentre) => [...datacentre.names()]))) {
      const listing = this.#datacentres.filter((datacentre) => datacentre.has(name))
      const failing = listing.filter((datacentre) => datacentre.isFailing(name))
      // One datacentre that cannot be reached must not freeze what the others say of the service.
      if (failing.length === listing.length) failed.add(name)
      else for (const datacentre of failing) isStale.add(datacentre)
      const parts = listing.flatMap((datacentre) => datacentre.service(name) ?? [])
      const whole = this.#merge(name, parts)
      if (whole !== undefined) services.set(name, whole)
    }
    for (const name of this.#merged.keys()) if (!services.has(name)) this.#merged.delete(name)
    const problems = this.#datacentres.flatMap((datacentre) => datacentre.problems())
    for (const { label } of isStale) {
      problems.push(`${label}: reads fail; its last known instances stay in use`)
    }
    if (problems.length > MAX_PROBLEMS) {
      problems.splice(MAX_PROBLEMS, problems.length, `… and ${problems.length - MAX_PROBLEMS} more`)
    }
    const epoch = this.#datacentres.reduce((sum, datacentre) => sum + datacentre.epoch, 0)
    const next = { services, failed, problems, epoch, revision: String(this.#count + 1) }
    if (this.#last !== undefined && isSame(this.#last, next)) return
    this.#count++
    this.#last = next
    this.#sink.next(next)
  }

  #merge(name: string, parts: readonly ServiceInstances[]): ServiceInstances | undefined {
    if (parts.length < 2) return parts[0]
    const known = this.#merged.get(name)
    if (known !== undefined && isSameList(known.parts, parts)) return known.whole
    const whole = { name, instances: parts.flatMap(({ instances }) => instances) }
    this.#merged.set(name, { parts, whole })
    return whole
  }

  #tellStatus(): void {
    const lastSuccess = maxOf(this.#datacentres.map((datacentre) => datacentre.lastSuccess))
    const lagMs = maxOf(this.#datacentres.map((datacentre) => datacentre.lagMs))
    const errors = this.#datacentres.flatMap((datacentre) => {
      const found = datacentre.error()
      return found === undefined ? [] : [{ ...found, label: datacentre.label }]
    })
    const [first] = errors
    const state: ProviderStatus['state'] =
      first === undefined
        ? this.#last === undefined
          ? 'connecting'
          : 'live'
        : this.#last === undefined
          ? 'failed'
          : 'stale'
    const lastError = this.#noteError(first)
    this.#sink.status({
      state,
      ...(lastSuccess === undefined ? {} : { lastSuccess }),
      ...(lagMs === undefined ? {} : { lagMs }),
      ...(lastError === undefined ? {} : { lastError }),
    })
    const isLagging = (lagMs ?? 0) > LAG_WARN_MS
    if (isLagging && !this.#isLagging) {
      this.#deps.log.warn(
        { registry: this.#name, lagMs },
        'the Consul server has not heard of a leader lately',
      )
    }
    this.#isLagging = isLagging
  }

  /** Keeps the time of an error that stays the same. */
  #noteError(found: Failure | undefined): ProviderStatus['lastError'] {
    if (found === undefined) this.#lastError = undefined
    else {
      const message = `${found.label}: ${found.what}: ${found.error.message}`
      if (this.#lastError?.message !== message) {
        this.#lastError = { at: this.#deps.clock.now(), code: found.error.code, message }
      }
    }
    return this.#lastError
  }
}

function isSame(a: Snapshot, b: Snapshot): boolean {
  if (a.epoch !== b.epoch || a.services.size !== b.services.size || a.failed.size !== b.failed.size)
    return false
  for (const [name, service] of b.services) if (a.services.get(name) !== service) return false
  for (const name of b.failed) if (!a.failed.has(name)) return false
  return isSameList(a.problems, b.problems)
}

function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i])
}

function maxOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}
