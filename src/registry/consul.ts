import { type Clock, type Random, sleep } from '../core/duration.ts'
import { createAddressRule } from './consul-address.ts'
import { ConsulClient, type ConsulConnection } from './consul-client.ts'
import { DatacentreWatch } from './consul-datacentre.ts'
import { createNameFilter } from './consul-mapping.ts'
import { Publisher } from './consul-publisher.ts'
import type { RegistryProvider } from './provider.ts'

/** How often the token file is looked at between reads. ms. */
const TOKEN_CHECK_MS = 2000
/** Sockets for reads that do not block, beside two watches a datacentre. */
const SPARE_SOCKETS = 8

/** A registry of type consul, as the configuration has it. Times: ms. */
export interface ConsulOptions extends ConsulConnection {
  /** Empty = the agent's own. */
  readonly datacentres: readonly string[]
  readonly mode: 'watch' | 'poll'
  readonly pollInterval: number
  /** Blocking queries over all datacentres. */
  readonly maxWatches: number
  /** Globs with `*`; empty = all. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly taggedAddress?: string | undefined
  /** Addresses or CIDRs. */
  readonly forbidAddresses: readonly string[]
}

export interface ConsulDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
}

/**
 * Reads a Consul cluster through an agent: the list of services, and of each service all instances with all
 * checks. What was read stays through every failure. `watch` rejects with GW_REGISTRY_FILE when a PEM file
 * cannot be read; everything else is retried inside.
 */
export function createConsulProvider(
  name: string,
  options: ConsulOptions,
  deps: ConsulDeps,
): RegistryProvider {
  return {
    name,
    async watch(sink, signal) {
      const places = options.datacentres.length === 0 ? [undefined] : options.datacentres
      const client = new ConsulClient(
        options,
        Math.max(2 * places.length + SPARE_SOCKETS, options.maxWatches),
      )
      const isWanted = createNameFilter(options.include, options.exclude)
      const mapping = {
        registry: name,
        taggedAddress: options.taggedAddress,
        addressRule: createAddressRule(options.forbidAddresses),
      }
      const datacentres = places.map((datacentre) => {
        const { mode, pollInterval } = options
        const maxWatches = Math.floor(options.maxWatches / places.length)
        return new DatacentreWatch(
          { datacentre, mode, pollInterval, maxWatches },
          {
            ...deps,
            client,
            mapping,
            isWanted,
            onChange: () => publisher.soon(),
            onPlan: (plan, services) =>
              deps.log.info({ registry: name, datacentre, plan, services }, 'another way to watch Consul'),
          },
        )
      })
      const publisher = new Publisher(name, datacentres, sink, deps, signal)
      sink.status({ state: 'connecting' })
      const loops = datacentres.map((datacentre) => datacentre.run(signal))
      if (options.tokenFile !== undefined) loops.push(watchToken(client, signal))
      try {
        await Promise.all(loops)
      } finally {
        await client.close()
      }
    },
  }
}

async function watchToken(client: ConsulClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // A file that cannot be read is told by the reads, which need it.
    await client.checkToken().catch(() => {})
    await sleep(TOKEN_CHECK_MS, signal)
  }
}
