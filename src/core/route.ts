import type { ReleaseRule } from './canary.ts'
import type { HealthPolicy } from './health-policy.ts'
import type { JsonField } from './json-field.ts'
import type { PriorityClass } from './priority-class.ts'
import type { TextMatch } from './text-match.ts'
import type { Scheme } from './types.ts'

export type { TextMatch } from './text-match.ts'

/**
 * Routes and services as configuration or registry tags declare them: checked, defaults filled in,
 * durations in ms, sizes in bytes. `config` and `registry` produce these; `routing` compiles them.
 */

/** A condition on one named field. Header names are lower case. */
export interface FieldMatch {
  readonly name: string
  readonly match: TextMatch
}

/**
 * `exact` and `prefix` are compared by whole segments and may hold `{param}` segments;
 * `prefix` `/a` takes `/a`, `/a/` and `/a/b`, never `/ab`. `regex`: RE2, whole path.
 */
export interface PathMatch {
  readonly kind: 'exact' | 'prefix' | 'regex'
  readonly value: string
}

export interface RouteMatch {
  /** Lower case, no port, no trailing dot. `a.x`, `*.x` (one label), `**.x` (one or more labels). Empty = any host. */
  readonly hosts: readonly string[]
  readonly path: PathMatch
  /** Upper case. Empty = any. `GET` also takes HEAD. */
  readonly methods: readonly string[]
  readonly headers: readonly FieldMatch[]
  readonly query: readonly FieldMatch[]
  readonly cookies: readonly FieldMatch[]
  /** CIDR or single addresses of the (trusted) client address. Empty = any. */
  readonly clientNetworks: readonly string[]
}

/** Header edits in this order: remove, rename, set, add. Names are lower case. */
export interface HeaderEdits {
  readonly remove: readonly string[]
  readonly set: Readonly<Record<string, string>>
  readonly add: Readonly<Record<string, string>>
}

/** What happens to the path before it goes upstream. */
export type PathRewrite =
  /** Cut this prefix (whole segments). */
  | { readonly kind: 'strip'; readonly prefix: string }
  /** Replace the matched prefix of the route by this one. */
  | { readonly kind: 'prefix'; readonly value: string }
  /** RE2; `$1` or `${name}` in `replacement`. */
  | { readonly kind: 'regex'; readonly pattern: string; readonly replacement: string }

/** ms; 0 = no limit. */
export interface Timeouts {
  /** TCP and TLS to the instance. Default 1000. */
  readonly connectMs: number
  /** From request sent to response headers. Default 15000. */
  readonly headersMs: number
  /** Silence while streaming, either way. Default 60000. */
  readonly idleMs: number
  /** The whole exchange with all its tries. Default 60000; 0 for streams. */
  readonly totalMs: number
  /** One try; 0 = only the other limits. Default 0. */
  readonly perTryMs: number
}

export type RetryCause = 'connect-failure' | 'reset' | 'timeout' | 'gateway-error' | '5xx'

export interface RetryPolicy {
  /** Further tries after the first. Default 2. 0 = none (a connect failure is then final, too). */
  readonly attempts: number
  /**
   * Default `connect-failure`, `reset`. connect-failure: never written, any method.
   * The others: only idempotent methods with a replayable body. `gateway-error`: 502, 503, 504.
   */
  readonly on: readonly RetryCause[]
  /** Further statuses to retry for idempotent methods. */
  readonly statuses: readonly number[]
  /** A request with `Idempotency-Key` counts as idempotent. Default false. */
  readonly idempotencyKey: boolean
  /** Bodies up to this size can be sent again. Bytes. Default 65536. */
  readonly replayBytes: number
}

/** A filter as a route names it: type, a name for logs and metrics, options not yet checked by the filter. */
export interface FilterSpec {
  readonly name: string
  readonly type: string
  readonly options: Readonly<Record<string, unknown>>
  /** Overrides the filter's own declaration of what happens when it throws. */
  readonly onError?: 'open' | 'closed'
  /** Default `enforce`. */
  readonly mode?: 'enforce' | 'dryRun'
  /** Where it is declared: `file:line:column`. */
  readonly source: string
}

export interface Target {
  readonly service: string
  /** Share relative to the sum, > 0 for at least one target. */
  readonly weight: number
}

export type RouteAction =
  | {
      readonly kind: 'proxy'
      readonly targets: readonly Target[]
      readonly rewrite?: PathRewrite
      /** `preserve`: the client's Host goes upstream; `upstream`: the instance's address; else this text. */
      readonly host: 'preserve' | 'upstream' | { readonly value: string }
    }
  | {
      readonly kind: 'redirect'
      readonly status: 301 | 302 | 303 | 307 | 308
      /** Each absent part stays as the request had it. `path` may hold `{param}` of the route's path. */
      readonly scheme?: 'http' | 'https'
      readonly host?: string
      readonly port?: number
      readonly path?: string
      readonly stripQuery: boolean
    }
  | {
      readonly kind: 'respond'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: string
    }

/** How answers of a mirror are compared with those of the primary. */
export interface CompareSpec {
  /** Share of the mirrored requests that is compared, 0 to 1. */
  readonly sample: number
  /** JSON paths and `header:NAME`. */
  readonly ignore: readonly string[]
  /** Numbers are equal up to this share of the larger one. */
  readonly tolerance: number
  /** Share of the comparisons for which stable is asked a second time, 0 to 1. */
  readonly noise: number
  /** Larger bodies are not compared. Bytes. */
  readonly maxBodyBytes: number
}

/** Copies of requests for another service or version; its answers never reach a client. */
export interface MirrorSpec {
  /** Where copies go; absent = the service that answers. */
  readonly service?: string
  /** Only to instances of this version. */
  readonly version?: string
  /** Of 10,000 requests. */
  readonly share: number
  /** Upper case. */
  readonly methods: readonly string[]
  /** A request with a larger body is not mirrored. Bytes. */
  readonly maxBodyBytes: number
  /** The whole exchange. ms. */
  readonly timeoutMs: number
  /** Copies under way at a time; beyond it they are dropped. */
  readonly maxInFlight: number
  /** Put behind the host name of the copy. */
  readonly hostSuffix: string
  readonly compare?: CompareSpec
}

/** Watches the shape of a route's JSON answers. */
export interface ContractSpec {
  /** Share of the answers that is looked at, 0 to 1. */
  readonly sample: number
  /** Answers before a version's word counts. */
  readonly minSamples: number
  /** A field in at least this share of earlier answers is expected, 0 to 1. */
  readonly requiredFrom: number
  /** Larger answers are not looked at. Bytes. */
  readonly maxBodyBytes: number
  readonly maxDepth: number
  /** Places of one shape that are kept. */
  readonly maxFields: number
  /** What a schema says; absent = learnt from answers. */
  readonly fields?: readonly JsonField[]
}

export interface RouteSpec {
  /** Unique over all files and registries. */
  readonly name: string
  /** `file:line:column`, or `registry:service/instance`. */
  readonly source: string
  /** Before every other rule of precedence within a host. Default 0. */
  readonly priority: number
  /** Of all its requests when there is not enough for all; absent = as each request shows who sent it. */
  readonly class?: PriorityClass
  readonly match: RouteMatch
  readonly action: RouteAction
  readonly filters: readonly FilterSpec[]
  readonly requestHeaders: HeaderEdits
  readonly responseHeaders: HeaderEdits
  /** Bytes; 0 = no limit; absent = the gateway's limit. */
  readonly maxBodyBytes?: number
  /** What is absent comes from the service. */
  readonly timeouts: Partial<Timeouts>
  readonly retries: Partial<RetryPolicy>
  /** Free words shown by tools, e.g. the owner. */
  readonly labels: Readonly<Record<string, string>>
  /** Before the service's. */
  readonly mirror?: MirrorSpec
  readonly contract?: ContractSpec
}

export interface UpstreamTls {
  /** Default true. */
  readonly verify: boolean
  /** PEM text of the CA to trust instead of the system's. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** SNI and the name to verify; absent = the instance's host name, or the route's Host for an IP address. */
  readonly serverName?: string
}

export type BalancePolicy =
  | { readonly kind: 'least-request' }
  | { readonly kind: 'round-robin' }
  | {
      readonly kind: 'consistent-hash'
      /** First one present wins; `client-ip` always is. `header:x`, `cookie:x`, `query:x`, `path`, `client-ip`. */
      readonly on: readonly string[]
    }

/** Registries that stand in for one another. */
export interface RegistryFailover {
  /** The best first. */
  readonly order: readonly string[]
  /** An earlier one must have had usable instances for this long before it is used again. ms. */
  readonly returnAfterMs: number
}

/** Everything about talking to one service. `defaults` of the configuration fill what a service leaves out. */
export interface ServicePolicy {
  readonly name: string
  readonly source: string
  /** Registries to look in; absent = all. */
  readonly registries?: readonly string[]
  /** Only one registry at a time; absent = all of them together. */
  readonly failover?: RegistryFailover
  /** The service's name in the registry; default `name`. */
  readonly registryName: string
  /** Static upstreams: `scheme://address:port`; then no registry is asked. */
  readonly upstreams: readonly string[]
  /** Forces the scheme for instances that declare none. */
  readonly scheme?: Scheme
  readonly balance: BalancePolicy
  /** ms a new instance takes to its full share; 0 = at once. */
  readonly slowStartMs: number
  readonly timeouts: Timeouts
  readonly retries: RetryPolicy
  readonly tls: UpstreamTls
  /** Sockets to one instance. Default 256. */
  readonly maxConnections: number
  /** Requests waiting for a socket of one instance before it counts as full. Default 1024. */
  readonly maxPending: number
  /** An idle upstream socket is closed after this; below the upstream's own limit. ms. Default 4000. */
  readonly keepAliveMs: number
  /** Tunnels of an instance that goes away are ended after this; 0 = at once. ms. Default 300000. */
  readonly streamDrainMs: number
  /** What takes its instances out of rotation, and itself. */
  readonly health: HealthPolicy
  readonly mirror?: MirrorSpec
}

/** The dynamic part of the configuration: hot, swapped as a whole. */
export interface DynamicConfig {
  readonly routes: readonly RouteSpec[]
  readonly services: readonly ServicePolicy[]
  /** Lanes and canary rules, in the order in which they are asked. Absent = none. */
  readonly canaries?: readonly ReleaseRule[]
  /** For services that a registry has and the configuration does not name: policy under `name: ''`. */
  readonly defaultPolicy: ServicePolicy
  /** The best host has no matching route: try less specific hosts. Default false. */
  readonly hostFallback: boolean
  /** `a//b` is the same path as `a/b`. Default true. */
  readonly mergeSlashes: boolean
}
