import type { Instance, RegistryState, ServiceInstances, ServiceState } from '../core/types.ts'

/** An instance that is kept although the registry no longer lists it. */
export interface Held {
  readonly instance: Instance
  readonly until: number
}

/** What one registry said of one service, and what we keep of it. */
export interface Entry {
  /** As the provider gave it; identity tells whether it changed. */
  given: ServiceInstances | undefined
  instances: readonly Instance[]
  readonly held: Map<string, Held>
  source: 'live' | 'stale'
  reason: string | undefined
  lastGoodAt: number
}

/** An instance that vanished without a word. */
export interface Loss {
  readonly at: number
  readonly service: string
  readonly instance: Instance
}

/** All that one registry said. */
export interface World {
  readonly entries: Map<string, Entry>
  /** Losses within the window, oldest first. */
  losses: Loss[]
  problems: readonly string[]
  /** The registry says that nothing at all runs: what is held then has no end of its own. */
  isEmpty: boolean
}

/** Could be picked as the registry said it. */
export function isUsable(instance: Instance): boolean {
  return instance.state === 'passing' || instance.state === 'warning' || instance.state === 'unknown'
}

/** How many instances of a registry could be picked. */
export function countUsable(world: World): number {
  let count = 0
  for (const entry of world.entries.values()) {
    for (const instance of entry.instances) if (isUsable(instance)) count++
  }
  return count
}

/** Listed ones, with the held copy in the place of one that is listed but lost. */
function visible(entry: Entry): readonly Instance[] {
  if (entry.held.size === 0) return entry.instances
  const listed = entry.instances.filter((instance) => !entry.held.has(instance.key))
  return [...listed, ...[...entry.held.values()].map(({ instance }) => instance)]
}

/** All registries as one state; a service that did not change is the previous object, and so is the whole. */
export function merge(worlds: ReadonlyMap<string, World>, previous: RegistryState): RegistryState {
  const parts = new Map<string, Entry[]>()
  const problems: string[] = []
  for (const [registry, world] of worlds) {
    for (const problem of world.problems) problems.push(`${registry}: ${problem}`)
    for (const [name, entry] of world.entries) {
      const list = parts.get(name)
      if (list === undefined) parts.set(name, [entry])
      else list.push(entry)
    }
  }
  const services = new Map<string, ServiceState>()
  let hasChanged = parts.size !== previous.services.size
  for (const [name, entries] of parts) {
    const next = serviceState(name, entries)
    const old = previous.services.get(name)
    if (old !== undefined && isSame(old, next)) services.set(name, old)
    else {
      services.set(name, next)
      hasChanged = true
    }
  }
  const isQuiet =
    problems.length === previous.problems.length && problems.every((p, i) => p === previous.problems[i])
  return hasChanged || !isQuiet ? { services, problems } : previous
}

function serviceState(name: string, entries: readonly Entry[]): ServiceState {
  const isHeld = entries.some((entry) => entry.held.size > 0)
  const stale = entries.find((entry) => entry.source === 'stale')
  const held = entries.flatMap((entry) => [...entry.held.values()])[0]?.instance.held
  const reason = isHeld ? held : stale?.reason
  return {
    name,
    instances: entries.flatMap(visible),
    source: isHeld ? 'held' : stale === undefined ? 'live' : 'stale',
    ...(reason === undefined ? {} : { reason }),
    lastGoodAt: Math.min(...entries.map((entry) => entry.lastGoodAt)),
  }
}

function isSame(a: ServiceState, b: ServiceState): boolean {
  return (
    a.source === b.source &&
    a.reason === b.reason &&
    a.instances.length === b.instances.length &&
    a.instances.every((instance, i) => instance === b.instances[i])
  )
}
