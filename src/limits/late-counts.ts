import { LRUCache } from 'lru-cache'

/** Counters remembered at a time. */
const MAX_KEYS = 20_000

/** What a gateway let in while the store was down: the store is told with the next request of the same counter. */
export class LateCounts {
  readonly #costs = new LRUCache<string, number>({ max: MAX_KEYS })

  get isEmpty(): boolean {
    return this.#costs.size === 0
  }

  add(key: string, cost: number): void {
    this.#costs.set(key, (this.#costs.get(key) ?? 0) + cost)
  }

  /** Gives it out once. */
  take(key: string): number {
    const cost = this.#costs.get(key) ?? 0
    if (cost > 0) this.#costs.delete(key)
    return cost
  }
}
