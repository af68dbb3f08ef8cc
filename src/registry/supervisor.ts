import { backoffMs, type Clock, type Random, sleep } from '../core/duration.ts'
import { errorText } from '../core/errors.ts'
import type { ProviderStatus } from '../core/types.ts'
import type { RegistryProvider } from './provider.ts'
import type { Reducer } from './reducer.ts'

const RESTART_BASE_MS = 250
const RESTART_MAX_MS = 5000

export interface SupervisorDeps {
  readonly reducer: Reducer
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** Called once for each change of a registry's state. */
  onState?(registry: string, status: ProviderStatus): void
}

/** Keeps all providers running and knows how each is doing. */
export class Supervisor {
  readonly #providers: readonly RegistryProvider[]
  readonly #deps: SupervisorDeps
  readonly #statuses = new Map<string, ProviderStatus>()
  readonly #answered = new Set<string>()
  readonly #abort = new AbortController()
  readonly #running: Promise<void>[] = []
  #onAnswered: () => void = () => {}

  constructor(providers: readonly RegistryProvider[], deps: SupervisorDeps) {
    this.#providers = providers
    this.#deps = deps
    for (const { name } of providers) this.#statuses.set(name, { state: 'connecting' })
  }

  /** By registry. */
  statuses(): { readonly name: string; readonly status: ProviderStatus }[] {
    return [...this.#statuses].map(([name, status]) => ({ name, status }))
  }

  start(): void {
    for (const provider of this.#providers) this.#running.push(this.#keepRunning(provider))
  }

  /** True once each registry has given its first snapshot; false after `timeoutMs`. */
  async answered(timeoutMs: number): Promise<boolean> {
    const abort = new AbortController()
    const all = new Promise<void>((resolve) => {
      this.#onAnswered = () => {
        if (this.#answered.size === this.#providers.length) resolve()
      }
      this.#onAnswered()
    })
    await Promise.race([all, sleep(timeoutMs, AbortSignal.any([abort.signal, this.#abort.signal]))])
    abort.abort()
    return this.#answered.size === this.#providers.length
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await Promise.all(this.#running)
    this.#deps.reducer.close()
  }

  async #keepRunning(provider: RegistryProvider): Promise<void> {
    const { signal } = this.#abort
    const { log, clock, random, reducer } = this.#deps
    const { name } = provider
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await provider.watch(
          {
            next: (snapshot) => {
              failures = 1
              reducer.accept(name, snapshot)
              this.#answered.add(name)
              this.#onAnswered()
            },
            status: (status) => this.#note(name, status),
          },
          signal,
        )
        return
      } catch (thrown) {
        const message = errorText(thrown)
        const previous = this.#statuses.get(name)
        this.#note(name, {
          ...(previous?.lastSuccess === undefined ? {} : { lastSuccess: previous.lastSuccess }),
          state: 'failed',
          lastError: { at: clock.now(), code: 'GW_REGISTRY_ANSWER', message },
        })
        log.warn({ registry: name, error: message }, 'a registry provider failed and is started again')
        await sleep(backoffMs(failures, RESTART_BASE_MS, RESTART_MAX_MS, random), signal)
      }
    }
  }

  /** Logs each change of state once. */
  #note(name: string, status: ProviderStatus): void {
    const before = this.#statuses.get(name)
    this.#statuses.set(name, status)
    if (before?.state === status.state && before.lastError?.message === status.lastError?.message) return
    this.#deps.onState?.(name, status)
    const fields = { registry: name, state: status.state, error: status.lastError?.message }
    if (status.state === 'live') this.#deps.log.info(fields, 'registry answers')
    else if (status.state !== 'connecting')
      this.#deps.log.warn(fields, 'registry does not answer as it should')
  }
}
