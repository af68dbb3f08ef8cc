import type { ServiceInstances } from '../core/types.ts'
import type { NodeStat } from '../zookeeper/messages.ts'
import { choose, type Layout, type Mapped } from './zookeeper-layout.ts'

const MAX_SHOWN_NAME = 160

/** A node as it was read last. */
interface KnownNode {
  /** Undefined until it was read. */
  mapped: Mapped | undefined
  /** Of the change that was read. */
  zxid: bigint | undefined
  /** A read that failed; what was read before stays. */
  error: string | undefined
}

/** The nodes of one service, and the instances that they make. */
export class ServiceNodes {
  readonly name: string
  /** The list cannot be read: what is known stays. */
  error: Error | undefined
  readonly #layout: Layout
  readonly #nodes = new Map<string, KnownNode>()
  #service: ServiceInstances | undefined
  #problems: readonly string[] = []
  #isDirty = false

  constructor(name: string, layout: Layout) {
    this.name = name
    this.#layout = layout
  }

  /** Takes a list of nodes; the answer names those that must be read. */
  list(names: readonly string[]): string[] {
    const present = new Set(names)
    for (const name of this.#nodes.keys()) if (!present.has(name)) this.remove(name)
    const unread: string[] = []
    for (const name of names) {
      if (this.#nodes.has(name)) continue
      const node: KnownNode = { mapped: undefined, zxid: undefined, error: undefined }
      this.#nodes.set(name, node)
      if (this.#layout.hasData) unread.push(name)
      else this.#take(node, this.#layout.read({ service: this.name, name }))
    }
    return unread
  }

  /** Takes the data of a node. One that is not listed any more is left alone. */
  put(name: string, content: { data: Buffer; stat: NodeStat }): void {
    const node = this.#nodes.get(name)
    if (node === undefined) return
    if (node.error !== undefined) this.#isDirty = true
    node.error = undefined
    if (node.zxid === content.stat.mzxid) return
    node.zxid = content.stat.mzxid
    this.#take(node, this.#layout.read({ service: this.name, name, content }))
  }

  fail(name: string, error: Error): void {
    const node = this.#nodes.get(name)
    if (node === undefined || node.error === error.message) return
    node.error = error.message
    this.#isDirty = true
  }

  remove(name: string): void {
    if (this.#nodes.delete(name)) this.#isDirty = true
  }

  /** The same object while nothing changed; undefined while there is no node. */
  service(): ServiceInstances | undefined {
    this.#settle()
    return this.#service
  }

  /** One line each. */
  problems(): readonly string[] {
    this.#settle()
    return this.#problems
  }

  #take(node: KnownNode, mapped: Mapped): void {
    const before = node.mapped
    // What is written again as it was stays the same object: pools and counters hang on it.
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(mapped)) return
    node.mapped = mapped
    this.#isDirty = true
  }

  #settle(): void {
    if (!this.#isDirty) return
    this.#isDirty = false
    const mapped = new Map<string, Mapped>()
    const unreadable: string[] = []
    for (const [name, node] of this.#nodes) {
      if (node.mapped !== undefined) mapped.set(name, node.mapped)
      if (node.error !== undefined) unreadable.push(`${name} cannot be read: ${node.error}`)
    }
    const { instances, problems } = choose(mapped)
    this.#problems = [...problems, ...unreadable]
      .map((line) => `${this.name}: ${line.length > 3 * MAX_SHOWN_NAME ? shortened(line) : line}`)
      .sort()
    const known = this.#service
    if (mapped.size === 0) this.#service = undefined
    else if (
      known === undefined ||
      known.instances.length !== instances.length ||
      !instances.every((instance, i) => instance === known.instances[i])
    ) {
      this.#service = { name: this.name, instances }
    }
  }
}

/** Names of Dubbo's nodes are whole URLs; their beginning says who it is. */
function shortened(line: string): string {
  const end = line.search(/ (?:is left out|cannot be read): /)
  return `${line.slice(0, MAX_SHOWN_NAME)}…${line.slice(Math.max(end, MAX_SHOWN_NAME))}`
}
