import { errorText, GatewayError } from '../core/errors.ts'

/** A value made from files: the last one that could be made stays in force. */
export class LastGood<T> {
  readonly #load: () => Promise<T>
  #value: T | undefined
  #begun = 0
  #applied = 0

  constructor(load: () => Promise<T>) {
    this.#load = load
  }

  /** Throws GW_INTERNAL_STATE before `prepare` was done. */
  get value(): T {
    if (this.#value === undefined) throw new GatewayError('GW_INTERNAL_STATE', 'nothing was loaded yet')
    return this.#value
  }

  /** The first load. Rejects with what makes it impossible, unless there is a good value from before. */
  async prepare(): Promise<void> {
    const problem = await this.reload()
    if (problem !== undefined && this.#value === undefined) {
      throw new GatewayError('GW_CONFIG_INVALID', problem)
    }
  }

  /** Loads again; what is wrong, or undefined. Of two at a time the one that began later counts in the end. */
  async reload(): Promise<string | undefined> {
    const turn = ++this.#begun
    try {
      const value = await this.#load()
      if (turn > this.#applied) {
        this.#applied = turn
        this.#value = value
      }
      return undefined
    } catch (thrown) {
      return errorText(thrown)
    }
  }
}
