import type { SrvAnswer, StringAnswer } from 'dns-packet'
import { backoffMs, type Clock, type Random, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { Instance, Scheme } from '../core/types.ts'
import { type AddressRule, createAddressRule } from './consul-address.ts'
import { type DnsAnswer, DnsClient, type DnsType, isSameName } from './dns-client.ts'
import { isPort } from './instance-record.ts'
import type { RegistryProvider } from './provider.ts'
import { Teller } from './teller.ts'

const BACKOFF_BASE_MS = 500
const BACKOFF_MAX_MS = 10_000
/** Of a SRV record that shall have almost nothing (RFC 2782). */
const ALMOST_NOTHING = 0.01

/** One service of a registry of type dns. */
export interface DnsService {
  readonly name: string
  readonly type: 'a' | 'aaaa' | 'srv'
  /** For a and aaaa. */
  readonly port?: number | undefined
  readonly scheme: Scheme
  readonly version?: string | undefined
  readonly zone?: string | undefined
}

/** A registry of type dns, as the configuration has it. Times: ms. */
export interface DnsRegistryOptions {
  /** Empty = those of the machine. */
  readonly servers: readonly string[]
  readonly services: Readonly<Record<string, DnsService>>
  readonly minTtl: number
  readonly maxTtl: number
  /** For one answer of one server. */
  readonly timeout: number
  /** Addresses or CIDRs. */
  readonly forbidAddresses: readonly string[]
}

export interface DnsDeps {
  readonly clock: Clock
  readonly random: Random
}

/** What a service is as DNS has it now. */
interface Found {
  readonly instances: readonly Instance[]
  readonly problems: readonly string[]
  /** s; undefined = nobody said. */
  readonly ttl: number | undefined
}

/** What is known of a service. */
interface Known {
  found: Found | undefined
  error: GatewayError | undefined
}

/** One place of a service before the rules looked at it. */
interface Place {
  readonly address: string
  readonly port: number
  readonly weight: number
  readonly priority: number
  readonly host: string
}

/** Looks names up and makes instances of them. */
class Lookup {
  readonly #registry: string
  readonly #client: DnsClient
  readonly #addressRule: AddressRule

  constructor(registry: string, options: DnsRegistryOptions) {
    this.#registry = registry
    this.#client = new DnsClient({ servers: options.servers, timeoutMs: options.timeout })
    this.#addressRule = createAddressRule(options.forbidAddresses)
  }

  /** Throws when a server failed, never because there is nobody. */
  async find(service: string, spec: DnsService, signal: AbortSignal): Promise<Found> {
    const { name, type } = spec
    if (type === 'srv') return this.#findSrv(service, spec, signal)
    const answer = await this.#client.query(name, type === 'a' ? 'A' : 'AAAA', signal)
    const places = addressesIn(answer).map((address) => {
      return { address, port: spec.port ?? 0, weight: 1, priority: 0, host: name }
    })
    return this.#toFound(service, spec, places, [], answer.ttl)
  }

  async #findSrv(service: string, spec: DnsService, signal: AbortSignal): Promise<Found> {
    const answer = await this.#client.query(spec.name, 'SRV', signal)
    // A single "." says that the service is decidedly not there (RFC 2782).
    const records = (answer.records as readonly SrvAnswer[]).filter(
      ({ data }) => data.target !== '.' && data.target !== '',
    )
    const ranks = [...new Set(records.map(({ data }) => data.priority ?? 0))].sort((a, b) => a - b)
    const isWeighted = records.some(({ data }) => (data.weight ?? 0) > 0)
    const targets = new Map(records.map(({ data }) => [data.target.toLowerCase(), data.target]))
    const problems: string[] = []
    const found = new Map<string, readonly string[]>()
    let { ttl } = answer
    await Promise.all(
      [...targets].map(async ([key, target]) => {
        const known = await this.#addresses(target, answer, signal)
        if (known.addresses.length === 0) problems.push(`${spec.name} SRV: ${target} has no address`)
        found.set(key, known.addresses)
        if (known.ttl !== undefined) ttl = Math.min(ttl ?? known.ttl, known.ttl)
      }),
    )
    const places = records.flatMap(({ data: { target, port, weight = 0, priority = 0 } }) =>
      (found.get(target.toLowerCase()) ?? []).map((address) => ({
        address,
        port,
        weight: weight > 0 ? weight : isWeighted ? ALMOST_NOTHING : 1,
        priority: ranks.indexOf(priority),
        host: target,
      })),
    )
    return this.#toFound(service, spec, places, problems.sort(), ttl)
  }

  /** IPv4, and IPv6 for a name without. */
  async #addresses(
    target: string,
    { additionals }: DnsAnswer,
    signal: AbortSignal,
  ): Promise<{ addresses: readonly string[]; ttl: number | undefined }> {
    for (const type of ['A', 'AAAA'] as const) {
      const told = additionals.filter(
        (one) => one.type === type && isSameName(one.name, target),
      ) as StringAnswer[]
      if (told.length === 0) continue
      return {
        addresses: told.map(({ data }) => data).sort(),
        ttl: Math.min(...told.map(({ ttl = 0 }) => ttl)),
      }
    }
    let ttl: number | undefined
    for (const type of ['A', 'AAAA'] satisfies DnsType[]) {
      const answer = await this.#client.query(target, type, signal)
      const addresses = addressesIn(answer)
      if (addresses.length > 0) return { addresses, ttl: answer.ttl }
      ttl = answer.ttl
    }
    return { addresses: [], ttl }
  }

  #toFound(
    service: string,
    { name, type, scheme, version, zone }: DnsService,
    places: readonly Place[],
    problems: string[],
    ttl: number | undefined,
  ): Found {
    const instances = new Map<string, Instance>()
    for (const { address, port, weight, priority, host } of places) {
      const id = `${address.includes(':') ? `[${address}]` : address}:${port}`
      const refusal = isPort(port) ? this.#addressRule(address) : `port ${port} is none`
      if (refusal !== undefined) {
        problems.push(`${name} ${type.toUpperCase()}: ${host} is left out: ${refusal}`)
        continue
      }
      const key = `${this.#registry}/dns/${service}/${id}`
      // Two names of one place are one instance.
      if (instances.has(key)) continue
      instances.set(key, {
        key,
        id,
        service,
        address,
        port,
        scheme,
        state: 'unknown',
        weight,
        ...(priority === 0 ? {} : { priority }),
        tags: [],
        meta: { host },
        ...(version === undefined ? {} : { version }),
        ...(zone === undefined ? {} : { zone }),
      })
    }
    const list = [...instances.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
    return { instances: list, problems, ttl }
  }
}

const addressesIn = ({ records }: DnsAnswer): string[] =>
  (records as readonly StringAnswer[]).map(({ data }) => data)

/**
 * Services by names of DNS, each asked again when its TTL is over. A name that does not exist has nobody; a server that
 * fails changes nothing.
 */
export function createDnsProvider(
  name: string,
  options: DnsRegistryOptions,
  deps: DnsDeps,
): RegistryProvider {
  const { clock, random } = deps
  const { minTtl, maxTtl } = options
  return {
    name,
    async watch(sink, signal) {
      const lookup = new Lookup(name, options)
      const teller = new Teller(sink, clock)
      const specs = Object.entries(options.services)
      const known = new Map<string, Known>()
      let isPending = false
      /** All failed; when one is read again, the others are asked at once. */
      let isDown = false
      let back = new AbortController()
      const tell = () => {
        // The first word is about everybody.
        if (isPending || known.size < specs.length) return
        isPending = true
        setImmediate(() => {
          isPending = false
          if (!signal.aborted) report(teller, known)
        })
      }
      const follow = async ([service, spec]: [string, DnsService]) => {
        let failures = 0
        while (!signal.aborted) {
          let waitMs: number
          try {
            const found = await lookup.find(service, spec, signal)
            if (signal.aborted) return
            failures = 0
            if (isDown) {
              isDown = false
              back.abort()
              back = new AbortController()
            }
            known.set(service, { found, error: undefined })
            const ttlMs = found.ttl === undefined ? minTtl : found.ttl * 1000
            // Never before the TTL is over, and not all gateways in step.
            waitMs = Math.min(maxTtl, Math.max(minTtl, ttlMs)) * (1 + 0.05 * random())
          } catch (thrown) {
            if (signal.aborted) return
            const error =
              thrown instanceof GatewayError
                ? thrown
                : new GatewayError('GW_REGISTRY_ANSWER', errorText(thrown))
            known.set(service, { found: known.get(service)?.found, error })
            isDown =
              known.size === specs.length && [...known.values()].every((each) => each.error !== undefined)
            waitMs = backoffMs(++failures, BACKOFF_BASE_MS, Math.max(BACKOFF_MAX_MS, minTtl), random)
          }
          tell()
          const isFailing = known.get(service)?.error !== undefined
          await sleep(waitMs, isFailing ? AbortSignal.any([signal, back.signal]) : signal)
        }
      }
      if (specs.length === 0) teller.read({ services: new Map(), problems: [] })
      await Promise.all(specs.map(follow))
    },
  }
}

function report(teller: Teller, known: ReadonlyMap<string, Known>): void {
  const errors = [...known.values()].map(({ error }) => error).filter((error) => error !== undefined)
  const [first] = errors
  if (first !== undefined && errors.length === known.size) {
    teller.failed(first)
    return
  }
  const services = new Map<string, readonly Instance[]>()
  const failed = new Set<string>()
  const problems: string[] = []
  for (const [service, { found, error }] of known) {
    if (found !== undefined && found.instances.length > 0) services.set(service, found.instances)
    problems.push(...(found?.problems ?? []))
    if (error === undefined) continue
    failed.add(service)
    problems.push(`${service}: ${error.message}`)
  }
  teller.read({ services, failed, problems })
}
