import { errorText, GatewayError } from '../core/errors.ts'
import type { RuleSet, WafEngine } from './engine.ts'
import { buildRules, type RuleOptions } from './rules.ts'

export interface KeeperDeps {
  readonly engine: WafEngine
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  event(data: Readonly<Record<string, unknown>>): void
  watchFiles(paths: readonly string[], onChange: () => Promise<void>): void
}

/** The rules of one filter: the good ones stay in force until better ones are loaded everywhere. */
export class RuleKeeper {
  readonly #options: RuleOptions
  readonly #deps: KeeperDeps
  readonly #watched = new Set<string>()
  #current: RuleSet | undefined
  #digest: string | undefined
  #isClosed = false

  constructor(options: RuleOptions, deps: KeeperDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** Throws GW_WAF_UNAVAILABLE while there are none. */
  get current(): RuleSet {
    if (this.#current !== undefined) return this.#current
    throw new GatewayError('GW_WAF_UNAVAILABLE', 'the WAF has no rules yet')
  }

  /** Loads the rules as the files are now; false = they are in force already. Throws GW_CONFIG_INVALID, GW_WAF_LIBRARY. */
  async load(): Promise<boolean> {
    const { engine, log } = this.#deps
    // Before they are read: an edit while the engine loads must not be missed.
    this.#watch(this.#options.files)
    const source = buildRules(this.#options)
    this.#watch(source.watched)
    if (source.digest === this.#digest) return false
    const set = await engine.acquire(source, this.#options.paranoia.blocking)
    for (const warning of source.warnings) log.warn({}, `waf: ${warning}`)
    this.#current?.release()
    this.#current = set
    this.#digest = source.digest
    if (this.#isClosed) this.close()
    return true
  }

  #watch(paths: readonly string[]): void {
    const fresh = paths.filter((path) => !this.#watched.has(path))
    if (fresh.length === 0) return
    for (const path of fresh) this.#watched.add(path)
    this.#deps.watchFiles(fresh, () => this.#reload())
  }

  /** A file changed. What cannot be loaded changes nothing. */
  async #reload(): Promise<void> {
    if (this.#isClosed) return
    const { log, event } = this.#deps
    try {
      if (!(await this.load())) return
      log.info({ files: [...this.#watched] }, 'waf: rule files were read again')
      event({ event: 'waf_rules_loaded' })
    } catch (thrown) {
      const err = errorText(thrown)
      log.warn({ err }, 'waf: changed rule files were refused; the old rules stay in force')
      event({ event: 'waf_rules_refused', err })
    }
  }

  close(): void {
    this.#isClosed = true
    this.#current?.release()
    this.#current = undefined
  }
}
