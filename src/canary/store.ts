import type { ReleaseState } from './release.ts'
import type { Tallies } from './tally.ts'

/** A state as the store has it. */
export interface StoredRelease {
  readonly state: ReleaseState
  /** For `save`; 0 = the store has none. */
  readonly revision: number
}

/** Where the states of releases are kept, and who decides. Calls reject when the store cannot be reached. */
export interface ReleaseStore {
  /** Tells of all states, at once and after each change, until the signal aborts. Never rejects. */
  watch(onStates: (states: ReadonlyMap<string, ReleaseState>) => void, signal: AbortSignal): Promise<void>
  /** The newest states by rule. */
  load(): Promise<ReadonlyMap<string, StoredRelease>>
  /** False: somebody else wrote since `revision` was read. */
  save(state: ReleaseState, revision: number): Promise<boolean>
  /** Of all gateways exactly one gets true. To be asked before each decision. */
  mayDecide(): Promise<boolean>
  /** What this gateway counted; gone soon after the gateway is. */
  publish(tallies: Tallies): Promise<void>
  /** What all gateways counted. */
  collect(): Promise<readonly Tallies[]>
  /** Nothing is kept by this process any more. */
  close(): Promise<void>
}

/** The same store for a process that serves no clients: it follows, a person may act through it, it never decides. */
export function followingOnly(store: ReleaseStore): ReleaseStore {
  return {
    watch: (onStates, signal) => store.watch(onStates, signal),
    load: () => store.load(),
    save: (state, revision) => store.save(state, revision),
    mayDecide: async () => false,
    publish: async () => {},
    collect: () => store.collect(),
    close: () => store.close(),
  }
}

/** For a gateway alone: in memory, so a restart begins anew. */
export class LocalReleaseStore implements ReleaseStore {
  readonly #states = new Map<string, StoredRelease>()
  #tallies: Tallies | undefined
  #tell: () => void = () => {}

  async watch(
    onStates: (states: ReadonlyMap<string, ReleaseState>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.#tell = () => onStates(new Map([...this.#states].map(([rule, { state }]) => [rule, state])))
    this.#tell()
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
  }

  async load(): Promise<ReadonlyMap<string, StoredRelease>> {
    return new Map(this.#states)
  }

  async save(state: ReleaseState, revision: number): Promise<boolean> {
    if ((this.#states.get(state.rule)?.revision ?? 0) !== revision) return false
    this.#states.set(state.rule, { state, revision: revision + 1 })
    this.#tell()
    return true
  }

  async mayDecide(): Promise<boolean> {
    return true
  }

  async publish(tallies: Tallies): Promise<void> {
    this.#tallies = tallies
  }

  async collect(): Promise<readonly Tallies[]> {
    return this.#tallies === undefined ? [] : [this.#tallies]
  }

  async close(): Promise<void> {}
}
