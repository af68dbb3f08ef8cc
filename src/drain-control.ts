import type { ControlPlane } from './control.ts'
import { GatewayError } from './core/errors.ts'
import type { Instance } from './core/types.ts'
import type { DrainView } from './core/views.ts'
import type { DrainMarks } from './drain-marks.ts'
import { authorityOf } from './proxy/transport.ts'
import type { DrainTeller, Telling } from './registry/drain-teller.ts'
import type { Reducer } from './registry/reducer.ts'
import type { TableStore } from './routing/store.ts'

export interface DrainRequest {
  /** Id, key or `address:port` of an instance. */
  readonly instance: string
  readonly isUndo: boolean
  readonly reason: string
}

export interface DrainControlDeps {
  readonly marks: DrainMarks
  readonly control: Pick<ControlPlane, 'rebuild'>
  readonly store: TableStore
  readonly reducer: Pick<Reducer, 'state'>
  /** By name of the registry. */
  readonly tellers: ReadonlyMap<string, DrainTeller>
}

/** Takes single instances out of rotation, and back: here at once, and for everybody through their registry. */
export class DrainControl {
  readonly #deps: DrainControlDeps

  constructor(deps: DrainControlDeps) {
    this.#deps = deps
  }

  /** Throws GW_ADMIN_NOT_FOUND, GW_ADMIN_CONFLICT (several, or in somebody's maintenance). */
  async drain({ instance: asked, isUndo, reason }: DrainRequest): Promise<DrainView> {
    const instance = this.#find(asked)
    return isUndo ? this.#undo(instance) : this.#mark(instance, reason)
  }

  async #mark(instance: Instance, reason: string): Promise<DrainView> {
    const { key, state } = instance
    if (state === 'maintenance') {
      return { instance: key, state, scope: 'registry', detail: 'it is in maintenance already' }
    }
    this.#deps.marks.set(key, reason)
    // Here at once, whatever the registry takes.
    await this.#deps.control.rebuild(`drain of ${key}`)
    return this.#view(instance, await this.#tell(instance, reason))
  }

  async #undo(instance: Instance): Promise<DrainView> {
    const { marks, control } = this.#deps
    const { key, state } = instance
    if (!marks.reasons.has(key)) {
      if (state === 'maintenance') {
        throw new GatewayError(
          'GW_ADMIN_CONFLICT',
          `${key} is in maintenance, not draining: end it in the registry`,
        )
      }
      if (state !== 'draining') {
        return { instance: key, state, scope: 'gateway', detail: 'it was not draining' }
      }
    }
    const telling = await this.#tell(instance, undefined)
    marks.delete(key)
    await control.rebuild(`end of the drain of ${key}`)
    return this.#view(instance, telling)
  }

  #view({ key, state }: Instance, { isTold, detail }: Telling): DrainView {
    return {
      instance: key,
      state: this.#now(key)?.state ?? state,
      scope: isTold ? 'registry' : 'gateway',
      detail: isTold
        ? detail
        : `only this gateway knows: ${detail}; run it against each gateway, or on the node`,
    }
  }

  #tell(instance: Instance, reason: string | undefined): Promise<Telling> | Telling {
    const registry = instance.key.slice(0, instance.key.indexOf('/'))
    const teller = this.#deps.tellers.get(registry)
    if (teller !== undefined) return teller.tell(instance, reason)
    return { isTold: false, detail: `"${registry}" takes no drain marks` }
  }

  /** As the registry has it, or as the configuration has it; without our own marks. */
  #find(asked: string): Instance {
    const known = new Map<string, Instance>()
    for (const service of this.#deps.store.current()?.services.values() ?? []) {
      for (const one of service.instances) known.set(one.key, one)
    }
    for (const { instances } of this.#deps.reducer.state().services.values()) {
      for (const one of instances) known.set(one.key, one)
    }
    const exact = known.get(asked)
    if (exact !== undefined) return exact
    const found = [...known.values()].filter((one) => one.id === asked || authorityOf(one) === asked)
    const [only] = found
    if (only === undefined) throw new GatewayError('GW_ADMIN_NOT_FOUND', `no instance "${asked}"`)
    if (found.length === 1) return only
    const keys = found.map(({ key }) => key).join(', ')
    throw new GatewayError('GW_ADMIN_CONFLICT', `"${asked}" is the name of several: use the key: ${keys}`)
  }

  #now(key: string): Instance | undefined {
    for (const { instances } of this.#deps.store.current()?.services.values() ?? []) {
      const found = instances.find((one) => one.key === key)
      if (found !== undefined) return found
    }
    return undefined
  }
}
