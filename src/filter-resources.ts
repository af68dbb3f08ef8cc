import type { StaticConfig } from './config/load.ts'
import { watchFiles as watchConfigFiles } from './config/watch.ts'
import type { Clock, Random } from './core/duration.ts'
import { GatewayError } from './core/errors.ts'
import type { FilterResources } from './filters/filter.ts'
import type { FilterMetrics } from './filters/metrics.ts'
import { createIdentityProviders } from './identity-providers.ts'
import { createStores } from './stores.ts'
import { WafEngine } from './waf/engine.ts'

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
  /** Age of the keys of each identity provider that has fetched some. s. */
  keyAges(): ReadonlyMap<string, number>
  /** Gets ready as far as that goes in bounded time; never rejects. */
  start(): Promise<void>
  close(): Promise<void>
}

/** Throws GW_CONFIG_INVALID for what is not in the map. */
function named<T>(kind: string, section: string, known: ReadonlyMap<string, T>, name: string): T {
  const found = known.get(name)
  if (found !== undefined) return found
  const names = known.size === 0 ? 'there are none' : `there are: ${[...known.keys()].join(', ')}`
  throw new GatewayError('GW_CONFIG_INVALID', `no ${kind} "${name}" in ${section}; ${names}`)
}

/** Returns how to stop. */
function watchFiles(paths: readonly string[], onChange: () => void | Promise<void>): () => void {
  const abort = new AbortController()
  void watchConfigFiles(
    () => paths,
    () => [],
    async () => onChange(),
    abort.signal,
  )
  return () => abort.abort()
}

function createWafEngine(config: StaticConfig, deps: ResourceDeps): WafEngine {
  const { clock, random, log, metrics, event } = deps
  return new WafEngine(config.waf, {
    clock,
    random,
    log,
    onQueue: (length) => metrics.set('sluice_waf_queue', [], length),
    onRestart: () => metrics.count('sluice_waf_worker_restarts_total', []),
    event: (data) => event({ filter: 'waf', ...data }),
  })
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
  const providers = createIdentityProviders(config.identityProviders, {
    ...deps,
    onFetch: (name, result) => deps.metrics.count('sluice_identity_fetches_total', [name, result]),
    watchFiles,
  })
  let engine: WafEngine | undefined
  return {
    store: (name) => stores.get(name),
    identityProvider: (name) => named('identity provider', 'identityProviders', providers, name),
    keyAges() {
      const ages = new Map<string, number>()
      for (const [name, provider] of providers) {
        const age = provider.keyAgeSeconds()
        if (age !== undefined) ages.set(name, age)
      }
      return ages
    },
    waf() {
      engine ??= createWafEngine(config, deps)
      return { engine, crs: config.waf.crs }
    },
    async start() {
      await Promise.all([...providers.values()].map((each) => each.start()))
    },
    async close() {
      stores.close()
      await engine?.close()
      await Promise.all([...providers.values()].map((each) => each.close()))
    },
  }
}
