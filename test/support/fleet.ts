import type { FleetReport } from '../../src/core/fleet-view.ts'

/** What a gateway says of itself: nothing of interest. */
export const aReport = (own: Partial<FleetReport> = {}): FleetReport => ({
  id: 'a',
  name: 'host-a 1',
  role: 'gateway',
  address: 'http://10.0.0.1:8080',
  admin: 'http://10.0.0.1:8081',
  version: '1.0.0',
  startedAt: 0,
  table: { version: 3, id: 'abc' },
  state: 'ready',
  sequence: 1,
  intervalMs: 1000,
  instances: {},
  services: {},
  routes: {},
  isCut: false,
  ...own,
})
