// @ts-check
/**
 * Shapes of answers whose types live beside code of the gateway that a browser cannot read. Times: ms since the epoch.
 */

/** @typedef {{ version: number, id: string }} TableName */
/** @typedef {{ route: string, result: 'won' | 'lost' | 'outranked', reason: string }} Candidate */
/** @typedef {{ key: string, address: string, version?: string, eligible: boolean, reason: string }} InstanceVerdict */
/**
 * What a filter made of a request: all but the first two only of real ones.
 * @typedef {object} FilterVerdict
 * @property {string} name
 * @property {string} type
 * @property {boolean} [isDryRun]
 * @property {string} [verdict]
 * @property {number} [ms]
 * @property {number} [status]
 * @property {string} [code]
 * @property {string} [reason]
 * @property {{ verdict: string, ms: number }} [outbound]
 */
/**
 * Of src/routing/explain.ts.
 * @typedef {object} Explanation
 * @property {TableName} table
 * @property {{ method: string, target: string, authority?: string }} request
 * @property {readonly string[]} steps
 * @property {readonly Candidate[]} candidates
 * @property {'route' | 'refuse'} result
 * @property {string} [code]
 * @property {string} [detail]
 * @property {string} [host]
 * @property {string} [path]
 * @property {string} [route]
 * @property {string} [source]
 * @property {string} [action]
 * @property {Readonly<Record<string, string>>} [params]
 * @property {readonly FilterVerdict[]} [filters]
 * @property {string} [service]
 * @property {string} [serviceSource]
 * @property {string} [upstreamTarget]
 * @property {{ rule?: string, side?: string, steps: readonly string[], headers: Readonly<Record<string, string>>, bucket?: number }} [canary]
 * @property {readonly InstanceVerdict[]} [instances]
 * @property {Readonly<Record<string, number>>} [timeouts]
 * @property {{ attempts: number, on: readonly string[], statuses: readonly number[], idempotencyKey: boolean, replayBytes: number }} [retries]
 */

/** @typedef {{ instance: string, address: string, version?: string, status?: number, outcome: string, ms: number }} Attempt */
/**
 * A real request that was explained.
 * @typedef {Explanation & { id: string, requestId: string, at: number, client: string, principal?: { id: string, kind: string }, attempts: readonly Attempt[], status: number, outcome?: string, ms: number, isCut?: boolean }} LiveExplanation
 */

/**
 * Of src/mirror/report.ts.
 * @typedef {object} Difference
 * @property {string} path
 * @property {Readonly<Record<string, number>>} kinds
 * @property {number} differs
 * @property {number} share
 * @property {number} noiseShare
 * @property {boolean} isNoise
 * @property {number} firstSeen
 * @property {number} lastSeen
 * @property {readonly { at: number, request: string, kind: string, primary: string, mirror: string }[]} examples
 */
/**
 * Of src/mirror/mirror-state.ts.
 * @typedef {object} Mirror
 * @property {string} mirror
 * @property {{ service?: string, version?: string }} target
 * @property {number} percent
 * @property {number} inFlight
 * @property {number} [pausedMs] It is left alone so long.
 * @property {Readonly<Record<string, number>>} results
 * @property {number} uncompared
 * @property {{ compared: number, noiseCompared: number, different: number, equal: number, elsewhere: number, paths: readonly Difference[] }} [report]
 */
/**
 * Of src/mirror/contract-book.ts.
 * @typedef {object} Breach
 * @property {'dropped' | 'retyped'} kind
 * @property {string} path
 * @property {string} before
 * @property {string} after
 * @property {number} count
 * @property {number} answers
 * @property {string} service
 * @property {string} [version]
 * @property {string} [against]
 * @property {number} firstSeen
 */
/**
 * @typedef {object} Contract
 * @property {string} route
 * @property {readonly { version?: string, service: string, answers: number, fields: number, isCut: boolean, firstSeen: number, lastSeen: number }[]} versions
 * @property {boolean} hasSchema
 * @property {readonly Breach[]} breaches
 */

/** @typedef {import('../../../src/core/audit-view.ts').AuditEntry} AuditEntry */
/** @typedef {{ name: string, title: string, path: string }} Tool */

/** @typedef {import('../../../src/core/fleet-view.ts').FleetView} FleetView */
/** @typedef {import('../../../src/core/fleet-view.ts').FleetGateway} FleetGateway */
/** @typedef {import('../../../src/core/views.ts').RouteView} RouteView */
/** @typedef {import('../../../src/core/views.ts').ReleaseView} ReleaseView */
/** @typedef {import('../../../src/core/views.ts').TableVersionView} TableVersionView */
/** @typedef {import('../../../src/core/refusal-view.ts').RefusalsView} RefusalsView */
/** @typedef {import('../../../src/core/refusal-view.ts').RefusalView} RefusalView */
/** @typedef {import('../../../src/core/refusal-view.ts').RefusalCount} RefusalCount */
export {}
