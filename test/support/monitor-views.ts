import type { MonitorAnswers } from '../../src/cli/monitor-answers.ts'
import type { InstanceView, RegistryView, ServiceView } from '../../src/core/views.ts'
import { anInstanceView, aServiceView } from './views.ts'

/** When the views were made: noon. ms since the epoch. */
export const NOON = new Date(2026, 0, 2, 12, 0, 0).getTime()

/** A healthy instance `shop-<n>` of the registry `consul`. */
export function aShopInstance(n: number, own: Partial<InstanceView> = {}): InstanceView {
  return anInstanceView(`shop-${n}`, {
    key: `consul/dc1/n${n}/shop-${n}`,
    address: `10.0.0.${n}:8080`,
    node: `n${n}`,
    version: '1.0.0',
    inFlight: n,
    since: NOON - 90_000,
    requests: n * 10,
    ...own,
  })
}

/** The service of these instances. */
export function aShopService(
  instances: readonly InstanceView[],
  own: Partial<ServiceView> = {},
): ServiceView {
  return aServiceView('shop', instances, { routes: ['shop'], balance: 'round-robin', inFlight: 3, ...own })
}

/** What a gateway with these services answers at noon. */
export function someAnswers(
  services: readonly ServiceView[],
  own: Partial<MonitorAnswers> = {},
  registry: RegistryView['status'] = { state: 'live' },
): MonitorAnswers {
  return {
    topology: {
      at: NOON,
      gateway: { version: '0.1.0', state: 'ready', startedAt: NOON - 3_600_000, table: 7, routes: 1 },
      registries: [{ name: 'consul', type: 'consul', status: registry }],
      services,
      problems: [],
    },
    failures: [],
    ...own,
  }
}
