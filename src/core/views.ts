import type { PreviewReport } from './preview-view.ts'
import type { PriorityClass } from './priority-class.ts'
import type { PathMatch } from './route.ts'
import type { ConfigurationView } from './stored-files.ts'
import type { Check, InstanceState, ProviderStatus, ServiceState } from './types.ts'

/** What the admin API shows: plain data, no secrets. Times: ms since the epoch unless the name says otherwise. */

export interface RouteView {
  readonly name: string
  readonly source: string
  readonly priority: number
  /** Of its requests, when there is not enough for all. Absent = as each of them shows who sent it. */
  readonly class?: PriorityClass
  readonly hosts: readonly string[]
  readonly path: PathMatch
  readonly methods: readonly string[]
  /** Further conditions in words: `header x-beta present`. */
  readonly conditions: readonly string[]
  readonly action: 'proxy' | 'redirect' | 'respond'
  /** In words: `catalog`, `catalog 90, catalog-next 10`, `308 https`, `200`. */
  readonly target: string
  /** Services it may go to. */
  readonly services: readonly string[]
  /** `name` or `name (type)`. Options may hold secrets and are not shown. */
  readonly filters: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Lanes and canary rules that look at its requests. */
  readonly canaries: readonly string[]
}

/** The instances of one version of one service. */
export interface CanarySideView {
  readonly service: string
  /** `stable`, `canary`, a variant or a lane. */
  readonly name: string
  /** In words: `version 2.*`. */
  readonly select: string
  /** Its share of the traffic, 0 to 100; pins come on top. */
  readonly percent: number
  readonly instances: number
  /** In rotation, as far as the registry says. */
  readonly available: number
}

/** Where a release that leads itself stands. */
export interface ReleaseView {
  /** `waiting`, `ramping`, `holding`, `paused`, `promoted`, `finished`, `aborted`. */
  readonly status: string
  /** 0 to 100. */
  readonly percent: number
  /** Counted from 1; 0 = before the first, or rolled back. */
  readonly step: number
  readonly steps: number
  /** The steps. */
  readonly plan: readonly {
    /** 0 to 100. */
    readonly percent: number
    /** At least so long. ms. */
    readonly forMs: number
    /** And at least so many requests of the canary. */
    readonly minRequests: number
    /** A person promotes. */
    readonly isHold: boolean
  }[]
  /** When the step began. */
  readonly since: number
  /** `ramp`, or who. */
  readonly by: string
  readonly reason: string
  /** Requests of both sides in this step, over all gateways. */
  readonly counts: ReleaseCounts
  readonly checks: readonly ReleaseCheckView[]
  /** The oldest first. */
  readonly history: readonly {
    readonly at: number
    readonly status: string
    readonly percent: number
    readonly by: string
    readonly reason: string
    /** In the step that ended. */
    readonly counts: ReleaseCounts
  }[]
}

/** One check of a guard, in the current step. */
export interface ReleaseCheckView {
  /** As in the file; `contract` for the contracts of its routes. */
  readonly name: string
  /** 1 = the alarm. */
  readonly suspicion: number
  /** Bad values in a row; of `contract`: breaches. */
  readonly failures: number
  /** Of `contract`: what is broken, in words. */
  readonly breaches?: readonly string[]
}

export interface ReleaseCounts {
  readonly canary: { readonly total: number; readonly bad: number }
  readonly stable: { readonly total: number; readonly bad: number }
}

/** A canary rule or a lane. */
export interface CanaryView {
  readonly name: string
  readonly kind: 'canary' | 'lane'
  readonly source: string
  readonly services: readonly string[]
  /** Empty = all. */
  readonly routes: readonly string[]
  /** Given away in all, 0 to 100. */
  readonly percent: number
  /** `file` = as the file says. */
  readonly state: string
  /** The percentage is not that of the file. */
  readonly isLive: boolean
  readonly releasedPins: boolean
  /** In words; users are counted, not named. */
  readonly match: readonly string[]
  readonly keys: readonly string[]
  /** Name of the cookie that is given out. */
  readonly cookie?: string
  /** Header with the decision. */
  readonly forward: string
  readonly whenEmpty: 'stable' | 'fail'
  readonly hasRamp: boolean
  /** Absent = it does not lead itself, or nothing is known of it yet. */
  readonly release?: ReleaseView
  readonly sides: readonly CanarySideView[]
}

export interface InstanceView {
  readonly key: string
  readonly id: string
  readonly address: string
  readonly scheme: string
  /** As the registry says. */
  readonly state: InstanceState
  /** What the gateway makes of it: `rotation`, `ejected`, `reserve` (held by a guard), `out`. */
  readonly use: 'rotation' | 'ejected' | 'reserve' | 'out'
  /** Why, when it is not in rotation. */
  readonly reason?: string
  readonly weight: number
  readonly version?: string
  readonly zone?: string
  readonly node?: string
  readonly datacentre?: string
  readonly tags: readonly string[]
  readonly checks: readonly Check[]
  readonly inFlight: number
  /** Since when it is in this state, as far as this gateway saw it. */
  readonly since?: number
  /** When it got its last request; absent = never. */
  readonly lastRequestAt?: number
  /** Since the start of the gateway. */
  readonly requests: number
  /** Failed connects since the last success. */
  readonly failures: number
  readonly ejectedForMs: number
  /** When the time out is over; absent = it is in rotation, or its check decides. */
  readonly ejectedUntil?: number
  readonly sockets: { readonly connected: number; readonly free: number; readonly queued: number }
  /** It changes too often; see `monitor.flapping`. */
  readonly flapping?: true
}

/** What became of a drain from outside. */
export interface DrainView {
  /** The instance's key. */
  readonly instance: string
  /** In this gateway's table. */
  readonly state: InstanceState
  /** `registry`: every gateway hears of it. `gateway`: only this one knows. */
  readonly scope: 'registry' | 'gateway'
  readonly detail: string
}

/** For scripts: `unknown` = the gateway cannot tell, which is nobody's fault but its own. */
export interface HealthVerdict {
  readonly verdict: 'healthy' | 'unhealthy' | 'unknown'
  readonly state?: InstanceState
  /** In this state; ms since the epoch. */
  readonly since?: number
  readonly reason: string
}

export interface ServiceView {
  readonly name: string
  /** False: only a registry knows it, no route or setting does, and no request goes there. */
  readonly isInTable: boolean
  readonly source: ServiceState['source'] | 'static' | 'absent'
  readonly reason?: string
  /** Routes that send to it. */
  readonly routes: readonly string[]
  readonly balance: string
  readonly inFlight: number
  readonly retries: number
  readonly retryOverflows: number
  /** Too few are in rotation: ejections are ignored. */
  readonly isPanic: boolean
  /** Absent = it has none. */
  readonly breaker?: 'closed' | 'open' | 'half-open'
  /** Requests refused by it. */
  readonly breakerRefusals: number
  /** How many instances are in rotation. */
  readonly available: number
  readonly instances: readonly InstanceView[]
}

export interface RegistryView {
  readonly name: string
  readonly type: string
  readonly status: ProviderStatus
}

export interface TopologyView {
  readonly at: number
  readonly gateway: {
    readonly version: string
    readonly state: GatewayState
    readonly startedAt: number
    readonly table: number | undefined
    readonly routes: number
  }
  readonly registries: readonly RegistryView[]
  readonly services: readonly ServiceView[]
  /** Dropped records and declarations, one line each. */
  readonly problems: readonly string[]
}

/** `starting`: no table yet. `draining`: on its way out. */
export type GatewayState = 'starting' | 'ready' | 'draining'

export interface ReadinessView {
  readonly status: 'ready' | 'unready' | 'draining'
  /** Why not ready. */
  readonly reasons: readonly string[]
  /** Serving, but somebody should look: a stale registry, a rejected configuration. */
  readonly warnings: readonly string[]
  readonly table: number | undefined
}

/** One version of the table. */
export interface TableVersion {
  readonly version: number
  readonly id: string
  readonly createdAt: number
  readonly cause: string
  readonly routes: number
  readonly services: number
  readonly instances: number
  /** `+ route x`, `- instance y`, `~ route z (match)`; against the version before. */
  readonly changes: readonly string[]
}

export interface TableVersionView extends TableVersion {
  readonly isCurrent: boolean
}

/** One mistake in the configuration, with its place and what to do. Lines and columns count from 1. */
export interface ConfigProblem {
  readonly file: string
  readonly line: number
  readonly column: number
  /** `routes[2].match.path`; empty for the file itself. */
  readonly path: string
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly fix: string
  /** For the linter's findings: `shadowed-route` … */
  readonly code?: string
  /** The line of the file it is about. */
  readonly excerpt?: string
}

export interface TablesView {
  readonly current: number | undefined
  /** Newest first. */
  readonly versions: readonly TableVersionView[]
  /** The last candidate that was not taken, while nothing newer was. */
  readonly rejection?: { readonly at: number; readonly cause: string; readonly message: string }
  /** Findings of the linter on the table in force. */
  readonly warnings: readonly string[]
  readonly problems: readonly string[]
  /** Of a store; absent = it is in files alone. */
  readonly configuration?: ConfigurationView
}

export interface ValidationView {
  readonly valid: boolean
  readonly problems: readonly ConfigProblem[]
  /** What would change, when it is valid. */
  readonly changes: readonly string[]
}

/** What a candidate would change, by its tables and over remembered requests. */
export interface PreviewView extends ValidationView {
  /** The table in force. */
  readonly table: { readonly version: number; readonly id: string }
  /** The static part differs. */
  readonly needsRestart?: boolean
  readonly preview?: PreviewReport
}

/** A thing that happened, for `GET /api/events`. */
export interface GatewayEvent {
  /** 1, 2, 3 … in this process. */
  readonly id: number
  readonly at: number
  readonly type:
    | 'table'
    | 'rejected'
    | 'ejection'
    | 'panic'
    | 'breaker'
    | 'registry'
    | 'state'
    | 'instance'
    | 'filter'
    | 'overload'
    | 'contract'
    | 'canary'
    | 'configuration'
    | 'flapping'
    | 'alert'
  readonly data: Readonly<Record<string, unknown>>
}

/** How short the gateway itself is of time, memory or places. */
export interface OverloadView {
  /** 0: all are served. 1: bots and strangers are refused, in part or all. 2: also those that we know. */
  readonly level: 0 | 1 | 2
  /** 0 to 1. */
  readonly pressure: number
  /** Undefined = nothing is short. */
  readonly reason: 'event_loop' | 'heap' | 'rss' | 'requests' | undefined
  /** Of the event loop, p99 of the last half second. ms; undefined = not read yet. */
  readonly delayMs: number | undefined
  /** Used part of the largest heap. 0 to 1. */
  readonly heap: number | undefined
  /** Requests and tunnels. */
  readonly inFlight: number
  /** Refused since it began. */
  readonly shed: number
}

/** The data of an event of type `instance`: one step in the life of an instance, as this gateway sees it. */
export interface InstanceEvent {
  /**
   * `appeared`, `changed` (state `from` → `to`; to `draining` = the drain mark is in this gateway's table), `idle` (out of
   * rotation, and its last request is finished), `closed` (all sockets to it are), `left` (gone from the table).
   */
  readonly kind: 'appeared' | 'changed' | 'idle' | 'closed' | 'left'
  readonly service: string
  readonly key: string
  readonly id: string
  /** `address:port`. */
  readonly address: string
  readonly version?: string
  readonly from?: InstanceState
  readonly to?: InstanceState
  /** With `appeared`, `changed` and `left`: why, as far as it is known: the output of the check that failed. */
  readonly reason?: string
  /** With `idle` and `closed`: when it got its last request. Absent = never. */
  readonly lastRequestAt?: number
}
