import { setTimeout as pause } from 'node:timers/promises'
import { GatewayError } from '../core/errors.ts'
import type { RevisionRecord, StoredFiles, StoredRevision } from '../core/stored-files.ts'
import type { ConfigKv } from './kv.ts'
import { nextPointer, POINTER, parsePointer } from './pointer.ts'
import { buildTree, readTree, type Tree, treePrefix } from './tree.ts'

/** Keys that are written at a time. */
const AT_ONCE = 8
/** A tree that somebody is just writing is read again after this. ms. */
const SECOND_LOOK_MS = 300

/** What the store has. */
export interface StoreState {
  /** The newest first: that is the one in force. Empty = nothing was pushed yet. */
  readonly revisions: readonly RevisionRecord[]
  /** Of the pointer, for compare-and-set. */
  readonly index: number
}

/** What goes into a new revision. */
export interface RevisionDraft {
  readonly at: number
  readonly by: string
  readonly message: string
  readonly isForced: boolean
}

export type PushOutcome =
  | { readonly kind: 'done'; readonly record: RevisionRecord }
  /** Somebody else was faster; `state` is what holds now. */
  | { readonly kind: 'conflict'; readonly state: StoreState }

/**
 * Revisions of the configuration in a key-value store: a content in a folder of its own that never changes, and one key
 * that says which content holds and which did before. Whoever reads sees one whole revision or another, never a mixture.
 * Calls throw GW_REGISTRY_UNREACHABLE, _TIMEOUT, _ACL and _ANSWER.
 */
export class Revisions {
  readonly #kv: ConfigKv

  constructor(kv: ConfigKv) {
    this.#kv = kv
  }

  /** Throws GW_REGISTRY_ANSWER when the pointer is not readable. */
  async state(): Promise<StoreState> {
    const found = (await this.#kv.list(POINTER)).find(({ key }) => key === POINTER)
    if (found === undefined) return { revisions: [], index: 0 }
    const revisions = parsePointer(found.value)
    if (revisions === undefined) {
      throw new GatewayError(
        'GW_REGISTRY_ANSWER',
        `${this.#kv.prefix}${POINTER} is not readable: was it written by hand? Delete it and push again`,
      )
    }
    return { revisions, index: found.index }
  }

  /** The files of a revision. Throws GW_REGISTRY_ANSWER, with the key, when they are not what was pushed. */
  async read({ revision, hash }: RevisionRecord): Promise<StoredFiles> {
    for (let isSecond = false; ; isSecond = true) {
      const outcome = readTree(hash, await this.#kv.list(treePrefix(hash)))
      if ('files' in outcome) return outcome.files
      if (!outcome.isMissing || isSecond) {
        const text = `revision ${revision}: key ${this.#kv.prefix}${outcome.key} ${outcome.problem}`
        throw new GatewayError('GW_REGISTRY_ANSWER', text)
      }
      await pause(SECOND_LOOK_MS)
    }
  }

  /** The revision in force; undefined = there is none. */
  async newest(): Promise<StoredRevision | undefined> {
    const [record] = (await this.state()).revisions
    return record === undefined ? undefined : { record, files: await this.read(record) }
  }

  /** Makes a content the next revision, if `state` still holds. Throws GW_CONFIG_INVALID for files that cannot be kept. */
  async push(files: StoredFiles, draft: RevisionDraft, state: StoreState): Promise<PushOutcome> {
    const tree = buildTree(files)
    const isNew = (await this.#kv.list(treePrefix(tree.hash))).length === 0
    await this.#writeTree(tree)
    const outcome = await this.#commit({ hash: tree.hash, files: files.size }, draft, state)
    if (outcome.kind === 'done') {
      // Whoever dropped the same content at this moment took it away.
      if ((await this.#kv.list(treePrefix(tree.hash))).length < tree.entries.length)
        await this.#writeTree(tree)
    } else if (isNew && !outcome.state.revisions.some(({ hash }) => hash === tree.hash)) {
      await this.#removeTree(tree.hash)
    }
    return outcome
  }

  /** Makes the content of an earlier revision the next one, if `state` still holds. */
  async restore(earlier: RevisionRecord, draft: RevisionDraft, state: StoreState): Promise<PushOutcome> {
    const { hash, files, revision } = earlier
    await this.read(earlier)
    return this.#commit({ hash, files, restores: revision }, draft, state)
  }

  async #commit(
    content: { readonly hash: string; readonly files: number; readonly restores?: number },
    { isForced, ...draft }: RevisionDraft,
    { revisions, index }: StoreState,
  ): Promise<PushOutcome> {
    const record: RevisionRecord = {
      revision: (revisions[0]?.revision ?? 0) + 1,
      ...content,
      ...draft,
      ...(isForced ? { isForced } : {}),
    }
    const { text, dropped } = nextPointer(record, revisions)
    if (!(await this.#swap(text, index))) return { kind: 'conflict', state: await this.state() }
    const kept = parsePointer(text) ?? []
    for (const { hash } of dropped) {
      if (!kept.some((one) => one.hash === hash)) await this.#removeTree(hash)
    }
    return { kind: 'done', record }
  }

  /** An error does not say whether it was written: then the key does. */
  async #swap(text: string, index: number): Promise<boolean> {
    try {
      return await this.#kv.write(POINTER, text, index)
    } catch (thrown) {
      const now = await this.#kv.list(POINTER).catch(() => [])
      if (now.some(({ key, value }) => key === POINTER && value === text)) return true
      throw thrown
    }
  }

  async #writeTree({ entries }: Tree): Promise<void> {
    for (let from = 0; from < entries.length; from += AT_ONCE) {
      const some = entries.slice(from, from + AT_ONCE)
      await Promise.all(some.map(({ key, value }) => this.#kv.write(key, value)))
    }
  }

  async #removeTree(hash: string): Promise<void> {
    for (const { key } of await this.#kv.list(treePrefix(hash))) await this.#kv.remove(key)
  }
}
