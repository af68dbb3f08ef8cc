import type { Instance, InstanceState } from '../core/types.ts'
import type { Table } from './table.ts'

/** What a new table means for one instance. */
export interface InstanceChange {
  readonly kind: 'appeared' | 'changed' | 'left'
  readonly service: string
  /** As it is now; of one that left, as it was. */
  readonly instance: Instance
  /** Absent: it was not there. */
  readonly from?: InstanceState
  /** Absent: it is not there any more. */
  readonly to?: InstanceState
}

/** Instances that came, went or have another state, service by service. Unchanged services cost one comparison. */
export function instanceChanges(before: Table, after: Table): InstanceChange[] {
  const changes: InstanceChange[] = []
  for (const [service, { instances }] of after.services) {
    const old = before.services.get(service)
    if (old?.instances === instances) continue
    const known = new Map(old?.instances.map((instance) => [instance.key, instance]))
    for (const instance of instances) {
      const was = known.get(instance.key)
      known.delete(instance.key)
      const { state: to } = instance
      if (was === undefined) changes.push({ kind: 'appeared', service, instance, to })
      else if (was.state !== to) changes.push({ kind: 'changed', service, instance, from: was.state, to })
    }
    for (const instance of known.values()) {
      changes.push({ kind: 'left', service, instance, from: instance.state })
    }
  }
  for (const [service, { instances }] of before.services) {
    if (after.services.has(service)) continue
    for (const instance of instances) changes.push({ kind: 'left', service, instance, from: instance.state })
  }
  return changes
}
