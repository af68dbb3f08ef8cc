import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import type { Instance } from '../core/types.ts'
import { instanceRecord, recordToInstance } from './instance-record.ts'

/** A list of instances as people and programs write it: by service, or as Prometheus' service discovery has it. */

const ownFormat = z.strictObject({ services: z.record(z.string(), z.array(z.unknown())) })

/** Prometheus file_sd and http_sd: the service is the label `service`, else `job`. */
const targetGroups = z.array(
  z.object({
    targets: z.array(z.string()),
    labels: z.record(z.string(), z.string()).default({}),
  }),
)

/** One record with the path to it in the document. */
export interface ListedRecord {
  readonly path: readonly PropertyKey[]
  readonly given: unknown
  /** `given` was put together here: what is inside it has no place of its own in the document. */
  readonly isMade?: boolean
}

/** What is wrong, and where in the document. */
export interface ListMistake {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** Records by service; none of them was looked at yet. */
export type InstanceList = ReadonlyMap<string, readonly ListedRecord[]>

/** Reads the outline of a document: an object with `services`, or a list of target groups. */
export function readInstanceList(value: unknown): { list: InstanceList } | { mistake: ListMistake } {
  if (Array.isArray(value)) {
    const result = targetGroups.safeParse(value)
    return result.success ? fromTargetGroups(result.data) : { mistake: firstMistake(result.error) }
  }
  const result = ownFormat.safeParse(value)
  if (!result.success) return { mistake: firstMistake(result.error) }
  const list = new Map<string, ListedRecord[]>()
  for (const [service, records] of Object.entries(result.data.services)) {
    list.set(
      service,
      records.map((given, i) => ({ path: ['services', service, i], given })),
    )
  }
  return { list }
}

/** The instance of one record; `place` begins its key. Or what is wrong in it. */
export function readListedRecord(
  place: string,
  service: string,
  { path, given, isMade }: ListedRecord,
): { instance: Instance } | { mistake: ListMistake } {
  const result = instanceRecord.safeParse(typeof given === 'string' ? { url: given } : given)
  if (result.success) return { instance: recordToInstance(place, service, result.data) }
  const { path: inside, message } = firstMistake(result.error)
  return { mistake: { path: isMade === true ? path : [...path, ...inside], message } }
}

/** `services.cart.0.url: message`; without a path the message alone. */
export function mistakeText({ path, message }: ListMistake): string {
  return path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`
}

function firstMistake(error: z.ZodError): ListMistake {
  const [issue] = error.issues
  if (issue === undefined) throw new GatewayError('GW_INTERNAL_STATE', 'a refusal without an issue')
  return { path: issue.path, message: issue.message }
}

function fromTargetGroups(
  groups: z.output<typeof targetGroups>,
): { list: InstanceList } | { mistake: ListMistake } {
  const list = new Map<string, ListedRecord[]>()
  for (const [i, { targets, labels }] of groups.entries()) {
    const service = labels['service'] ?? labels['job']
    if (service === undefined) {
      const message = 'a target group has neither the label service nor job'
      return { mistake: { path: [i, 'labels'], message } }
    }
    const { scheme = labels['__scheme__'] ?? 'http', version, zone } = labels
    const records = list.get(service) ?? []
    list.set(service, records)
    for (const [n, target] of targets.entries()) {
      const given = {
        url: `${scheme}://${target}`,
        meta: labels,
        ...(version === undefined ? {} : { version }),
        ...(zone === undefined ? {} : { zone }),
      }
      records.push({ path: [i, 'targets', n], given, isMade: true })
    }
  }
  return { list }
}
