import type { Replay, ReplayedRequest } from '../core/replay.ts'
import type { RouteSpec } from '../core/route.ts'
import type { FilterHandlers } from './filter.ts'
import type { Chains } from './runner.ts'

type ChainsView = Pick<Chains, 'chainFor'>

/**
 * What filters would have done with recorded requests; one for each table, asked in order of time. Filters that cannot
 * be replayed let everything pass.
 */
export class FilterReplays {
  readonly #chains: ChainsView
  readonly #replays = new Map<FilterHandlers, Replay>()

  constructor(chains: ChainsView) {
    this.#chains = chains
  }

  /** Name of the first filter that refuses; undefined = none. */
  refusedBy(spec: RouteSpec, request: ReplayedRequest): string | undefined {
    for (const { name, mode, handlers } of this.#chains.chainFor(spec).entries) {
      if (mode === 'enforce' && this.#replayOf(handlers)?.(request) === true) return name
    }
    return undefined
  }

  #replayOf(handlers: FilterHandlers): Replay | undefined {
    let replay = this.#replays.get(handlers)
    if (replay === undefined && handlers.replay !== undefined) {
      replay = handlers.replay()
      this.#replays.set(handlers, replay)
    }
    return replay
  }
}

/** Filters of a route that may refuse requests and cannot be replayed, by name. */
export function unreplayable(chains: ChainsView, spec: RouteSpec): string[] {
  if (spec.filters.length === 0) return []
  return chains
    .chainFor(spec)
    .entries.filter(({ handlers }) => handlers.inbound !== undefined && handlers.replay === undefined)
    .map(({ name }) => name)
}
