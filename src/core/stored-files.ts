/** Configuration that comes from a key-value store instead of files. Times: ms since the epoch. */

/** Before the name of a file that is in the store, wherever a place is told: `kv:routes.d/shop.yaml:3:5`. */
export const STORED = 'kv:'

/** Texts by name: `routes.d/shop.yaml`. */
export type StoredFiles = ReadonlyMap<string, string>

/** What one push, or rollback, made current. */
export interface RevisionRecord {
  /** Counted from 1. */
  readonly revision: number
  /** Of all files: the same hash is the same content. */
  readonly hash: string
  readonly at: number
  /** Who, as they say. */
  readonly by: string
  /** Empty = none was given. */
  readonly message: string
  /** How many there are. */
  readonly files: number
  /** Of a rollback: the revision whose files are back. */
  readonly restores?: number
  /** Gateways take it however much it changes. */
  readonly isForced?: true
}

/** A revision with its files. */
export interface StoredRevision {
  readonly record: RevisionRecord
  readonly files: StoredFiles
}

/** What a gateway shows of its configuration from a store. */
export interface ConfigurationView {
  /** Name of the registry. */
  readonly store: string
  readonly prefix: string
  /**
   * `connecting`: not heard of yet. `live`: what is in force is what the store has. `rejected`: the store has a revision
   * that was not taken. `empty`: it has none (any more). `failed`: it cannot be read.
   */
  readonly state: 'connecting' | 'live' | 'rejected' | 'empty' | 'failed'
  /** Why, when it is not live. */
  readonly reason?: string
  /** In force; absent = none, only files. */
  readonly revision?: RevisionRecord
  /** Where it was read. */
  readonly from?: 'store' | 'cache'
  /** The newest that was not taken. */
  readonly rejected?: { readonly revision: number; readonly at: number; readonly message: string }
}

/** `revision 18 by ann: more shops`: for causes, logs and lists. */
export function revisionText({ revision, by, message, restores }: RevisionRecord): string {
  const back = restores === undefined ? '' : `, back to ${restores}`
  return `revision ${revision} by ${by}${back}${message === '' ? '' : `: ${message}`}`
}
