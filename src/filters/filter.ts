import type { X509Certificate } from 'node:crypto'
import type { Transform } from 'node:stream'
import type { z } from 'zod'
import type { Clock, Random } from '../core/duration.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Principal } from '../core/principal.ts'
import type { RedisStore } from '../core/redis-store.ts'
import type { Replay } from '../core/replay.ts'
import type { IdentityProvider } from '../identity/provider.ts'
import type { Routed } from '../routing/table.ts'
import type { WafEngine } from '../waf/engine.ts'
import type { FilterMetrics } from './metrics.ts'

/** The upstream's answer (or the gateway's own) on its way to the client. */
export interface ResponseContext {
  status: number
  readonly headers: Headers
  /** True when the gateway made the answer (refusal, redirect, error). The runner sets it when it replaces one. */
  isLocal: boolean
  /** Streams the body passes through, in this order; compression pushes one. Not used for bodiless answers. */
  readonly transforms: Transform[]
  /** Who wants to see the body's beginning before the client sees anything. Not used for bodiless and local answers. */
  readonly bodyChecks?: BodyCheck[]
}

/**
 * The answer is withheld until `maxBytes` of its body are there, or all of it, and `judge` has spoken.
 */
export interface BodyCheck {
  readonly maxBytes: number
  /**
   * `beginning`: as the upstream sent it, before any transform. A reply takes the answer's place: outbound filters are then
   * run once more, for the reply. Throws when the filter itself fails.
   */
  judge(beginning: Buffer, isWhole: boolean): Promise<FilterReply | undefined>
}

/** Notes what each filter makes of one request; only where somebody asked for it. */
export interface FilterTrace {
  /** It threw; `ran` follows. */
  failed(name: string): void
  /** It is done with the request or the answer, after `ms`. */
  ran(name: string, phase: 'inbound' | 'outbound', ms: number, reply: FilterReply | undefined): void
}

/** One request as filters see it; pinned to the table it began with. */
export interface FilterContext {
  readonly requestId: string
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly httpVersion: string
  /** After trusted proxies were taken off; the one address for limits, lists and logs. */
  readonly clientIp: string
  /** The peer of the socket is one of `trustedProxies`. */
  readonly isTrustedPeer: boolean
  /** Where it goes. Never edited: a filter that changes the query puts another in its place (`withQuery`). */
  decision: Routed
  /** The request-target as received. */
  readonly target: string
  /** `Host` or `:authority` as received. */
  readonly authority: string | undefined
  /** Request headers as they will go upstream; hop-by-hop ones are gone already. Inbound filters may edit. */
  readonly headers: Headers
  /** The fields as received, whatever was done to `headers`; copied at each call. */
  readonly receivedHeaders: () => Headers
  /** The client's, verified by the listener; undefined = it has none. */
  readonly clientCertificate: () => X509Certificate | undefined
  /** Declared length of the body; undefined = unknown (chunked); 0 = none. */
  readonly contentLength: number | undefined
  /** The body or its beginning, once a filter that needs it was reached. */
  body: Buffer | undefined
  /** False: `body` is only the beginning; the rest is still to come. */
  isBodyWhole: boolean
  /**
   * Set by the server when there is a body: reads up to `maxBytes` of it into `body`. `whenLarger` `refuse`: rejects
   * with GW_REQUEST_BODY_TOO_LARGE beyond that.
   */
  readonly readBody?: (need: BodyNeed) => Promise<void>
  /** Set by identity filters. */
  principal: Principal | undefined
  /** Set before outbound filters run. */
  response: ResponseContext | undefined
  /** Inbound filters may lower it: a body of unknown length is cut off (413) beyond it. Bytes; undefined = none. */
  maxBodyBytes: number | undefined
  /** A place for what one filter leaves for another or for the log: `canary` … */
  readonly attributes: Map<string, unknown>
  /** Set by the runner: how many filters of the chain the request entered. Outbound looks at just those. */
  filtersEntered?: number
  /** Set by the runner: what dry-run filters work on, by their place in the chain. */
  shadows?: Map<number, FilterContext>
  /** Set by the server for a request that is explained. */
  trace?: FilterTrace | undefined
  /** Set by the runner when the request is over: nothing more is to be begun for it. */
  isOver?: boolean
}

/** How much of the body a filter has to see before its inbound runs. */
export interface BodyNeed {
  /** Bytes. */
  readonly maxBytes: number
  /** `refuse`: larger bodies get 413. `prefix`: the filter sees the beginning, the rest streams on behind it. */
  readonly whenLarger: 'refuse' | 'prefix'
}

/** How a request ended. */
export interface Ending {
  readonly outcome: Outcome
  /** What the client got; 499 = it left. */
  readonly status: number
  /** ms. */
  readonly totalMs: number
  /** Last try, until its answer's headers. ms; undefined = nobody upstream answered. */
  readonly upstreamMs: number | undefined
  /** Tries upstream. */
  readonly attempts: number
}

/** Ends the chain. Without `body` and with `code`: a problem document of the catalogue. */
export interface FilterReply {
  readonly status: number
  readonly code?: ErrorCode
  /** Shown to the client in the problem document; nothing internal. */
  readonly detail?: string
  /** Why, for the operator: which rule, which limit. Never sent to the client; nothing that it sent stands in it. */
  readonly reason?: string
  /** A list = several fields of this name. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Buffer
}

/** `undefined` = go on. Stay synchronous if you can: the runner awaits only a Promise. */
export type InboundResult = FilterReply | undefined | Promise<FilterReply | undefined>

/** `undefined` = the answer goes on, edited or not. */
export type OutboundResult = FilterReply | undefined | Promise<FilterReply | undefined>

export interface FilterHandlers {
  /** Before the request goes upstream. Throw only when the filter itself fails. */
  readonly inbound?: (ctx: FilterContext) => InboundResult
  /**
   * When the answer's headers are there, in reverse order of the chain; also for local answers.
   * A reply takes the place of the answer; the filters before this one then see the reply.
   */
  readonly outbound?: (ctx: FilterContext, response: ResponseContext) => OutboundResult
  /**
   * Once for each request that entered this filter, however it ended: answered, refused by a later filter, failed,
   * client gone, tunnel over. May come while `inbound` is pending (the client left, a dry run): stop waiting then.
   */
  readonly done?: (ctx: FilterContext, ending: Ending) => void
  /** Read before `inbound` runs, not before the filters in front of it. */
  readonly needsBody?: BodyNeed
  /**
   * Awaited before a table with this filter comes in force, and by `sluice check`. Throws what makes the
   * configuration unacceptable.
   */
  readonly prepare?: () => Promise<void>
  /** Headers that only this filter may set: a client's copies are taken from every request, on every route. Lower case. */
  readonly ownsHeaders?: readonly string[]
  /**
   * For previews: says of recorded requests, in order of time, whether this filter would have refused them. Each call
   * gives a fresh one that touches nothing live. Absent: it cannot be told from what is recorded.
   */
  readonly replay?: () => Replay
  /** No table uses it any more: timers end. Requests that began before may still come. */
  readonly close?: () => void
}

/** Something that filters share. */
export interface Shareable {
  close?(): void
}

/** What the static part of the configuration offers. Unknown names: GW_CONFIG_INVALID with those that there are. */
export interface FilterResources {
  store(name: string): RedisStore
  identityProvider(name: string): IdentityProvider
  /** The one engine of all `waf` filters, not started yet, and the folder of the Core Rule Set. */
  waf(): { readonly engine: WafEngine; readonly crs: string }
}

/** What a filter gets from the gateway. */
export interface FilterDeps {
  /** As the configuration calls it; the type for a filter that is written in its route. */
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** One object for all who ask with this key; closed a while after the last of them. */
  shared<T extends Shareable>(key: string, create: () => T): T
  /** Calls back when the content of a file changed, until the filter is closed. */
  watchFiles(paths: readonly string[], onChange: () => void | Promise<void>): void
  /** For the event stream of the admin API. */
  event(data: Readonly<Record<string, unknown>>): void
  readonly metrics: FilterMetrics
  readonly resources: FilterResources
  /** `sluice check`: only files of this machine may be looked at. */
  readonly isCheck: boolean
}

/** A kind of filter. `create` runs once for each distinct name and set of options, not for each table. */
export interface FilterDefinition<Options extends z.ZodType = z.ZodType> {
  /** = file name = `type` in the configuration. */
  readonly name: string
  /** One sentence for docs/config.md. */
  readonly summary: string
  readonly options: Options
  /** When the filter throws: `closed` (500, default) or `open` (go on). The configuration may override it. */
  readonly onError?: 'open' | 'closed'
  create(options: z.output<Options>, deps: FilterDeps): FilterHandlers
}

/** Keeps the type of the options. */
export function defineFilter<Options extends z.ZodType>(
  definition: FilterDefinition<Options>,
): FilterDefinition<Options> {
  return definition
}
