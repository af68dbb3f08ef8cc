import type { ErrorCode } from './errors.ts'
import type { Outcome } from './outcome.ts'
import type { Principal } from './principal.ts'

/** One try of a request at one instance. */
export interface AttemptRecord {
  readonly instanceKey: string
  readonly status: number | undefined
  readonly outcome: Outcome
  readonly ms: number
}

/** Which filter refused a request, and why. */
export interface RefusalFinding {
  /** As the configuration calls it. */
  readonly filter: string
  readonly type: string
  /** For the operator; absent = the code says it all. */
  readonly reason?: string
}

/** What filters found out about a request. */
export interface FilterFindings {
  readonly principal: Pick<Principal, 'id' | 'kind'> | undefined
  /** Name of the filter that refused it. */
  readonly refusedBy: string | undefined
  /** Also of a filter that failed, and so let nothing through. */
  readonly refusal?: RefusalFinding | undefined
  /** Names of the filters in dry run that would have refused it. */
  readonly wouldRefuse: readonly string[] | undefined
}

/** What canary rules and lanes made of a request to a service with several versions. */
export interface CanaryFinding {
  /** The rule or lane that decided, else the first that looked at it. */
  readonly rule: string
  /** `stable`, `canary`, a variant or a lane: the version that was asked last. */
  readonly side: string
  /** Other rules and lanes for which it is a request of stable; none when it is not one of stable. */
  readonly others: readonly string[]
  /** The decided side, when nobody of it was there and another one was asked in its place. */
  readonly wanted?: string
  /** The wanted side was asked and failed before. */
  readonly wasTried?: boolean
  /** Headers of the answer that guards look for. */
  readonly headers?: readonly string[]
}

/** Everything that is logged and counted of one request; made once, when it is over. Times in ms. */
export interface RequestRecord extends FilterFindings {
  readonly requestId: string
  readonly traceId: string
  /** ms since the epoch. */
  readonly startedAt: number
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly httpVersion: string
  /** Normalised as far as that went. */
  readonly host: string
  readonly path: string
  /** `` or `?…`. */
  readonly query: string
  readonly clientIp: string
  readonly userAgent: string | undefined
  /** What the client got; 499 = it left. */
  readonly status: number
  readonly outcome: Outcome
  readonly code: ErrorCode | undefined
  readonly route: string | undefined
  readonly service: string | undefined
  /** Of the last try. */
  readonly instanceKey: string | undefined
  readonly instanceAddress: string | undefined
  readonly version: string | undefined
  readonly attempts: readonly AttemptRecord[]
  readonly tableVersion: number | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  readonly totalMs: number
  /** Last try, until its answer's headers. */
  readonly upstreamMs: number | undefined
  /** Inbound filters. */
  readonly filterMs: number
  /** A WebSocket or other upgrade. */
  readonly isUpgrade: boolean
  /** Absent = its service has one version. */
  readonly canary?: CanaryFinding | undefined
}
