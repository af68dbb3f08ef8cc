import type { Transform } from 'node:stream'
import type { z } from 'zod'
import type { Clock, Random } from '../core/duration.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'
import type { Routed } from '../routing/table.ts'

/** The upstream's answer (or the gateway's own) on its way to the client. */
export interface ResponseContext {
  status: number
  readonly headers: Headers
  /** True when the gateway made the answer (refusal, redirect, error). The runner sets it when it replaces one. */
  isLocal: boolean
  /** Streams the body passes through, in this order; compression pushes one. Not used for bodiless answers. */
  readonly transforms: Transform[]
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
  readonly decision: Routed
  /** Request headers as they will go upstream; hop-by-hop ones are gone already. Inbound filters may edit. */
  readonly headers: Headers
  /** Declared length of the body; undefined = unknown (chunked); 0 = none. */
  readonly contentLength: number | undefined
  /** Whole body, only for filters that declared `needsBody`. */
  readonly body: Buffer | undefined
  /** Set before outbound filters run. */
  response: ResponseContext | undefined
  /** Inbound filters may lower it: a body of unknown length is cut off (413) beyond it. Bytes; undefined = none. */
  maxBodyBytes: number | undefined
  /** A place for what one filter leaves for another or for the log: `principal`, `canary` … */
  readonly attributes: Map<string, unknown>
  /** Set by the runner: how many filters of the chain the request entered. Outbound looks at just those. */
  filtersEntered?: number
}

/** Ends the chain. Without `body` and with `code`: a problem document of the catalogue. */
export interface FilterReply {
  readonly status: number
  readonly code?: ErrorCode
  /** Shown to the client in the problem document; nothing internal. */
  readonly detail?: string
  readonly headers?: Readonly<Record<string, string>>
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
}

/** What a filter gets from the gateway. */
export interface FilterDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
}

/** A kind of filter. `create` runs once for each distinct set of options, not for each table. */
export interface FilterDefinition<Options extends z.ZodType = z.ZodType> {
  /** = file name = `type` in the configuration. */
  readonly name: string
  /** One sentence for docs/config.md. */
  readonly summary: string
  readonly options: Options
  /** When the filter throws: `closed` (500, default) or `open` (go on). The configuration may override it. */
  readonly onError?: 'open' | 'closed'
  /** The body is buffered up to this size before `inbound` runs; more: 413. Bytes. */
  readonly needsBody?: { readonly maxBytes: number }
  create(options: z.output<Options>, deps: FilterDeps): FilterHandlers
}

/** Keeps the type of the options. */
export function defineFilter<Options extends z.ZodType>(
  definition: FilterDefinition<Options>,
): FilterDefinition<Options> {
  return definition
}
