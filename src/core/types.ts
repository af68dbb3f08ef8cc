/**
 * The shared vocabulary: what a registry tells us. Everything is readonly; a change is a new object.
 * Objects that did not change keep their identity from one snapshot to the next, so `===` is a cheap test.
 */

/**
 * What a registry says of one instance.
 * `maintenance`: taken out by an operator. `draining`: going away by itself; finishes what it has.
 * `unknown`: the registry has no health information (file, static upstreams).
 */
export type InstanceState = 'passing' | 'warning' | 'critical' | 'maintenance' | 'draining' | 'unknown'

/** `http`: HTTP/1.1 in clear; `https`: HTTP/1.1 (or h2 if the service asks) over TLS; `h2c`: HTTP/2 prior knowledge. */
export type Scheme = 'http' | 'https' | 'h2c'

/** One health check of an instance, as its registry shows it. `output` is cut to 512 characters. */
export interface Check {
  readonly id: string
  readonly state: InstanceState
  readonly output: string
  /** The check failed because its TTL ran out, not because somebody said so. */
  readonly expired?: boolean
}

/** One running copy of a service. */
export interface Instance {
  /** Unique over all registries: `registry/datacentre/node/id`. Pools, ejections and counters hang on it. */
  readonly key: string
  /** The registry's own id of the instance. */
  readonly id: string
  readonly service: string
  /** IP literal (IPv6 without brackets) or host name. */
  readonly address: string
  readonly port: number
  readonly scheme: Scheme
  readonly state: InstanceState
  /** Relative share of traffic, > 0; already the one for its state (Consul `Weights.Warning` while warning). */
  readonly weight: number
  /** Lower is used first; the others only when nobody of those is left. Default 0. */
  readonly priority?: number
  readonly tags: readonly string[]
  readonly meta: Readonly<Record<string, string>>
  readonly node?: string
  readonly datacentre?: string
  readonly zone?: string
  readonly version?: string
  readonly checks?: readonly Check[]
  /** Set by compile: drained through this gateway, with the reason, whatever the registry says. */
  readonly drained?: string
  /** Set by the reducer: kept although the registry no longer lists it, with the guard's reason. */
  readonly held?: string
}

/** All instances of one service in one registry. The same object as before when nothing changed. */
export interface ServiceInstances {
  readonly name: string
  readonly instances: readonly Instance[]
}

/** A provider's whole world, never a delta. */
export interface Snapshot {
  /** By service name. A service that vanished is absent. */
  readonly services: ReadonlyMap<string, ServiceInstances>
  /** Names of services whose read failed this time: the reducer keeps what it has of them. */
  readonly failed: ReadonlySet<string>
  /** Opaque, for logs. */
  readonly revision: string
  /** Grows with each reconnect, relist, compaction or session loss. */
  readonly epoch: number
  /** Things to show: a malformed record that was dropped, port 0, a bad tag. One line each. */
  readonly problems: readonly string[]
}

/** How a registry provider is doing. Times: ms since the epoch. */
export interface ProviderStatus {
  readonly state: 'connecting' | 'live' | 'stale' | 'failed'
  readonly lastSuccess?: number
  readonly lastError?: { readonly at: number; readonly code: string; readonly message: string }
  /** Consul `X-Consul-LastContact` or its like. ms. */
  readonly lagMs?: number
}

/** The reducer's view of one service over all registries. */
export interface ServiceState extends ServiceInstances {
  /** `live`: as the registry says now; `stale`: last good, reads fail; `held`: a guard keeps instances. */
  readonly source: 'live' | 'stale' | 'held'
  readonly reason?: string
  /** ms since the epoch. */
  readonly lastGoodAt: number
}

/** What the reducer hands to compile. */
export interface RegistryState {
  readonly services: ReadonlyMap<string, ServiceState>
  readonly problems: readonly string[]
}
