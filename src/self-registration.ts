import type { StaticConfig } from './config/load.ts'
import { createIdSource } from './core/ids.ts'
import { OWN_PREFIX, trimPrefix } from './etcd/own-keys.ts'
import type { Parts } from './parts.ts'
import { agentUrl } from './register/agent.ts'
import { Lease, type LeaseEvent } from './register/lease.ts'
import { findAddress } from './register/place.ts'
import { OWNER, OWNER_KEY, type RegistryTarget, targetUrl } from './register/settings.ts'
import { CURATOR_BASE } from './zookeeper/own-records.ts'

/** Consul takes no shorter time. ms. */
const DEREGISTER_AFTER_MS = 60_000

/** What is wanted and what there is. */
export interface SelfRegistrationInput extends Pick<Parts, 'clock' | 'random' | 'logs' | 'version'> {
  readonly config: StaticConfig
  /** Where clients come in. */
  readonly listener: { readonly host: string; readonly port: number } | undefined
}

/**
 * Registers the gateway as a service in Consul, etcd or ZooKeeper, by the library that services use. Undefined when the
 * configuration does not ask for it. Throws GW_REGISTER_OPTIONS when its address is none that others could use.
 */
export async function startSelfRegistration(input: SelfRegistrationInput): Promise<Lease | undefined> {
  const { config, listener, clock, random, logs, version } = input
  const { self } = config
  const registry = self === undefined ? undefined : config.registries[self.registry]
  const target = registry === undefined ? undefined : targetOf(registry)
  if (self === undefined || listener === undefined || target === undefined) return undefined
  const bound = { address: listener.host, port: listener.port }
  const address = await findAddress(self.address, bound, targetUrl(target))
  const lease = new Lease(
    {
      registry: target,
      service: self.name,
      id: `${self.name}-${createIdSource()(4)}`,
      // Consul has the address of its node; others know nothing, and they are on this machine alone.
      address: address === '' && target.type !== 'consul' ? '127.0.0.1' : address,
      port: self.port ?? listener.port,
      weights: { passing: 1, warning: 1 },
      tags: self.tags,
      meta: { version, [OWNER_KEY]: OWNER },
      ttlMs: self.ttl,
      deregisterAfterMs: DEREGISTER_AFTER_MS,
    },
    { clock, random, onEvent: (event) => tell(logs.log, self.name, event) },
  )
  lease.start()
  return lease
}

/** Undefined = nobody can register there. */
function targetOf(registry: StaticConfig['registries'][string]): RegistryTarget | undefined {
  if (registry.type === 'consul') {
    const { url = '', tls, token, tokenFile } = registry
    return {
      type: 'consul',
      url: agentUrl(url),
      token,
      tokenFile,
      ca: tls?.ca,
      cert: tls?.cert,
      key: tls?.key,
    }
  }
  if (registry.type === 'zookeeper' && registry.layout === 'curator') {
    const { servers, base = CURATOR_BASE, auth, tls } = registry
    return { type: 'zookeeper', servers, base, auth, tls }
  }
  if (registry.type !== 'etcd' || registry.layout !== 'sluice') return undefined
  const { endpoints = [], prefix = OWN_PREFIX, username, password, passwordFile, tls } = registry
  return { type: 'etcd', endpoints, prefix: trimPrefix(prefix), username, password, passwordFile, tls }
}

function tell(log: LogLines, service: string, event: LeaseEvent): void {
  const { type, ...fields } = event
  if (type === 'registered') log.info({ service, ...fields }, 'the gateway is registered')
  if (type === 'lost') log.warn({ service, ...fields }, 'the registry forgot the gateway: registering again')
  if (type === 'problem')
    log.warn({ service, ...fields }, 'the gateway cannot tell the registry that it lives')
  if (type === 'state' && event.to === 'gone')
    log.info({ service, ...fields }, 'the gateway is out of the registry')
}

interface LogLines {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
}
