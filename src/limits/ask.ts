import type { Decision, Limit } from './limit.ts'

/** One limit asked for one request. */
export interface Ask {
  /** Of the rule, for headers. */
  readonly name: string
  /** Counter: names of filter and rule, and `tag`. */
  readonly key: string
  /** Who is counted; keys of equal tags are on one node of a cluster. */
  readonly tag: string
  readonly limit: Limit
  /** This gateway's share of it, while the store is down. */
  readonly local: Limit
  readonly cost: number
  /** Let in by this gateway while the store was down, and not counted there yet. Default 0. */
  readonly late?: number
}

/** One for each ask, in their order. Either all of them counted the request, or none. */
export type Decisions = readonly Decision[]

export const areAllowed = (decisions: Decisions): boolean => decisions.every(({ isAllowed }) => isAllowed)
