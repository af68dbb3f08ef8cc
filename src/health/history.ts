import type { HistoryEntry, HistoryQuery, RegistryEntry } from '../core/monitor-view.ts'

export interface HistoryLimits {
  /** Over all instances. */
  readonly maxEntries: number
  /** ms; 0 = no limit. */
  readonly maxAge: number
}

/** Of one instance: one that flaps must not push out what is known of the others. */
const MAX_PER_INSTANCE = 100
/** Registries are few. */
const MAX_REGISTRY_ENTRIES = 500
const MAX_REASON = 300

/** A reason as the history keeps it: one line, bounded. */
export const cutReason = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length <= MAX_REASON ? line : `${line.slice(0, MAX_REASON - 2)} …`
}

function isOf(entry: HistoryEntry, { service, instance, since }: HistoryQuery): boolean {
  if (service !== undefined && entry.service !== service) return false
  if (since !== undefined && entry.at <= since) return false
  if (instance === undefined) return true
  const { key, address } = entry
  return key === instance || address === instance || key.endsWith(`/${instance}`)
}

/** The last so many of a list, the newest first. */
const newest = <T>(list: readonly T[], limit: number): T[] => (limit <= 0 ? [] : list.slice(-limit).reverse())

/** What became of instances and registries, bounded by number (in all and of each instance) and age. */
export class History {
  readonly #limits: HistoryLimits
  /** The oldest first. */
  #entries: HistoryEntry[] = []
  #registries: RegistryEntry[] = []
  #untidy = 0

  constructor(limits: HistoryLimits) {
    this.#limits = limits
  }

  /** Cheap: it may be called where a request is served. */
  add(entry: HistoryEntry): void {
    this.#entries.push(entry)
    // A part of them at a time, so that not each new one costs a walk over all.
    if (++this.#untidy > Math.max(64, this.#limits.maxEntries / 8)) this.#tidy(entry.at)
  }

  addRegistry(entry: RegistryEntry): void {
    this.#registries.push(entry)
    if (this.#registries.length > MAX_REGISTRY_ENTRIES) this.#registries.shift()
  }

  /** The newest first. */
  entries(query: HistoryQuery, now: number): HistoryEntry[] {
    this.#tidy(now)
    const found = this.#entries.filter((entry) => isOf(entry, query))
    return newest(found, query.limit)
  }

  /** The newest first. */
  registries({ since = Number.NEGATIVE_INFINITY, limit }: HistoryQuery): RegistryEntry[] {
    return newest(
      this.#registries.filter(({ at }) => at > since),
      limit,
    )
  }

  /** The oldest that is known; undefined = there is none. ms since the epoch. */
  oldest(now: number): number | undefined {
    this.#tidy(now)
    return this.#entries[0]?.at
  }

  get size(): number {
    return this.#entries.length
  }

  #tidy(now: number): void {
    this.#untidy = 0
    const { maxEntries, maxAge } = this.#limits
    const since = maxAge === 0 ? Number.NEGATIVE_INFINITY : now - maxAge
    const counts = new Map<string, number>()
    const kept: HistoryEntry[] = []
    for (let i = this.#entries.length - 1; i >= 0 && kept.length < maxEntries; i--) {
      const entry = this.#entries[i] as HistoryEntry
      if (entry.at < since) continue
      const count = (counts.get(entry.key) ?? 0) + 1
      counts.set(entry.key, count)
      if (count <= MAX_PER_INSTANCE) kept.push(entry)
    }
    if (kept.length < this.#entries.length) this.#entries = kept.reverse()
  }
}
