import { backoffMs, type Clock, type Random, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { Instance } from '../core/types.ts'
import { type AddressRule, createAddressRule } from './consul-address.ts'
import { createNameFilter } from './consul-mapping.ts'
import { TokenSource } from './consul-token.ts'
import { HttpClient, type HttpTls, parseJson, placeOf } from './http-client.ts'
import { mistakeText, readInstanceList, readListedRecord } from './instance-list.ts'
import type { RegistryProvider } from './provider.ts'
import { type Reading, Teller } from './teller.ts'

const BACKOFF_BASE_MS = 250
const BACKOFF_MAX_MS = 5000
/** A long poll that is answered is asked again no sooner. ms. */
const MIN_GAP_MS = 100
/** Beyond the time that the endpoint was asked to wait. ms. */
const WAIT_GRACE_MS = 2000

/** A registry of type http, as the configuration has it. Times: ms. */
export interface HttpOptions {
  readonly url: string
  readonly interval: number
  /** The endpoint may hold a request for this long while nothing is new; 0 = it is only polled. */
  readonly wait: number
  readonly timeout: number
  /** Bytes. */
  readonly maxSize: number
  readonly token?: string | undefined
  readonly tokenFile?: string | undefined
  readonly tls?: HttpTls | undefined
  /** Globs with `*`; empty = all. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Addresses or CIDRs. */
  readonly forbidAddresses: readonly string[]
}

export interface HttpDeps {
  readonly clock: Clock
  readonly random: Random
}

interface Rules {
  readonly name: string
  readonly place: string
  readonly addressRule: AddressRule
  isWanted(service: string): boolean
}

/** A document as instances. A record that is wrong is left out alone; a wrong outline is GW_REGISTRY_ANSWER. */
function readDocument({ name, place, addressRule, isWanted }: Rules, value: unknown): Reading {
  const outline = readInstanceList(value)
  if ('mistake' in outline) {
    throw new GatewayError('GW_REGISTRY_ANSWER', `${place}: ${mistakeText(outline.mistake)}`)
  }
  const services = new Map<string, Instance[]>()
  const problems: string[] = []
  for (const [service, records] of outline.list) {
    if (!isWanted(service)) continue
    const found = new Map<string, Instance>()
    for (const record of records) {
      const read = readListedRecord(`${name}/http/${service}`, service, record)
      const mistake = 'mistake' in read ? mistakeText(read.mistake) : refusal(read.instance, found)
      if ('instance' in read && mistake === undefined) found.set(read.instance.key, read.instance)
      else {
        const at = 'mistake' in read ? '' : `${record.path.map(String).join('.')}: `
        problems.push(`${place}: a record is left out: ${at}${mistake}`)
      }
    }
    if (found.size > 0) services.set(service, [...found.values()])
  }
  return { services, problems }

  function refusal(instance: Instance, found: ReadonlyMap<string, Instance>): string | undefined {
    if (found.has(instance.key)) return `the id "${instance.id}" stands there already`
    return addressRule(instance.address)
  }
}

/** Asks the endpoint; remembers what it said last. */
class Poller {
  readonly #options: HttpOptions
  readonly #client: HttpClient
  readonly #token: TokenSource
  readonly #place: string
  #etag: string | undefined

  constructor(options: HttpOptions) {
    this.#options = options
    this.#client = new HttpClient(options.tls)
    this.#token = new TokenSource(options)
    this.#place = placeOf(options.url)
  }

  /** The document; undefined = nothing is new. */
  async ask(signal: AbortSignal): Promise<{ value: unknown; text: string } | undefined> {
    const { url, wait, timeout, maxSize } = this.#options
    const token = await this.#token.read()
    const etag = this.#etag
    const isHeld = wait > 0 && etag !== undefined
    const { status, text, ...answer } = await this.#client.call({
      url,
      headers: {
        accept: 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(etag === undefined ? {} : { 'if-none-match': etag }),
        ...(isHeld ? { prefer: `wait=${Math.ceil(wait / 1000)}` } : {}),
      },
      timeoutMs: timeout + (isHeld ? wait + WAIT_GRACE_MS : 0),
      maxBytes: maxSize,
      signal,
    })
    if (status === 304 && etag !== undefined) return undefined
    if (status === 401 || status === 403) {
      this.#token.forget()
      throw new GatewayError('GW_REGISTRY_ACL', `${this.#place}: answered with ${status}`)
    }
    if (status !== 200) {
      throw new GatewayError('GW_REGISTRY_ANSWER', `${this.#place}: answered with ${status}`)
    }
    const value = parseJson(this.#place, text)
    this.#etag = answer.etag
    return { value, text }
  }

  /** A document that could not be used is asked for in full again. */
  forget(): void {
    this.#etag = undefined
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}

/**
 * Instances from a JSON document at a URL: our own file format, or Prometheus' http_sd. Asked for each `interval`, or
 * held by the endpoint with `wait`. An answer that cannot be used changes nothing, and the status says why. `watch`
 * rejects with GW_REGISTRY_FILE when a PEM file cannot be read.
 */
export function createHttpProvider(name: string, options: HttpOptions, deps: HttpDeps): RegistryProvider {
  const place = placeOf(options.url)
  const rules: Rules = {
    name,
    place,
    addressRule: createAddressRule(options.forbidAddresses),
    isWanted: createNameFilter(options.include, options.exclude),
  }
  const { random, clock } = deps
  return {
    name,
    async watch(sink, signal) {
      const poller = new Poller(options)
      const teller = new Teller(sink, clock)
      let lastText: string | undefined
      let failures = 0
      while (!signal.aborted) {
        const begun = clock.monotonic()
        let isNew = false
        try {
          const answer = await poller.ask(signal)
          if (signal.aborted) break
          isNew = answer !== undefined && answer.text !== lastText
          if (answer === undefined || !isNew) teller.unchanged()
          else {
            teller.read(readDocument(rules, answer.value))
            lastText = answer.text
          }
          failures = 0
        } catch (thrown) {
          if (signal.aborted) break
          failures++
          lastText = undefined
          poller.forget()
          teller.failed(
            thrown instanceof GatewayError
              ? thrown
              : new GatewayError('GW_REGISTRY_ANSWER', `${place}: ${errorText(thrown)}`),
          )
        }
        await sleep(pauseMs(clock.monotonic() - begun, isNew, failures), signal)
      }
      await poller.close()
    },
  }

  /** Until it is asked again. */
  function pauseMs(tookMs: number, isNew: boolean, failures: number): number {
    const { interval, wait } = options
    if (failures > 0) return backoffMs(failures, BACKOFF_BASE_MS, Math.max(BACKOFF_MAX_MS, interval), random)
    // An endpoint that does not hold requests must not be asked in a circle.
    if (wait > 0 && (isNew || tookMs >= wait / 2)) return MIN_GAP_MS
    // Many gateways do not ask in step.
    return interval * (0.9 + 0.2 * random())
  }
}
