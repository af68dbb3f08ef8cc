// @ts-check
/**
 * Shapes of endpoints that this page reads and that have no types of their own in src/core/views.ts. Times: ms since the
 * epoch.
 */

/**
 * Buckets, the oldest first.
 * @typedef {object} Series
 * @property {number} from
 * @property {readonly number[]} requests
 * @property {readonly number[]} errors
 * @property {readonly (number | null)[]} p50
 * @property {readonly (number | null)[]} p99
 */
/** @typedef {{ rps: number, errorRatio: number, p50: number | null, p99: number | null, series: Series }} Traffic */
/** @typedef {{ rps: number, errorRatio: number, p50: number | null, p99: number | null }} InstanceTraffic */
/**
 * @typedef {object} TrafficView
 * @property {number} at
 * @property {number} bucketMs
 * @property {Traffic} total
 * @property {Readonly<Record<string, Traffic>>} services
 * @property {Readonly<Record<string, { rps: number, errorRatio: number, services: Readonly<Record<string, number>> }>>} routes
 * @property {Readonly<Record<string, InstanceTraffic>>} instances By key.
 */
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
/** @typedef {{ gateway: string, use: string, reason?: string, inFlight: number, rps: number, errorRatio: number, p99: number | null }} Seen */
/**
 * @typedef {object} FleetView
 * @property {readonly { id: string, name: string, address: string, admin?: string, version: string, startedAt: number, table?: number, state: string, seenAt: number, isSelf: boolean, isStale: boolean }[]} gateways
 * @property {Readonly<Record<string, readonly Seen[]>>} instances
 */
/** @typedef {{ canWrite: boolean, who?: string }} SessionView */
/** @typedef {import('../../../src/core/views.ts').TopologyView} TopologyView */
/** @typedef {import('../../../src/core/views.ts').CanaryView} CanaryView */
/** @typedef {import('../../../src/core/views.ts').TablesView} TablesView */
export {}
