import type { GatewayEvent } from '../src/core/views.ts'

/** How many events a late subscriber can still get. */
const KEPT = 500

type Listener = (event: GatewayEvent) => void

/** What happened in this gateway, in order, for everybody who looks on. */
export class EventHub {
  readonly #kept: GatewayEvent[] = []
  readonly #listeners = new Set<Listener>()
  readonly #now: () => number
  #lastId = 0

  /** `now`: ms since the epoch. */
  constructor(now: () => number) {
    this.#now = now
  }

  publish(type: GatewayEvent['type'], data: GatewayEvent['data']): void {
    const event: GatewayEvent = { id: ++this.#lastId, at: this.#now(), type, data }
    this.#kept.push(event)
    if (this.#kept.length > KEPT) this.#kept.shift()
    for (const listener of this.#listeners) listener(event)
  }

  /** Gives the listener what is kept after event `after`, then everything new. The result ends it. */
  subscribe(after: number, listener: Listener): () => void {
    for (const event of this.#kept) if (event.id > after) listener(event)
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The id of the last event; 0 before the first. */
  get lastId(): number {
    return this.#lastId
  }
}
