import type { ErrorCode } from '../core/errors.ts'
import type { RouteSpec } from '../core/route.ts'
import type { Releases, Side } from './release.ts'
import type { Service } from './service.ts'

export type { Service } from './service.ts'

/** What decides between routes of one host that both match; compared field by field, in this order. */
export interface Precedence {
  readonly priority: number
  /** 0 exact, 1 exact with parameters, 2 prefix, 3 regex. */
  readonly pathClass: 0 | 1 | 2 | 3
  readonly segments: readonly string[]
  readonly hasMethods: boolean
  readonly headerCount: number
  readonly queryCount: number
}

/** A route ready to match. The same object from table to table as long as its spec is the same. */
export interface Route {
  readonly spec: RouteSpec
  readonly precedence: Precedence
  /** Hash of everything that has an effect (not of where it is written). */
  readonly contentId: string
}

/** Opaque: built by compile, read by match. */
export interface HostIndex {
  readonly routeCount: number
}

/** The whole routing state at one moment. Immutable; swapped by one assignment. */
export interface Table {
  /** 1, 2, 3 … in this process. */
  readonly version: number
  /** Hash of the content: equal tables have equal ids over processes. 16 hex digits. */
  readonly id: string
  /** ms since the epoch. */
  readonly createdAt: number
  /** What caused it, in words: `start`, `routes.d/shop.yaml`, `consul: catalog`. */
  readonly cause: string
  /** By name. */
  readonly routes: ReadonlyMap<string, Route>
  /** By name: those of the configuration and those which routes of the registry name. */
  readonly services: ReadonlyMap<string, Service>
  /** Canary rules and lanes, and the sides of services. */
  readonly canaries: Releases
  readonly hosts: HostIndex
  readonly hostFallback: boolean
  readonly mergeSlashes: boolean
  readonly problems: readonly string[]
}

/** What `decide` looks at. No body, no sockets, no clock. */
export interface RequestShape {
  /** As sent; methods are case-sensitive (RFC 9110 §9.1). */
  readonly method: string
  /** The request-target as received: `/path?query`, or absolute-form. */
  readonly target: string
  /** `Host` or `:authority`. */
  readonly authority: string | undefined
  readonly scheme: 'http' | 'https'
  /** A request header by lower-case name, several joined. */
  header(name: string): string | undefined
  /** After trusted proxies were taken off. */
  readonly clientIp: string
  /** In [0, 1): draws the weighted target. */
  readonly roll: number
}

export interface Refusal {
  readonly kind: 'refuse'
  readonly code: ErrorCode
  /** For the client; nothing internal. */
  readonly detail?: string
  /** For `GW_ROUTE_METHOD`. */
  readonly allow?: readonly string[]
  /** Normalised, as far as that went. */
  readonly host?: string
  readonly path?: string
}

export interface Routed {
  readonly kind: 'route'
  readonly route: Route
  /** Normalised: lower case, no port. */
  readonly host: string
  /** Normalised; what was matched. */
  readonly path: string
  /** `` or `?…`, as received. */
  readonly query: string
  /** Values of `{param}` segments, still percent-encoded as in `path`. */
  readonly params: Readonly<Record<string, string>>
  /** For proxy actions: the drawn target. */
  readonly serviceName?: string
  /** Absent when the table has no such service. */
  readonly service?: Service
  /** Which version of the service, once a canary rule or lane has decided. Absent = any instance. */
  readonly side?: Side
  /** What goes upstream: rewritten path and query. */
  readonly upstreamTarget?: string
}

export type Decision = Refusal | Routed

/** Filled by `decide` only when asked: why each candidate won or lost. */
export interface DecisionTrace {
  readonly steps: string[]
  readonly candidates: {
    route: string
    result: 'won' | 'lost' | 'outranked'
    /** First condition that failed, or the rule of precedence that decided. */
    reason: string
  }[]
}
