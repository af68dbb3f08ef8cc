import type { RegistryState, ServiceState } from '../core/types.ts'
import type { ServiceView } from '../core/views.ts'
import type { Table } from '../routing/table.ts'
import { instanceView, type Use } from './topology.ts'

/** A service of the registry that nothing is sent to: all of its instances are `out`. */
export function viewUnrouted({ name, source, reason, instances }: ServiceState, now: number): ServiceView {
  const use: Use = { use: 'out', reason: 'nothing is routed to its service' }
  return {
    name,
    source,
    ...(reason === undefined ? {} : { reason }),
    routes: [],
    balance: '',
    inFlight: 0,
    retries: 0,
    retryOverflows: 0,
    isPanic: false,
    breakerRefusals: 0,
    available: 0,
    instances: instances.map((one) =>
      instanceView(one, {
        use: one.held === undefined ? use : { use: 'out', reason: `held: ${one.held}` },
        isFlapping: false,
        now,
      }),
    ),
  }
}

/** Services that a registry has and that neither routes nor the configuration name, by name. */
export function viewAllUnrouted(
  table: Table | undefined,
  registry: RegistryState,
  now: number,
): ServiceView[] {
  const named = new Set([...(table?.services.values() ?? [])].map(({ policy }) => policy.registryName))
  return [...registry.services.values()]
    .filter(({ name }) => !named.has(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((state) => viewUnrouted(state, now))
}
