import { errorEntry, errorText, GatewayError } from '../core/errors.ts'
import type { Chain, ChainDeps, ChainEntry } from './chain.ts'
import { rehearseInbound, rehearseOutbound } from './dry-run.ts'
import type {
  BodyCheck,
  BodyNeed,
  Ending,
  FilterContext,
  FilterReply,
  InboundResult,
  ResponseContext,
} from './filter.ts'
import { failedReply, renderReply } from './reply.ts'

export {
  type Chain,
  type ChainDeps,
  type ChainEntry,
  type Chains,
  createChains,
  EMPTY_CHAIN,
  type FilterMonitor,
  type FilterVerdict,
} from './chain.ts'
export { type LocalAnswer, renderReply } from './reply.ts'

/** One request in this many is timed: two clock readings a filter are worth more than most filters. */
const SAMPLE_MASK = 15

/**
 * Runs the inbound filters in order. Undefined: go on; a reply: answer with it, nothing goes upstream.
 * Synchronous until a filter returns a promise. A filter that throws ends the chain with 500
 * `GW_FILTER_FAILED`, unless it is declared `onError: open`. Never throws or rejects.
 */
export function runInbound(chain: Chain, ctx: FilterContext): InboundResult {
  if (chain === undefined || chain.entries.length === 0) return undefined
  const isTimed = (chain.ticks++ & SAMPLE_MASK) === 0 || ctx.trace !== undefined
  return inboundFrom(chain, chain.deps as ChainDeps, ctx, 0, isTimed)
}

function inboundFrom(
  chain: Chain,
  deps: ChainDeps,
  ctx: FilterContext,
  from: number,
  isTimed: boolean,
): InboundResult {
  const { entries } = chain
  for (let i = from; i < entries.length; i++) {
    ctx.filtersEntered = i + 1
    const entry = entries[i] as ChainEntry
    const { inbound, needsBody } = entry.handlers
    if (inbound === undefined) continue
    if (needsBody !== undefined && isBodyMissing(ctx, needsBody)) {
      return inboundWithBody(chain, deps, ctx, i, isTimed, needsBody)
    }
    if (entry.mode === 'dryRun') {
      rehearseInbound(entry, i, deps, ctx)
      continue
    }
    const started = isTimed ? deps.clock.monotonic() : 0
    let result: InboundResult
    try {
      result = inbound(ctx)
    } catch (error) {
      result = failed(entry, deps, ctx, error)
    }
    if (result instanceof Promise) {
      return inboundAsync(chain, deps, ctx, i, isTimed, started, result)
    }
    if (isTimed) timed(entry, deps, ctx, 'inbound', started, result)
    if (result !== undefined) return refused(entry, deps, ctx, result)
  }
  return undefined
}

function timed(
  { name }: ChainEntry,
  deps: ChainDeps,
  ctx: FilterContext,
  phase: 'inbound' | 'outbound',
  started: number,
  reply: FilterReply | undefined,
): void {
  const ms = deps.clock.monotonic() - started
  deps.onTiming?.(name, ms)
  ctx.trace?.ran(name, phase, ms, reply)
}

/** It has not been read as far as this filter wants to see it. */
function isBodyMissing(ctx: FilterContext, need: BodyNeed): boolean {
  if (ctx.readBody === undefined || (ctx.body !== undefined && ctx.isBodyWhole)) return false
  return ctx.body === undefined || ctx.body.length < need.maxBytes
}

async function inboundWithBody(
  chain: Chain,
  deps: ChainDeps,
  ctx: FilterContext,
  index: number,
  isTimed: boolean,
  need: BodyNeed,
): Promise<FilterReply | undefined> {
  const entry = chain.entries[index] as ChainEntry
  try {
    // A dry run refuses nothing.
    await ctx.readBody?.(entry.mode === 'dryRun' ? { ...need, whenLarger: 'prefix' } : need)
  } catch (error) {
    const code = error instanceof GatewayError ? error.code : 'GW_GATEWAY_INTERNAL'
    return { status: errorEntry(code).status, code }
  }
  if (ctx.isOver) return OVER
  return inboundFrom(chain, deps, ctx, index, isTimed)
}

async function inboundAsync(
  chain: Chain,
  deps: ChainDeps,
  ctx: FilterContext,
  index: number,
  isTimed: boolean,
  started: number,
  pending: Promise<FilterReply | undefined>,
): Promise<FilterReply | undefined> {
  const entry = chain.entries[index] as ChainEntry
  let reply: FilterReply | undefined
  try {
    reply = await pending
  } catch (error) {
    reply = failed(entry, deps, ctx, error)
  }
  if (isTimed) timed(entry, deps, ctx, 'inbound', started, reply)
  if (ctx.isOver) return OVER
  if (reply !== undefined) return refused(entry, deps, ctx, reply)
  return inboundFrom(chain, deps, ctx, index + 1, isTimed)
}

/** Nobody is there to get it. */
const OVER: FilterReply = Object.freeze({ status: 499 })

/** Tells the filters that the request entered how it ended; only the first call counts. Never throws. */
export function endChain(chain: Chain, ctx: FilterContext, ending: Ending): void {
  if (ctx.isOver) return
  ctx.isOver = true
  if (!chain.hasDone) return
  const entered = ctx.filtersEntered ?? 0
  for (let i = 0; i < entered; i++) {
    const { handlers, name, mode } = chain.entries[i] as ChainEntry
    const seen = mode === 'dryRun' ? ctx.shadows?.get(i) : ctx
    if (seen === undefined) continue
    try {
      handlers.done?.(seen, ending)
    } catch (error) {
      const fields = { filter: name, requestId: ctx.requestId, err: errorText(error) }
      chain.deps?.log.warn(fields, 'filter failed at the end of a request')
    }
  }
}

/**
 * Runs the outbound filters in reverse order over those the request entered; when it entered none (the
 * server refused it before `runInbound`), over those that have no inbound side.
 * A reply: the answer is to be replaced; `response` has its status and headers already and the reply's `body`
 * is complete: send those, drop the upstream's body. Never throws or rejects.
 */
export function runOutbound(
  chain: Chain,
  ctx: FilterContext,
  response: ResponseContext,
): FilterReply | undefined | Promise<FilterReply | undefined> {
  if (!chain.hasOutbound) return undefined
  ctx.response = response
  return outboundFrom(chain, chain.deps as ChainDeps, ctx, response, chain.entries.length - 1, undefined)
}

function outboundFrom(
  chain: Chain,
  deps: ChainDeps,
  ctx: FilterContext,
  response: ResponseContext,
  from: number,
  replaced: FilterReply | undefined,
): FilterReply | undefined | Promise<FilterReply | undefined> {
  const { entries } = chain
  const entered = ctx.filtersEntered
  const isTimed = (chain.ticks & SAMPLE_MASK) === 1 || ctx.trace !== undefined
  let current = replaced
  for (let i = Math.min(from, (entered ?? entries.length) - 1); i >= 0; i--) {
    const entry = entries[i] as ChainEntry
    const { inbound, outbound } = entry.handlers
    if (outbound === undefined || (entered === undefined && inbound !== undefined)) continue
    if (entry.mode === 'dryRun') {
      rehearseOutbound(entry, i, deps, ctx, response)
      continue
    }
    const started = isTimed ? deps.clock.monotonic() : 0
    const checks = response.bodyChecks?.length ?? 0
    let result: ReturnType<typeof outbound>
    try {
      result = outbound(ctx, response)
    } catch (error) {
      result = failed(entry, deps, ctx, error)
    }
    if (result instanceof Promise) {
      return result
        .catch((error: unknown) => failed(entry, deps, ctx, error))
        .then((reply) => {
          guardChecks(entry, deps, ctx, response, checks)
          if (isTimed) timed(entry, deps, ctx, 'outbound', started, reply as FilterReply | undefined)
          const next =
            reply === undefined ? current : replaceAnswer(entry, deps, ctx, response, reply as FilterReply)
          return outboundFrom(chain, deps, ctx, response, i - 1, next)
        })
    }
    guardChecks(entry, deps, ctx, response, checks)
    if (isTimed) timed(entry, deps, ctx, 'outbound', started, result as FilterReply | undefined)
    if (result !== undefined) current = replaceAnswer(entry, deps, ctx, response, result as FilterReply)
  }
  return current
}

/** What a filter says of a body counts and fails as what it says of the headers. */
function guardChecks(
  entry: ChainEntry,
  deps: ChainDeps,
  ctx: FilterContext,
  response: ResponseContext,
  from: number,
): void {
  const checks = response.bodyChecks
  if (checks === undefined) return
  for (let i = from; i < checks.length; i++) {
    const { maxBytes, judge } = checks[i] as BodyCheck
    checks[i] = {
      maxBytes,
      async judge(beginning, isWhole) {
        let reply: FilterReply | undefined
        try {
          reply = await judge(beginning, isWhole)
        } catch (error) {
          reply = failed(entry, deps, ctx, error)
        }
        return reply === undefined ? undefined : refused(entry, deps, ctx, reply)
      },
    }
  }
}

/** Puts the reply in the answer's place, so that the filters still to run edit what the client really gets. */
function replaceAnswer(
  entry: ChainEntry,
  deps: ChainDeps,
  ctx: FilterContext,
  response: ResponseContext,
  reply: FilterReply,
): FilterReply {
  refused(entry, deps, ctx, reply)
  const answer = renderReply(reply, ctx.requestId)
  response.status = answer.status
  response.isLocal = true
  for (const transform of response.transforms) transform.destroy()
  response.transforms.length = 0
  if (response.bodyChecks !== undefined) response.bodyChecks.length = 0
  for (const name of new Set(response.headers.names())) response.headers.delete(name)
  const raw = answer.headers.raw()
  for (let i = 0; i < raw.length; i += 2) response.headers.append(raw[i] as string, raw[i + 1] as string)
  return { ...reply, status: answer.status, body: answer.body }
}

/** Counted here, unless the reply is the runner's own for a filter that failed: that is counted already. */
function refused(entry: ChainEntry, deps: ChainDeps, ctx: FilterContext, reply: FilterReply): FilterReply {
  if (reply.code === 'GW_FILTER_FAILED') return reply
  ctx.attributes.set('refusedBy', entry.name)
  noteRefusal(entry, ctx, reply.reason ?? reply.detail)
  deps.onVerdict?.(entry.name, 'refused')
  return reply
}

function failed(
  entry: ChainEntry,
  deps: ChainDeps,
  ctx: FilterContext,
  error: unknown,
): FilterReply | undefined {
  const isOpen = entry.onError === 'open'
  ctx.trace?.failed(entry.name)
  deps.onVerdict?.(entry.name, isOpen ? 'error_open' : 'error_closed')
  const fields = { filter: entry.name, type: entry.type, requestId: ctx.requestId, err: errorText(error) }
  deps.log.warn(fields, isOpen ? 'filter failed, the request goes on' : 'filter failed, request refused')
  if (isOpen) return undefined
  ctx.attributes.set('filterError', entry.name)
  noteRefusal(entry, ctx, 'the filter failed; the log says why')
  return failedReply()
}

/** For the record of the request. */
function noteRefusal({ name, type }: ChainEntry, ctx: FilterContext, reason: string | undefined): void {
  ctx.attributes.set('refusal', { filter: name, type, ...(reason === undefined ? {} : { reason }) })
}
