import { errorText, GatewayError } from '../core/errors.ts'
import type { ServiceInstances } from '../core/types.ts'
import type { ZooKeeperClient } from '../zookeeper/client.ts'
import type { WatchEvent } from '../zookeeper/messages.ts'
import { childPath } from '../zookeeper/servers.ts'
import type { Layout } from './zookeeper-layout.ts'
import { ServiceNodes } from './zookeeper-service.ts'

/** Reads on their way at a time: a thousand at once would make the next watch wait behind them. */
const MAX_READS = 64
/** The same list is read at most this often: a service that flaps must not make the gateway a load. ms. */
const LIST_GAP_MS = 20

export interface TreeOptions {
  readonly client: ZooKeeperClient
  readonly layout: Layout
  readonly base: string
  isWanted(service: string): boolean
  /** Something changed, or may have. */
  onChange(): void
}

/**
 * What is below the base: services, and their nodes. Each list and each node is read and watched in one call, so nothing
 * that happens in between is missed; a watch that fired is set again by the read that it causes.
 */
export class ZooKeeperTree {
  readonly #options: TreeOptions
  readonly #services = new Map<string, ServiceNodes>()
  readonly #queue: (() => Promise<void>)[] = []
  /** By path: when its list was asked for, and the timer for asking again. */
  readonly #lists = new Map<string, { at: number; timer?: NodeJS.Timeout }>()
  #reads = 0
  #onIdle: (() => void)[] = []
  #baseError: GatewayError | undefined
  #isMissing = false
  /** A connection broke under a read: the next one reads everything again. */
  #isBroken = false
  #isLoaded = false

  constructor(options: TreeOptions) {
    this.#options = options
  }

  /** Everything was read once. */
  get isLoaded(): boolean {
    return this.#isLoaded
  }

  /** Reads everything and sets all watches: after each connection, since they ended with the last one. */
  async readAll(): Promise<void> {
    this.#queue.length = 0
    this.#isBroken = false
    this.#readBase(true)
    await this.#settled()
  }

  /**
   * Reads everything again. A right that is taken away shows in no watch, nor does one that comes back, and a server
   * drops the watches of whoever may not read a node that changes without a word.
   */
  async sweep(): Promise<void> {
    this.#readBase(true)
    await this.#settled()
  }

  onWatch({ path, type }: WatchEvent): void {
    const { base, layout } = this.#options
    if (path === base) {
      this.#listSoon(path, () => this.#readBase(false))
      return
    }
    const prefix = base === '/' ? '/' : `${base}/`
    if (!path.startsWith(prefix)) return
    const [name = ''] = path.slice(prefix.length).split('/', 1)
    const service = this.#services.get(name)
    if (service === undefined) return
    const list = layout.recordsPath(base, name)
    if (path === list) {
      this.#listSoon(path, () => {
        const current = this.#services.get(name)
        if (current !== undefined) this.#readList(current, false)
      })
    } else if (path.startsWith(`${list}/`)) {
      const node = path.slice(list.length + 1)
      // Its list tells it, too, but a little later.
      if (type === 'deleted') this.#removeNode(service, node)
      else this.#readNode(service, node)
    }
  }

  /** By name; those without a node are absent. */
  services(): Map<string, ServiceInstances> {
    const found = new Map<string, ServiceInstances>()
    for (const [name, nodes] of this.#services) {
      const service = nodes.service()
      if (service !== undefined) found.set(name, service)
    }
    return found
  }

  /** Services whose list cannot be read. */
  failed(): Set<string> {
    return new Set([...this.#services].filter(([, { error }]) => error !== undefined).map(([name]) => name))
  }

  /** What stands in the way of reading the registry. */
  error(): Error | undefined {
    if (this.#baseError !== undefined) return this.#baseError
    for (const { error } of this.#services.values()) if (error !== undefined) return error
    return undefined
  }

  problems(): string[] {
    const { base } = this.#options
    const missing = this.#isMissing
      ? [`there is no ${base} (yet): nobody has registered, or base is another`]
      : []
    return [...missing, ...[...this.#services.values()].flatMap((service) => service.problems())]
  }

  close(): void {
    for (const { timer } of this.#lists.values()) clearTimeout(timer)
    this.#queue.length = 0
  }

  /** The names of the services. `isWhole`: then of each its list and its nodes, known or not. */
  #readBase(isWhole: boolean): void {
    const { base, isWanted } = this.#options
    this.#note(base)
    this.#add(async () => {
      try {
        const names = await this.#childrenOf(base)
        this.#baseError = undefined
        this.#isMissing = names === undefined
        const present = new Set(
          (names ?? []).filter((name) => isWanted(name) && base + name !== '/zookeeper'),
        )
        for (const name of this.#services.keys()) if (!present.has(name)) this.#forget(name)
        for (const name of present) {
          const known = this.#services.get(name)
          if (known !== undefined && !isWhole) continue
          const service = known ?? new ServiceNodes(name, this.#options.layout)
          this.#services.set(name, service)
          this.#readList(service, true)
        }
      } catch (thrown) {
        const error = this.#toError(thrown)
        if (error !== undefined) this.#baseError = error
      }
    })
  }

  #readList(service: ServiceNodes, isWhole: boolean): void {
    const { base, layout } = this.#options
    const path = layout.recordsPath(base, service.name)
    this.#note(path)
    this.#add(async () => {
      try {
        const names = (await this.#childrenOf(path)) ?? []
        const unread = service.list(names)
        service.error = undefined
        for (const name of isWhole && layout.hasData ? names : unread) this.#readNode(service, name)
      } catch (thrown) {
        service.error = this.#toError(thrown) ?? service.error
      }
    })
  }

  #readNode(service: ServiceNodes, name: string): void {
    const { base, layout, client } = this.#options
    if (!layout.hasData) return
    this.#add(async () => {
      try {
        const content = await client.getData(childPath(layout.recordsPath(base, service.name), name), true)
        if (content === undefined) service.remove(name)
        else service.put(name, content)
      } catch (thrown) {
        const error = this.#toError(thrown)
        if (error !== undefined) service.fail(name, error)
      }
    })
  }

  #removeNode(service: ServiceNodes, name: string): void {
    service.remove(name)
    if (this.#isLoaded) this.#options.onChange()
  }

  #forget(name: string): void {
    const { base, layout } = this.#options
    const path = layout.recordsPath(base, name)
    clearTimeout(this.#lists.get(path)?.timer)
    this.#lists.delete(path)
    this.#services.delete(name)
  }

  /** Undefined: it is the connection's, whose end is told by the client, and mended by the next one. */
  #toError(thrown: unknown): GatewayError | undefined {
    if (!(thrown instanceof GatewayError)) {
      return new GatewayError('GW_REGISTRY_ANSWER', errorText(thrown), { cause: thrown })
    }
    if (thrown.code !== 'GW_REGISTRY_UNREACHABLE' && thrown.code !== 'GW_REGISTRY_TIMEOUT') return thrown
    this.#isBroken = true
    return undefined
  }

  /** Undefined when there is no such node: then a watch tells when it comes. */
  async #childrenOf(path: string): Promise<string[] | undefined> {
    const { client } = this.#options
    for (;;) {
      const names = await client.getChildren(path, true)
      if (names !== undefined) return names
      // It may have come in between: then its children are read after all.
      if ((await client.exists(path, true)) === undefined) return undefined
    }
  }

  #note(path: string): void {
    clearTimeout(this.#lists.get(path)?.timer)
    this.#lists.set(path, { at: performance.now() })
  }

  #listSoon(path: string, read: () => void): void {
    const last = this.#lists.get(path)
    if (last?.timer !== undefined) return
    const wait = last === undefined ? 0 : last.at + LIST_GAP_MS - performance.now()
    if (last === undefined || wait <= 0) read()
    else last.timer = setTimeout(read, wait)
  }

  #add(read: () => Promise<void>): void {
    this.#queue.push(read)
    this.#work()
  }

  #work(): void {
    while (this.#reads < MAX_READS) {
      const read = this.#queue.shift()
      if (read === undefined) break
      this.#reads++
      void read().then(() => {
        this.#reads--
        // Before everything was read once there is nothing to tell: a part would look like a loss.
        if (this.#isLoaded) this.#options.onChange()
        this.#work()
        if (this.#reads > 0 || this.#queue.length > 0) return
        for (const done of this.#onIdle.splice(0)) done()
      })
    }
  }

  /** Waits until nothing is to be read any more. */
  async #settled(): Promise<void> {
    if (this.#reads > 0 || this.#queue.length > 0) {
      await new Promise<void>((resolve) => this.#onIdle.push(resolve))
    }
    if (!this.#isBroken && this.#baseError === undefined) this.#isLoaded = true
    this.#options.onChange()
  }
}
