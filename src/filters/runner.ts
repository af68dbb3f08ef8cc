import { hash } from 'node:crypto'
import { errorText, GatewayError } from '../core/errors.ts'
import type { FilterSpec, RouteSpec } from '../core/route.ts'
import type {
  FilterContext,
  FilterDefinition,
  FilterDeps,
  FilterHandlers,
  FilterReply,
  InboundResult,
  ResponseContext,
} from './filter.ts'

/** One in so many runs of a filter is timed. */
const SAMPLE = 16

/** How a run of a filter ended, other than well. */
export type FilterVerdict = 'refused' | 'error_open' | 'error_closed'

export interface ChainDeps extends FilterDeps {
  /** ms, sampled. */
  onTiming?(name: string, ms: number): void
  onVerdict?(name: string, verdict: FilterVerdict): void
}

interface Built {
  readonly handlers: FilterHandlers
  readonly definition: FilterDefinition
}

interface Step {
  readonly name: string
  /** Holds the shared filter alive as long as a chain uses it. */
  readonly built: Built
  readonly handlers: FilterHandlers
  readonly isOpen: boolean
}

/** The filters of one route, ready to run. */
export interface Chain {
  readonly names: readonly string[]
  /** Whole body wanted by some filter: at most so many bytes; 0 = none. */
  readonly needsBodyBytes: number
  readonly hasOutbound: boolean
  readonly steps: readonly Step[]
  readonly deps: ChainDeps
}

/** Builds chains; the same options share one filter, so that its counters outlive an edit elsewhere. */
export interface Chains {
  /** The chain of a route; built once for each spec. Throws GW_CONFIG_INVALID. */
  chainFor(spec: RouteSpec): Chain
  /** Throws GW_CONFIG_INVALID naming the filter's place and the option. */
  validate(spec: RouteSpec): void
}

function build(
  spec: FilterSpec,
  definitions: ReadonlyMap<string, FilterDefinition>,
  deps: FilterDeps,
): Built {
  const definition = definitions.get(spec.type)
  if (definition === undefined) {
    throw new GatewayError('GW_CONFIG_INVALID', `${spec.source}: unknown filter type "${spec.type}"`)
  }
  const options = definition.options.safeParse(spec.options)
  if (!options.success) {
    const issue = options.error.issues[0]
    const where = issue?.path.join('.') ?? ''
    throw new GatewayError(
      'GW_CONFIG_INVALID',
      `${spec.source}: filter "${spec.name}"${where === '' ? '' : ` (${where})`}: ${issue?.message ?? 'wrong options'}`,
    )
  }
  return { definition, handlers: definition.create(options.data, deps) }
}

/** Creates the chain factory over the list of filters. */
export function createChains(definitions: readonly FilterDefinition[], deps: ChainDeps): Chains {
  const byType = new Map(definitions.map((definition) => [definition.name, definition]))
  const chains = new WeakMap<RouteSpec, Chain>()
  // Weak: a filter goes when no chain that is still in a table holds it.
  const shared = new Map<string, WeakRef<Built>>()
  const gone = new FinalizationRegistry<string>((key) => {
    if (shared.get(key)?.deref() === undefined) shared.delete(key)
  })
  const empty: Chain = { names: [], needsBodyBytes: 0, hasOutbound: false, steps: [], deps }

  function filterOf(spec: FilterSpec): Built {
    const key = hash('sha1', JSON.stringify([spec.name, spec.type, spec.options]), 'base64url')
    let built = shared.get(key)?.deref()
    if (built === undefined) {
      built = build(spec, byType, deps)
      shared.set(key, new WeakRef(built))
      gone.register(built, key)
    }
    return built
  }

  function chainFor(spec: RouteSpec): Chain {
    const known = chains.get(spec)
    if (known !== undefined) return known
    if (spec.filters.length === 0) return empty
    const built = spec.filters.map(filterOf)
    const chain: Chain = {
      names: spec.filters.map((filter) => filter.name),
      needsBodyBytes: Math.max(0, ...built.map(({ definition }) => definition.needsBody?.maxBytes ?? 0)),
      hasOutbound: built.some(({ handlers }) => handlers.outbound !== undefined),
      steps: built.map((each, i) => ({
        name: (spec.filters[i] as FilterSpec).name,
        built: each,
        handlers: each.handlers,
        isOpen: ((spec.filters[i] as FilterSpec).onError ?? each.definition.onError ?? 'closed') === 'open',
      })),
      deps,
    }
    chains.set(spec, chain)
    return chain
  }
  return { chainFor, validate: (spec) => void chainFor(spec) }
}

const FAILED: FilterReply = { status: 500, code: 'GW_FILTER_FAILED' }

/** A filter that threw: closed unless it is declared open (a request must not pass unchecked). */
function onThrow(chain: Chain, step: Step, ctx: FilterContext, thrown: unknown): FilterReply | undefined {
  const { deps } = chain
  deps.onVerdict?.(step.name, step.isOpen ? 'error_open' : 'error_closed')
  const fields = { filter: step.name, requestId: ctx.requestId, route: ctx.decision.route.spec.name }
  deps.log.warn(
    fields,
    `filter failed (${step.isOpen ? 'open: goes on' : 'closed: refused'}): ${errorText(thrown)}`,
  )
  return step.isOpen ? undefined : FAILED
}

/**
 * Runs the inbound side in order. `undefined` = go on upstream. Synchronous until a filter returns a Promise.
 * `ctx.attributes.get('filters')` then holds how many filters ran.
 */
export function runInbound(chain: Chain, ctx: FilterContext): InboundResult {
  return chain.steps.length === 0 ? undefined : runFrom(chain, ctx, 0)
}

function runFrom(chain: Chain, ctx: FilterContext, first: number): InboundResult {
  const { steps, deps } = chain
  for (let i = first; i < steps.length; i++) {
    const step = steps[i] as Step
    if (step.handlers.inbound === undefined) continue
    const isTimed = deps.onTiming !== undefined && deps.random() * SAMPLE < 1
    const start = isTimed ? deps.clock.monotonic() : 0
    let reply: FilterReply | undefined
    try {
      const result = step.handlers.inbound(ctx)
      if (result instanceof Promise) return resume(chain, ctx, i, result, start)
      reply = result
    } catch (thrown) {
      reply = onThrow(chain, step, ctx, thrown)
    }
    if (isTimed) deps.onTiming?.(step.name, deps.clock.monotonic() - start)
    if (reply !== undefined) return refused(chain, ctx, i, reply)
  }
  return undefined
}

async function resume(
  chain: Chain,
  ctx: FilterContext,
  index: number,
  result: Promise<FilterReply | undefined>,
  start: number,
): Promise<FilterReply | undefined> {
  const step = chain.steps[index] as Step
  let reply: FilterReply | undefined
  try {
    reply = await result
  } catch (thrown) {
    reply = onThrow(chain, step, ctx, thrown)
  }
  if (start !== 0) chain.deps.onTiming?.(step.name, chain.deps.clock.monotonic() - start)
  return reply === undefined ? runFrom(chain, ctx, index + 1) : refused(chain, ctx, index, reply)
}

function refused(chain: Chain, ctx: FilterContext, index: number, reply: FilterReply): FilterReply {
  ctx.attributes.set('filters', index + 1)
  if (reply.code !== 'GW_FILTER_FAILED') chain.deps.onVerdict?.((chain.steps[index] as Step).name, 'refused')
  return reply
}

/**
 * Runs the outbound side in reverse, of the filters whose inbound side ran. Resolves to false when one failed
 * closed: then the answer must become a 500.
 */
export function runOutbound(
  chain: Chain,
  ctx: FilterContext,
  response: ResponseContext,
): boolean | Promise<boolean> {
  if (!chain.hasOutbound) return true
  const ran = ctx.attributes.get('filters')
  return outboundFrom(chain, ctx, response, (typeof ran === 'number' ? ran : chain.steps.length) - 1)
}

function outboundFrom(
  chain: Chain,
  ctx: FilterContext,
  response: ResponseContext,
  first: number,
): boolean | Promise<boolean> {
  for (let i = first; i >= 0; i--) {
    const step = chain.steps[i] as Step
    if (step.handlers.outbound === undefined) continue
    try {
      const result = step.handlers.outbound(ctx, response)
      if (result instanceof Promise) {
        return result.then(
          () => outboundFrom(chain, ctx, response, i - 1),
          (thrown) =>
            onThrow(chain, step, ctx, thrown) === undefined
              ? outboundFrom(chain, ctx, response, i - 1)
              : false,
        )
      }
    } catch (thrown) {
      if (onThrow(chain, step, ctx, thrown) !== undefined) return false
    }
  }
  return true
}
