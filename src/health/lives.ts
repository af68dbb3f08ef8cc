import type { HistoryEntry, HistoryState, RegistryEntry } from '../core/monitor-view.ts'
import type { Instance, ProviderStatus } from '../core/types.ts'
import type { InstanceEvent } from '../core/views.ts'
import { Flapping, type FlappingChange, type FlappingRule } from './flapping.ts'
import { cutReason, History, type HistoryLimits } from './history.ts'

/** An instance as the first table has it. */
export interface FirstInstance {
  readonly service: string
  readonly instance: Instance
  /** `address:port`. */
  readonly address: string
}

/** The gateway itself took an instance out of rotation, or back. */
export interface EjectionNote {
  readonly kind: 'ejected' | 'kept' | 'returned'
  readonly service: string
  readonly instanceKey: string
  readonly reason: string
}

/** What became of one event. */
export interface Noted {
  readonly entry: HistoryEntry
  /** The instance flaps from now on. */
  readonly flapping?: FlappingChange
}

interface Known {
  readonly service: string
  readonly address: string
  readonly version: string | undefined
  readonly listed: HistoryState
  readonly isEjected: boolean
}

type EntryFields = Pick<HistoryEntry, 'at' | 'to' | 'what'> &
  Partial<Pick<HistoryEntry, 'away'>> & {
    readonly from?: HistoryState | undefined
    readonly reason?: string | undefined
  }

function entryOf(key: string, { service, address, version }: Known, fields: EntryFields): HistoryEntry {
  const { at, from, to, what, reason, away } = fields
  return {
    at,
    service,
    key,
    address,
    ...(version === undefined ? {} : { version }),
    ...(from === undefined ? {} : { from }),
    to,
    what,
    ...(reason === undefined ? {} : { reason: cutReason(reason) }),
    ...(away === undefined ? {} : { away }),
  }
}

/** Knows how each instance and registry was last; makes the history out of what changes. Pure: no clock, no disk. */
export class Lives {
  readonly history: History
  readonly flapping: Flapping
  readonly #within: number
  readonly #known = new Map<string, Known>()
  readonly #registries = new Map<string, string>()

  constructor(limits: HistoryLimits, rule: FlappingRule) {
    this.history = new History(limits)
    this.flapping = new Flapping(rule)
    this.#within = rule.within
  }

  /** Takes over what an earlier run noted, the oldest first. */
  restore(entries: readonly (HistoryEntry | RegistryEntry)[], now: number): void {
    for (const entry of entries) {
      if ('registry' in entry) {
        this.history.addRegistry(entry)
        this.#registries.set(entry.registry, entry.to)
        continue
      }
      this.history.add(entry)
      this.#learn(entry)
      if (entry.at > now - 2 * this.#within) this.flapping.note(entry)
    }
    this.flapping.review(now)
  }

  #learn(entry: HistoryEntry): void {
    const { key, service, address, version, from, to, what } = entry
    if (what === 'left') {
      this.#known.delete(key)
      return
    }
    const isEjected = what === 'ejected' || (what !== 'returned' && this.#known.get(key)?.isEjected === true)
    const listed = what === 'ejected' ? (from ?? 'passing') : to
    this.#known.set(key, { service, address, version, listed, isEjected })
  }

  #note(entry: HistoryEntry): Noted {
    this.history.add(entry)
    this.#learn(entry)
    const flapping = this.flapping.note(entry)
    return { entry, ...(flapping === undefined ? {} : { flapping }) }
  }

  /**
   * Compares the first table with what an earlier run noted; gives what changed in between. `isTold`: the registry has
   * answered, so that what it does not list is gone. What was not known before is new to the history alone: it is not told.
   */
  begin(first: readonly FirstInstance[], isTold: (registry: string) => boolean, at: number): HistoryEntry[] {
    const found: HistoryEntry[] = []
    const note = (key: string, known: Known, fields: Omit<EntryFields, 'at' | 'away'>) =>
      found.push(this.#note(entryOf(key, known, { ...fields, at, away: true })).entry)
    const present = new Set<string>()
    for (const { service, instance, address } of first) {
      const { key, version, state } = instance
      present.add(key)
      const before = this.#known.get(key)
      const now: Known = { service, address, version, listed: state, isEjected: false }
      if (before !== undefined && before.listed !== state) {
        note(key, now, { what: 'changed', from: before.listed, to: state })
      }
      if (before?.isEjected === true) {
        note(key, now, {
          what: 'returned',
          from: 'ejected',
          to: state,
          reason: 'the gateway was started anew',
        })
      }
      this.#known.set(key, now)
    }
    for (const [key, known] of this.#known) {
      if (present.has(key) || !isTold(key.slice(0, key.indexOf('/')))) continue
      note(key, known, { what: 'left', from: known.listed, to: 'gone' })
    }
    return found
  }

  /** A step in the life of an instance. Undefined: it is none of its state. */
  instance(event: InstanceEvent, at: number): Noted | undefined {
    const { kind, key, service, address, version, from, to = 'gone', reason } = event
    if (kind === 'idle' || kind === 'closed') return undefined
    const known: Known = { service, address, version, listed: to, isEjected: false }
    return this.#note(entryOf(key, known, { at, from, to, what: kind, reason }))
  }

  /** The gateway took it out, or back. Undefined: it changed nothing. */
  ejection({ kind, service, instanceKey: key, reason }: EjectionNote, at: number): Noted | undefined {
    if (kind === 'kept') return undefined
    const known = this.#known.get(key) ?? {
      service,
      address: '',
      version: undefined,
      listed: 'passing',
      isEjected: false,
    }
    const isOut = kind === 'ejected'
    if (known.isEjected === isOut) return undefined
    const [from, to] = isOut ? [known.listed, 'ejected' as const] : (['ejected', known.listed] as const)
    return this.#note(entryOf(key, known, { at, from, to, what: kind, reason }))
  }

  /** How a registry answers now. Undefined: as before. */
  registry(name: string, { state, lastError }: ProviderStatus, at: number): RegistryEntry | undefined {
    const from = this.#registries.get(name)
    if (from === state) return undefined
    this.#registries.set(name, state)
    const entry: RegistryEntry = {
      at,
      registry: name,
      ...(from === undefined ? {} : { from }),
      to: state,
      ...(lastError === undefined || state === 'live' ? {} : { reason: cutReason(lastError.message) }),
    }
    this.history.addRegistry(entry)
    return entry
  }
}
