import type { ProviderStatus, Snapshot } from '../core/types.ts'

/** Where a provider puts what it learns. Both calls are cheap and synchronous for the provider. */
export interface RegistrySink {
  /** A whole snapshot; the first as soon as there is one. Services that did not change keep their object. */
  next(snapshot: Snapshot): void
  status(status: ProviderStatus): void
}

/** A source of instances. The guards (last known good, empty, mass loss) are not its job: the reducer has them. */
export interface RegistryProvider {
  /** The registry's name in the configuration. */
  readonly name: string
  /**
   * Feeds the sink until the signal aborts, then resolves. A lost registry is retried inside, with capped and
   * jittered back-off, for ever; it rejects only for what cannot get better (then the supervisor restarts it).
   */
  watch(sink: RegistrySink, signal: AbortSignal): Promise<void>
}
