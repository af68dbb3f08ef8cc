// @ts-check
import { useResource } from './resource.js'

/** The endpoints that several views read, with how often; a view with one of its own uses `useResource`. */

/** @type {import('./contract.js').SessionView} */
const NOBODY = { canWrite: false, who: '', via: 'open', hasSignIn: false }

/** Events after which the topology is another one. */
const TOPOLOGY_EVENTS = ['table', 'instance', 'ejection', 'panic', 'breaker', 'registry', 'state', 'flapping']

/** @returns {import('./resource.js').Known<import('./contract.js').TopologyView>} */
export const useTopology = () => useResource('/api/topology', { everyMs: 3000, on: TOPOLOGY_EVENTS })

/** @returns {import('./resource.js').Known<import('./contract.js').TrafficView>} */
export const useTraffic = () => useResource('/api/traffic', { everyMs: 3000 })

/** @returns {import('./resource.js').Known<{ canaries: readonly import('./contract.js').CanaryView[] }>} */
export const useCanaries = () => useResource('/api/canaries', { everyMs: 5000, on: ['canary', 'table'] })

/** @returns {import('./resource.js').Known<{ alerts: readonly import('./contract.js').Alert[] }>} */
export const useAlerts = () =>
  useResource('/api/alerts', { everyMs: 5000, on: ['alert', 'instance', 'ejection', 'panic'] })

/** @returns {import('./resource.js').Known<import('./contract.js').FleetView>} */
export const useFleet = () => useResource('/api/fleet', { everyMs: 5000 })

/** @returns {import('./resource.js').Known<import('./contract.js').TablesView>} */
export const useTables = () => useResource('/api/tables', { everyMs: 15_000, on: ['table', 'rejected'] })

/** Who is here, and may they change something? Nobody may before it is known. */
export function useSession() {
  /** @type {import('./resource.js').Known<import('./contract.js').SessionView>} */
  const { data } = useResource('/api/session', { everyMs: 60_000 })
  return data ?? NOBODY
}
