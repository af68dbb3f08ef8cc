import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ConfigError, type LoadedConfig, loadConfig } from './config/load.ts'
import type { ListEntry, ListName, LoaderAnswer, LoaderRequest } from './config-reader.ts'
import type { ReleaseRule } from './core/canary.ts'
import { errorText, GatewayError } from './core/errors.ts'
import { identityOf } from './core/identity.ts'
import type { RouteSpec, ServicePolicy } from './core/route.ts'
import type { StoredFiles } from './core/stored-files.ts'
import { filterSchemas } from './filters/list.ts'

/** Without work for this long the reading process ends. ms. */
const IDLE_MS = 10_000
/** Below this a configuration is read in a few milliseconds. Bytes. */
const SMALL_BYTES = 64 * 1024
/** Entries in one message: what this side can take in within a millisecond or two. */
const PORTION = 200

export interface ConfigLoaderOptions {
  readonly path: string
  readonly env: NodeJS.ProcessEnv
  readonly log: { warn(fields: object, text: string): void }
}

/**
 * Reads and checks the configuration in a process of its own: thousands of routes take a second to parse and some
 * hundred megabytes, and neither belongs in the process that serves clients. Results come over in portions. When
 * there is no process to be had, it reads in this one.
 */
export class ConfigLoader {
  readonly #options: ConfigLoaderOptions
  #reader: ChildProcess | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #queue: Promise<unknown> = Promise.resolve()
  /** Of the last load, by identity. */
  #known: Record<ListName, Map<string, ListEntry>> = {
    routes: new Map(),
    services: new Map(),
    canaries: new Map(),
  }

  constructor(options: ConfigLoaderOptions) {
    this.#options = options
  }

  /**
   * The first load, before anything is served: a small configuration is read here, because a process takes longer to
   * start than that.
   */
  async loadFirst(stored?: StoredFiles): Promise<LoadedConfig> {
    const isHere = await isSmall(this.#options.path, stored)
    const config = isHere ? await this.#loadHere(undefined, stored) : await this.load(undefined, stored)
    const { routes, services, canaries = [] } = config.dynamic
    this.#known = {
      routes: new Map(routes.map((spec) => [identityOf(spec), spec])),
      services: new Map(services.map((policy) => [identityOf(policy), policy])),
      canaries: new Map(canaries.map((rule) => [identityOf(rule), rule])),
    }
    return config
  }

  /** Rejects as `loadConfig` does: ConfigError, GW_CONFIG_UNREADABLE. `overlay`: texts in the place of files; `stored`: those of a store. */
  load(overlay?: ReadonlyMap<string, string>, stored?: StoredFiles): Promise<LoadedConfig> {
    const run = this.#queue.then(() => this.#load(overlay, stored))
    this.#queue = run.catch(() => {})
    return run
  }

  async #load(
    overlay: ReadonlyMap<string, string> | undefined,
    stored: StoredFiles | undefined,
  ): Promise<LoadedConfig> {
    const { path, env, log } = this.#options
    clearTimeout(this.#idleTimer)
    try {
      const loaded = await this.#ask({ kind: 'load', path, env: { ...env }, overlay, stored })
      if (loaded.kind === 'failed') throw toConfigError(loaded)
      if (loaded.kind !== 'loaded') throw outOfTurn()
      const { config, ids } = loaded
      const routes = await this.#collect<RouteSpec>('routes', ids.routes)
      const services = await this.#collect<ServicePolicy>('services', ids.services)
      const canaries = await this.#collect<ReleaseRule>('canaries', ids.canaries)
      return { ...config, dynamic: { ...config.dynamic, routes, services, canaries } }
    } catch (thrown) {
      if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_INTERNAL_STATE') throw thrown
      log.warn({ err: errorText(thrown) }, 'the reading process failed: the configuration is read here')
      await this.#end()
      return this.#loadHere(overlay, stored)
    } finally {
      this.#idleTimer = setTimeout(() => void this.#end(), IDLE_MS)
      this.#idleTimer.unref()
    }
  }

  #loadHere(overlay?: ReadonlyMap<string, string>, stored?: StoredFiles): Promise<LoadedConfig> {
    const { path, env } = this.#options
    const rest = {
      ...(overlay === undefined ? {} : { overlay }),
      ...(stored === undefined ? {} : { stored }),
    }
    return loadConfig({ path, env, filterSchemas: filterSchemas(), ...rest })
  }

  /** Entries that are known already stay the same objects; only the others come over, in portions. */
  async #collect<T extends ListEntry>(list: ListName, ids: readonly string[]): Promise<T[]> {
    const known = this.#known[list] as Map<string, T>
    const missing: number[] = []
    ids.forEach((id, i) => {
      if (!known.has(id)) missing.push(i)
    })
    const next = new Map<string, T>()
    for (let from = 0; from < missing.length; from += PORTION) {
      const indexes = missing.slice(from, from + PORTION)
      const taken = await this.#ask({ kind: 'take', list, indexes })
      if (taken.kind !== 'taken') throw outOfTurn()
      indexes.forEach((index, i) => {
        next.set(ids[index] as string, taken.items[i] as T)
      })
    }
    const all = ids.map((id) => known.get(id) ?? (next.get(id) as T))
    this.#known[list] = new Map(ids.map((id, i) => [id, all[i] as T]))
    return all
  }

  async #ask(request: LoaderRequest): Promise<LoaderAnswer> {
    this.#reader ??= this.#start()
    const reader = this.#reader
    const abort = new AbortController()
    const { signal } = abort
    const gone = once(reader, 'exit', { signal }).then(() => {
      throw new GatewayError('GW_INTERNAL_STATE', 'the reading process ended')
    })
    gone.catch(() => {})
    // While an answer is awaited it holds this process, else not.
    reader.ref()
    reader.channel?.ref()
    try {
      reader.send(request)
      // `once` rejects with an 'error'.
      const [answer] = await Promise.race([once(reader, 'message', { signal }), gone])
      return answer as LoaderAnswer
    } catch (cause) {
      throw cause instanceof GatewayError
        ? cause
        : new GatewayError('GW_INTERNAL_STATE', 'the reading process failed', { cause })
    } finally {
      abort.abort()
      reader.unref()
      reader.channel?.unref()
    }
  }

  #start(): ChildProcess {
    const reader = fork(join(import.meta.dirname, 'config-reader.ts'), {
      serialization: 'advanced',
      // What it makes is short-lived, but it need not be fast.
      execArgv: ['--max-semi-space-size=8'],
    })
    reader.on('error', () => {})
    reader.once('exit', () => {
      if (this.#reader === reader) this.#reader = undefined
    })
    return reader
  }

  async #end(): Promise<void> {
    const reader = this.#reader
    this.#reader = undefined
    if (reader === undefined || reader.exitCode !== null || reader.signalCode !== null) return
    const exited = once(reader, 'exit')
    reader.kill('SIGKILL')
    await exited
  }

  /** Ends the reading process. */
  async close(): Promise<void> {
    clearTimeout(this.#idleTimer)
    await this.#end()
  }
}

const outOfTurn = (): GatewayError => new GatewayError('GW_INTERNAL_STATE', 'the loader answered out of turn')

/** By the size of sluice.yaml, routes.d, canary.d and what a store has; what cannot be read counts as small: the load itself says what is wrong. */
async function isSmall(path: string, stored: StoredFiles | undefined): Promise<boolean> {
  let bytes = 0
  for (const text of stored?.values() ?? []) bytes += text.length
  try {
    const main = (await stat(path)).isDirectory() ? join(path, 'sluice.yaml') : path
    bytes += (await stat(main)).size
    for (const beside of ['routes.d', 'canary.d']) {
      const folder = join(dirname(main), beside)
      // None is the usual case.
      const names = await readdir(folder).catch(() => [])
      for (const name of names) bytes += (await stat(join(folder, name))).size
    }
  } catch {
    // The load itself says what is wrong.
  }
  return bytes < SMALL_BYTES
}

function toConfigError({ code, message, problems }: LoaderAnswer & { kind: 'failed' }): GatewayError {
  return problems === undefined ? new GatewayError(code, message) : new ConfigError(problems)
}
