/**
 * The header fields of one message: order, case and duplicates kept as they came, looked up without regard
 * to case. Names given to the methods are lower case.
 */
export class Headers {
  /** name, value, name, value … as received. */
  readonly #raw: string[]
  /** The names of `#raw`, lower case. */
  readonly #names: string[]

  /** Takes over a flat list as Node's `rawHeaders`; the caller must not use it any more. */
  constructor(raw: string[] = []) {
    this.#raw = raw
    const names = new Array<string>(raw.length >> 1)
    for (let i = 0; i < names.length; i++) names[i] = (raw[i * 2] as string).toLowerCase()
    this.#names = names
  }

  /** The value; several are joined by `, ` (cookies by `; `, RFC 9110 §5.3, RFC 9113 §8.2.3). */
  get(name: string): string | undefined {
    let value: string | undefined
    for (let i = this.#names.indexOf(name); i !== -1; i = this.#names.indexOf(name, i + 1)) {
      const next = this.#raw[i * 2 + 1] as string
      value = value === undefined ? next : value + (name === 'cookie' ? '; ' : ', ') + next
    }
    return value
  }

  /** Each value by itself. */
  getAll(name: string): string[] {
    const values: string[] = []
    for (let i = this.#names.indexOf(name); i !== -1; i = this.#names.indexOf(name, i + 1)) {
      values.push(this.#raw[i * 2 + 1] as string)
    }
    return values
  }

  has(name: string): boolean {
    return this.#names.includes(name)
  }

  /** Replaces all fields of this name by one. Values from outside must have been checked by the caller. */
  set(name: string, value: string): void {
    const first = this.#names.indexOf(name)
    if (first === -1) {
      this.append(name, value)
      return
    }
    this.#raw[first * 2 + 1] = value
    for (let i = this.#names.indexOf(name, first + 1); i !== -1; i = this.#names.indexOf(name, i)) {
      this.#names.splice(i, 1)
      this.#raw.splice(i * 2, 2)
    }
  }

  append(name: string, value: string): void {
    this.#names.push(name)
    this.#raw.push(name, value)
  }

  delete(name: string): void {
    for (let i = this.#names.indexOf(name); i !== -1; i = this.#names.indexOf(name, i)) {
      this.#names.splice(i, 1)
      this.#raw.splice(i * 2, 2)
    }
  }

  /** Number of fields. */
  get size(): number {
    return this.#names.length
  }

  /** Lower-case names, in order, duplicates included. */
  names(): readonly string[] {
    return this.#names
  }

  /** The flat list for Node and undici. A view, not a copy: hand it over only when no edit follows. */
  raw(): string[] {
    return this.#raw
  }

  clone(): Headers {
    return new Headers(this.#raw.slice())
  }
}
