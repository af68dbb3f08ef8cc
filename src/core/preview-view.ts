/** What one table makes of a request. */
export interface Fate {
  readonly route?: string
  readonly service?: string
  readonly side?: string
  /** `proxied`, or the gateway's own answer: `404 GW_ROUTE_NOT_FOUND`, `308 redirect`, `200 response`. */
  readonly answer: string
  /** Name of the filter that refuses it. */
  readonly refusedBy?: string
}

export interface PreviewExample {
  readonly at: number
  /** `GET http://shop.example.com/a`. */
  readonly request: string
  readonly before: Fate
  readonly after: Fate
}

export interface ChangeCount {
  readonly count: number
  /** Of all requests, 0 to 100. */
  readonly percent: number
  readonly examples: readonly PreviewExample[]
}

/** How often a filter refuses. */
export interface RefusalCount {
  readonly filter: string
  readonly before: number
  readonly after: number
  /** Of all requests, 0 to 100. */
  readonly beforePercent: number
  readonly afterPercent: number
}

/**
 * `answer`: the gateway itself answers where it did not, or otherwise. `refused`: a filter refuses it that did not.
 * `admitted`: no filter refuses it any more.
 */
export const CHANGES = ['route', 'service', 'side', 'answer', 'refused', 'admitted'] as const

export type ChangeKind = (typeof CHANGES)[number]

export interface PreviewResult {
  readonly total: number
  /** Of the oldest and newest request; ms since the epoch. */
  readonly from?: number
  readonly to?: number
  /** Requests with any change at all. */
  readonly changed: number
  readonly changedPercent: number
  readonly changes: Readonly<Record<ChangeKind, ChangeCount>>
  readonly refusals: readonly RefusalCount[]
}

/** With what the numbers do not know, in words. */
export interface PreviewReport extends PreviewResult {
  readonly notes: readonly string[]
}
