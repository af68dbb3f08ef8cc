import type { StaticConfig } from './config/load.ts'
import type { Clock, Random } from './core/duration.ts'
import { createConsulProvider } from './registry/consul.ts'
import { ConsulDrain } from './registry/consul-drain.ts'
import { createDnsProvider } from './registry/dns.ts'
import { type DrainTeller, drainReason } from './registry/drain-teller.ts'
import { EmbeddedRegistry } from './registry/embedded.ts'
import { createEtcdProvider, ownPrefix } from './registry/etcd.ts'
import { EtcdDrain } from './registry/etcd-drain.ts'
import { createFileProvider } from './registry/file.ts'
import { createHttpProvider } from './registry/http.ts'
import { createNacosProvider } from './registry/nacos.ts'
import { withNames, withRegistryNames } from './registry/namespace.ts'
import type { RegistryProvider } from './registry/provider.ts'
import { createZooKeeperProvider } from './registry/zookeeper.ts'
import { ZooKeeperDrain } from './registry/zookeeper-drain.ts'
import { CURATOR_BASE } from './zookeeper/own-records.ts'

export interface ProviderDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
}

export interface Providers {
  readonly all: readonly RegistryProvider[]
  /** Type by name. */
  readonly types: ReadonlyMap<string, string>
  /** The one that the agent endpoints of the admin side speak for. */
  readonly embedded: EmbeddedRegistry | undefined
  /** By name: those that take drain marks. */
  readonly tellers: ReadonlyMap<string, DrainTeller>
}

/** The mark in a registry of this process. */
const embeddedTeller = (registry: EmbeddedRegistry): DrainTeller => ({
  async tell({ id }, reason) {
    const { status, body } = registry.maintenance(id, reason === undefined ? undefined : drainReason(reason))
    return status === 200
      ? { isTold: true, detail: `the embedded registry ${registry.name} was told` }
      : { isTold: false, detail: body }
  },
})

/** A provider for each registry of the configuration. */
export function createProviders(registries: StaticConfig['registries'], deps: ProviderDeps): Providers {
  const all: RegistryProvider[] = []
  const types = new Map<string, string>()
  const tellers = new Map<string, DrainTeller>()
  let embedded: EmbeddedRegistry | undefined
  for (const [name, registry] of Object.entries(registries)) {
    types.set(name, registry.type)
    switch (registry.type) {
      case 'consul':
        all.push(createConsulProvider(name, { ...registry, url: registry.url ?? '' }, deps))
        tellers.set(name, new ConsulDrain({ ...registry, url: registry.url ?? '' }))
        break
      case 'etcd': {
        const options = { ...registry, endpoints: registry.endpoints ?? [] }
        all.push(createEtcdProvider(name, options, deps))
        if (registry.layout === 'sluice') {
          tellers.set(name, new EtcdDrain(options, ownPrefix(registry.prefix), () => deps.clock.now()))
        }
        break
      }
      case 'zookeeper':
        all.push(createZooKeeperProvider(name, registry, deps))
        if (registry.layout === 'curator') {
          const options = { ...registry, base: registry.base ?? CURATOR_BASE }
          tellers.set(name, new ZooKeeperDrain(options, deps.random))
        }
        break
      case 'http':
        all.push(createHttpProvider(name, registry, deps))
        break
      case 'dns':
        all.push(createDnsProvider(name, registry, deps))
        break
      case 'nacos':
        all.push(createNacosProvider(name, registry, deps))
        break
      case 'file':
        all.push(createFileProvider(name, registry.path, deps))
        break
      case 'embedded': {
        const created = new EmbeddedRegistry(name, deps)
        embedded ??= created
        all.push(created)
        tellers.set(name, embeddedTeller(created))
      }
    }
    const { serviceName } = registry
    if (serviceName === undefined) continue
    all.push(withNames(all.pop() as RegistryProvider, serviceName))
    const teller = tellers.get(name)
    if (teller !== undefined) tellers.set(name, withRegistryNames(teller, serviceName))
  }
  return { all, types, embedded, tellers }
}
