import type { Instance, Scheme } from '../core/types.ts'
import type { NodeStat } from '../zookeeper/messages.ts'
import type { AddressRule } from './consul-address.ts'

/** How instances are written below the base. */
export type LayoutName = 'curator' | 'dubbo' | 'dubbo-application'

/** Dubbo protocols that are HTTP. */
export type DubboProtocol = 'tri' | 'rest' | 'grpc' | 'http'

export const DUBBO_SCHEMES: Readonly<Record<DubboProtocol, Scheme>> = {
  tri: 'h2c',
  grpc: 'h2c',
  rest: 'http',
  http: 'http',
}

export interface LayoutOptions {
  /** Name of the registry: begins the keys. */
  readonly registry: string
  readonly addressRule: AddressRule
  /** Which of those that a Dubbo provider offers is used; earlier ones win. */
  readonly protocols: readonly DubboProtocol[]
}

/** A node below a service. */
export interface NodeRecord {
  readonly service: string
  /** Of the node itself. */
  readonly name: string
  /** Of layouts whose nodes have data. */
  readonly content?: { readonly data: Buffer; readonly stat: NodeStat } | undefined
}

/** What a node says. */
export type Mapped =
  | {
      readonly kind: 'instance'
      readonly instance: Instance
      /** One process may offer several protocols, each at a node of its own: the lowest `rank` of a process is used. */
      readonly process?: string
      readonly rank?: number
    }
  /** Nothing that HTTP could be sent to; `why` is told when its process offers nothing else. */
  | { readonly kind: 'unusable'; readonly why: string; readonly process: string }
  | { readonly kind: 'malformed'; readonly why: string }

export interface Layout {
  /** Where the nodes of a service are. */
  recordsPath(base: string, service: string): string
  /** False: the names say everything. */
  readonly hasData: boolean
  read(record: NodeRecord): Mapped
}

export const malformed = (why: string): Mapped => ({ kind: 'malformed', why })

export const isPort = (port: unknown): port is number =>
  typeof port === 'number' && Number.isInteger(port) && port > 0 && port <= 65_535

/** Texts, numbers and booleans of an object, as texts. */
export function textsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  const texts: Record<string, string> = {}
  for (const [key, one] of Object.entries(value)) {
    if (typeof one === 'string') texts[key] = one
    else if (typeof one === 'number' || typeof one === 'boolean') texts[key] = String(one)
  }
  return texts
}

/** The instances among the nodes of a service, one for each process, and what to tell about the others. */
export function choose(nodes: ReadonlyMap<string, Mapped>): { instances: Instance[]; problems: string[] } {
  const best = new Map<string, Extract<Mapped, { kind: 'instance' }>>()
  const problems: string[] = []
  for (const [name, mapped] of nodes) {
    if (mapped.kind === 'malformed') problems.push(`${name} is left out: ${mapped.why}`)
    if (mapped.kind !== 'instance') continue
    const process = mapped.process ?? mapped.instance.key
    const known = best.get(process)
    if (known === undefined || isBetter(mapped, known)) best.set(process, mapped)
  }
  for (const [name, mapped] of nodes) {
    if (mapped.kind === 'unusable' && !best.has(mapped.process))
      problems.push(`${name} is left out: ${mapped.why}`)
  }
  const instances = new Map([...best.values()].map(({ instance }) => [instance.key, instance]))
  return { instances: [...instances.values()].sort((a, b) => (a.key < b.key ? -1 : 1)), problems }
}

function isBetter(
  { rank: a = 0, instance: { key: aKey } }: Extract<Mapped, { kind: 'instance' }>,
  { rank: b = 0, instance: { key: bKey } }: Extract<Mapped, { kind: 'instance' }>,
): boolean {
  return a === b ? aKey < bKey : a < b
}
