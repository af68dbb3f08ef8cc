import { errorText, GatewayError } from '../core/errors.ts'
import type { FilterSpec, RouteSpec } from '../core/route.ts'
import type { FilterDefinition, FilterHandlers } from './filter.ts'
import { type FilterEnvironment, type FilterInstance, FilterInstances, invalidFilter } from './instances.ts'

/** What the gateway wants to hear of the filters. Called on the request path: must be cheap and not throw. */
export interface FilterMonitor {
  /** Time of one inbound or outbound call, async parts included; ms. One request in 16 is measured. */
  onTiming?(name: string, ms: number): void
  onVerdict?(name: string, verdict: FilterVerdict): void
}

/**
 * `refused`: replied itself. `error_open` / `error_closed`: it threw and the request went on / did not.
 * `would_refuse`: in a dry run, replied or failed closed.
 */
export type FilterVerdict = 'refused' | 'error_open' | 'error_closed' | 'would_refuse'

export interface ChainDeps extends FilterEnvironment, FilterMonitor {}

/** One filter at its place in a route. */
export interface ChainEntry {
  /** The name given in the configuration; for logs and metrics. */
  readonly name: string
  readonly type: string
  readonly onError: 'open' | 'closed'
  /** `dryRun`: works on a copy of the request, its verdict is only counted. */
  readonly mode: 'enforce' | 'dryRun'
  readonly handlers: FilterHandlers
}

/** The filters of a route in their order. Immutable but for the sampling counter. */
export interface Chain {
  readonly names: readonly string[]
  readonly entries: readonly ChainEntry[]
  /** A filter looks at the body. */
  readonly needsBody: boolean
  readonly hasInbound: boolean
  readonly hasOutbound: boolean
  /** A filter wants to know how requests end. */
  readonly hasDone: boolean
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
  /**
   * The same, and waits until the filters can do their work. Undefined = nothing to wait for. Rejects with
   * `GW_CONFIG_INVALID`.
   */
  prepare(spec: RouteSpec): Promise<void> | undefined
  /** Request headers that only filters may set; lower case. */
  readonly ownedHeaders: ReadonlySet<string>
  /** Closes filters that these routes, those in force, have not used for a while. To be called now and then. */
  sweep(routes: Iterable<RouteSpec>): void
  /** Ends what filters have running. */
  close(): void
}

/** The chain of every route without filters. */
export const EMPTY_CHAIN: Chain = Object.freeze({
  names: [],
  entries: [],
  needsBody: false,
  hasInbound: false,
  hasOutbound: false,
  hasDone: false,
  deps: undefined,
  ticks: 0,
})

interface Built {
  readonly chain: Chain
  readonly instances: readonly FilterInstance[]
}

/** Chains over one set of filter instances; see `FilterInstances`. */
export function createChains(definitions: readonly FilterDefinition[], deps: ChainDeps): Chains {
  const byType = new Map(definitions.map((definition) => [definition.name, definition]))
  const instances = new FilterInstances(deps)
  const built = new WeakMap<RouteSpec, Built>()

  function entryOf(spec: FilterSpec): { entry: ChainEntry; instance: FilterInstance } {
    const { name, type, mode = 'enforce' } = spec
    const definition = byType.get(type)
    if (definition === undefined) {
      const known = [...byType.keys()].join(', ')
      throw invalidFilter(spec, [`type: no filter of type "${type}"; there are: ${known}`])
    }
    const onError = spec.onError ?? definition.onError ?? 'closed'
    try {
      const instance = instances.get(definition, spec)
      return { entry: { name, type, onError, mode, handlers: instance.handlers }, instance }
    } catch (error) {
      throw isAboutFilter(error, spec) ? error : invalidFilter(spec, [errorText(error)], error)
    }
  }

  function build(spec: RouteSpec): Built {
    const parts = collectProblems(spec.filters, entryOf)
    const entries = parts.map(({ entry }) => entry)
    const has = (handler: keyof FilterHandlers) =>
      entries.some(({ handlers }) => handlers[handler] !== undefined)
    const chain: Chain = {
      names: entries.map(({ name }) => name),
      entries,
      needsBody: has('needsBody'),
      hasInbound: has('inbound'),
      hasOutbound: has('outbound'),
      hasDone: has('done'),
      deps,
      ticks: 0,
    }
    const result = { chain, instances: parts.map(({ instance }) => instance) }
    built.set(spec, result)
    return result
  }

  /** A route that comes back after a while may find its filters closed. */
  function current(spec: RouteSpec): Built {
    const existing = built.get(spec)
    if (existing === undefined || existing.instances.some(({ isClosed }) => isClosed)) return build(spec)
    return existing
  }

  async function prepareAll(spec: RouteSpec, pending: readonly (Promise<void> | undefined)[]): Promise<void> {
    const results = await Promise.allSettled(pending)
    const problems: GatewayError[] = []
    results.forEach((result, index) => {
      if (result.status === 'fulfilled') return
      const filter = spec.filters[index] as FilterSpec
      problems.push(invalidFilter(filter, errorText(result.reason).split('\n'), result.reason))
    })
    throwAll(problems)
  }

  return {
    chainFor: (spec) =>
      spec.filters.length === 0 ? EMPTY_CHAIN : (built.get(spec)?.chain ?? build(spec).chain),
    validate(spec) {
      if (spec.filters.length > 0) current(spec)
    },
    prepare(spec) {
      if (spec.filters.length === 0) return undefined
      const pending = current(spec).instances.map((instance) => instances.prepare(instance))
      return pending.every((each) => each === undefined) ? undefined : prepareAll(spec, pending)
    },
    get ownedHeaders() {
      return instances.ownedHeaders
    },
    sweep(routes) {
      const inUse = new Set<FilterInstance>()
      for (const spec of routes) for (const instance of built.get(spec)?.instances ?? []) inUse.add(instance)
      instances.sweep(inUse)
    },
    close: () => instances.close(),
  }
}

/** Says already where it is. */
function isAboutFilter(error: unknown, spec: FilterSpec): boolean {
  return (
    error instanceof GatewayError &&
    error.code === 'GW_CONFIG_INVALID' &&
    error.message.startsWith(`${spec.source}: `)
  )
}

/** All problems at once: an operator should not have to fix them one try at a time. */
function collectProblems<T>(specs: readonly FilterSpec[], make: (spec: FilterSpec) => T): T[] {
  const made: T[] = []
  const problems: GatewayError[] = []
  for (const spec of specs) {
    try {
      made.push(make(spec))
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      problems.push(error)
    }
  }
  throwAll(problems)
  return made
}

function throwAll(problems: readonly GatewayError[]): void {
  if (problems.length === 0) return
  const text = problems.map((problem) => problem.message).join('\n')
  throw new GatewayError('GW_CONFIG_INVALID', text, { cause: problems[0]?.cause })
}
