/** The last so many of something; adding costs the same however many were there. */
export class Ring<T> {
  readonly #size: number
  readonly #kept: T[] = []
  /** Where the next one goes, once it is full. */
  #next = 0

  constructor(size: number) {
    this.#size = size
  }

  add(one: T): void {
    this.#kept[this.#next] = one
    this.#next = (this.#next + 1) % this.#size
  }

  /** At most `limit` of them, the newest first. */
  newest(limit: number = this.#size): T[] {
    const length = Math.min(limit, this.#kept.length)
    return Array.from({ length }, (_, i) => {
      const at = (this.#next - 1 - i + this.#size) % this.#size
      return this.#kept[at] as T
    })
  }
}
