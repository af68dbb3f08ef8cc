// @ts-check
/**
 * Shapes of endpoints that this page reads and that have no types of their own in src/core/views.ts. Times: ms since the
 * epoch.
 */

/** @typedef {import('../../../src/core/traffic-view.ts').TrafficView} TrafficView */
/** @typedef {import('../../../src/core/traffic-view.ts').ServiceTraffic} Traffic */
/** @typedef {TrafficView['instances'][string]} InstanceTraffic */
/** @typedef {import('../../../src/core/fleet-view.ts').FleetView} FleetView */
/**
 * @typedef {object} Alert
 * @property {string} id
 * @property {string} rule
 * @property {string} kind
 * @property {string} severity
 * @property {string} service
 * @property {string} [instance]
 * @property {string} summary
 * @property {number} since
 * @property {'firing' | 'resolved'} state
 * @property {number} [resolvedAt]
 */
/**
 * @typedef {object} HistoryEntry
 * @property {number} at
 * @property {string} service
 * @property {string} key
 * @property {string} address
 * @property {string} [version]
 * @property {string} [from]
 * @property {string} to
 * @property {'appeared' | 'changed' | 'left' | 'ejected' | 'returned'} what
 * @property {string} [reason]
 */
/** @typedef {{ entries: readonly HistoryEntry[], from?: number, flapping?: readonly { service: string, key: string, changes: number, since: number }[] }} HistoryView */
/** @typedef {{ canWrite: boolean, who?: string }} SessionView */
/** @typedef {import('../../../src/core/views.ts').TopologyView} TopologyView */
/** @typedef {import('../../../src/core/views.ts').CanaryView} CanaryView */
/** @typedef {import('../../../src/core/views.ts').TablesView} TablesView */
export {}
