import { createAdminContext, tablesOf, topologyOf } from './admin-context.ts'
import { type AdminServer, createAdminServer } from './admin-server.ts'
import type { StaticConfig } from './config/load.ts'
import { watchConfig } from './config/watch.ts'
import { splitAddress, urlOf } from './core/address.ts'
import { sleep } from './core/duration.ts'
import { errorText, toError } from './core/errors.ts'
import { revisionText } from './core/stored-files.ts'
import { createParts, type GatewayOptions, type Parts } from './parts.ts'
import type { Lease } from './register/lease.ts'
import { readSnapshot } from './registry/snapshot-file.ts'
import { startSelfRegistration } from './self-registration.ts'

/** How long the first table waits for registries. ms. */
const FIRST_ANSWER_MS = 5000
/** The same when a snapshot from disk can stand in. ms. */
const FIRST_ANSWER_WITH_SNAPSHOT_MS = 1000
/** Filters that no table uses any more are looked for this often. ms. */
const SWEEP_MS = 30_000
/** How long the demo waits for its instances. ms. */
const EXPECT_INSTANCES_MS = 10_000

export interface StartHooks {
  /** The admin side listens; the first table is not built yet. */
  beforeFirstTable?(gateway: Gateway): void
  /** Wait (bounded) until so many instances are passing. */
  readonly expectInstances?: number
}

/** What a started gateway has; for the start-up report. */
export interface StartReport {
  readonly public: readonly string[]
  readonly admin: string
  readonly routes: number
  readonly services: number
  /** In rotation. */
  readonly instances: number
  readonly registries: readonly { readonly name: string; readonly type: string; readonly state: string }[]
  readonly warnings: readonly string[]
}

/** One running gateway: starts and ends its parts in the right order. */
export class Gateway {
  readonly #config: StaticConfig
  readonly #parts: Parts
  readonly #admin: AdminServer
  readonly #watchAbort = new AbortController()
  #self: Lease | undefined
  #sweeper: NodeJS.Timeout | undefined
  #watching: Promise<void> = Promise.resolve()

  /** Nothing runs yet. Throws GW_CONFIG_INVALID for what only shows when it is used: a certificate, a network. */
  constructor(options: GatewayOptions) {
    this.#config = options.config.static
    this.#parts = createParts(options)
    const { admin } = this.#config
    this.#admin = createAdminServer({
      ...splitAddress(admin.address),
      token: admin.token,
      readToken: admin.readToken,
      sessionTtl: admin.sessionTtl,
      tls: admin.tls,
      audit: this.#parts.audit,
      tools: admin.tools,
      context: createAdminContext(this.#parts),
      log: this.#parts.logs.log,
    })
  }

  /** Where the admin side listens. */
  get adminUrl(): string {
    return this.#parts.life.adminUrl
  }

  /** The first listener for clients. */
  get publicUrl(): string {
    return this.#parts.listeners.urls()[0] ?? ''
  }

  /**
   * Admin side, snapshot, registries, first table, listeners; in this order. Resolves when clients can come.
   * Throws GW_LISTEN_FAILED, GW_CONFIG_INVALID.
   */
  async start(hooks: StartHooks = {}): Promise<StartReport> {
    const { admin } = this.#config
    const { supervisor, life, control, listeners, events, resources, overload, releases, monitor, fleet } =
      this.#parts
    const { stored } = this.#parts
    const port = await this.#admin.listen()
    life.adminUrl = urlOf(admin.tls === undefined ? 'http' : 'https', splitAddress(admin.address).host, port)
    await this.#restore()
    await monitor.restore()
    supervisor.start()
    await resources.start()
    hooks.beforeFirstTable?.(this)
    await supervisor.answered(life.hasSnapshot ? FIRST_ANSWER_WITH_SNAPSHOT_MS : FIRST_ANSWER_MS)
    await this.#expectInstances(hooks.expectInstances ?? 0)
    await releases.learn(control.config.dynamic.canaries)
    const record = stored?.record
    await control.start(record === undefined ? 'start' : `start, ${revisionText(record)}`)
    releases.start()
    monitor.start()
    this.#sweepFilters()
    overload.start()
    await listeners.listen()
    life.state = 'ready'
    fleet.start()
    events.publish('state', { state: 'ready' })
    this.#followStore()
    await this.#startSelf()
    this.#watching = watchConfig(
      () => this.#watchedFiles(),
      () => this.reload(),
      this.#watchAbort.signal,
      { readAt: control.config.readAt },
    )
    return this.#report()
  }

  #sweepFilters(): void {
    const { chains, store } = this.#parts
    const specs = () => [...(store.current()?.routes.values() ?? [])].map(({ spec }) => spec)
    this.#sweeper = setInterval(() => chains.sweep(specs()), SWEEP_MS)
    this.#sweeper.unref()
  }

  async #restore(): Promise<void> {
    const { snapshot } = this.#config
    const { reducer, life, logs, registryTypes } = this.#parts
    if (snapshot === undefined) return
    try {
      const saved = await readSnapshot(snapshot.path)
      for (const [registry, services] of saved?.registries ?? []) {
        if (!registryTypes.has(registry)) continue
        reducer.restore(registry, services, saved?.savedAt ?? 0)
        life.hasSnapshot = true
      }
    } catch (thrown) {
      logs.log.warn({ err: errorText(thrown) }, 'started without the snapshot')
    }
  }

  async #expectInstances(count: number): Promise<void> {
    const { clock, reducer } = this.#parts
    const end = clock.monotonic() + EXPECT_INSTANCES_MS
    const passing = () => {
      let sum = 0
      for (const { instances } of reducer.state().services.values()) {
        sum += instances.filter(({ state }) => state === 'passing').length
      }
      return sum
    }
    while (passing() < count && clock.monotonic() < end) await sleep(20)
  }

  /** Once clients are served, not before. */
  async #startSelf(): Promise<void> {
    const { listeners, logs } = this.#parts
    try {
      const listener = listeners.first()
      this.#self = await startSelfRegistration({ ...this.#parts, config: this.#config, listener })
    } catch (thrown) {
      logs.log.error({ err: errorText(thrown) }, 'the gateway is not registered')
    }
  }

  #watchedFiles(): string[] {
    const { https } = this.#config.listen
    const pems = https?.certificates.flatMap(({ cert, key }) => [cert, key]) ?? []
    const { ca, crl } = https?.clientAuth ?? {}
    return [...this.#parts.control.config.files, ...pems, ...[ca, crl].filter((file) => file !== undefined)]
  }

  /** Reads configuration and certificates again. */
  async reload(): Promise<void> {
    const { listeners, logs, control, stored } = this.#parts
    for (const problem of listeners.reloadCertificates()) logs.log.error({}, problem)
    await control.reload()
    await stored?.retry()
  }

  #followStore(): void {
    const { stored, control, store, events, logs, loadConfig } = this.#parts
    stored?.start({
      load: (files) => loadConfig(undefined, files),
      reload: (isForced, source) => control.reload(isForced, source),
      rejection: () => store.lastRejection()?.message ?? '',
      publish: (type, data) => events.publish(type, data),
      log: logs.log,
    })
  }

  #report(): StartReport {
    const topology = topologyOf(this.#parts)
    const { warnings, reasons } = createAdminContext(this.#parts).readiness()
    return {
      public: this.#parts.listeners.urls(),
      admin: this.#parts.life.adminUrl,
      routes: topology.gateway.routes,
      services: topology.services.length,
      instances: topology.services.reduce((sum, { available }) => sum + available, 0),
      registries: topology.registries.map(({ name, type, status }) => ({ name, type, state: status.state })),
      warnings: [...reasons, ...warnings, ...tablesOf(this.#parts).warnings],
    }
  }

  /**
   * The gateway's own way out: not ready, marked as draining in the registry, accepting for a grace, then finishing what
   * is in flight, up to the limit, and out of the registry. Returns how many connections had to be cut off.
   */
  async drain(): Promise<number> {
    const { acceptGrace, timeout } = this.#config.drain
    const { life, events, logs, listeners, dataPath } = this.#parts
    life.state = 'draining'
    events.publish('state', { state: 'draining' })
    logs.log.info({ graceMs: acceptGrace, timeoutMs: timeout }, 'draining')
    this.#watchAbort.abort()
    const marked = this.#self?.drain('shutdown')
    listeners.beginDrain()
    if (listeners.first() !== undefined) await sleep(acceptGrace)
    await marked
    const closed = listeners.close()
    dataPath.tunnels.goAway()
    const abort = new AbortController()
    await Promise.race([closed, sleep(timeout, abort.signal)])
    abort.abort()
    const left = await listeners.destroy()
    dataPath.tunnels.destroy()
    await this.#self?.release()
    await this.#stop()
    logs.log.info({ left }, left === 0 ? 'drained' : 'drained; connections were cut off at the limit')
    logs.flush()
    return left
  }

  async #stop(): Promise<void> {
    const {
      supervisor,
      snapshot,
      upstreams,
      loader,
      chains,
      resources,
      overload,
      mirrors,
      releases,
      fleet,
      audit,
      monitor,
      stored,
    } = this.#parts
    this.#watchAbort.abort()
    await this.#watching
    await stored?.close()
    overload.close()
    await releases.close()
    await fleet.close()
    await monitor.close()
    await loader.close()
    await supervisor.stop()
    await snapshot?.flush()
    await upstreams.close()
    await mirrors.close()
    clearInterval(this.#sweeper)
    chains.close()
    await resources.close()
    await this.#admin.close()
    await audit.close()
  }

  /** Something threw where nothing should. */
  noteDefect(error: unknown): void {
    this.#parts.logs.log.fatal({ err: errorText(error), stack: toError(error).stack }, 'a defect: draining')
  }

  /** Writes what is buffered in the log: the process ends at once. */
  flush(): void {
    this.#parts.logs.flush()
  }

  /** After a start that failed half-way. */
  async abandon(): Promise<void> {
    await this.#parts.listeners.destroy()
    await this.#stop()
    this.#parts.logs.flush()
  }
}
