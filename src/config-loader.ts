import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { ConfigError, type LoadedConfig, loadConfig } from './config/load.ts'
import type { LoaderAnswer, LoaderRequest } from './config-worker.ts'
import { errorText, GatewayError } from './core/errors.ts'
import type { RouteSpec } from './core/route.ts'
import { filterSchemas } from './filters/list.ts'

/** Without work for this long the thread ends and gives its memory back. ms. */
const IDLE_MS = 10_000

export interface ConfigLoaderOptions {
  readonly path: string
  readonly env: NodeJS.ProcessEnv
  readonly log: { warn(fields: object, text: string): void }
}

/**
 * Reads and checks the configuration in a thread of its own: thousands of routes take a second to parse, and the
 * loop that serves clients must not stand still for that. Results come over in portions. When there is no thread
 * to be had, it reads in this one.
 */
export class ConfigLoader {
  readonly #options: ConfigLoaderOptions
  #worker: Worker | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: ConfigLoaderOptions) {
    this.#options = options
  }

  /** Rejects as `loadConfig` does: ConfigError, GW_CONFIG_UNREADABLE. `overlay`: texts in the place of files. */
  load(overlay?: ReadonlyMap<string, string>): Promise<LoadedConfig> {
    const run = this.#queue.then(() => this.#load(overlay))
    this.#queue = run.catch(() => {})
    return run
  }

  async #load(overlay: ReadonlyMap<string, string> | undefined): Promise<LoadedConfig> {
    const { path, env, log } = this.#options
    clearTimeout(this.#idleTimer)
    try {
      const config = await this.#ask({ kind: 'load', path, env: { ...env }, overlay })
      if (config.kind === 'failed') throw toConfigError(config)
      if (config.kind !== 'loaded')
        throw new GatewayError('GW_INTERNAL_STATE', 'the loader answered out of turn')
      const routes = await this.#takeRoutes()
      return { ...config.config, dynamic: { ...config.config.dynamic, routes } }
    } catch (thrown) {
      if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_INTERNAL_STATE') throw thrown
      log.warn({ err: errorText(thrown) }, 'the loader failed: the configuration is read in this thread')
      await this.#end()
      return loadConfig({
        path,
        env,
        filterSchemas: filterSchemas(),
        ...(overlay === undefined ? {} : { overlay }),
      })
    } finally {
      this.#idleTimer = setTimeout(() => void this.#end(), IDLE_MS)
      this.#idleTimer.unref()
    }
  }

  async #takeRoutes(): Promise<RouteSpec[]> {
    const routes: RouteSpec[] = []
    for (;;) {
      const portion = await this.#ask({ kind: 'routes' })
      if (portion.kind !== 'routes') {
        throw new GatewayError('GW_INTERNAL_STATE', 'the loader answered out of turn')
      }
      if (portion.routes.length === 0) return routes
      routes.push(...portion.routes)
    }
  }

  async #ask(request: LoaderRequest): Promise<LoaderAnswer> {
    this.#worker ??= this.#start()
    const worker = this.#worker
    const abort = new AbortController()
    const gone = once(worker, 'exit', { signal: abort.signal }).then(() => {
      throw new GatewayError('GW_INTERNAL_STATE', 'the thread of the loader ended')
    })
    gone.catch(() => {})
    try {
      worker.postMessage(request)
      // `once` rejects with what the thread threw.
      const [answer] = (await Promise.race([once(worker, 'message', { signal: abort.signal }), gone])) as [
        LoaderAnswer,
      ]
      return answer
    } catch (cause) {
      throw cause instanceof GatewayError
        ? cause
        : new GatewayError('GW_INTERNAL_STATE', 'the thread of the loader failed', { cause })
    } finally {
      abort.abort()
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL('./config-worker.ts', import.meta.url), { name: 'sluice-config' })
    worker.unref()
    worker.on('error', () => {})
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
    })
    return worker
  }

  async #end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    clearTimeout(this.#idleTimer)
    await this.#end()
  }
}

function toConfigError({ code, message, problems }: LoaderAnswer & { kind: 'failed' }): GatewayError {
  return problems === undefined ? new GatewayError(code, message) : new ConfigError(problems)
}
