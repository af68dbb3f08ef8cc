import { systemClock } from '../../src/core/duration.ts'
import type { Instance, ProviderStatus, RegistryState, Snapshot } from '../../src/core/types.ts'
import { type ConsulOptions, createConsulProvider } from '../../src/registry/consul.ts'
import { Reducer } from '../../src/registry/reducer.ts'

/** A Consul provider at work, with the reducer behind it, and everything that both said. */
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

/** Watches a Consul with the defaults of the configuration. The caller must `stop` it. */
export function watchConsul(url: string, options: Partial<ConsulOptions> = {}): RegistryWatch {
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
  const provider = createConsulProvider(
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
    { clock: systemClock, random: Math.random, log: { warn: note, info: note } },
  )
  const abort = new AbortController()
  const running = provider.watch(
    {
      next: (snapshot) => {
        snapshots.push(snapshot)
        reducer.accept('main', snapshot)
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
