import type { LoadedConfig, StaticConfig } from './config/load.ts'
import { readCache, writeCache } from './config-store/cache.ts'
import { type ConnectDeps, connectStore } from './config-store/connect.ts'
import { RevisionFollower } from './config-store/follow.ts'
import type { ConfigKv } from './config-store/kv.ts'
import { Revisions } from './config-store/revisions.ts'
import type { ReloadResult, ReloadSource } from './control.ts'

import { errorText } from './core/errors.ts'
import {
  type ConfigurationView,
  type RevisionRecord,
  revisionText,
  type StoredFiles,
  type StoredRevision,
} from './core/stored-files.ts'
import { within } from './core/within.ts'

/** A start waits this long for the store. ms. */
const FIRST_ANSWER_MS = 3000

/** What the running gateway lends. */
export interface FollowDeps {
  load(files: StoredFiles): Promise<LoadedConfig>
  reload(isForced: boolean, source: ReloadSource): Promise<ReloadResult>
  /** Why the last candidate was not taken. */
  rejection(): string
  publish(type: 'configuration' | 'rejected', data: Readonly<Record<string, unknown>>): void
  readonly log: { info(fields: object, text: string): void; error(fields: object, text: string): void }
}

type Problem = { readonly state: 'rejected' | 'empty' | 'failed'; readonly reason: string }

/**
 * Routes, filters and canary rules that come from a key-value store: what is in force, and what the store says. A
 * revision is taken whole or not at all; whatever becomes of the store, the last good one stays. Nothing that serves
 * clients waits for it.
 */
export class StoredConfiguration {
  readonly isRequired: boolean
  readonly #settings: NonNullable<StaticConfig['configuration']>
  readonly #kv: ConfigKv
  readonly #clock: ConnectDeps['clock']
  readonly #abort = new AbortController()
  #deps: FollowDeps | undefined
  #inForce: StoredRevision | undefined
  #from: 'store' | 'cache' = 'store'
  #wanted: StoredRevision | undefined
  #rejected: ConfigurationView['rejected']
  #problem: Problem | undefined
  #hasAnswered = false
  #running: Promise<void> = Promise.resolve()
  #taking: Promise<ReloadResult> = Promise.resolve('unchanged')

  /** Undefined when the configuration names no store. Throws GW_REGISTRY_FILE when a PEM file cannot be read. */
  static of(
    config: Pick<StaticConfig, 'configuration' | 'registries'>,
    deps: ConnectDeps,
  ): StoredConfiguration | undefined {
    const { configuration, registries } = config
    if (configuration === undefined) return undefined
    const kv = connectStore(registries[configuration.store], configuration.prefix, deps)
    return new StoredConfiguration(configuration, kv, deps.clock)
  }

  constructor(
    settings: NonNullable<StaticConfig['configuration']>,
    kv: ConfigKv,
    clock: ConnectDeps['clock'],
  ) {
    this.#settings = settings
    this.#kv = kv
    this.#clock = clock
    this.isRequired = settings.required
  }

  /** In force. */
  get files(): StoredFiles | undefined {
    return this.#inForce?.files
  }

  /** In force. */
  get record(): RevisionRecord | undefined {
    return this.#inForce?.record
  }

  /** The store has a revision that was not taken. */
  get isWaiting(): boolean {
    return this.#wanted !== undefined && this.#wanted !== this.#inForce
  }

  view(): ConfigurationView {
    const { store, prefix } = this.#settings
    const state =
      this.#problem?.state ??
      (this.#rejected !== undefined ? 'rejected' : this.#hasAnswered ? 'live' : 'connecting')
    return {
      store,
      prefix,
      state,
      ...(this.#problem === undefined ? {} : { reason: this.#problem.reason }),
      ...(this.#inForce === undefined ? {} : { revision: this.#inForce.record, from: this.#from }),
      ...(this.#rejected === undefined ? {} : { rejected: this.#rejected }),
    }
  }

  /**
   * Loads with what the store has, else with what the cache has, else with nothing of either: the first that is valid.
   * Throws what `load` throws of the first when none is.
   */
  async loadFirst(
    load: (files: StoredFiles | undefined) => Promise<LoadedConfig>,
    warn: (text: string) => void,
  ): Promise<LoadedConfig> {
    let first: { readonly thrown: unknown } | undefined
    for (const read of [() => this.#readStore(), () => this.#readSaved()]) {
      try {
        const revision = await read()
        if (revision === undefined) continue
        const loaded = await load(revision.files).catch((thrown: unknown) => {
          first ??= { thrown }
          warn(`${revisionText(revision.record)} is not taken: ${errorText(thrown)}`)
          return undefined
        })
        if (loaded === undefined) continue
        this.#inForce = revision
        return loaded
      } catch (thrown) {
        warn(`configuration store ${this.#settings.store}: ${errorText(thrown)}`)
      }
    }
    try {
      return await load(undefined)
    } catch (thrown) {
      throw first?.thrown ?? thrown
    }
  }

  async #readStore(): Promise<StoredRevision | undefined> {
    const reading = new Revisions(this.#kv).newest()
    const settled = reading.then(
      (revision) => ({ revision }),
      (thrown: unknown) => ({ thrown }),
    )
    const said = await within(FIRST_ANSWER_MS, settled)
    if (said === undefined) {
      this.#problem = { state: 'failed', reason: `no answer in ${FIRST_ANSWER_MS} ms` }
      return undefined
    }
    if ('thrown' in said) {
      this.#problem = { state: 'failed', reason: errorText(said.thrown) }
      throw said.thrown
    }
    this.#hasAnswered = true
    this.#from = 'store'
    return said.revision
  }

  async #readSaved(): Promise<StoredRevision | undefined> {
    const { cache } = this.#settings
    if (cache === undefined) return undefined
    const saved = await readCache(cache, this.#identity)
    if (saved !== undefined) this.#from = 'cache'
    return saved
  }

  /** Of the store, in the cache. */
  get #identity(): string {
    return `${this.#settings.store} ${this.#settings.prefix}`
  }

  /** Keeps up with the store from now on. */
  start(deps: FollowDeps): void {
    this.#deps = deps
    if (this.#inForce !== undefined && this.#from === 'store') void this.#save(this.#inForce)
    const follower = new RevisionFollower(
      this.#kv,
      {
        onRevision: (revision) => {
          this.#answered()
          this.#want(revision)
        },
        onAlive: () => {
          if (this.#problem?.state === 'failed') this.#answered()
        },
        onBroken: (key, problem, record) => {
          const who = record === undefined ? '' : `revision ${record.revision}: `
          this.#fault({ state: 'rejected', reason: `${who}key ${this.#kv.prefix}${key} ${problem}` })
        },
        onEmpty: () => {
          const hint = 'nothing was pushed, it was wiped, or its token may not read it'
          this.#fault({ state: 'empty', reason: `no ${this.#kv.prefix}current in it (${hint})` })
        },
        onError: (reason) => this.#fault({ state: 'failed', reason }),
      },
      this.record,
      this.#abort.signal,
    )
    this.#running = follower.run()
  }

  #answered(): void {
    this.#hasAnswered = true
    if (this.#problem === undefined) return
    this.#problem = undefined
    this.#tell('back')
  }

  #fault(problem: Problem): void {
    const before = this.#problem
    this.#problem = problem
    if (before?.state === problem.state && before.reason === problem.reason) return
    if (problem.state !== 'failed') this.#hasAnswered = true
    this.#tell(problem.state, problem.reason)
    if (problem.state !== 'rejected') return
    this.#deps?.publish('rejected', { cause: 'configuration store', message: problem.reason })
  }

  #tell(state: string, reason?: string): void {
    const revision = this.record?.revision
    this.#deps?.publish('configuration', { store: this.#settings.store, state, revision, reason })
    const fields = { store: this.#settings.store, revision }
    const text = `configuration store: ${state}${reason === undefined ? '' : `: ${reason}`}`
    if (reason === undefined) this.#deps?.log.info(fields, text)
    else this.#deps?.log.error(fields, `${text}; the last good revision stays`)
  }

  #want(revision: StoredRevision): void {
    const { hash, revision: number } = revision.record
    const current = this.record
    if (current?.revision === number && current.hash === hash) {
      this.#wanted = this.#inForce
      this.#rejected = undefined
      this.#from = 'store'
      return
    }
    const wanted = this.#wanted?.record
    if (wanted?.revision === number && wanted.hash === hash) return
    this.#wanted = revision
    void this.retry()
  }

  /** Tries again what was not taken: something else may have been mended, or somebody wants it all the same. */
  retry(isForced = false): Promise<ReloadResult> {
    this.#taking = this.#taking.then(() => this.#take(isForced))
    return this.#taking
  }

  async #take(isForced: boolean): Promise<ReloadResult> {
    const [wanted, deps] = [this.#wanted, this.#deps]
    if (wanted === undefined || deps === undefined || wanted === this.#inForce) return 'unchanged'
    const { record, files } = wanted
    const result = await deps.reload(isForced || record.isForced === true, {
      cause: revisionText(record),
      load: () => deps.load(files),
      taken: () => {
        this.#inForce = wanted
        this.#from = 'store'
        this.#rejected = undefined
      },
    })
    const { revision, by, message } = record
    if (result === 'rejected') {
      this.#rejected = { revision, at: this.#clock.now(), message: deps.rejection() }
    } else {
      await this.#save(wanted)
    }
    const state = result === 'rejected' ? 'rejected' : 'taken'
    deps.publish('configuration', { store: this.#settings.store, state, revision, by, message })
    return result
  }

  async #save(revision: StoredRevision): Promise<void> {
    const { cache } = this.#settings
    if (cache === undefined) return
    try {
      await writeCache(cache, this.#identity, revision)
    } catch (thrown) {
      this.#deps?.log.error({ file: cache }, `configuration.cache cannot be written: ${errorText(thrown)}`)
    }
  }

  /** Ends the watches. */
  async close(): Promise<void> {
    this.#abort.abort()
    await this.#running
    await this.#taking
    await this.#kv.close()
  }
}
