import { backoffMs, type Clock, type Random, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { ProviderStatus, Snapshot } from '../core/types.ts'
import { ZooKeeperClient } from '../zookeeper/client.ts'
import { CURATOR_BASE } from '../zookeeper/own-records.ts'
import { createAddressRule } from './consul-address.ts'
import { createNameFilter } from './consul-mapping.ts'
import type { RegistryProvider, RegistrySink } from './provider.ts'
import { curatorLayout, dubboApplicationLayout } from './zookeeper-curator.ts'
import { dubboLayout } from './zookeeper-dubbo.ts'
import type { DubboProtocol, Layout, LayoutName, LayoutOptions } from './zookeeper-layout.ts'
import { readTls, type ZooKeeperTlsFiles } from './zookeeper-tls.ts'
import { ZooKeeperTree } from './zookeeper-tree.ts'

/** A registry of type zookeeper, as the configuration has it. Times: ms. */
export interface ZooKeeperRegistryOptions {
  /** `host:port`. */
  readonly servers: readonly string[]
  readonly layout: LayoutName
  /** Node above the services; undefined = that of the layout. */
  readonly base?: string | undefined
  /** `user:password`. */
  readonly auth?: string | undefined
  readonly sessionTimeout: number
  /** How often everything is read although no watch fired. */
  readonly sweepInterval: number
  readonly protocols: readonly DubboProtocol[]
  /** Globs with `*`; empty = all. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Addresses or CIDRs. */
  readonly forbidAddresses: readonly string[]
  readonly tls?: ZooKeeperTlsFiles | undefined
}

export interface ZooKeeperDeps {
  readonly clock: Clock
  readonly random: Random
}

const LAYOUTS: Readonly<
  Record<LayoutName, { readonly base: string; readonly create: (options: LayoutOptions) => Layout }>
> = {
  curator: { base: CURATOR_BASE, create: curatorLayout },
  dubbo: { base: '/dubbo', create: dubboLayout },
  'dubbo-application': { base: CURATOR_BASE, create: dubboApplicationLayout },
}

/** After a read that failed although the connection stands. ms. */
const RETRY_BASE_MS = 500
const RETRY_MAX_MS = 5000
const MAX_PROBLEMS = 100

/**
 * Reads services below a node of ZooKeeper and watches them. What was read stays through every failure. `watch` rejects
 * with GW_REGISTRY_FILE when a PEM file cannot be read; everything else is retried inside.
 */
export function createZooKeeperProvider(
  name: string,
  options: ZooKeeperRegistryOptions,
  deps: ZooKeeperDeps,
): RegistryProvider {
  return {
    name,
    async watch(sink, signal) {
      const run = new ProviderRun(name, options, deps, sink, signal)
      await run.toTheEnd()
    },
  }
}

/** One life of the provider. */
class ProviderRun {
  readonly #options: ZooKeeperRegistryOptions
  readonly #deps: ZooKeeperDeps
  readonly #sink: RegistrySink
  readonly #signal: AbortSignal
  readonly #client: ZooKeeperClient
  readonly #tree: ZooKeeperTree
  #pending: NodeJS.Immediate | undefined
  #last: Snapshot | undefined
  #epoch = 0
  #lastSuccess: number | undefined
  /** Of the connection; undefined while there is one. */
  #failure: GatewayError | undefined
  #lastError: ProviderStatus['lastError']
  #wake = new AbortController()

  constructor(
    name: string,
    options: ZooKeeperRegistryOptions,
    deps: ZooKeeperDeps,
    sink: RegistrySink,
    signal: AbortSignal,
  ) {
    this.#options = options
    this.#deps = deps
    this.#sink = sink
    this.#signal = signal
    const { servers, sessionTimeout, auth, tls } = options
    this.#client = new ZooKeeperClient(
      { servers, sessionTimeoutMs: sessionTimeout, auth, tls: tls === undefined ? undefined : readTls(tls) },
      {
        onConnected: () => this.#connected(),
        onFailure: (error) => this.#failed(error),
        onWatch: (event) => this.#tree.onWatch(event),
      },
      deps.random,
    )
    const layout = LAYOUTS[options.layout]
    this.#tree = new ZooKeeperTree({
      client: this.#client,
      layout: layout.create({
        registry: name,
        addressRule: createAddressRule(options.forbidAddresses),
        protocols: options.protocols,
      }),
      base: options.base ?? layout.base,
      isWanted: createNameFilter(options.include, options.exclude),
      onChange: () => this.#soon(),
    })
  }

  async toTheEnd(): Promise<void> {
    this.#sink.status({ state: 'connecting' })
    this.#client.start()
    try {
      for (let failures = 0; !this.#signal.aborted; ) {
        const every = this.#options.sweepInterval * (0.9 + 0.2 * this.#deps.random())
        const wait =
          failures === 0
            ? every
            : Math.min(every, backoffMs(failures, RETRY_BASE_MS, RETRY_MAX_MS, this.#deps.random))
        this.#wake = new AbortController()
        await sleep(wait, AbortSignal.any([this.#signal, this.#wake.signal]))
        if (this.#client.isConnected && !this.#wake.signal.aborted) await this.#tree.sweep()
        failures = this.#tree.error() === undefined ? 0 : failures + 1
      }
    } finally {
      this.#tree.close()
      await this.#client.close()
    }
  }

  #connected(): void {
    this.#failure = undefined
    this.#epoch++
    void this.#tree.readAll().then(() => {
      // With an error the next sweep must not wait for a whole interval.
      if (this.#tree.error() !== undefined) this.#wake.abort()
    })
  }

  #failed(error: GatewayError): void {
    this.#failure = error
    this.#soon()
  }

  /** Publishes once what happens in one turn of the event loop. */
  #soon(): void {
    this.#pending ??= setImmediate(() => {
      this.#pending = undefined
      if (this.#signal.aborted) return
      const error = this.#failure ?? this.#tree.error()
      if (error === undefined && this.#tree.isLoaded) this.#lastSuccess = this.#deps.clock.now()
      this.#publish()
      this.#tellStatus(error)
    })
  }

  #publish(): void {
    // Nothing was ever read as a whole: a part would say that the rest is gone.
    if (!this.#tree.isLoaded) return
    const services = this.#tree.services()
    const failed = this.#tree.failed()
    const problems = this.#tree.problems()
    if (problems.length > MAX_PROBLEMS) {
      problems.splice(MAX_PROBLEMS, problems.length, `… and ${problems.length - MAX_PROBLEMS} more`)
    }
    const revision = `0x${this.#client.lastZxid.toString(16)}`
    const next: Snapshot = { services, failed, problems, revision, epoch: this.#epoch }
    if (this.#last !== undefined && isSame(this.#last, next)) return
    this.#last = next
    this.#sink.next(next)
  }

  #tellStatus(error: Error | undefined): void {
    const hasSnapshot = this.#last !== undefined
    let state: ProviderStatus['state'] = hasSnapshot ? 'stale' : 'failed'
    const message = error === undefined ? undefined : errorText(error)
    if (message === undefined) {
      state = hasSnapshot ? 'live' : 'connecting'
      this.#lastError = undefined
    } else if (this.#lastError?.message !== message) {
      const code = error instanceof GatewayError ? error.code : 'GW_REGISTRY_ANSWER'
      this.#lastError = { at: this.#deps.clock.now(), code, message }
    }
    this.#sink.status({
      state,
      ...(this.#lastSuccess === undefined ? {} : { lastSuccess: this.#lastSuccess }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    })
  }
}

function isSame(a: Snapshot, b: Snapshot): boolean {
  return (
    a.epoch === b.epoch &&
    a.services.size === b.services.size &&
    a.failed.size === b.failed.size &&
    a.problems.length === b.problems.length &&
    [...b.services].every(([name, service]) => a.services.get(name) === service) &&
    [...b.failed].every((name) => a.failed.has(name)) &&
    b.problems.every((problem, i) => a.problems[i] === problem)
  )
}
