import { z } from 'zod'
import { errorText, GatewayError } from '../core/errors.ts'
import type { FilterSpec } from '../core/route.ts'
import type { FilterDefinition, FilterDeps, FilterHandlers, Shareable } from './filter.ts'

/** A filter that no table used for this long is closed: requests that began with it have time to end. ms. */
const GRACE_MS = 60_000

/** What all filters get alike; the rest of `FilterDeps` belongs to one filter. */
export interface FilterEnvironment extends Omit<FilterDeps, 'name' | 'shared' | 'watchFiles'> {
  /** Calls back when the content of one of the files changed, until the signal aborts. Never rejects. */
  watchFiles(
    paths: readonly string[],
    onChange: () => void | Promise<void>,
    signal: AbortSignal,
  ): Promise<void>
}

/** One filter that exists. */
export interface FilterInstance {
  readonly key: string
  readonly handlers: FilterHandlers
  isClosed: boolean
}

interface Kept extends FilterInstance {
  handlers: FilterHandlers
  prepared: Promise<void> | undefined
  /** Monotonic ms. */
  usedAt: number
  readonly shared: Set<string>
  readonly abort: AbortController
}

interface SharedObject {
  readonly object: Shareable
  readonly users: Set<Kept>
}

/**
 * The filters that exist: one for each distinct name, type and options, over routes and tables, so that what it
 * counts survives an edit of the rest of the configuration. With what they share and hold.
 */
export class FilterInstances {
  readonly #environment: FilterEnvironment
  readonly #instances = new Map<string, Kept>()
  readonly #shared = new Map<string, SharedObject>()
  #ownedHeaders: ReadonlySet<string> = new Set()

  constructor(environment: FilterEnvironment) {
    this.#environment = environment
  }

  /** Request headers that a filter in use sets by itself. */
  get ownedHeaders(): ReadonlySet<string> {
    return this.#ownedHeaders
  }

  /** Throws what the options or `create` throw. */
  get(definition: FilterDefinition, spec: FilterSpec): FilterInstance {
    const { name, type, options } = spec
    const key = canonicalJson({ name, type, options })
    const existing = this.#instances.get(key)
    if (existing !== undefined) {
      existing.usedAt = this.#environment.clock.monotonic()
      return existing
    }
    const checked = checkOptions(definition, spec)
    const instance: Kept = {
      key,
      isClosed: false,
      prepared: undefined,
      usedAt: this.#environment.clock.monotonic(),
      shared: new Set(),
      abort: new AbortController(),
      handlers: {},
    }
    try {
      instance.handlers = definition.create(checked, this.#depsFor(instance, name))
    } catch (thrown) {
      this.#release(instance)
      throw thrown
    }
    this.#instances.set(key, instance)
    this.#collectHeaders()
    return instance
  }

  /** Undefined = nothing to wait for. A failure is not remembered: the next try may succeed. */
  prepare(instance: FilterInstance): Promise<void> | undefined {
    const kept = this.#instances.get(instance.key)
    if (kept?.handlers.prepare === undefined) return undefined
    kept.prepared ??= kept.handlers.prepare().catch((thrown: unknown) => {
      kept.prepared = undefined
      throw thrown
    })
    return kept.prepared
  }

  /** Closes what none of the tables used for a while. */
  sweep(inUse: Iterable<FilterInstance>): void {
    const now = this.#environment.clock.monotonic()
    for (const { key } of inUse) {
      const kept = this.#instances.get(key)
      if (kept !== undefined) kept.usedAt = now
    }
    for (const kept of this.#instances.values()) {
      if (now - kept.usedAt >= GRACE_MS) this.#close(kept)
    }
    this.#collectHeaders()
  }

  close(): void {
    for (const kept of this.#instances.values()) this.#close(kept)
  }

  #close(kept: Kept): void {
    this.#instances.delete(kept.key)
    kept.isClosed = true
    try {
      kept.handlers.close?.()
    } catch (thrown) {
      this.#environment.log.warn({ err: errorText(thrown) }, 'a filter did not close well')
    }
    this.#release(kept)
  }

  #release(kept: Kept): void {
    kept.abort.abort()
    for (const key of kept.shared) {
      const shared = this.#shared.get(key)
      shared?.users.delete(kept)
      if (shared === undefined || shared.users.size > 0) continue
      this.#shared.delete(key)
      shared.object.close?.()
    }
  }

  #collectHeaders(): void {
    const names = new Set<string>()
    for (const { handlers } of this.#instances.values()) {
      for (const name of handlers.ownsHeaders ?? []) names.add(name)
    }
    this.#ownedHeaders = names
  }

  #depsFor(instance: Kept, name: string): FilterDeps {
    const { watchFiles, ...rest } = this.#environment
    return {
      ...rest,
      name,
      shared: <T extends Shareable>(key: string, create: () => T): T => {
        const shared = this.#shared.get(key) ?? { object: create(), users: new Set() }
        this.#shared.set(key, shared)
        shared.users.add(instance)
        instance.shared.add(key)
        return shared.object as T
      },
      watchFiles: (paths, onChange) => void watchFiles(paths, onChange, instance.abort.signal),
    }
  }
}

function checkOptions(definition: FilterDefinition, spec: FilterSpec): unknown {
  const result = definition.options.safeParse(spec.options)
  if (result.success) return result.data
  throw invalidFilter(
    spec,
    result.error.issues.map((issue) => `${z.core.toDotPath(['options', ...issue.path])}: ${issue.message}`),
  )
}

/** GW_CONFIG_INVALID with place and name of the filter, one line a problem. */
export function invalidFilter(spec: FilterSpec, problems: readonly string[], cause?: unknown): GatewayError {
  const name = spec.name === spec.type ? `filter ${spec.type}` : `filter ${spec.name} (${spec.type})`
  const text = problems.map((problem) => `${spec.source}: ${name}: ${problem}`).join('\n')
  return new GatewayError('GW_CONFIG_INVALID', text, cause === undefined ? {} : { cause })
}

/** JSON with sorted keys: equal for equal values, whatever order they were written in. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (part === null || typeof part !== 'object' || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  })
}
