import type { Instance, ServiceInstances } from '../core/types.ts'

/**
 * The services of a new reading, in which everything that did not change is the object of the last one: services, and
 * within a changed one its instances. What hangs on instances (pools, counters) then knows without comparing.
 */
export function keepSame(
  known: ReadonlyMap<string, ServiceInstances>,
  services: ReadonlyMap<string, readonly Instance[]>,
): Map<string, ServiceInstances> {
  const next = new Map<string, ServiceInstances>()
  for (const [service, instances] of services) {
    next.set(service, keepSameService(known.get(service), service, instances))
  }
  return next
}

/** The same for one service. */
export function keepSameService(
  known: ServiceInstances | undefined,
  service: string,
  instances: readonly Instance[],
): ServiceInstances {
  if (known === undefined) return { name: service, instances }
  const old = new Map(known.instances.map((instance) => [instance.key, instance]))
  const list = instances.map((instance) => {
    const before = old.get(instance.key)
    return before !== undefined && JSON.stringify(before) === JSON.stringify(instance) ? before : instance
  })
  const isSame = list.length === known.instances.length && list.every((one, i) => one === known.instances[i])
  return isSame ? known : { name: service, instances: list }
}
