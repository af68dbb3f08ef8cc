import { readFile } from 'node:fs/promises'
import { errorText, GatewayError } from '../core/errors.ts'
import { type KeySet, parseJwks } from './key-set.ts'
import type { KeySource } from './key-source.ts'
import type { ProviderDeps } from './provider.ts'

/** Keys of a local file; read again when it changes. A file that is of no use leaves the old keys in place. */
export class FileKeys implements KeySource {
  readonly #name: string
  readonly #path: string
  readonly #deps: ProviderDeps
  #set: KeySet | undefined
  #stopWatching: (() => void) | undefined

  constructor(name: string, path: string, deps: ProviderDeps) {
    this.#name = name
    this.#path = path
    this.#deps = deps
  }

  current(): KeySet | undefined {
    return this.#set
  }

  refetch(): Promise<boolean> {
    return Promise.resolve(this.#set !== undefined)
  }

  ageSeconds(): number | undefined {
    return undefined
  }

  async check(): Promise<void> {
    // With good keys in use a file that was broken since is no reason to refuse a change of something else.
    if (this.#set !== undefined) return
    try {
      await parseJwks(await readFile(this.#path))
    } catch (cause) {
      throw new GatewayError('GW_CONFIG_INVALID', `jwksFile ${this.#path} is of no use`, { cause })
    }
  }

  async start(): Promise<void> {
    this.#stopWatching = this.#deps.watchFiles([this.#path], () => this.#read())
    await this.#read()
  }

  async #read(): Promise<void> {
    const { log, onFetch } = this.#deps
    try {
      const { set, dropped } = await parseJwks(await readFile(this.#path))
      this.#set = set
      if (dropped.length > 0) log.warn({ provider: this.#name, dropped }, 'keys of the file left out')
      onFetch(this.#name, 'ok')
    } catch (thrown) {
      log.warn({ provider: this.#name, err: errorText(thrown) }, 'the file of keys is of no use')
      onFetch(this.#name, 'rejected')
    }
  }

  close(): Promise<void> {
    this.#stopWatching?.()
    return Promise.resolve()
  }
}
