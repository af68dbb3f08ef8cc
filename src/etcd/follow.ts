import { backoffMs, type Random, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { EtcdClient } from './client.ts'
import type { EtcdEntry, EtcdEvent } from './wire.ts'

const BACKOFF_BASE_MS = 250
const BACKOFF_MAX_MS = 5000
/** A probe that fails or finds something amiss is repeated after this before it counts. ms. */
const SECOND_LOOK_MS = 1000
/** While news still come a probe may be behind them; so often in a row it is not. */
const MAX_FAULTS = 5
/** For one probe. ms. */
const PROBE_TIMEOUT_MS = 2000

export interface FollowOptions {
  readonly prefix: string
  /** How often a read checks that the watch still tells everything. ms. */
  readonly probeMs: number
}

/** All are called in the order of events; what they throw ends the follower. */
export interface FollowHandlers {
  /** Everything there is: at the start, and again after each time that news may have been missed. */
  onList(entries: readonly EtcdEntry[], revision: number): void
  /** What changed since. */
  onEvents(events: readonly EtcdEvent[], revision: number): void
  /** What is known may be old until the next `onList`; it is tried again. */
  onError(error: GatewayError): void
  /** A sign of life without news. */
  onAlive?(): void
}

export interface FollowDeps {
  readonly random: Random
}

/**
 * Keeps up with all keys under a prefix: a list, then a watch from the revision behind it. After a lost connection, a
 * compaction or a watch that missed something it lists anew: a revision does not outlive an error, because a server
 * that lost its data counts from one again. Resolves when the signal aborts.
 *
 * A watch can die without a word (a half-open connection), and it goes on telling a user whose rights were taken away.
 * So every `probeMs` a read without values, at the member that the watch is at, compares what it should have told.
 */
export async function followPrefix(
  client: EtcdClient,
  options: FollowOptions,
  handlers: FollowHandlers,
  deps: FollowDeps,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0
  let isKnown = false
  while (!signal.aborted) {
    try {
      const follower = new Follower(client, options, handlers, deps)
      const end = await follower.run(signal, {
        onListed: () => {
          isKnown = true
        },
        onReady: () => {
          failures = 0
        },
      })
      if (end === 'ended') return
      // Compacted between the list and the watch; once is chance, again and again is not.
      failures++
      if (failures > 1) await sleep(backoffMs(failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS, deps.random), signal)
    } catch (thrown) {
      if (signal.aborted) return
      const error =
        thrown instanceof GatewayError
          ? thrown
          : new GatewayError('GW_REGISTRY_ANSWER', errorText(thrown), { cause: thrown })
      if (!isKnown) isKnown = await listWithoutQuorum(client, options.prefix, error, handlers, signal)
      client.rotate()
      if (signal.aborted) return
      handlers.onError(error)
      await sleep(backoffMs(++failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS, deps.random), signal)
    }
  }
}

/**
 * Who starts while the members have no quorum has nothing: then what one member has is better than that. Nothing is no
 * news: a member that just began has nothing, too. True when there was something.
 */
async function listWithoutQuorum(
  client: EtcdClient,
  prefix: string,
  { code }: GatewayError,
  handlers: FollowHandlers,
  signal: AbortSignal,
): Promise<boolean> {
  if (code !== 'GW_REGISTRY_TIMEOUT' && code !== 'GW_REGISTRY_UNREACHABLE') return false
  const options = { signal, isSerializable: true, timeoutMs: PROBE_TIMEOUT_MS }
  const list = await client.list(prefix, options).catch(() => undefined)
  if (list === undefined || list.entries.length === 0 || signal.aborted) return false
  handlers.onList(list.entries, list.revision)
  return true
}

/** One list and the watch behind it. */
class Follower {
  readonly #client: EtcdClient
  readonly #options: FollowOptions
  readonly #handlers: FollowHandlers
  readonly #deps: FollowDeps
  readonly #keys = new Set<string>()
  #isCounted = true
  #revision = 0
  /** Counts messages, to see whether any came while a probe was on its way. */
  #heard = 0

  constructor(client: EtcdClient, options: FollowOptions, handlers: FollowHandlers, deps: FollowDeps) {
    this.#client = client
    this.#options = options
    this.#handlers = handlers
    this.#deps = deps
  }

  async run(
    signal: AbortSignal,
    { onListed, onReady }: { onListed(): void; onReady(): void },
  ): Promise<'ended' | 'compacted'> {
    const { prefix } = this.#options
    const { entries, revision } = await this.#client.list(prefix, { signal })
    this.#revision = revision
    for (const { key } of entries) this.#add(key)
    this.#handlers.onList(entries, revision)
    onListed()
    const stop = new AbortController()
    const either = AbortSignal.any([signal, stop.signal])
    const watching = this.#client.watch(
      { prefix, from: revision + 1 },
      { onReady, onEvents: (events, at) => this.#take(events, at) },
      either,
    )
    const probing = this.#probe(this.#client.endpoint, either)
    try {
      return await Promise.race([watching, probing])
    } finally {
      stop.abort()
      await Promise.allSettled([watching, probing])
    }
  }

  #take(events: readonly EtcdEvent[], revision: number): void {
    this.#heard++
    this.#revision = Math.max(this.#revision, revision)
    for (const { type, key } of events) {
      if (type === 'put') this.#add(key)
      else this.#keys.delete(key)
    }
    if (events.length === 0) this.#handlers.onAlive?.()
    else this.#handlers.onEvents(events, revision)
  }

  #add(key: string): void {
    this.#keys.add(key)
    // A key that is no text: several may look alike, and their number says nothing.
    if (key.includes('\uFFFD')) this.#isCounted = false
  }

  /** Rejects when the watch is not to be trusted any more. */
  async #probe(endpoint: string, signal: AbortSignal): Promise<'ended'> {
    const { probeMs } = this.#options
    let faults = 0
    while (!signal.aborted) {
      await sleep(faults === 0 ? probeMs * (0.9 + 0.2 * this.#deps.random()) : SECOND_LOOK_MS, signal)
      if (signal.aborted) break
      const heard = this.#heard
      const fault = await this.#look(endpoint, signal)
      if (signal.aborted) break
      if (fault === undefined) {
        faults = 0
        this.#handlers.onAlive?.()
        continue
      }
      faults++
      const isQuiet = faults > 1 && heard === this.#heard
      if (fault.code === 'GW_REGISTRY_ACL' || isQuiet || faults >= MAX_FAULTS) throw fault
    }
    return 'ended'
  }

  async #look(endpoint: string, signal: AbortSignal): Promise<GatewayError | undefined> {
    try {
      const { prefix } = this.#options
      const options = { signal, endpoint, timeoutMs: PROBE_TIMEOUT_MS }
      const { count, newest } = await this.#client.look(prefix, this.#revision, options)
      const isComplete = !this.#isCounted || count === this.#keys.size
      if (isComplete && newest <= this.#revision) return undefined
      return new GatewayError('GW_REGISTRY_ANSWER', `${endpoint}: the watch missed a change: reading anew`)
    } catch (thrown) {
      if (thrown instanceof GatewayError) return thrown
      throw thrown
    }
  }
}
