import { sleep } from '../core/duration.ts'
import { errorText } from '../core/errors.ts'
import type { RevisionRecord, StoredRevision } from '../core/stored-files.ts'
import type { ConfigKv, KeyValue } from './kv.ts'
import { POINTER, parsePointer } from './pointer.ts'
import { readTree, treePrefix } from './tree.ts'

/** A server that lags behind may have the pointer and not yet the files. ms. */
const GRACE_MS = 2000

export interface FollowHandlers {
  /** What the store says now; told again when it was broken or unreachable in between. */
  onRevision(revision: StoredRevision): void
  /** What it has cannot be used: the key, and why. `record` = it is a revision's. */
  onBroken(key: string, problem: string, record: RevisionRecord | undefined): void
  /** Nothing new, but it answers. */
  onAlive(): void
  /** It has no revision (any more). */
  onEmpty(): void
  /** It cannot be read; it is tried again. */
  onError(text: string): void
}

/**
 * Keeps up with the revision in force: a watch on the pointer, and one on the files that it names. An answer that is
 * older than what was seen before is only believed when a consistent read says the same: servers that lag must not turn
 * the configuration back.
 */
export class RevisionFollower {
  readonly #kv: ConfigKv
  readonly #handlers: FollowHandlers
  readonly #signal: AbortSignal
  #newest: RevisionRecord | undefined
  /** The pointer that is looked after now. */
  #text: string | undefined
  #tree = new AbortController()
  #queue: Promise<void> = Promise.resolve()
  readonly #watches = new Set<Promise<void>>()

  /** `known`: the revision that is in force already. */
  constructor(
    kv: ConfigKv,
    handlers: FollowHandlers,
    known: RevisionRecord | undefined,
    signal: AbortSignal,
  ) {
    this.#kv = kv
    this.#handlers = handlers
    this.#newest = known
    this.#signal = signal
  }

  /** Until the signal aborts. Never rejects. */
  async run(): Promise<void> {
    await this.#kv.watch(
      POINTER,
      (entries) => {
        this.#queue = this.#queue.then(() => this.#look(entries))
      },
      (text) => this.#handlers.onError(text),
      this.#signal,
    )
    this.#tree.abort()
    await this.#queue
    await Promise.all(this.#watches)
  }

  async #look(entries: readonly KeyValue[]): Promise<void> {
    if (this.#signal.aborted) return
    try {
      const text = await this.#confirmed(entries.find(({ key }) => key === POINTER)?.value)
      if (this.#signal.aborted) return
      this.#take(text)
    } catch (thrown) {
      this.#handlers.onError(errorText(thrown))
    }
  }

  /** The pointer that holds: what was told, unless it looks older than what is known. */
  async #confirmed(told: string | undefined): Promise<string | undefined> {
    if (told !== undefined && told === this.#text) return told
    const revision = told === undefined ? 0 : (parsePointer(told)?.[0]?.revision ?? 0)
    if (revision >= (this.#newest?.revision ?? 0)) return told
    return (await this.#kv.list(POINTER)).find(({ key }) => key === POINTER)?.value
  }

  #take(text: string | undefined): void {
    if (text !== undefined && text === this.#text) {
      this.#handlers.onAlive()
      return
    }
    this.#tree.abort()
    this.#text = text
    if (text === undefined) {
      this.#handlers.onEmpty()
      return
    }
    const record = parsePointer(text)?.[0]
    if (record === undefined) {
      this.#handlers.onBroken(POINTER, 'is not readable: was it written by hand?', undefined)
      return
    }
    this.#newest = record
    this.#tree = new AbortController()
    const watch = this.#watchTree(record, AbortSignal.any([this.#signal, this.#tree.signal]))
    this.#watches.add(watch)
    void watch.finally(() => this.#watches.delete(watch))
  }

  async #watchTree(record: RevisionRecord, signal: AbortSignal): Promise<void> {
    let pending = new AbortController()
    const onEntries = (entries: readonly KeyValue[]) => {
      pending.abort()
      const outcome = readTree(record.hash, entries)
      if ('files' in outcome) {
        this.#handlers.onRevision({ record, files: outcome.files })
        return
      }
      const tell = () => this.#handlers.onBroken(outcome.key, outcome.problem, record)
      if (!outcome.isMissing) {
        tell()
        return
      }
      pending = new AbortController()
      const { signal: stop } = pending
      void sleep(GRACE_MS, AbortSignal.any([signal, stop])).then(() => {
        if (!stop.aborted && !signal.aborted) tell()
      })
    }
    await this.#kv.watch(treePrefix(record.hash), onEntries, (text) => this.#handlers.onError(text), signal)
  }
}
