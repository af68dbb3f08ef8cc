/**
 * How the drain contract writes "going away" into a registry of Consul's kind: maintenance with a reason that begins
 * with this word. Readers that know nothing of it see maintenance, and leave the instance alone, too.
 */
export const DRAIN_MARK = 'draining'

/** Whether maintenance with this reason means that the instance is going away. */
export function isDrainReason(reason: string): boolean {
  return /^draining\b/.test(reason)
}
