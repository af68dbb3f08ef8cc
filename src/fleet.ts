import { hostname } from 'node:os'
import type { StaticConfig } from './config/load.ts'
import { type Clock, type Random, sleep } from './core/duration.ts'
import { errorText, GatewayError } from './core/errors.ts'
import type { FleetReport, FleetView } from './core/fleet-view.ts'
import { createIdSource } from './core/ids.ts'
import type { TrafficView } from './core/traffic-view.ts'
import type { GatewayState, ServiceView } from './core/views.ts'
import { FleetBook } from './fleet/book.ts'
import { type MeasuredTraffic, parseReport, reportOf } from './fleet/report.ts'
import { FleetTraffic } from './fleet/traffic.ts'
import { ConsulKv } from './registry/consul-kv.ts'
import type { Table } from './routing/table.ts'

/** Below the prefix. */
const GATEWAYS = 'gateways/'
/** Whoever asks sooner gets what was read last. ms. */
const FRESH_MS = 500
const PUSH_TIMEOUT_MS = 2000
/** A monitor looks at least this often. ms. */
const LISTEN_MS = 2500

export interface FleetDeps {
  readonly config: Pick<StaticConfig, 'fleet' | 'registries'>
  readonly role: FleetReport['role']
  readonly version: string
  readonly startedAt: number
  state(): GatewayState
  table(): Table | undefined
  /** Services with what this gateway makes of their instances. */
  services(): readonly ServiceView[]
  /** What was measured over the last seconds, by key of the instance and name of the service. */
  measured(): MeasuredTraffic
  /** Where clients and operators reach it. */
  addresses(): { readonly address: string; readonly admin: string }
  readonly clock: Clock
  readonly random: Random
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

/**
 * Says what this gateway sees and hears what others see: over Consul's key-value store, or by POST to monitors.
 * Nothing runs when neither is configured.
 */
export class Fleet {
  readonly #deps: FleetDeps
  readonly #id = createIdSource()(8)
  readonly #name: string
  readonly #book: FleetBook
  readonly #traffic = new FleetTraffic()
  readonly #abort = new AbortController()
  #kv: ConsulKv | undefined
  #session: Promise<void> | undefined
  #running: Promise<void> | undefined
  #sequence = 0
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  /** By channel: what is wrong with it now. */
  readonly #problems = new Map<string, string>()
  #hasHeard = false

  constructor(deps: FleetDeps) {
    this.#deps = deps
    this.#name = deps.config.fleet.name ?? `${hostname()} ${process.pid}`
    this.#book = new FleetBook(deps.clock)
  }

  /** Once there is a table. */
  start(): void {
    const { config, role, clock, random, log } = this.#deps
    const { store, prefix, push } = config.fleet
    const registry = store === undefined ? undefined : config.registries[store]
    if (registry?.type === 'consul') {
      this.#kv = new ConsulKv({ ...registry, url: registry.url ?? '' }, prefix, { clock, random, log })
    }
    // A monitor only reads: its token needs no right to write.
    if (role === 'monitor') {
      this.#running = this.#listen()
      return
    }
    this.#session = this.#kv?.keepSession(`sluice ${this.#name}`, this.#abort.signal)
    if (this.#kv !== undefined || push.length > 0) this.#running = this.#run()
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    const { interval, push } = this.#deps.config.fleet
    while (!signal.aborted) {
      const text = JSON.stringify(this.#report())
      await Promise.all([
        this.#attempt('store', () => this.#publish(text)),
        ...push.map(({ url, token }) => this.#attempt(hostOf(url), () => this.#push(url, token, text))),
      ])
      await sleep(interval, signal)
    }
  }

  /** A monitor hears the others without being asked: what it shows of traffic has a past. */
  async #listen(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      await this.#read()
      this.#traffic.sample(this.#othersReports(), this.#deps.clock.now())
      await sleep(Math.min(this.#deps.config.fleet.interval, LISTEN_MS), signal)
    }
  }

  async #publish(text: string): Promise<void> {
    // Without a session (yet) there is nothing to hold the key with; the next round has one.
    await this.#kv?.hold(GATEWAYS + this.#id, text)
  }

  async #push(url: string, token: string | undefined, body: string): Promise<void> {
    const response = await fetch(new URL('/api/fleet/reports', url), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body,
      redirect: 'error',
      signal: AbortSignal.any([AbortSignal.timeout(PUSH_TIMEOUT_MS), this.#abort.signal]),
    })
    await response.body?.cancel()
    if (!response.ok) throw new GatewayError('GW_ADMIN_UNREACHABLE', `status ${response.status}`)
  }

  /** Notes the first of several failures, and their end. Never rejects. */
  async #attempt(channel: string, action: () => Promise<void>): Promise<void> {
    const { log } = this.#deps
    try {
      await action()
      if (this.#problems.delete(channel)) log.info({ channel }, 'the fleet is in reach again')
    } catch (thrown) {
      if (this.#abort.signal.aborted) return
      const text = errorText(thrown)
      if (!this.#problems.has(channel)) log.warn({ channel, err: text }, 'the fleet is out of reach')
      this.#problems.set(channel, text)
    }
  }

  #report(): FleetReport {
    const { role, version, startedAt, state, table, services, measured, addresses, config } = this.#deps
    const now = table()
    const { address, admin } = addresses()
    return reportOf({
      id: this.#id,
      name: this.#name,
      role,
      address,
      admin: config.fleet.admin ?? admin,
      version,
      startedAt,
      table: now === undefined ? undefined : { version: now.version, id: now.id },
      state: state(),
      sequence: ++this.#sequence,
      intervalMs: config.fleet.interval,
      topology: services(),
      measured: measured(),
    })
  }

  /** Reads the store, at most every half second; several that ask at once share one read. Never rejects. */
  async #read(): Promise<void> {
    const kv = this.#kv
    if (kv === undefined || this.#deps.clock.monotonic() - this.#readAt < FRESH_MS) return
    this.#reading ??= this.#attempt('store', async () => {
      const entries = await kv.list(GATEWAYS)
      this.#book.takeAll(entries.flatMap(({ value }) => parseReport(jsonOf(value)) ?? []))
      this.#readAt = this.#deps.clock.monotonic()
    }).finally(() => {
      this.#reading = undefined
    })
    await this.#reading
  }

  /** What another gateway pushed. False = it is no report. */
  take(value: unknown): boolean {
    const report = parseReport(value)
    if (report === undefined) return false
    this.#hasHeard = true
    this.#book.take(report)
    return true
  }

  /** All gateways that say what they see, as of now. Never rejects: what is not known is a `problem`. */
  async view(): Promise<FleetView> {
    await this.#read()
    const problems = [...this.#problems].map(([channel, text]) => `${channel}: ${text}`)
    return {
      at: this.#deps.clock.now(),
      exchange: this.#exchange(),
      ...(problems.length === 0 ? {} : { problem: problems.join('; ') }),
      ...this.#book.view(this.#report()),
    }
  }

  #exchange(): string {
    const { store, prefix, push } = this.#deps.config.fleet
    const ways = [
      ...(store === undefined ? [] : [`key-value store of ${store}, below ${prefix}`]),
      ...push.map(({ url }) => `told to ${hostOf(url)}`),
      ...(this.#hasHeard ? ['told by gateways'] : []),
    ]
    return ways.length === 0 ? 'alone' : ways.join('; ')
  }

  #othersReports(): FleetReport[] {
    return this.#book.fresh().filter(({ id }) => id !== this.#id)
  }

  /** What the other gateways did, as far as it was heard; kept by a monitor only. */
  traffic(): TrafficView {
    return this.#traffic.view(this.#deps.clock.now())
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await this.#running
    await this.#reading
    await this.#session
    await this.#kv?.close()
  }
}

function hostOf(url: string): string {
  return new URL(url).host
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
