import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { errorText, GatewayError } from '../core/errors.ts'
import type { Instance, RegistryState, ServiceInstances } from '../core/types.ts'

const FORMAT = 1

const saved = z.object({
  format: z.literal(FORMAT),
  savedAt: z.number(),
  services: z.array(
    z.object({
      name: z.string(),
      instances: z.array(
        z.looseObject({
          key: z.string(),
          id: z.string(),
          service: z.string(),
          address: z.string(),
          port: z.int().min(1).max(65535),
          scheme: z.enum(['http', 'https', 'h2c']),
          state: z.string(),
          weight: z.number().positive(),
        }),
      ),
    }),
  ),
})

/** What was saved, by registry. */
export interface SavedState {
  readonly savedAt: number
  readonly registries: ReadonlyMap<string, readonly ServiceInstances[]>
}

/** Reads a snapshot; undefined when there is none. Throws GW_REGISTRY_FILE when it is damaged. */
export async function readSnapshot(path: string): Promise<SavedState | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new GatewayError('GW_REGISTRY_FILE', `snapshot ${path} cannot be read`, { cause: thrown })
  }
  try {
    const { savedAt, services } = saved.parse(JSON.parse(text))
    return { savedAt, registries: byRegistry(services as unknown as ServiceInstances[]) }
  } catch (cause) {
    const text = `snapshot ${path} is damaged; delete it to start without`
    throw new GatewayError('GW_REGISTRY_FILE', text, { cause })
  }
}

/** An instance's key begins with its registry. */
function byRegistry(services: readonly ServiceInstances[]): Map<string, ServiceInstances[]> {
  const registries = new Map<string, ServiceInstances[]>()
  for (const { name, instances } of services) {
    const parts = new Map<string, Instance[]>()
    for (const instance of instances) {
      const registry = instance.key.slice(0, instance.key.indexOf('/'))
      const list = parts.get(registry)
      if (list === undefined) parts.set(registry, [instance])
      else list.push(instance)
    }
    for (const [registry, own] of parts) {
      const list = registries.get(registry)
      if (list === undefined) registries.set(registry, [{ name, instances: own }])
      else list.push({ name, instances: own })
    }
  }
  return registries
}

/** Writes the last known good instances, at most once in `intervalMs`, in one step (write, then rename). */
export class SnapshotWriter {
  readonly #path: string
  readonly #intervalMs: number
  readonly #onError: (text: string) => void
  #latest: RegistryState | undefined
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #lastWrittenAt = Number.NEGATIVE_INFINITY

  constructor(path: string, intervalMs: number, onError: (text: string) => void) {
    this.#path = path
    this.#intervalMs = intervalMs
    this.#onError = onError
  }

  /** Asks for the state to be saved soon. */
  save(state: RegistryState): void {
    this.#latest = state
    if (this.#timer !== undefined) return
    const wait = Math.max(0, this.#lastWrittenAt + this.#intervalMs - performance.now())
    this.#timer = setTimeout(() => void this.flush(), wait)
    this.#timer.unref()
  }

  /** Writes what is waiting; resolves when it is on disk. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const state = this.#latest
    this.#latest = undefined
    if (state === undefined) return this.#writing
    this.#lastWrittenAt = performance.now()
    this.#writing = this.#writing.then(() => this.#write(state))
    return this.#writing
  }

  async #write(state: RegistryState): Promise<void> {
    const services = [...state.services.values()]
      .map(({ name, instances }) => ({
        name,
        // What a guard holds is kept as it was, without the mark.
        instances: instances.map(({ held: _, checks: _checks, ...instance }) => instance),
      }))
      .filter(({ instances }) => instances.length > 0)
    // An empty world is never worth more than what the file has.
    if (services.length === 0) return
    try {
      await mkdir(dirname(this.#path), { recursive: true })
      const temporary = `${this.#path}.${process.pid}.new`
      await writeFile(temporary, JSON.stringify({ format: FORMAT, savedAt: Date.now(), services }))
      await rename(temporary, this.#path)
    } catch (thrown) {
      this.#onError(`snapshot ${this.#path} cannot be written: ${errorText(thrown)}`)
    }
  }
}
