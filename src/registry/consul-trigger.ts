import { z } from 'zod'

const checkList = z.array(
  z.object({
    Node: z.string(),
    CheckID: z.string(),
    Status: z.string(),
    ServiceName: z.string().default(''),
    ServiceID: z.string().default(''),
    ModifyIndex: z.number().default(0),
  }),
)

/** What is different since the last answer of `/v1/health/state/any`. */
export interface CheckChanges {
  readonly services: ReadonlySet<string>
  /** A check of the node itself counts for each instance on it. */
  readonly nodes: ReadonlySet<string>
}

/** Compares the checks of all services from one answer to the next. */
export class CheckTrigger {
  #services = new Map<string, string>()
  #nodes = new Map<string, string>()
  #isFirst = true

  /** Undefined for the first answer: everything may be different. Throws when the answer makes no sense. */
  update(body: unknown): CheckChanges | undefined {
    const services = new Map<string, string[]>()
    const nodes = new Map<string, string[]>()
    for (const check of checkList.parse(body)) {
      const { Node: node, CheckID: id, Status: status, ServiceName: service, ServiceID, ModifyIndex } = check
      const line = `${node} ${ServiceID} ${id} ${status} ${ModifyIndex}`
      const [map, key] = service === '' ? [nodes, node] : [services, service]
      const lines = map.get(key)
      if (lines === undefined) map.set(key, [line])
      else lines.push(line)
    }
    const before = { services: this.#services, nodes: this.#nodes }
    this.#services = join(services)
    this.#nodes = join(nodes)
    if (this.#isFirst) {
      this.#isFirst = false
      return undefined
    }
    return { services: differ(before.services, this.#services), nodes: differ(before.nodes, this.#nodes) }
  }

  /** The next answer counts as the first one: what happened in between is not known. */
  reset(): void {
    this.#isFirst = true
  }
}

function join(lists: ReadonlyMap<string, string[]>): Map<string, string> {
  return new Map([...lists].map(([key, lines]) => [key, lines.sort().join('\n')]))
}

function differ(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): Set<string> {
  const changed = new Set<string>()
  for (const [key, text] of now) if (before.get(key) !== text) changed.add(key)
  for (const key of before.keys()) if (!now.has(key)) changed.add(key)
  return changed
}
