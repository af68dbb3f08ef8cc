import { z } from 'zod'
import { errorText, GatewayError } from '../core/errors.ts'
import type { FilterSpec, RouteSpec } from '../core/route.ts'
import type { FilterDefinition, FilterDeps, FilterHandlers } from './filter.ts'

/** What the gateway wants to hear of the filters. Called on the request path: must be cheap and not throw. */
export interface FilterMonitor {
  /** Time of one inbound or outbound call, async parts included; ms. One request in 16 is measured. */
  onTiming?(name: string, ms: number): void
  onVerdict?(name: string, verdict: FilterVerdict): void
}

/** `refused`: replied itself. `error_open` / `error_closed`: it threw and the request went on / did not. */
export type FilterVerdict = 'refused' | 'error_open' | 'error_closed'

export interface ChainDeps extends FilterDeps, FilterMonitor {}

/** One filter at its place in a route. */
export interface ChainEntry {
  /** The name given in the configuration; for logs and metrics. */
  readonly name: string
  readonly type: string
  readonly onError: 'open' | 'closed'
  readonly handlers: FilterHandlers
}

/** The filters of a route in their order. Immutable but for the sampling counter. */
export interface Chain {
  readonly names: readonly string[]
  readonly entries: readonly ChainEntry[]
  /** The server buffers the body up to this size before inbound filters run. Bytes; 0 = no filter wants it. */
  readonly needsBodyBytes: number
  readonly hasInbound: boolean
  readonly hasOutbound: boolean
  readonly deps: ChainDeps | undefined
  /** Requests seen, for sampling. */
  ticks: number
}

/** Where chains come from. One for the life of the gateway. */
export interface Chains {
  /** Built once for each spec object. Throws what `validate` throws. */
  chainFor(spec: RouteSpec): Chain
  /** Throws `GW_CONFIG_INVALID` with source and path of every wrong option of the route's filters. */
  validate(spec: RouteSpec): void
}

/** The chain of every route without filters. */
export const EMPTY_CHAIN: Chain = Object.freeze({
  names: [],
  entries: [],
  needsBodyBytes: 0,
  hasInbound: false,
  hasOutbound: false,
  deps: undefined,
  ticks: 0,
})

/**
 * A filter instance is shared by all places of equal type and options, over tables: what it counts survives an
 * edit of the rest of the configuration. It is collected once no table in memory uses it any more.
 */
export function createChains(definitions: readonly FilterDefinition[], deps: ChainDeps): Chains {
  const byType = new Map(definitions.map((definition) => [definition.name, definition]))
  const chains = new WeakMap<RouteSpec, Chain>()
  const instances = new Map<string, WeakRef<FilterHandlers>>()
  const collected = new FinalizationRegistry<string>((key) => {
    if (instances.get(key)?.deref() === undefined) instances.delete(key)
  })

  function instanceOf(definition: FilterDefinition, spec: FilterSpec): FilterHandlers {
    const key = canonicalJson({ type: spec.type, options: spec.options })
    const existing = instances.get(key)?.deref()
    if (existing !== undefined) return existing
    const handlers = definition.create(checkOptions(definition, spec), deps)
    instances.set(key, new WeakRef(handlers))
    collected.register(handlers, key)
    return handlers
  }

  function entryOf(spec: FilterSpec): ChainEntry {
    const definition = byType.get(spec.type)
    if (definition === undefined) {
      const known = [...byType.keys()].join(', ')
      throw invalid(spec, [`type: no filter of type "${spec.type}"; there are: ${known}`])
    }
    const onError = spec.onError ?? definition.onError ?? 'closed'
    try {
      return { name: spec.name, type: spec.type, onError, handlers: instanceOf(definition, spec) }
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'GW_CONFIG_INVALID') throw error
      throw invalid(spec, [errorText(error)], error)
    }
  }

  function chainFor(spec: RouteSpec): Chain {
    if (spec.filters.length === 0) return EMPTY_CHAIN
    const existing = chains.get(spec)
    if (existing !== undefined) return existing
    const entries = collectEntries(spec, entryOf)
    const chain: Chain = {
      names: entries.map((entry) => entry.name),
      entries,
      needsBodyBytes: Math.max(0, ...entries.map(({ type }) => byType.get(type)?.needsBody?.maxBytes ?? 0)),
      hasInbound: entries.some(({ handlers }) => handlers.inbound !== undefined),
      hasOutbound: entries.some(({ handlers }) => handlers.outbound !== undefined),
      deps,
      ticks: 0,
    }
    chains.set(spec, chain)
    return chain
  }

  return { chainFor, validate: (spec) => void chainFor(spec) }
}

/** All problems of a route at once: an operator should not have to fix them one try at a time. */
function collectEntries(route: RouteSpec, entryOf: (spec: FilterSpec) => ChainEntry): ChainEntry[] {
  const entries: ChainEntry[] = []
  const problems: GatewayError[] = []
  for (const spec of route.filters) {
    try {
      entries.push(entryOf(spec))
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      problems.push(error)
    }
  }
  if (problems.length > 0) {
    const text = problems.map((problem) => problem.message).join('\n')
    throw new GatewayError('GW_CONFIG_INVALID', text, { cause: problems[0]?.cause })
  }
  return entries
}

function checkOptions(definition: FilterDefinition, spec: FilterSpec): unknown {
  const result = definition.options.safeParse(spec.options)
  if (result.success) return result.data
  throw invalid(
    spec,
    result.error.issues.map((issue) => `${z.core.toDotPath(['options', ...issue.path])}: ${issue.message}`),
  )
}

function invalid(spec: FilterSpec, problems: readonly string[], cause?: unknown): GatewayError {
  const name = spec.name === spec.type ? `filter ${spec.type}` : `filter ${spec.name} (${spec.type})`
  const text = problems.map((problem) => `${spec.source}: ${name}: ${problem}`).join('\n')
  return new GatewayError('GW_CONFIG_INVALID', text, cause === undefined ? {} : { cause })
}

/** JSON with sorted keys: equal for equal values, whatever order they were written in. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (part === null || typeof part !== 'object' || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  })
}
