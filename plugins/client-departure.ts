import type { Departure } from '../src/proxy/exchange.ts'

/** An AbortController and its signal cost more than everything else that is made for a request. */
export class ClientDeparture implements Departure {
  aborted = false
  #listener: (() => void) | undefined

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listener = listener
  }

  removeEventListener(): void {
    this.#listener = undefined
  }

  abort(): void {
    if (this.aborted) return
    this.aborted = true
    this.#listener?.()
  }
}
