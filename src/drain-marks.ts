import type { Instance, RegistryState } from './core/types.ts'

interface Mark {
  readonly reason: string
  /** The registry has said so, too: from then on its word counts. */
  isConfirmed: boolean
}

/**
 * Instances that were drained through this gateway, by key: in force at once, whatever the registry says, until it is
 * undone, the registry's own mark is taken out again, or the instance is gone.
 */
export class DrainMarks {
  readonly #marks = new Map<string, Mark>()
  #reasons: ReadonlyMap<string, string> = new Map()

  /** Reason by instance key; another object after each change. */
  get reasons(): ReadonlyMap<string, string> {
    return this.#reasons
  }

  set(key: string, reason: string): void {
    this.#marks.set(key, { reason, isConfirmed: false })
    this.#refresh()
  }

  delete(key: string): void {
    if (this.#marks.delete(key)) this.#refresh()
  }

  /** Drops the marks that have had their time. `statics`: instances that no registry has. */
  review(state: RegistryState, statics: () => Iterable<Instance>): void {
    if (this.#marks.size === 0) return
    const listed = new Map<string, Instance>()
    for (const { instances } of state.services.values()) {
      for (const one of instances) if (this.#marks.has(one.key)) listed.set(one.key, one)
    }
    for (const one of statics()) {
      if (this.#marks.has(one.key) && !listed.has(one.key)) listed.set(one.key, one)
    }
    const before = this.#marks.size
    for (const [key, mark] of this.#marks) {
      const instance = listed.get(key)
      const isSaid = instance?.state === 'draining' || instance?.state === 'maintenance'
      if (instance === undefined || (mark.isConfirmed && !isSaid)) this.#marks.delete(key)
      else if (isSaid) mark.isConfirmed = true
    }
    if (this.#marks.size !== before) this.#refresh()
  }

  #refresh(): void {
    this.#reasons = new Map([...this.#marks].map(([key, { reason }]) => [key, reason]))
  }
}
