import type { ConfigError, LoadedConfig } from './config/load.ts'
import type { CanaryStates } from './core/canary.ts'
import { type Clock, sleep } from './core/duration.ts'
import { errorText, GatewayError } from './core/errors.ts'
import type { DynamicConfig, RouteSpec } from './core/route.ts'
import type { RegistryState } from './core/types.ts'
import { compileTable } from './routing/compile.ts'
import { createSlicer } from './routing/sliced.ts'
import type { TableStore } from './routing/store.ts'
import type { Table } from './routing/table.ts'

/** Builds in a burst of changes are at least this far apart, unless an instance went away. ms. */
const COALESCE_MS = 20
/** Table versions whose configuration is kept for a rollback. */
const KEPT_CONFIGS = 20

export type ReloadResult = 'applied' | 'unchanged' | 'rejected'

export interface ControlDeps {
  /** Reads and checks everything; rejects with a ConfigError. */
  loadConfig(): Promise<LoadedConfig>
  registryState(): RegistryState
  /** Reason by instance key: what was drained through this gateway. */
  drains?(): ReadonlyMap<string, string>
  /** What canary rules and lanes are doing now; after a change `changed` asks for a table. Default: as the files say. */
  canaryStates?(config: DynamicConfig): CanaryStates
  declaredRoutes(state: RegistryState): { routes: readonly RouteSpec[]; problems: readonly string[] }
  /** Throws when a filter's options are wrong. */
  validateFilters(spec: RouteSpec): void
  /** Waits until the filters can do their work; undefined = they can. */
  prepareFilters?(spec: RouteSpec): Promise<void> | undefined
  /** Looks at what a reload would change; throws when that is too much. */
  reviewChange?(current: Table, candidate: Table): Promise<void>
  /** Runs in the same tick as the swap, just before it. */
  beforeSwap(table: Table): void
  readonly store: TableStore
  readonly clock: Clock
  readonly log: { info(fields: object, text: string): void; error(fields: object, text: string): void }
  onReload(result: ReloadResult): void
  /** A candidate was not taken. */
  onReject(cause: string, message: string): void
}

/** What a reload takes instead of the files that are known. */
export interface ReloadSource {
  /** For the table and for a rejection. */
  readonly cause: string
  /** As `loadConfig`. */
  load(): Promise<LoadedConfig>
  /** It holds from now on: before anything else is read. */
  taken(): void
}

interface Pending {
  cause: string
  isUrgent: boolean
  /** A reload that nobody forced: `reviewChange` has a say. */
  isReviewed?: boolean
}

/**
 * The one-way flow from configuration and registries to the table: checks each candidate as a whole, swaps it in
 * one assignment, keeps the old one when the candidate is not valid. Builds never overlap; changes that come
 * during a build make one further build.
 */
export class ControlPlane {
  readonly #deps: ControlDeps
  readonly #configs = new Map<number, DynamicConfig>()
  #config: LoadedConfig
  /** Set by a rollback; the next edit of the files ends it. */
  #pinned: DynamicConfig | undefined
  #pending: Pending | undefined
  #queue: Promise<void> = Promise.resolve()
  #isScheduled = false
  #lastBuiltAt = Number.NEGATIVE_INFINITY
  #version = 0
  #isStarted = false
  /** Ends the wait for further changes. */
  #hurry = new AbortController()
  #validated: DynamicConfig | undefined
  #problems: readonly string[] = []
  #returnTimer: NodeJS.Timeout | undefined
  /** What the last rejected candidate came from: a registry's change must not hide a bad file. */
  #rejectedFrom: 'files' | 'registries' | undefined

  constructor(config: LoadedConfig, deps: ControlDeps) {
    this.#config = config
    this.#deps = deps
  }

  /** The configuration in force: the last one that was valid. */
  get config(): LoadedConfig {
    return this.#config
  }

  /** What registries and declared routes had wrong in the last build, one line each. */
  get problems(): readonly string[] {
    return this.#problems
  }

  /** Builds the first table. Until then changes are only noted. Throws when it cannot be compiled. */
  async start(cause: string): Promise<void> {
    await this.#exclusive(() => this.#build({ cause, isUrgent: true }, true))
    this.#isStarted = true
    if (this.#pending !== undefined) this.#schedule()
  }

  /**
   * Asks for a new table because a registry changed. `isUrgent`: an instance went away; no coalescing.
   * Returns at once.
   */
  changed(cause: string, isUrgent: boolean): void {
    const pending = this.#pending
    this.#pending = {
      cause:
        pending === undefined || pending.cause.split('; ').includes(cause)
          ? (pending?.cause ?? cause)
          : `${pending.cause}; ${cause}`.slice(0, 200),
      isUrgent: isUrgent || pending?.isUrgent === true,
    }
    if (isUrgent) this.#hurry.abort()
    if (this.#isStarted) this.#schedule()
  }

  /** The same at once; resolves when the table that has it is in force, or was rejected. */
  async rebuild(cause: string): Promise<void> {
    this.changed(cause, true)
    // Builds are done one after the other.
    await this.#exclusive(async () => {})
  }

  /**
   * Reads the configuration again; an invalid one changes nothing and is shown everywhere. `isForced`: however much it
   * changes. `source`: not (only) from the files.
   */
  async reload(isForced = false, source?: ReloadSource): Promise<ReloadResult> {
    const result = await this.#exclusive(() => this.#reload(isForced, source))
    this.#deps.onReload(result)
    return result
  }

  async #reload(isForced: boolean, source: ReloadSource | undefined): Promise<ReloadResult> {
    const { cause = 'configuration' } = source ?? {}
    let loaded: LoadedConfig
    try {
      loaded = await (source ?? { load: this.#deps.loadConfig }).load()
    } catch (thrown) {
      this.#reject(cause, thrown, true)
      return 'rejected'
    }
    if (loaded.hash === this.#config.hash && this.#deps.store.lastRejection() === undefined) {
      source?.taken()
      return 'unchanged'
    }
    const [config, pinned] = [this.#config, this.#pinned]
    this.#config = loaded
    this.#pinned = undefined
    if (!this.#isStarted) {
      source?.taken()
      return 'applied'
    }
    try {
      await this.#build({ cause, isUrgent: true, isReviewed: !isForced }, true)
      source?.taken()
      return 'applied'
    } catch {
      this.#config = config
      this.#pinned = pinned
      return 'rejected'
    }
  }

  /** Brings back the routes, services and canary rules of an earlier version; instances stay as the registries say now. */
  async rollback(version: number): Promise<Table> {
    const config = this.#configs.get(version)
    if (config === undefined) {
      throw new GatewayError('GW_ADMIN_NOT_FOUND', `table ${version} is not among the last ${KEPT_CONFIGS}`)
    }
    await this.#exclusive(() => {
      this.#pinned = config
      return this.#build({ cause: `rollback to ${version}`, isUrgent: true }, true)
    })
    return this.#deps.store.current() as Table
  }

  /** Runs builds and reloads one after the other. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(work)
    this.#queue = run.then(
      () => {},
      () => {},
    )
    return run
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    void this.#exclusive(async () => {
      const wait = this.#lastBuiltAt + COALESCE_MS - this.#deps.clock.monotonic()
      if (this.#pending?.isUrgent !== true && wait > 0) {
        this.#hurry = new AbortController()
        await sleep(wait, this.#hurry.signal)
      }
      const pending = this.#pending
      this.#isScheduled = false
      this.#pending = undefined
      if (pending !== undefined) await this.#build(pending, false)
    })
  }

  /** `isStrict`: from the files; rethrows after recording the rejection. */
  async #build(pending: Pending, isStrict: boolean): Promise<void> {
    const { store, clock } = this.#deps
    const config = this.#pinned ?? this.#config.dynamic
    const registry = this.#deps.registryState()
    try {
      const declared = this.#deps.declaredRoutes(registry)
      const previous = store.current()
      if (config !== this.#validated) await this.#validate(config)
      this.#validated = config
      const declaredRoutes: RouteSpec[] = []
      for (const spec of declared.routes) if (await this.#isValidDeclared(spec)) declaredRoutes.push(spec)
      const table = await compileTable({
        config,
        declared: declaredRoutes,
        registry: { ...registry, problems: [...registry.problems, ...declared.problems] },
        version: this.#version + 1,
        cause: pending.cause,
        drains: this.#deps.drains?.() ?? new Map(),
        canaryStates: this.#deps.canaryStates?.(config) ?? new Map(),
        now: clock.now(),
        ...(previous === undefined ? {} : { previous }),
      })
      if (pending.isReviewed === true && previous !== undefined && table.id !== previous.id) {
        await this.#deps.reviewChange?.(previous, table)
      }
      this.#problems = table.problems
      if (isStrict || this.#rejectedFrom === 'registries') {
        this.#rejectedFrom = undefined
        store.clearRejection()
      }
      if (table.id === previous?.id) return
      this.#version = table.version
      this.#configs.set(table.version, config)
      this.#configs.delete(table.version - KEPT_CONFIGS)
      this.#deps.beforeSwap(table)
      store.swap(table)
    } catch (thrown) {
      this.#reject(pending.cause, thrown, isStrict)
      if (isStrict) throw thrown
    } finally {
      this.#lastBuiltAt = clock.monotonic()
      this.#awaitReturn()
    }
  }

  /** A registry that stands in gives the lead back at a time of its own. */
  #awaitReturn(): void {
    const { store, clock } = this.#deps
    clearTimeout(this.#returnTimer)
    let dueAt = Number.POSITIVE_INFINITY
    for (const { lead } of store.current()?.services.values() ?? []) {
      dueAt = Math.min(dueAt, lead?.dueAt ?? Number.POSITIVE_INFINITY)
    }
    if (dueAt === Number.POSITIVE_INFINITY) return
    const wait = Math.max(1, dueAt - clock.now())
    this.#returnTimer = setTimeout(() => this.changed('failover: a registry has the lead again', false), wait)
    this.#returnTimer.unref()
  }

  async #validate(config: DynamicConfig): Promise<void> {
    const slicer = createSlicer()
    for (const spec of config.routes) {
      this.#deps.validateFilters(spec)
      const ready = this.#deps.prepareFilters?.(spec)
      if (ready !== undefined) await ready
      await slicer.pause()
    }
  }

  /** One service's bad declaration must not stop everybody's table: it alone is dropped. */
  async #isValidDeclared(spec: RouteSpec): Promise<boolean> {
    try {
      this.#deps.validateFilters(spec)
      const ready = this.#deps.prepareFilters?.(spec)
      if (ready !== undefined) await ready
      return true
    } catch (thrown) {
      this.#deps.log.error(
        { route: spec.name, source: spec.source },
        `declared route dropped: ${errorText(thrown)}`,
      )
      return false
    }
  }

  #reject(cause: string, thrown: unknown, isFromFiles: boolean): void {
    this.#rejectedFrom = isFromFiles ? 'files' : 'registries'
    const problems = (thrown as Partial<ConfigError>).problems ?? []
    this.#deps.store.reject(cause, errorText(thrown))
    this.#deps.onReject(cause, errorText(thrown))
    this.#deps.log.error({ cause, problems }, `rejected, the old table stays: ${errorText(thrown)}`)
  }
}
