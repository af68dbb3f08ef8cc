import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import Consul from 'consul'
import { type Clock, type Random, sleep } from '../core/duration.ts'
import { errorText, toError } from '../core/errors.ts'
import { TokenSource } from './consul-token.ts'

/** Each call to the agent. Without a quorum an agent lets `deregister` wait for half a minute. ms. */
const CALL_TIMEOUT_MS = 2000
/** All of `deregister`. ms. */
const GOODBYE_MS = 2000
/** A call that is on its way at the goodbye may take this long: the last word must be ours. ms. */
const GOODBYE_WAIT_MS = 1000
/** The next try after a beat that failed. ms. */
const RETRY_MS = 1000
/** Consul takes no shorter time. */
const DEREGISTER_AFTER = '1m'

/** What the gateway says of itself. */
export interface SelfRegistrationOptions {
  readonly url: string
  readonly token?: string | undefined
  readonly tokenFile?: string | undefined
  readonly name: string
  /** Unique for each process. */
  readonly id: string
  readonly address: string
  readonly port: number
  readonly tags: readonly string[]
  /** ms; beats come three times as often. */
  readonly ttlMs: number
  readonly meta?: Readonly<Record<string, string>> | undefined
}

export interface SelfRegistrationDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
}

/** The gateway as a service in Consul. */
export interface SelfRegistration {
  /** Begins to register and to beat, and goes on for ever; neither blocks nor throws. */
  start(): void
  /** Ends the beats and takes the gateway out. At most 2 s; never rejects. Nothing is registered after it. */
  deregister(): Promise<void>
}

/**
 * Registers the gateway with a TTL check and keeps it alive. An agent that forgot it (restarted without its
 * data) is told again; one that is away is asked again, for ever.
 */
export function createSelfRegistration(
  options: SelfRegistrationOptions,
  deps: SelfRegistrationDeps,
): SelfRegistration {
  return new Registration(options, deps)
}

class Registration implements SelfRegistration {
  readonly #options: SelfRegistrationOptions
  readonly #deps: SelfRegistrationDeps
  readonly #token: TokenSource
  readonly #agent: HttpAgent
  readonly #consul: Consul
  readonly #abort = new AbortController()
  #isRegistered = false
  #lastError: string | undefined
  /** The call that is on its way; never rejects. */
  #calling: Promise<unknown> = Promise.resolve()

  constructor(options: SelfRegistrationOptions, deps: SelfRegistrationDeps) {
    this.#options = options
    this.#deps = deps
    this.#token = new TokenSource(options)
    const url = new URL(options.url)
    // Its own sockets: beats must not wait behind the watches.
    const sockets = { keepAlive: true, maxSockets: 2 }
    this.#agent = url.protocol === 'https:' ? new HttpsAgent(sockets) : new HttpAgent(sockets)
    const settings = {
      baseUrl: `${url.origin}${url.pathname.replace(/\/+$/, '')}/v1`,
      agent: this.#agent,
    }
    this.#consul = new Consul(settings)
  }

  start(): void {
    void this.#beatForEver()
  }

  async deregister(): Promise<void> {
    if (this.#abort.signal.aborted) return
    this.#abort.abort()
    const until = this.#deps.clock.monotonic() + GOODBYE_MS
    await Promise.race([this.#calling, sleep(GOODBYE_WAIT_MS)])
    const goodbye = this.#call((common) => {
      return this.#consul.agent.service.deregister({ ...common, id: this.#options.id })
    })
    const outcome = goodbye.then(
      () => this.#deps.log.info(this.#fields(), 'the gateway is out of the registry'),
      (thrown: unknown) =>
        this.#deps.log.warn(
          { ...this.#fields(), error: errorText(thrown) },
          'the gateway could not be taken out of the registry: its check will run out',
        ),
    )
    await Promise.race([outcome, sleep(until - this.#deps.clock.monotonic())])
    this.#agent.destroy()
  }

  async #beatForEver(): Promise<void> {
    const { signal } = this.#abort
    const { random } = this.#deps
    const every = this.#options.ttlMs / 3
    while (!signal.aborted) {
      const isGood = await this.#beat()
      const pause = isGood ? every : Math.min(every, RETRY_MS)
      await sleep(pause * (0.9 + 0.2 * random()), signal)
    }
  }

  /** Registers where needed, then reports passing. True when the agent took it. */
  async #beat(): Promise<boolean> {
    try {
      if (!this.#isRegistered) {
        await this.#register()
        if (this.#abort.signal.aborted) return false
      }
      await this.#call((common) => this.#consul.agent.check.pass({ ...common, id: this.#checkId }))
      if (this.#lastError !== undefined) {
        this.#deps.log.info(this.#fields(), 'the registry takes the beats of the gateway again')
      }
      this.#lastError = undefined
      return true
    } catch (thrown) {
      if (this.#abort.signal.aborted) return false
      const { statusCode } = thrown as { statusCode?: number }
      // 404, or 500 before Consul 1.11: the agent does not know the check.
      if (statusCode === 404 || statusCode === 500) this.#isRegistered = false
      if (statusCode === 403) this.#token.forget()
      const error = errorText(thrown)
      if (error !== this.#lastError) {
        this.#deps.log.warn(
          { ...this.#fields(), error },
          'the gateway cannot tell the registry that it lives',
        )
      }
      this.#lastError = error
      return false
    }
  }

  async #register(): Promise<void> {
    const { name, id, address, port, tags, meta, ttlMs } = this.#options
    const check = {
      checkid: this.#checkId,
      name: `${name} beats`,
      ttl: `${ttlMs}ms`,
      status: 'critical',
      deregistercriticalserviceafter: DEREGISTER_AFTER,
      // The types demand it; a TTL check has none.
      timeout: '',
    }
    await this.#call((common) =>
      this.#consul.agent.service.register({
        ...common,
        name,
        id,
        address,
        port,
        tags: [...tags],
        ...(meta === undefined ? {} : { meta: { ...meta } }),
        check,
      }),
    )
    this.#isRegistered = true
    this.#deps.log.info(this.#fields(), 'the gateway is registered')
  }

  get #checkId(): string {
    return `service:${this.#options.id}`
  }

  #fields() {
    const { name, id, address, port } = this.#options
    return { service: name, id, address: `${address}:${port}` }
  }

  /** One call, with the present token and a limit on its time. */
  #call<T>(make: (common: Common) => Promise<T>): Promise<T> {
    const made = this.#make(make)
    this.#calling = made.catch(() => {})
    return made
  }

  async #make<T>(make: (common: Common) => Promise<T>): Promise<T> {
    const token = await this.#token.read()
    try {
      return await make({ timeout: CALL_TIMEOUT_MS, ...(token === undefined ? {} : { token }) })
    } catch (thrown) {
      throw toError(thrown)
    }
  }
}

/** What each call of the package takes beside its own options; its types leave out all but the token. */
interface Common {
  readonly timeout: number
  readonly token?: string
}
