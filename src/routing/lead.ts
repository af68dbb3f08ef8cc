import type { RegistryFailover } from '../core/route.ts'
import type { Instance } from '../core/types.ts'

/** Which of several registries a service is taken from. */
export interface Lead {
  readonly registry: string
  /** An earlier one that has usable instances again, and since when. ms since the epoch. */
  readonly returning?: { readonly registry: string; readonly since: number }
  /** The returning one takes the lead then. ms since the epoch. */
  readonly dueAt?: number
}

/** Name of the registry that an instance comes from. */
export const registryOf = ({ key }: Instance): string => key.slice(0, key.indexOf('/'))

/**
 * The lead goes at once to the first registry with a usable instance when the one that has it has none left; back to an
 * earlier one only after that was usable for `returnAfterMs` without a break. With nobody anywhere it stays where it is.
 * Pure; `before`: what it said last.
 */
export function chooseLead(
  { order, returnAfterMs }: RegistryFailover,
  usable: ReadonlySet<string>,
  before: Lead | undefined,
  now: number,
): Lead {
  const first = order.find((registry) => usable.has(registry))
  const current = before !== undefined && order.includes(before.registry) ? before.registry : undefined
  if (first === undefined) return { registry: current ?? (order[0] as string) }
  if (current === undefined || !usable.has(current)) return { registry: first }
  if (order.indexOf(first) >= order.indexOf(current)) return { registry: current }
  const since = before?.returning?.registry === first ? before.returning.since : now
  const dueAt = since + returnAfterMs
  if (now >= dueAt) return { registry: first }
  return { registry: current, returning: { registry: first, since }, dueAt }
}

/**
 * Instances in the order in which they are to be used: those of the lead before those of the other registries, within a
 * registry the lower priority first. Only the first of the lists is used while somebody in it is in rotation.
 */
export function tiersOf(
  usable: readonly Instance[],
  order: readonly string[] | undefined,
  lead: Lead | undefined,
): Instance[][] {
  const tiers = new Map<number, Instance[]>()
  for (const instance of usable) {
    const registry = registryOf(instance)
    const place = lead === undefined || registry === lead.registry ? 0 : 1 + (order?.indexOf(registry) ?? 0)
    // More priorities than this in one registry are one.
    const rank = place * 1000 + Math.min(999, instance.priority ?? 0)
    const tier = tiers.get(rank)
    if (tier === undefined) tiers.set(rank, [instance])
    else tier.push(instance)
  }
  return [...tiers].sort(([a], [b]) => a - b).map(([, tier]) => tier)
}
