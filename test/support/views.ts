import type { InstanceView, ServiceView } from '../../src/core/views.ts'

/** An instance as the admin API shows it; its key is the id. */
export function anInstanceView(id: string, own: Partial<InstanceView> = {}): InstanceView {
  return {
    key: id,
    id,
    address: '10.0.0.1:8080',
    scheme: 'http',
    state: 'passing',
    use: 'rotation',
    weight: 1,
    tags: [],
    checks: [],
    inFlight: 0,
    requests: 0,
    failures: 0,
    ejectedForMs: 0,
    sockets: { connected: 0, free: 0, queued: 0 },
    ...own,
  }
}

/** A service as the admin API shows it. */
export function aServiceView(
  name: string,
  instances: readonly InstanceView[],
  own: Partial<ServiceView> = {},
): ServiceView {
  return {
    name,
    isInTable: true,
    source: 'live',
    routes: [],
    balance: 'least-request',
    inFlight: 0,
    retries: 0,
    retryOverflows: 0,
    isPanic: false,
    breakerRefusals: 0,
    available: instances.filter(({ use }) => use === 'rotation').length,
    instances,
    ...own,
  }
}
