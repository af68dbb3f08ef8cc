import { hash } from 'node:crypto'
import type { Clock } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { ServiceInstances } from '../core/types.ts'
import { type ConsulAnswer, parseAnswer } from './consul-client.ts'
import { type MappingOptions, mapHealth } from './consul-mapping.ts'

/** An answer older than what is known is believed once it was the same for so long. ms. */
const BEHIND_MS = 3000

/**
 * Refuses answers that are older than what is known: a server that starts again answers before it has its log
 * back, and what it does not list may well be there. Only Consul that lost its data stays behind.
 */
export class Freshness {
  readonly #clock: Clock
  #index = 0
  #behindSince: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Throws GW_REGISTRY_UNREACHABLE for an answer without a leader or from before the last one. */
  check(answer: ConsulAnswer, isEmpty: boolean): void {
    const isFirst = this.#index === 0
    if (!answer.hasLeader && (!isFirst || isEmpty)) throw notYet('the Consul servers have no leader')
    if (answer.index < this.#index) {
      const now = this.#clock.monotonic()
      this.#behindSince ??= now
      if (now - this.#behindSince < BEHIND_MS) throw notYet('Consul answers with older data')
    }
    this.#behindSince = undefined
    this.#index = Math.max(1, answer.index)
  }
}

function notYet(why: string): GatewayError {
  return new GatewayError('GW_REGISTRY_UNREACHABLE', `${why}; what was read before stays in use`)
}

interface ServiceRead {
  readonly freshness: Freshness
  service: ServiceInstances | undefined
  /** Of the answer's text; an answer that did not change is not parsed. */
  digest: string
  problems: readonly string[]
  /** Records in the answer, with those that were left out. */
  records: number
  error: GatewayError | undefined
}

/** What was read last of each service of one datacentre; a failure only marks it. */
export class ServiceReads {
  readonly #reads = new Map<string, ServiceRead>()
  readonly #datacentre: string | undefined
  readonly #mapping: MappingOptions
  readonly #clock: Clock

  constructor(datacentre: string | undefined, mapping: MappingOptions, clock: Clock) {
    this.#clock = clock
    this.#datacentre = datacentre
    this.#mapping = mapping
  }

  get size(): number {
    return this.#reads.size
  }

  names(): Iterable<string> {
    return this.#reads.keys()
  }

  has(name: string): boolean {
    return this.#reads.has(name)
  }

  service(name: string): ServiceInstances | undefined {
    return this.#reads.get(name)?.service
  }

  isFailing(name: string): boolean {
    return this.#reads.get(name)?.error !== undefined
  }

  firstError(): { readonly what: string; readonly error: GatewayError } | undefined {
    for (const [name, { error }] of this.#reads) {
      if (error !== undefined) return { what: name, error }
    }
    return undefined
  }

  /** Each was read once, or failed. */
  get isSettled(): boolean {
    for (const { service, error } of this.#reads.values()) {
      if (service === undefined && error === undefined) return false
    }
    return true
  }

  /** Everything was read, nothing failed, and there is not one record. */
  get isHollow(): boolean {
    if (this.#reads.size === 0) return false
    for (const { service, error, records } of this.#reads.values()) {
      if (service === undefined || error !== undefined || records > 0) return false
    }
    return true
  }

  problems(): string[] {
    return [...this.#reads.values()].flatMap(({ problems }) => problems)
  }

  /** Forgets all but these names; gives those that are new and those that are gone. */
  retain(names: ReadonlySet<string>): { fresh: string[]; gone: string[] } {
    const gone = [...this.#reads.keys()].filter((name) => !names.has(name))
    const fresh = [...names].filter((name) => !this.#reads.has(name))
    for (const name of gone) this.#reads.delete(name)
    for (const name of fresh) {
      const freshness = new Freshness(this.#clock)
      this.#reads.set(name, {
        freshness,
        service: undefined,
        digest: '',
        problems: [],
        records: 0,
        error: undefined,
      })
    }
    return { fresh, gone }
  }

  /** Takes an answer of `/v1/health/service/:name`. Throws GW_REGISTRY_UNREACHABLE, _ANSWER or _ACL. */
  take(name: string, answer: ConsulAnswer): void {
    const read = this.#reads.get(name)
    if (read === undefined) return
    read.freshness.check(answer, answer.text.trim() === '[]')
    const digest = hash('sha1', answer.text)
    if (digest !== read.digest || answer.isFiltered) {
      const body = parseAnswer(answer.text)
      // Consul says that it kept something back: this emptiness is no fact about the service.
      if (answer.isFiltered && Array.isArray(body) && body.length === 0) throw hiddenError(name)
      const mapped = mapHealth(name, this.#datacentre, body, this.#mapping, read.service)
      read.service = mapped.service
      read.problems = mapped.problems
      read.records = mapped.records
      read.digest = digest
    }
    read.error = undefined
  }

  fail(name: string, error: GatewayError): void {
    const read = this.#reads.get(name)
    if (read !== undefined) read.error = error
  }
}

function hiddenError(name: string): GatewayError {
  return new GatewayError(
    'GW_REGISTRY_ACL',
    `Consul hides ${name} from the token (results filtered by ACLs): it lacks node:read`,
  )
}

/** For a roster with nothing in it. */
export function emptyListError(): GatewayError {
  return new GatewayError(
    'GW_REGISTRY_ACL',
    'the list of services is empty, not even consul is in it: the token lacks service:read?',
  )
}
