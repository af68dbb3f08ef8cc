import type { InstanceView, RegistryView, ServiceView } from '../core/views.ts'

/** The registry of an instance; its key begins with it. */
const registryOf = ({ key }: InstanceView): string => key.slice(0, key.indexOf('/'))

function silentText(registries: readonly RegistryView[]): string | undefined {
  const silent = registries.find(({ status }) => status.state !== 'live')
  return silent === undefined ? undefined : `registry ${silent.name} is ${silent.status.state}`
}

/** Why what is known of an instance may not be so any more; undefined = it is known. */
export function instanceBlindness(
  one: InstanceView,
  service: ServiceView,
  registries: readonly RegistryView[],
): string | undefined {
  if (service.source === 'stale') return service.reason ?? 'the registry does not answer'
  return silentText(registries.filter(({ name }) => name === registryOf(one)))
}

/**
 * Why it is not known who all the instances of a service are; undefined = it is. Every registry counts, also one that lists
 * none of them: it may, once it answers.
 */
export function serviceBlindness(
  service: ServiceView,
  registries: readonly RegistryView[],
): string | undefined {
  if (service.source === 'static') return undefined
  if (service.source === 'stale') return service.reason ?? 'the registry does not answer'
  return silentText(registries)
}
