import type { Instance, ServiceInstances, Snapshot } from '../core/types.ts'
import type { DrainTeller } from './drain-teller.ts'
import type { RegistryProvider } from './provider.ts'

/** How names of services become those of the gateway. */
export interface ServiceNaming {
  /** Taken off the beginning; names without it are left out. Default: nothing. */
  readonly strip?: string | undefined
  /** Then put before. Default: nothing. */
  readonly prefix?: string | undefined
}

/** The gateway's name of a service; undefined = it is not taken. */
export function toGatewayName(naming: ServiceNaming, name: string): string | undefined {
  const { strip = '', prefix = '' } = naming
  if (!name.startsWith(strip) || name === strip) return undefined
  return prefix + name.slice(strip.length)
}

/** The registry's name of a service that `toGatewayName` gave. */
export function toRegistryName({ strip = '', prefix = '' }: ServiceNaming, name: string): string {
  return strip + name.slice(prefix.length)
}

/** A provider whose services have other names. What does not change stays the same object. */
export function withNames(provider: RegistryProvider, naming: ServiceNaming): RegistryProvider {
  const services = new WeakMap<ServiceInstances, ServiceInstances>()
  const instances = new WeakMap<Instance, Instance>()
  const renameInstance = (instance: Instance, service: string): Instance => {
    let made = instances.get(instance)
    if (made === undefined) {
      made = { ...instance, service }
      instances.set(instance, made)
    }
    return made
  }
  const renameService = (given: ServiceInstances, name: string): ServiceInstances => {
    let made = services.get(given)
    if (made === undefined) {
      made = { name, instances: given.instances.map((instance) => renameInstance(instance, name)) }
      services.set(given, made)
    }
    return made
  }
  const rename = (snapshot: Snapshot): Snapshot => {
    const renamed = new Map<string, ServiceInstances>()
    for (const [name, given] of snapshot.services) {
      const next = toGatewayName(naming, name)
      if (next !== undefined) renamed.set(next, renameService(given, next))
    }
    const failed = [...snapshot.failed]
      .map((name) => toGatewayName(naming, name))
      .filter((name) => name !== undefined)
    return { ...snapshot, services: renamed, failed: new Set(failed) }
  }
  return {
    name: provider.name,
    watch: (sink, signal) =>
      provider.watch(
        { next: (snapshot) => sink.next(rename(snapshot)), status: (status) => sink.status(status) },
        signal,
      ),
  }
}

/** Tells the registry by its own names. */
export function withRegistryNames(teller: DrainTeller, naming: ServiceNaming): DrainTeller {
  return {
    tell: (instance, reason) =>
      teller.tell({ ...instance, service: toRegistryName(naming, instance.service) }, reason),
  }
}
