import type { TableVersion } from '../core/views.ts'
import { diffTables } from './diff.ts'
import type { Table } from './table.ts'

/** How many versions are kept. */
const KEPT = 20

/** A candidate that was not taken. */
export interface Rejection {
  readonly at: number
  readonly cause: string
  readonly message: string
}

type SwapListener = (table: Table, version: TableVersion) => void

/** Holds the one current table; a swap is one assignment. */
export class TableStore {
  #current: Table | undefined
  #rejection: Rejection | undefined
  readonly #versions: TableVersion[] = []
  readonly #listeners = new Set<SwapListener>()
  readonly #now: () => number

  /** `now`: ms since the epoch. */
  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** The table in force; undefined before the first. */
  current(): Table | undefined {
    return this.#current
  }

  /** Puts a table in force. A rejection stays: what was wrong in a file still is when a registry brings a table. */
  swap(table: Table): void {
    const previous = this.#current
    this.#current = table
    let instances = 0
    for (const service of table.services.values()) instances += service.instances.length
    const version: TableVersion = {
      version: table.version,
      id: table.id,
      createdAt: table.createdAt,
      cause: table.cause,
      routes: table.routes.size,
      services: table.services.size,
      instances,
      changes: previous === undefined ? [] : diffTables(previous, table),
    }
    this.#versions.push(version)
    if (this.#versions.length > KEPT) this.#versions.shift()
    for (const listener of this.#listeners) listener(table, version)
  }

  /** Notes a candidate that was not valid; the current table stays. */
  reject(cause: string, message: string): void {
    this.#rejection = { at: this.#now(), cause, message }
  }

  /** Forgets the rejection: what was wrong is mended without a new table. */
  clearRejection(): void {
    this.#rejection = undefined
  }

  /** The last candidate that was not taken, while nothing newer was. */
  lastRejection(): Rejection | undefined {
    return this.#rejection
  }

  /** Oldest first. */
  versions(): readonly TableVersion[] {
    return this.#versions
  }

  /** Called after each swap, in order of subscription. Returns the unsubscribe function. */
  onSwap(listener: SwapListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
