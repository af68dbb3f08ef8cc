import type { StaticConfig } from './config/load.ts'
import type { Clock, Random } from './core/duration.ts'
import type { FilterResources } from './filters/filter.ts'
import type { FilterMetrics } from './filters/metrics.ts'
import { createStores } from './stores.ts'

export interface ResourceDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  readonly metrics: FilterMetrics
  event(data: Readonly<Record<string, unknown>>): void
  /** Nothing outside this machine's files is contacted. */
  readonly isCheck: boolean
}

/** What the static configuration offers to filters, for the life of the gateway. */
export interface ResourceSet extends FilterResources {
  /** Gets ready as far as that goes in bounded time; never rejects. */
  start(): Promise<void>
  close(): Promise<void>
}

/** Nothing is contacted yet. */
export function createFilterResources(config: StaticConfig, deps: ResourceDeps): ResourceSet {
  const { metrics, event } = deps
  const stores = createStores(config.stores, {
    ...deps,
    connect: !deps.isCheck,
    onState: (store, isUp, reason) => {
      metrics.set('sluice_store_up', [store], isUp ? 1 : 0)
      if (reason !== undefined) event({ store, isUp, reason })
    },
    onFailure: (store, failure) => metrics.count('sluice_store_failures_total', [store, failure]),
  })
  return {
    store: (name) => stores.get(name),
    start: async () => {},
    close: async () => stores.close(),
  }
}
