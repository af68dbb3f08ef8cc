import type { ReleaseState } from './canary/release.ts'
import type { ReleaseStore, StoredRelease } from './canary/store.ts'
import type { Tallies } from './canary/tally.ts'
import type { ConsulKv, KvEntry } from './registry/consul-kv.ts'

const STATES = 'canary/'
const COUNTS = 'canary-counts/'
const LOCK = 'canary-lock'

export interface KvStoreDeps {
  readonly log: { warn(fields: object, text: string): void }
  /** Of this gateway, for people. */
  readonly name: string
  /** It holds nothing there: no session is made, so that its token needs no right to make one. */
  readonly isFollower: boolean
}

/** Releases in Consul's key-value store: the holder of a session lock decides. */
export class KvReleaseStore implements ReleaseStore {
  readonly #kv: ConsulKv
  readonly #deps: KvStoreDeps
  readonly #abort = new AbortController()
  readonly #session: Promise<void>

  constructor(kv: ConsulKv, deps: KvStoreDeps) {
    this.#kv = kv
    this.#deps = deps
    this.#session = deps.isFollower
      ? Promise.resolve()
      : kv.keepSession(`sluice ${deps.name}`, this.#abort.signal)
  }

  async watch(
    onStates: (states: ReadonlyMap<string, ReleaseState>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#kv.watch(
      STATES,
      (entries) => onStates(new Map([...this.#parse(entries)].map(([rule, { state }]) => [rule, state]))),
      (err) => this.#deps.log.warn({ err }, 'releases cannot be followed'),
      signal,
    )
  }

  async load(): Promise<ReadonlyMap<string, StoredRelease>> {
    return this.#parse(await this.#kv.list(STATES))
  }

  #parse(entries: readonly KvEntry[]): Map<string, StoredRelease> {
    const states = new Map<string, StoredRelease>()
    for (const { key, value, index } of entries) {
      const state = parseJson<ReleaseState>(value)
      // One that is not readable must not hide the others.
      if (typeof state?.rule !== 'string' || typeof state.percent !== 'number') {
        this.#deps.log.warn({ key }, 'the state of a release is not readable: delete the key')
        continue
      }
      states.set(state.rule, { state, revision: index })
    }
    return states
  }

  save(state: ReleaseState, revision: number): Promise<boolean> {
    return this.#kv.write(STATES + encodeURIComponent(state.rule), JSON.stringify(state), revision)
  }

  mayDecide(): Promise<boolean> {
    return this.#kv.hold(LOCK, this.#deps.name)
  }

  async publish(tallies: Tallies): Promise<void> {
    await this.#kv.hold(COUNTS + tallies.run, JSON.stringify(tallies))
  }

  async collect(): Promise<readonly Tallies[]> {
    const found = await this.#kv.list(COUNTS)
    return found.flatMap(({ value }) => {
      const tallies = parseJson<Tallies>(value)
      return typeof tallies?.run === 'string' &&
        typeof tallies.startedAt === 'number' &&
        typeof tallies.rules === 'object'
        ? [tallies]
        : []
    })
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await this.#session
    await this.#kv.close()
  }
}

function parseJson<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T
  } catch {
    return undefined
  }
}
