import type { Instance } from '../core/types.ts'
import { DRAIN_MARK } from './drain-mark.ts'

/** Whether a registry was told, in words for the operator. */
export interface Telling {
  readonly isTold: boolean
  readonly detail: string
}

/** Writes the drain mark of an instance into its registry, or takes it out. Never rejects. */
export interface DrainTeller {
  /** `reason` undefined = the mark is taken out. */
  tell(instance: Instance, reason: string | undefined): Promise<Telling>
}

/** The reason of the maintenance: readers know by its first word that the instance goes away. */
export function drainReason(reason: string): string {
  return reason === '' ? DRAIN_MARK : `${DRAIN_MARK}: ${reason}`
}
