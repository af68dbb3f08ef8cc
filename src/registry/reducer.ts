import type { Clock } from '../core/duration.ts'
import type { Instance, RegistryState, ServiceInstances, Snapshot } from '../core/types.ts'
import { countUsable, type Entry, type Held, isUsable, type Loss, merge, type World } from './world.ts'

/** When a loss is not believed at once. ms; see docs/registries.md. */
export interface GuardOptions {
  readonly maxLossRatio: number
  readonly minLost: number
  readonly lossWindow: number
  readonly holdFor: number
  /** 0 = never. */
  readonly maxStaleness: number
}

export interface ReducerDeps {
  readonly guard: GuardOptions
  readonly clock: Clock
  /** `isUrgent`: an instance that could be picked is gone. */
  onChange(cause: string, isUrgent: boolean): void
}

const EMPTY_PROBLEMS: readonly string[] = []

/** Somebody said so: an operator, the instance itself, or a check that ran and failed; not a TTL that ran out. */
function isExplicit(now: Instance | undefined, before: Instance): boolean {
  if (now === undefined) return before.state === 'draining' || before.state === 'maintenance'
  if (now.state !== 'critical') return true
  return (now.checks ?? []).some((check) => check.state === 'critical' && check.expired !== true)
}

/**
 * Snapshots of all registries in, one state out: last known good per service, the guard against an empty answer,
 * the guard against a mass loss. What a guard keeps is marked `held` and used last. Pure but for its timer.
 */
export class Reducer {
  readonly #deps: ReducerDeps
  readonly #worlds = new Map<string, World>()
  #state: RegistryState = { services: new Map(), problems: [] }
  #timer: NodeJS.Timeout | undefined

  constructor(deps: ReducerDeps) {
    this.#deps = deps
  }

  /** The state over all registries; a service that did not change is the same object as before. */
  state(): RegistryState {
    return this.#state
  }

  /** Puts in what was saved of a registry: stale until the registry itself says something. */
  restore(registry: string, services: Iterable<ServiceInstances>, savedAt: number): void {
    const world = this.#world(registry)
    for (const { name, instances } of services) {
      if (world.entries.has(name)) continue
      const reason = 'from the snapshot on disk: the registry has not answered yet'
      const held = new Map<string, Held>()
      world.entries.set(name, {
        given: undefined,
        instances,
        held,
        source: 'stale',
        reason,
        lastGoodAt: savedAt,
      })
    }
    this.#publish(`${registry}: snapshot`, false)
  }

  /** Takes a whole snapshot of one registry. */
  accept(registry: string, snapshot: Snapshot): void {
    const world = this.#world(registry)
    const now = this.#deps.clock.now()
    const before = countUsable(world)
    const lost: Loss[] = []
    const changed: string[] = []
    for (const name of new Set([...world.entries.keys(), ...snapshot.services.keys()])) {
      const given = snapshot.services.get(name)
      if (snapshot.failed.has(name)) {
        this.#keep(world, name, given, now, changed)
        continue
      }
      const entry = world.entries.get(name)
      if (entry !== undefined && given !== undefined && entry.given === given && entry.source === 'live') {
        entry.lastGoodAt = now
        continue
      }
      changed.push(name)
      this.#take(world, name, given, now, lost)
    }
    world.problems = snapshot.problems
    const isHolding = this.#guard(registry, world, lost, before, now)
    this.#noteEmpty(world, now)
    for (const [name, entry] of world.entries) {
      if (entry.given === undefined && entry.instances.length === 0 && entry.held.size === 0) {
        if (entry.source === 'live') world.entries.delete(name)
      }
    }
    const names = changed.slice(0, 3).join(', ') + (changed.length > 3 ? ' …' : '')
    this.#publish(`${registry}: ${names === '' ? 'answer' : names}`, lost.length > 0 && !isHolding)
  }

  /** The instance refuses connections: a guard must not keep it any longer. */
  refused(instanceKey: string): void {
    for (const world of this.#worlds.values()) {
      for (const entry of world.entries.values()) {
        if (entry.held.delete(instanceKey)) {
          this.#publish(`${entry.given?.name ?? 'a service'}: a held instance refused the connection`, true)
          return
        }
      }
    }
  }

  /** Ends the timer. */
  close(): void {
    clearTimeout(this.#timer)
  }

  #world(registry: string): World {
    let world = this.#worlds.get(registry)
    if (world === undefined) {
      world = { entries: new Map(), losses: [], problems: EMPTY_PROBLEMS, isEmpty: false }
      this.#worlds.set(registry, world)
    }
    return world
  }

  /** A read failed: what is known stays. */
  #keep(
    world: World,
    name: string,
    given: ServiceInstances | undefined,
    now: number,
    changed: string[],
  ): void {
    const entry = world.entries.get(name)
    if (entry === undefined) {
      if (given === undefined) return
      world.entries.set(name, {
        given,
        instances: given.instances,
        held: new Map(),
        source: 'stale',
        reason: 'its read fails',
        lastGoodAt: now,
      })
      changed.push(name)
    } else if (entry.source !== 'stale') {
      entry.source = 'stale'
      entry.reason = 'its read fails'
      // Until now it was as the registry has it, also when nothing was new for long.
      entry.lastGoodAt = now
      changed.push(name)
    }
  }

  #take(world: World, name: string, given: ServiceInstances | undefined, now: number, lost: Loss[]): void {
    const entry = world.entries.get(name)
    const instances = given?.instances ?? []
    if (entry === undefined) {
      const held = new Map<string, Held>()
      world.entries.set(name, { given, instances, held, source: 'live', reason: undefined, lastGoodAt: now })
      return
    }
    const present = new Map(instances.map((instance) => [instance.key, instance]))
    const gone: Loss[] = []
    for (const old of entry.instances) {
      if (!isUsable(old)) continue
      const current = present.get(old.key)
      if (current !== undefined && isUsable(current)) continue
      if (!isExplicit(current, old)) gone.push({ at: now, service: name, instance: old })
    }
    for (const [key] of entry.held) {
      const current = present.get(key)
      if (current === undefined) continue
      const old = entry.held.get(key) as Held
      if (isUsable(current) || isExplicit(current, old.instance)) entry.held.delete(key)
    }
    entry.given = given
    entry.instances = instances
    entry.source = 'live'
    entry.reason = undefined
    entry.lastGoodAt = now
    // Nobody left, and nobody said that they go: an answer like that is as likely a fault of the registry.
    if (gone.length > 0 && !instances.some(isUsable)) {
      for (const loss of gone) this.#hold(entry, loss.instance, 'its service became empty at once', now)
    }
    lost.push(...gone)
  }

  /** Mass loss: a large part of all instances gone within the window is held. True when it holds. */
  #guard(registry: string, world: World, lost: readonly Loss[], before: number, now: number): boolean {
    const { lossWindow, minLost, maxLossRatio } = this.#deps.guard
    world.losses = world.losses.filter((loss) => now - loss.at <= lossWindow)
    const earlier = world.losses.length
    world.losses.push(...lost)
    if (lost.length === 0 || world.losses.length < minLost) return false
    if (world.losses.length <= (before + earlier) * maxLossRatio) return false
    const reason = `${world.losses.length} of ${before + earlier} instances of ${registry} vanished at once`
    for (const { service, instance } of world.losses) {
      const entry = world.entries.get(service)
      if (entry === undefined) continue
      const current = entry.instances.find((one) => one.key === instance.key)
      if (current !== undefined && isUsable(current)) continue
      this.#hold(entry, instance, reason, now)
    }
    return true
  }

  /**
   * A registry in which nobody is left is not believed for as long as it says so: a token that lost its rights
   * and a wiped registry look just like that. Whoever refuses a connection is dropped all the same.
   */
  #noteEmpty(world: World, now: number): void {
    const isEmpty = countUsable(world) === 0
    if (world.isEmpty && !isEmpty) {
      for (const entry of world.entries.values()) {
        for (const [key, { instance }] of entry.held) {
          entry.held.set(key, { instance, until: now + this.#deps.guard.holdFor })
        }
      }
    }
    world.isEmpty = isEmpty
  }

  #hold(entry: Entry, instance: Instance, reason: string, now: number): void {
    if (entry.held.has(instance.key) || this.#deps.guard.holdFor === 0) return
    const { held: _held, ...plain } = instance
    entry.held.set(instance.key, {
      instance: { ...plain, held: reason },
      until: now + this.#deps.guard.holdFor,
    })
  }

  /** Drops what was held or stale for too long, then tells. */
  #expire(): void {
    const now = this.#deps.clock.now()
    const { maxStaleness } = this.#deps.guard
    let hasDropped = false
    for (const world of this.#worlds.values()) {
      for (const [name, entry] of world.entries) {
        for (const [key, held] of entry.held) {
          if (held.until > now || world.isEmpty) continue
          entry.held.delete(key)
          hasDropped = true
        }
        if (maxStaleness > 0 && entry.source === 'stale' && now - entry.lastGoodAt >= maxStaleness) {
          world.entries.delete(name)
          hasDropped = true
        } else if (entry.given === undefined && entry.held.size === 0 && entry.source === 'live') {
          world.entries.delete(name)
        }
      }
    }
    this.#publish('guard: the time to hold is over', hasDropped)
  }

  #publish(cause: string, isUrgent: boolean): void {
    const previous = this.#state
    this.#state = merge(this.#worlds, previous)
    this.#arm()
    if (this.#state !== previous) this.#deps.onChange(cause, isUrgent)
  }

  #arm(): void {
    clearTimeout(this.#timer)
    const { maxStaleness } = this.#deps.guard
    let next = Number.POSITIVE_INFINITY
    for (const world of this.#worlds.values()) {
      for (const entry of world.entries.values()) {
        if (!world.isEmpty) for (const held of entry.held.values()) next = Math.min(next, held.until)
        if (maxStaleness > 0 && entry.source === 'stale')
          next = Math.min(next, entry.lastGoodAt + maxStaleness)
      }
    }
    if (next === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, next - this.#deps.clock.now()))
    this.#timer.unref()
  }
}
