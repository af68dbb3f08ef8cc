import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { RedisStore } from '../core/redis-store.ts'
import { type KeyEntry, keyEntrySchema } from './key-ring.ts'

/** ms, but for `entries`. */
export interface KeyStoreOptions {
  /** Digest + prefix = key of the hash in the store. */
  readonly prefix: string
  /** A known key is asked for again after this. */
  readonly ttlMs: number
  /** An unknown key is asked for again after this. */
  readonly negativeTtlMs: number
  /** While the store is down a known key is good for this long since it was read. */
  readonly staleMs: number
  /** Keys remembered, known and unknown ones each. */
  readonly entries: number
  readonly clock: Clock
  onBadRecord(problem: string): void
}

interface Cached {
  readonly entry: KeyEntry
  /** Monotonic ms. */
  readonly readAt: number
}

/** Lists: JSON, or words separated by blanks or commas. */
function listOf(text: string | undefined): unknown {
  if (text === undefined) return undefined
  return text.trimStart().startsWith('[')
    ? (JSON.parse(text) as unknown)
    : text.split(/[\s,]+/).filter(Boolean)
}

function recordOf(digest: string, fields: Readonly<Record<string, string>>): KeyEntry {
  const { id, owner, notBefore, expires, disabled } = fields
  const metadata = fields['metadata']
  return keyEntrySchema.parse({
    id,
    owner,
    sha256: digest,
    roles: listOf(fields['roles']),
    groups: listOf(fields['groups']),
    scopes: listOf(fields['scopes']),
    metadata: metadata === undefined ? undefined : (JSON.parse(metadata) as unknown),
    notBefore,
    expires,
    // Whatever else stands there: better refused than taken for enabled.
    disabled: disabled !== undefined && disabled !== '' && disabled !== 'false' && disabled !== '0',
  })
}

/**
 * API keys in Redis, one hash a key, remembered for a short while: known and unknown keys apart, so that a flood of
 * made-up keys cannot push out the real ones. Many requests with one key ask once.
 */
export class KeyStore {
  readonly #store: RedisStore
  readonly #options: KeyStoreOptions
  readonly #known: LRUCache<string, Cached>
  readonly #unknown: LRUCache<string, number>
  readonly #asking = new Map<string, Promise<KeyEntry | undefined>>()

  constructor(store: RedisStore, options: KeyStoreOptions) {
    this.#store = store
    this.#options = options
    this.#known = new LRUCache({ max: options.entries })
    this.#unknown = new LRUCache({ max: options.entries })
  }

  /**
   * The key of this digest; undefined when there is none; a promise when the store has to be asked. Rejects with
   * GW_AUTH_UNAVAILABLE when it does not answer and what is remembered is too old.
   */
  find(digest: string): KeyEntry | undefined | Promise<KeyEntry | undefined> {
    const now = this.#options.clock.monotonic()
    const cached = this.#known.get(digest)
    if (cached !== undefined && now - cached.readAt < this.#options.ttlMs) return cached.entry
    const missingSince = this.#unknown.get(digest)
    if (missingSince !== undefined && now - missingSince < this.#options.negativeTtlMs) return undefined
    const asking = this.#asking.get(digest) ?? this.#ask(digest, cached)
    this.#asking.set(digest, asking)
    return asking
  }

  async #ask(digest: string, cached: Cached | undefined): Promise<KeyEntry | undefined> {
    const { clock, staleMs, prefix, onBadRecord } = this.#options
    try {
      const fields = await this.#store.hash(prefix + digest)
      const readAt = clock.monotonic()
      if (Object.keys(fields).length === 0) {
        this.#known.delete(digest)
        this.#unknown.set(digest, readAt)
        return undefined
      }
      let entry: KeyEntry
      try {
        entry = recordOf(digest, fields)
      } catch (thrown) {
        // An edit that went wrong must not let anybody in.
        this.#known.delete(digest)
        this.#unknown.set(digest, readAt)
        onBadRecord(
          `${prefix}${digest.slice(0, 8)}…: ${thrown instanceof SyntaxError ? 'no JSON' : shortText(thrown)}`,
        )
        return undefined
      }
      this.#unknown.delete(digest)
      this.#known.set(digest, { entry, readAt })
      return entry
    } catch (cause) {
      if (cached !== undefined && clock.monotonic() - cached.readAt < staleMs) return cached.entry
      throw new GatewayError('GW_AUTH_UNAVAILABLE', `store ${this.#store.name}`, { cause })
    } finally {
      this.#asking.delete(digest)
    }
  }
}

const shortText = (thrown: unknown) => errorText(thrown).replace(/\s+/g, ' ').slice(0, 300)
