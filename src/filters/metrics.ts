/** What filters count beside time and verdicts. Label values come from the configuration or from fixed lists. */
export const FILTER_METRICS = {
  sluice_store_up: { type: 'gauge', help: '1 while a store is up and used.', labels: ['store'] },
  sluice_store_failures_total: {
    type: 'counter',
    help: 'Calls of stores that failed.',
    labels: ['store', 'failure'],
  },
  sluice_rate_limit_decisions_total: {
    type: 'counter',
    help: 'Requests by what a limit made of them.',
    labels: ['filter', 'decision'],
  },
  sluice_auth_decisions_total: {
    type: 'counter',
    help: 'What identity filters decided.',
    labels: ['filter', 'decision'],
  },
  sluice_identity_fetches_total: {
    type: 'counter',
    help: 'Requests to issuers of tokens (and reads of key files), by result.',
    labels: ['provider', 'result'],
  },
  sluice_concurrency_limit: {
    type: 'gauge',
    help: 'Requests at a time that a filter concurrency lets in; for an adaptive one as it is now.',
    labels: ['filter', 'service'],
  },
  sluice_concurrency_in_flight: {
    type: 'gauge',
    help: 'Requests that a filter concurrency let in and that are not over.',
    labels: ['filter', 'service'],
  },
  sluice_concurrency_queued: {
    type: 'gauge',
    help: 'Requests that wait for a filter concurrency to let them in.',
    labels: ['filter', 'service'],
  },
  sluice_concurrency_refusals_total: {
    type: 'counter',
    help: 'Requests that a filter concurrency did not let in.',
    labels: ['filter', 'class', 'reason'],
  },
  sluice_waf_decisions_total: {
    type: 'counter',
    help: 'What the WAF said of requests and answers: pass, block, would_block, unsampled, error.',
    labels: ['filter', 'decision'],
  },
  sluice_waf_hits_total: {
    type: 'counter',
    help: 'Rules that matched, by kind of attack.',
    labels: ['filter', 'category'],
  },
  sluice_waf_queue: { type: 'gauge', help: 'Requests that wait for a WAF worker.', labels: [] },
  sluice_waf_worker_restarts_total: {
    type: 'counter',
    help: 'WAF workers started again after they died or hung.',
    labels: [],
  },
} as const satisfies Record<string, FilterMetric>

export interface FilterMetric {
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly labels: readonly string[]
}

export type FilterMetricName = keyof typeof FILTER_METRICS

/** Cheap, never throws. Label values in the order of the metric's labels. */
export interface FilterMetrics {
  count(name: FilterMetricName, labelValues: readonly string[], by?: number): void
  set(name: FilterMetricName, labelValues: readonly string[], value: number): void
}

/** For tools and tests that measure nothing. */
export const NO_METRICS: FilterMetrics = { count: () => {}, set: () => {} }
