import type { BodyTap } from '../src/proxy/exchange.ts'

/** Keeps a request's body as it streams by, up to a limit. */
export class BodyCopy implements BodyTap {
  readonly #maxBytes: number
  readonly #onWhole: (body: Buffer) => void
  #chunks: Buffer[] | undefined = []
  #size = 0

  /** `onWhole`: it came to its end and is not longer. */
  constructor(maxBytes: number, onWhole: (body: Buffer) => void) {
    this.#maxBytes = maxBytes
    this.#onWhole = onWhole
  }

  /** Longer than the limit: nothing of it is kept. */
  get isTooLarge(): boolean {
    return this.#chunks === undefined
  }

  data(chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#size > this.#maxBytes) this.#chunks = undefined
    else this.#chunks?.push(chunk)
  }

  end(): void {
    if (this.#chunks !== undefined) this.#onWhole(Buffer.concat(this.#chunks))
  }
}
