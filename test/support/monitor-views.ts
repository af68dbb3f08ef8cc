import type { MonitorAnswers } from '../../src/cli/monitor-answers.ts'
import type { InstanceView, RegistryView, ServiceView } from '../../src/core/views.ts'

/** When the views were made: noon. ms since the epoch. */
export const NOON = new Date(2026, 0, 2, 12, 0, 0).getTime()

/** A healthy instance `shop-<n>` of the registry `consul`. */
export function anInstanceView(n: number, own: Partial<InstanceView> = {}): InstanceView {
  return {
    key: `consul/dc1/n${n}/shop-${n}`,
    id: `shop-${n}`,
    address: `10.0.0.${n}:8080`,
    scheme: 'http',
    state: 'passing',
    use: 'rotation',
    weight: 1,
    node: `n${n}`,
    version: '1.0.0',
    tags: [],
    checks: [],
    inFlight: n,
    since: NOON - 90_000,
    requests: n * 10,
    failures: 0,
    ejectedForMs: 0,
    sockets: { connected: 0, free: 0, queued: 0 },
    ...own,
  }
}

/** A service of these instances. */
export function aServiceView(
  instances: readonly InstanceView[],
  own: Partial<ServiceView> = {},
): ServiceView {
  return {
    name: 'shop',
    isInTable: true,
    source: 'live',
    routes: ['shop'],
    balance: 'round-robin',
    inFlight: 3,
    retries: 0,
    retryOverflows: 0,
    isPanic: false,
    breakerRefusals: 0,
    available: instances.filter(({ use }) => use === 'rotation').length,
    instances,
    ...own,
  }
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
