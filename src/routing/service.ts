import type { ServicePolicy } from '../core/route.ts'
import type { Instance, ServiceState } from '../core/types.ts'
import type { Lead } from './lead.ts'

/** A service of the table: how to talk to it and to whom. Same object while nothing of it changed. */
export interface Service {
  readonly name: string
  readonly policy: ServicePolicy
  /** Everything known, for tools. */
  readonly instances: readonly Instance[]
  /** What may be picked: passing, warning, unknown; live before held. */
  readonly eligible: readonly Instance[]
  /** Used only when no eligible one is left to try: first those of `standby`, then held by a guard, or draining. */
  readonly reserve: readonly Instance[]
  /** Usable ones of other registries or with a worse priority: the first list is used before the second. */
  readonly standby: readonly (readonly Instance[])[]
  /** With a failover between registries: which of them is used. */
  readonly lead?: Lead
  /** Hash of everything that has an effect on where requests go. */
  readonly contentId: string
  readonly source: ServiceState['source'] | 'static' | 'absent'
  readonly reason?: string
}
