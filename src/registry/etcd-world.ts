import type { Instance, ServiceInstances } from '../core/types.ts'
import type { EtcdEntry, EtcdEvent } from '../etcd/wire.ts'
import type { AddressRule } from './consul-address.ts'
import type { EtcdLayout, LayoutRecord } from './etcd-layout.ts'
import { keepSameService } from './keep-same.ts'

const MAX_PROBLEMS = 100

export interface EtcdWorldOptions {
  readonly layout: EtcdLayout
  readonly addressRule: AddressRule
  isWanted(service: string): boolean
}

type InstancesRecord = Extract<LayoutRecord, { kind: 'instances' }>
type MarkRecord = Extract<LayoutRecord, { kind: 'mark' }>

/** What the keys of a prefix say, key by key, as services. Deleted keys carry no value, so each is remembered. */
export class EtcdWorld {
  readonly #options: EtcdWorldOptions
  readonly #records = new Map<string, InstancesRecord | MarkRecord>()
  readonly #problems = new Map<string, string>()
  /** By service: keys of its instances. */
  readonly #keys = new Map<string, Set<string>>()
  /** By service and id: the reason to go. */
  readonly #marks = new Map<string, string>()
  readonly #dirty = new Set<string>()
  #services: ReadonlyMap<string, ServiceInstances> = new Map()

  constructor(options: EtcdWorldOptions) {
    this.#options = options
  }

  /** Everything there is; what was known before and is not among it is gone. */
  replace(entries: readonly EtcdEntry[]): void {
    const present = new Set(entries.map(({ key }) => key))
    for (const key of [...this.#records.keys(), ...this.#problems.keys()]) {
      if (!present.has(key)) this.#drop(key)
    }
    for (const entry of entries) this.#put(entry)
  }

  apply(events: readonly EtcdEvent[]): void {
    for (const event of events) {
      if (event.type === 'put') this.#put(event)
      else this.#drop(event.key)
    }
  }

  /** By name; what did not change is the same object as the last time. */
  services(): ReadonlyMap<string, ServiceInstances> {
    if (this.#dirty.size === 0) return this.#services
    const next = new Map(this.#services)
    let hasChanged = false
    for (const name of this.#dirty) {
      const before = next.get(name)
      const instances = this.#instances(name)
      if (instances.length === 0) hasChanged = next.delete(name) || hasChanged
      else {
        const service = keepSameService(before, name, instances)
        if (service === before) continue
        next.set(name, service)
        hasChanged = true
      }
    }
    this.#dirty.clear()
    if (hasChanged) this.#services = next
    return this.#services
  }

  /** One line for each key that was left out. */
  problems(): string[] {
    const lines = [...this.#problems]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, why]) => `${key} is left out: ${why}`)
    if (lines.length <= MAX_PROBLEMS) return lines
    return [...lines.slice(0, MAX_PROBLEMS), `… and ${lines.length - MAX_PROBLEMS} more`]
  }

  #put(entry: EtcdEntry): void {
    const { key } = entry
    this.#drop(key)
    const record = this.#options.layout.read(entry)
    if (record === undefined) return
    if (record.kind === 'malformed') {
      this.#problems.set(key, record.why)
      return
    }
    const { service } = record
    if (!this.#options.isWanted(service)) return
    if (record.kind === 'mark') this.#marks.set(markName(record), record.reason)
    else {
      for (const { address } of record.instances) {
        const refusal = this.#options.addressRule(address)
        if (refusal === undefined) continue
        this.#problems.set(key, refusal)
        return
      }
      const keys = this.#keys.get(service) ?? new Set()
      this.#keys.set(service, keys.add(key))
    }
    this.#records.set(key, record)
    this.#dirty.add(service)
  }

  #drop(key: string): void {
    this.#problems.delete(key)
    const record = this.#records.get(key)
    if (record === undefined) return
    this.#records.delete(key)
    this.#dirty.add(record.service)
    if (record.kind === 'mark') this.#marks.delete(markName(record))
    else {
      const keys = this.#keys.get(record.service)
      keys?.delete(key)
      if (keys?.size === 0) this.#keys.delete(record.service)
    }
  }

  /** In the order of their keys. Of two with the same name the last counts. */
  #instances(service: string): Instance[] {
    const found = new Map<string, Instance>()
    for (const key of [...(this.#keys.get(service) ?? [])].sort()) {
      const record = this.#records.get(key)
      if (record?.kind !== 'instances') continue
      for (const instance of record.instances) {
        const reason = this.#marks.get(markName(instance))
        found.set(instance.key, reason === undefined ? instance : marked(instance, reason))
      }
    }
    return [...found.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  }
}

const markName = ({ service, id }: { service: string; id: string }) => `${service}\0${id}`

function marked(instance: Instance, reason: string): Instance {
  const output = reason === '' ? 'draining' : `draining: ${reason}`
  const check = { id: 'drain', state: 'maintenance' as const, output: output.slice(0, 512) }
  return { ...instance, state: 'draining', checks: [...(instance.checks ?? []), check] }
}
