import { backoffMs, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { KeyCacheFile } from './key-cache-file.ts'
import { type KeySet, type ParsedKeys, parseJwks } from './key-set.ts'
import type { KeySource } from './key-source.ts'
import type { FetchResult, ProviderDeps } from './provider.ts'

/** Waits after a failed fetch: first, last. ms. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 60_000
/** A key nobody has heard of makes us ask the issuer at most this often, however many such tokens come. ms. */
export const REFETCH_GAP_MS = 30_000
/** How long a request waits for such a fetch. ms. */
const REFETCH_WAIT_MS = 3000
/** How long the start waits for the first keys. ms. */
const START_WAIT_MS = 3000

export interface RemoteKeysOptions {
  /** Of the provider; for logs. */
  readonly name: string
  /** Gets the document; rejects when it cannot. */
  fetch(): Promise<Uint8Array>
  /** Ends what `fetch` uses. */
  close(): Promise<void>
  /** Keys are fetched again in the background before they are this old. ms. */
  readonly cacheMs: number
  /** Keys older than this are not used any more: the issuer did not answer for so long. ms. */
  readonly maxStaleMs: number
  readonly cacheFile: KeyCacheFile | undefined
}

/**
 * The keys of an issuer, kept fresh behind the requests. While the issuer is away, or sends something of no use, the
 * last good keys stay in use.
 */
export class RemoteKeys implements KeySource {
  readonly #options: RemoteKeysOptions
  readonly #deps: ProviderDeps
  #set: KeySet | undefined
  /** ms since the epoch: when the keys in use were got. */
  #fetchedAt = 0
  #failures = 0
  #pending: Promise<boolean> | undefined
  /** Monotonic ms. */
  #lastRefetchAt = Number.NEGATIVE_INFINITY
  #wasLastGood = false
  #timer: NodeJS.Timeout | undefined
  readonly #closed = new AbortController()
  /** What was last said of dropped keys: said again only when it changes. */
  #told = ''

  constructor(options: RemoteKeysOptions, deps: ProviderDeps) {
    this.#options = options
    this.#deps = deps
  }

  current(): KeySet | undefined {
    if (this.#set === undefined) return undefined
    return this.#ageMs() <= this.#options.maxStaleMs ? this.#set : undefined
  }

  ageSeconds(): number | undefined {
    return this.#set === undefined ? undefined : this.#ageMs() / 1000
  }

  #ageMs(): number {
    // A clock that was set back makes keys look young, not negative.
    return Math.max(0, this.#deps.clock.now() - this.#fetchedAt)
  }

  check(): Promise<void> {
    return Promise.resolve()
  }

  async start(): Promise<void> {
    await this.#restore()
    const first = this.#fetchNow()
    // Keys from the disk can serve: the issuer is asked behind the requests.
    if (this.current() === undefined) await this.#bounded(first, START_WAIT_MS)
  }

  async #restore(): Promise<void> {
    const { cacheFile, name, maxStaleMs } = this.#options
    const saved = await cacheFile?.read()
    if (saved === undefined || this.#deps.clock.now() - saved.savedAt > maxStaleMs) return
    try {
      this.#set = (await parseJwks(saved.document)).set
      this.#fetchedAt = saved.savedAt
    } catch (thrown) {
      this.#deps.log.warn({ provider: name, err: errorText(thrown) }, 'the saved keys are of no use')
    }
  }

  async refetch(isThere: () => boolean): Promise<boolean> {
    const { clock } = this.#deps
    const until = clock.monotonic() + REFETCH_WAIT_MS
    const running = this.#pending
    if (running !== undefined) {
      const isGood = await this.#bounded(running, REFETCH_WAIT_MS)
      if (isThere()) return true
      // It may have been on its way before the key was published: that is no answer yet.
      if (this.#pending === undefined && !this.#mayRefetch()) return isGood
    }
    if (this.#pending === undefined) {
      if (!this.#mayRefetch()) return this.#wasLastGood
      this.#lastRefetchAt = clock.monotonic()
    }
    return this.#bounded(this.#fetchNow(), Math.max(0, until - clock.monotonic()))
  }

  #mayRefetch(): boolean {
    return this.#deps.clock.monotonic() - this.#lastRefetchAt >= REFETCH_GAP_MS
  }

  /** False when it takes too long; what runs goes on. */
  async #bounded(running: Promise<boolean>, limitMs: number): Promise<boolean> {
    const abort = new AbortController()
    const late = sleep(limitMs, abort.signal).then(() => false)
    const result = await Promise.race([running, late])
    abort.abort()
    return result
  }

  /** One fetch at a time, whoever asks. Resolves to whether it brought good keys. */
  #fetchNow(): Promise<boolean> {
    if (this.#closed.signal.aborted) return Promise.resolve(false)
    clearTimeout(this.#timer)
    this.#pending ??= this.#fetch().then((result) => {
      this.#pending = undefined
      this.#wasLastGood = result === 'ok'
      if (this.#closed.signal.aborted) return false
      this.#deps.onFetch(this.#options.name, result)
      this.#schedule(result === 'ok')
      return result === 'ok'
    })
    return this.#pending
  }

  async #fetch(): Promise<FetchResult> {
    const { name, fetch, cacheFile } = this.#options
    const { log, clock } = this.#deps
    try {
      const document = await fetch()
      const parsed = await parseJwks(document)
      if (this.#closed.signal.aborted) return 'failed'
      this.#take(parsed)
      await cacheFile?.write(document, clock.now())
      return 'ok'
    } catch (thrown) {
      if (this.#closed.signal.aborted) return 'failed'
      const keptSeconds = this.#set === undefined ? undefined : Math.round(this.#ageMs() / 1000)
      log.warn({ provider: name, err: errorText(thrown), keptSeconds }, 'keys of the issuer not got')
      return thrown instanceof GatewayError && thrown.code === 'GW_IDENTITY_UNREACHABLE'
        ? 'failed'
        : 'rejected'
    }
  }

  #take({ set, dropped }: ParsedKeys): void {
    this.#set = set
    this.#fetchedAt = this.#deps.clock.now()
    const told = dropped.join('; ')
    if (told !== '' && told !== this.#told) {
      this.#deps.log.warn({ provider: this.#options.name, dropped }, 'keys of the issuer left out')
    }
    this.#told = told
  }

  #schedule(isGood: boolean): void {
    const { random } = this.#deps
    const { cacheMs } = this.#options
    this.#failures = isGood ? 0 : this.#failures + 1
    // Earlier than the end by chance, so that many gateways do not come in step.
    const delay = isGood
      ? cacheMs * (0.7 + 0.2 * random())
      : backoffMs(this.#failures, RETRY_MS, Math.min(MAX_RETRY_MS, Math.max(RETRY_MS, cacheMs)), random)
    this.#timer = setTimeout(() => void this.#fetchNow(), delay)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    this.#closed.abort()
    clearTimeout(this.#timer)
    await this.#options.close()
    await this.#pending
  }
}
