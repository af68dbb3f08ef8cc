import { errorText } from '../core/errors.ts'
import type { ChainDeps, ChainEntry } from './chain.ts'
import type { FilterContext, FilterReply, ResponseContext } from './filter.ts'

/** Lets a filter say what it would do: on a copy of the request, which goes on at once. */
export function rehearseInbound(entry: ChainEntry, place: number, deps: ChainDeps, ctx: FilterContext): void {
  const shadow = shadowOf(ctx)
  ctx.trace?.ran(entry.name, 'inbound', 0, undefined)
  ctx.shadows ??= new Map()
  ctx.shadows.set(place, shadow)
  try {
    settle(entry, deps, ctx, entry.handlers.inbound?.(shadow))
  } catch (error) {
    failedToSay(entry, deps, ctx, error)
  }
}

/** The same with a copy of the answer. */
export function rehearseOutbound(
  entry: ChainEntry,
  place: number,
  deps: ChainDeps,
  ctx: FilterContext,
  response: ResponseContext,
): void {
  const copy = { ...response, headers: response.headers.clone(), transforms: [], bodyChecks: [] }
  const shadow = ctx.shadows?.get(place) ?? shadowOf(ctx)
  shadow.response = copy
  try {
    settle(entry, deps, ctx, entry.handlers.outbound?.(shadow, copy), () => drop(copy))
  } catch (error) {
    drop(copy)
    failedToSay(entry, deps, ctx, error)
  }
}

function drop(response: ResponseContext): void {
  for (const transform of response.transforms) transform.destroy()
}

/** Later dry runs see who an earlier one found. */
function shadowOf(ctx: FilterContext): FilterContext {
  let { principal } = ctx
  for (const shadow of ctx.shadows?.values() ?? []) principal ??= shadow.principal
  const copy = { ...ctx, headers: ctx.headers.clone(), attributes: new Map(ctx.attributes), principal }
  delete copy.shadows
  return copy
}

function settle(
  entry: ChainEntry,
  deps: ChainDeps,
  ctx: FilterContext,
  result: FilterReply | undefined | Promise<FilterReply | undefined>,
  after: () => void = () => {},
): void {
  if (!(result instanceof Promise)) {
    if (result !== undefined) note(entry, deps, ctx, result)
    after()
    return
  }
  result.then(
    (reply) => {
      if (reply !== undefined) note(entry, deps, ctx, reply)
      after()
    },
    (error: unknown) => {
      failedToSay(entry, deps, ctx, error)
      after()
    },
  )
}

function note(entry: ChainEntry, deps: ChainDeps, ctx: FilterContext, reply: FilterReply): void {
  deps.onVerdict?.(entry.name, 'would_refuse')
  ctx.trace?.ran(entry.name, 'inbound', 0, reply)
  // The access log has it, unless that line is written already.
  if (ctx.isOver) {
    const fields = { filter: entry.name, requestId: ctx.requestId, status: reply.status, code: reply.code }
    deps.log.info(fields, 'dry run: would have refused')
    return
  }
  const names = (ctx.attributes.get('wouldRefuse') ?? []) as string[]
  ctx.attributes.set('wouldRefuse', [...names, entry.name])
}

function failedToSay(entry: ChainEntry, deps: ChainDeps, ctx: FilterContext, error: unknown): void {
  const fields = { filter: entry.name, type: entry.type, requestId: ctx.requestId, err: errorText(error) }
  deps.log.warn(fields, 'filter failed in its dry run')
  if (entry.onError === 'closed') note(entry, deps, ctx, { status: 500, code: 'GW_FILTER_FAILED' })
  else deps.onVerdict?.(entry.name, 'error_open')
}
