/** What `GET /api/refusals` shows. Times: ms since the epoch. */

/** One request that the gateway itself did not let through. */
export interface RefusalView {
  readonly at: number
  readonly requestId: string
  /** Empty = no route took it. */
  readonly route: string
  /** As the configuration calls it; `overload`, `breaker`, `service` (at its limit) and `limits` are the gateway's own. */
  readonly filter: string
  /** Of the filter. */
  readonly type: string
  /** Empty = the filter answered in its own words. */
  readonly code: string
  readonly status: number
  /** Its address. */
  readonly client: string
  /** In words, for the operator; nothing that the client sent. */
  readonly reason: string
}

export interface RefusalCount {
  readonly route: string
  readonly filter: string
  readonly code: string
  /** Since the start. */
  readonly total: number
  /** The last 60 to 65 s. */
  readonly lastMinute: number
}

export interface RefusalsView {
  /** Newest first. */
  readonly refusals: readonly RefusalView[]
  /** The most frequent first. */
  readonly counts: readonly RefusalCount[]
}
