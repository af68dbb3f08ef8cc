import { z } from 'zod'
import type { Instance } from '../core/types.ts'
import { DRAIN_STEP, recordsPrefix } from '../etcd/own-keys.ts'
import type { EtcdEntry } from '../etcd/wire.ts'
import { isPort, looseInstanceRecord, recordToInstance } from './instance-record.ts'

/** What one key says. */
export type LayoutRecord =
  | { readonly kind: 'instances'; readonly service: string; readonly instances: readonly Instance[] }
  /** Somebody wants the instance to go; it says so itself by its state. */
  | { readonly kind: 'mark'; readonly service: string; readonly id: string; readonly reason: string }
  | { readonly kind: 'malformed'; readonly why: string }

/** How instances are written below a prefix. */
export interface EtcdLayout {
  /** All keys that begin with it are read. */
  readonly prefix: string
  /** Undefined = the key means nothing here. */
  read(entry: EtcdEntry): LayoutRecord | undefined
}

const malformed = (why: string): LayoutRecord => ({ kind: 'malformed', why })

/** Who keeps a lease alive is there; of a key without one nobody knows. */
export const stateByLease = ({ lease }: EtcdEntry) => (lease === undefined ? 'unknown' : 'passing')

/** The first problem of a record, for the operator. */
function firstIssue({ issues: [issue] }: z.ZodError): string {
  const path = issue?.path.map(String).join('.') ?? ''
  return `${path === '' ? '' : `${path}: `}${issue?.message}`
}

/** The JSON of a value; undefined = it is none. */
export function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/**
 * The own layout: `<prefix>/services/<service>/<id>` has the record of an instance as in a file of instances, and
 * `…/<id>/drain` a mark; both names are percent-encoded. `prefix` without a slash at its end.
 */
export function ownLayout(registry: string, prefix: string): EtcdLayout {
  const base = recordsPrefix(prefix)
  return {
    prefix: base,
    read(entry) {
      const [service, id, ...rest] = decodeParts(entry.key.slice(base.length))
      if (service === undefined || service === '' || id === undefined || id === '') {
        return malformed('its key is not <service>/<id>, percent-encoded')
      }
      if (rest.length === 1 && rest[0] === DRAIN_STEP)
        return { kind: 'mark', service, id, reason: reasonOf(entry.value) }
      if (rest.length > 0) return undefined
      const json = parseJson(entry.value)
      if (json === undefined) return malformed('it is no JSON')
      const parsed = looseInstanceRecord.safeParse(json.value)
      if (!parsed.success) return malformed(firstIssue(parsed.error))
      const record = { ...parsed.data, id, state: parsed.data.state ?? leaseState(entry) }
      return {
        kind: 'instances',
        service,
        instances: [recordToInstance(`${registry}/etcd/${service}`, service, record)],
      }
    },
  }
}

const leaseState = ({ lease }: EtcdEntry) => (lease === undefined ? undefined : 'passing')

function decodeParts(path: string): string[] {
  try {
    return path.split('/').map(decodeURIComponent)
  } catch {
    return []
  }
}

function reasonOf(value: string): string {
  const { reason } = (parseJson(value)?.value ?? {}) as { reason?: unknown }
  return typeof reason === 'string' ? reason : ''
}

const strings = z.record(z.string(), z.unknown()).nullish()

/** go-micro's registry.Service, one node of it at each key. */
const microService = z.object({
  name: z.string().min(1),
  version: z.string().nullish(),
  metadata: strings,
  nodes: z
    .array(
      z.object({
        id: z.string().min(1),
        address: z.string().min(1),
        /** Of versions that had it apart. */
        port: z.int().nullish(),
        metadata: strings,
      }),
    )
    .min(1),
})

/** go-micro: `/micro/registry/<service>/<node>` with the service and that node as JSON. */
export function goMicroLayout(registry: string, prefix: string): EtcdLayout {
  return {
    prefix: `${prefix}/`,
    read(entry) {
      const json = parseJson(entry.value)
      if (json === undefined) return malformed('it is no JSON')
      const parsed = microService.safeParse(json.value)
      if (!parsed.success) return malformed(firstIssue(parsed.error))
      const { name: service, version, metadata, nodes } = parsed.data
      const instances: Instance[] = []
      for (const node of nodes) {
        const place = splitAddress(node.address, node.port ?? undefined)
        if (place === undefined) return malformed(`"${node.address}" is no address:port`)
        const meta = { ...onlyStrings(metadata), ...onlyStrings(node.metadata) }
        const weight = Number(meta['weight'])
        instances.push({
          key: `${registry}/etcd/${service}/${node.id}`,
          id: node.id,
          service,
          ...place,
          scheme: microScheme(meta),
          state: meta['draining'] === 'true' ? 'draining' : stateByLease(entry),
          weight: weight > 0 ? weight : 1,
          tags: [],
          meta,
          ...(version === undefined || version === null ? {} : { version }),
          ...(meta['zone'] === undefined ? {} : { zone: meta['zone'] }),
        })
      }
      return { kind: 'instances', service, instances }
    },
  }
}

function microScheme(meta: Readonly<Record<string, string>>): Instance['scheme'] {
  const { scheme, protocol } = meta as { scheme?: string; protocol?: string }
  if (scheme === 'http' || scheme === 'https' || scheme === 'h2c') return scheme
  return protocol === 'grpc' ? 'h2c' : 'http'
}

function onlyStrings(record: Record<string, unknown> | null | undefined): Record<string, string> {
  const entries = Object.entries(record ?? {})
  return Object.fromEntries(entries.filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
}

/** `10.0.0.7:8080`, `[::1]:8080`, or an address with its port apart. Undefined = it is none. */
export function splitAddress(
  text: string,
  port?: number,
): { readonly address: string; readonly port: number } | undefined {
  const [, host, own] = /^(\[[0-9a-fA-F:.]+\]|[^:[\]/\s]+):(\d{1,5})$/.exec(text) ?? []
  const address = (host ?? text).replace(/^\[|\]$/g, '')
  const found = port ?? Number(own)
  return isPort(found) && address !== '' && !/[\s/]/.test(address) ? { address, port: found } : undefined
}
