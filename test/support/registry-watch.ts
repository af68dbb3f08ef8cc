import { systemClock } from '../../src/core/duration.ts'
import type { Instance, ProviderStatus, RegistryState, Snapshot } from '../../src/core/types.ts'
import { type ConsulDeps, type ConsulOptions, createConsulProvider } from '../../src/registry/consul.ts'
import type { RegistryProvider } from '../../src/registry/provider.ts'
import { Reducer } from '../../src/registry/reducer.ts'

/** A provider at work, with the reducer behind it, and everything that both said. */
export interface RegistryWatch {
  readonly snapshots: readonly Snapshot[]
  readonly statuses: readonly ProviderStatus[]
  /** Lines of the log. */
  readonly lines: readonly string[]
  /** The last one. Undefined before the first. */
  snapshot(): Snapshot | undefined
  status(): ProviderStatus | undefined
  /** As the provider has it now; empty when the service is not there. */
  instances(service: string): readonly Instance[]
  /** As the reducer has it now. */
  state(): RegistryState
  stop(): Promise<void>
}

/** Runs a provider with the guards' defaults. `create` gets the clock, chance and log. The caller must `stop` it. */
export function watchProvider(create: (deps: ConsulDeps) => RegistryProvider): RegistryWatch {
  const snapshots: Snapshot[] = []
  const statuses: ProviderStatus[] = []
  const lines: string[] = []
  const reducer = new Reducer({
    guard: { maxLossRatio: 0.5, minLost: 2, lossWindow: 5000, holdFor: 30_000, maxStaleness: 0 },
    clock: systemClock,
    onChange: () => {},
  })
  const note = (fields: object, text: string) => {
    lines.push(`${text} ${JSON.stringify(fields)}`)
  }
  const provider = create({ clock: systemClock, random: Math.random, log: { warn: note, info: note } })
  const abort = new AbortController()
  const running = provider.watch(
    {
      next: (snapshot) => {
        snapshots.push(snapshot)
        reducer.accept(provider.name, snapshot)
      },
      status: (status) => {
        statuses.push(status)
      },
    },
    abort.signal,
  )
  return {
    snapshots,
    statuses,
    lines,
    snapshot: () => snapshots.at(-1),
    status: () => statuses.at(-1),
    instances: (service) => snapshots.at(-1)?.services.get(service)?.instances ?? [],
    state: () => reducer.state(),
    async stop() {
      abort.abort()
      await running
      reducer.close()
    },
  }
}

/** Watches a Consul with the defaults of the configuration. The caller must `stop` it. */
export function watchConsul(url: string, options: Partial<ConsulOptions> = {}): RegistryWatch {
  return watchProvider((deps) => consulProvider(url, options, deps))
}

/** A provider for a Consul, named `main`, with the defaults of the configuration. */
export function consulProvider(
  url: string,
  options: Partial<ConsulOptions>,
  deps: ConsulDeps,
): RegistryProvider {
  return createConsulProvider(
    'main',
    {
      url,
      datacentres: [],
      mode: 'watch',
      pollInterval: 5000,
      wait: 55_000,
      maxWatches: 64,
      include: [],
      exclude: [],
      forbidAddresses: [],
      ...options,
    },
    deps,
  )
}
