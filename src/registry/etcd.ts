import type { Clock, Random } from '../core/duration.ts'
import type { GatewayError } from '../core/errors.ts'
import type { ProviderStatus, Snapshot } from '../core/types.ts'
import { EtcdClient, type EtcdConnection } from '../etcd/client.ts'
import { followPrefix } from '../etcd/follow.ts'
import { OWN_PREFIX, trimPrefix } from '../etcd/own-keys.ts'
import { createAddressRule } from './consul-address.ts'
import { createNameFilter } from './consul-mapping.ts'
import { type EtcdLayout, goMicroLayout, ownLayout } from './etcd-layout.ts'
import { type LayoutTemplate, templateLayout } from './etcd-template.ts'
import { EtcdWorld } from './etcd-world.ts'
import type { RegistryProvider, RegistrySink } from './provider.ts'

/** A registry of type etcd, as the configuration has it. Times: ms. */
export interface EtcdOptions extends EtcdConnection {
  readonly layout: 'sluice' | 'go-micro' | LayoutTemplate
  /** Of the keys; undefined = that of the layout. Means nothing for a template. */
  readonly prefix?: string | undefined
  /** How often a read checks that the watch still tells everything. */
  readonly probeInterval: number
  /** Globs with `*`; empty = all. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Addresses or CIDRs. */
  readonly forbidAddresses: readonly string[]
}

export interface EtcdDeps {
  readonly clock: Clock
  readonly random: Random
}

const GO_MICRO_PREFIX = '/micro/registry'

/** The layout that the options name. Throws GW_CONFIG_INVALID for a template that cannot be read. */
function layoutOf(registry: string, { layout, prefix }: EtcdOptions): EtcdLayout {
  if (layout === 'sluice') return ownLayout(registry, ownPrefix(prefix))
  if (layout === 'go-micro') return goMicroLayout(registry, trimPrefix(prefix ?? GO_MICRO_PREFIX))
  return templateLayout(registry, layout)
}

/** The prefix of the own layout as the configuration has it, without a slash at its end. */
export const ownPrefix = (prefix: string | undefined): string => trimPrefix(prefix ?? OWN_PREFIX)

/**
 * Reads the instances below a prefix of etcd: a list, then a watch. What was read stays through every failure; a
 * record that is malformed is left out alone. `watch` rejects with GW_REGISTRY_FILE when a PEM file cannot be read.
 */
export function createEtcdProvider(name: string, options: EtcdOptions, deps: EtcdDeps): RegistryProvider {
  const layout = layoutOf(name, options)
  return {
    name,
    async watch(sink, signal) {
      const client = new EtcdClient(options)
      const world = new EtcdWorld({
        layout,
        addressRule: createAddressRule(options.forbidAddresses),
        isWanted: createNameFilter(options.include, options.exclude),
      })
      const teller = new Teller(world, sink, deps.clock, signal)
      sink.status({ state: 'connecting' })
      const follow = { prefix: layout.prefix, probeMs: options.probeInterval }
      await followPrefix(
        client,
        follow,
        {
          onList: (entries, revision) => {
            world.replace(entries)
            teller.listed(revision)
          },
          onEvents: (events, revision) => {
            world.apply(events)
            teller.told(revision)
          },
          onError: (error) => teller.failed(error),
          onAlive: () => teller.alive(),
        },
        deps,
        signal,
      )
    },
  }
}

/** Makes snapshots and the status out of what the follower tells, once for all that happens in one turn. */
class Teller {
  readonly #world: EtcdWorld
  readonly #sink: RegistrySink
  readonly #clock: Clock
  readonly #signal: AbortSignal
  #pending: NodeJS.Immediate | undefined
  #last: Snapshot | undefined
  #revision = 0
  #epoch = -1
  #lastSuccess: number | undefined
  #error: ProviderStatus['lastError']

  constructor(world: EtcdWorld, sink: RegistrySink, clock: Clock, signal: AbortSignal) {
    this.#world = world
    this.#sink = sink
    this.#clock = clock
    this.#signal = signal
  }

  listed(revision: number): void {
    this.#epoch++
    this.#error = undefined
    this.told(revision)
  }

  told(revision: number): void {
    this.#revision = revision
    this.alive()
  }

  alive(): void {
    this.#lastSuccess = this.#clock.now()
    this.#soon()
  }

  failed({ code, message }: GatewayError): void {
    // An error that stays the same keeps its time.
    if (this.#error?.message !== message) this.#error = { at: this.#clock.now(), code, message }
    this.#soon()
  }

  #soon(): void {
    this.#pending ??= setImmediate(() => {
      this.#pending = undefined
      if (this.#signal.aborted) return
      this.#publish()
      const state = this.#error === undefined ? 'live' : this.#last === undefined ? 'failed' : 'stale'
      this.#sink.status({
        state,
        ...(this.#lastSuccess === undefined ? {} : { lastSuccess: this.#lastSuccess }),
        ...(this.#error === undefined ? {} : { lastError: this.#error }),
      })
    })
  }

  #publish(): void {
    // Nothing was ever read: an empty snapshot would say that there are no services.
    if (this.#epoch < 0) return
    const services = this.#world.services()
    const failed = new Set(this.#error === undefined ? [] : services.keys())
    const problems = this.#world.problems()
    const last = this.#last
    const isSame =
      last !== undefined &&
      last.services === services &&
      last.epoch === this.#epoch &&
      last.failed.size === failed.size &&
      last.problems.length === problems.length &&
      last.problems.every((problem, i) => problem === problems[i])
    if (isSame) return
    this.#last = { services, failed, revision: String(this.#revision), epoch: this.#epoch, problems }
    this.#sink.next(this.#last)
  }
}
