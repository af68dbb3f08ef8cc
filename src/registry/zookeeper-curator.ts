import { z } from 'zod'
import type { Check, Instance, InstanceState, Scheme } from '../core/types.ts'
import { DRAIN_KEY } from '../zookeeper/own-records.ts'
import { childPath } from '../zookeeper/servers.ts'
import { DRAIN_MARK } from './drain-mark.ts'
import {
  DUBBO_SCHEMES,
  type DubboProtocol,
  isPort,
  type Layout,
  type LayoutOptions,
  type Mapped,
  malformed,
  type NodeRecord,
  textsOf,
} from './zookeeper-layout.ts'

const MAX_OUTPUT = 512

/** Curator's ServiceInstance as JSON, as far as it means something here. */
const serviceInstance = z.object({
  address: z.string({ error: 'is missing' }).min(1, { error: 'is empty' }),
  port: z.int().nullish(),
  sslPort: z.int().nullish(),
  payload: z.unknown().optional(),
  enabled: z.boolean().nullish(),
})
type ServiceInstance = z.output<typeof serviceInstance>

/** States that an instance of ours gives itself in its metadata (docs/registries.md). */
const OWN_STATES: readonly InstanceState[] = ['passing', 'warning', 'critical', 'maintenance', 'draining']
/** `instance_status` of Spring Cloud Zookeeper. */
const SPRING_STATES: Readonly<Record<string, InstanceState>> = {
  UP: 'passing',
  OUT_OF_SERVICE: 'maintenance',
  DOWN: 'critical',
  STARTING: 'critical',
}

/** Curator's service discovery: `<base>/<service>/<id>` with JSON. Spring Cloud's payload is understood. */
export function curatorLayout(options: LayoutOptions): Layout {
  return {
    hasData: true,
    recordsPath: childPath,
    read(record) {
      const parsed = parse(record)
      if (!parsed.success) return malformed(parsed.why)
      const meta = metaOf(parsed.value.payload)
      return toInstance(record, parsed.value, meta, placeOf(parsed.value, meta), options)
    },
  }
}

const endpoint = z.object({ port: z.int(), protocol: z.string() })

/**
 * Dubbo 3's instances of applications: `<base>/<application>/<host:port>` with Curator's JSON, in which
 * `dubbo.endpoints` says which protocols there are at which ports.
 */
export function dubboApplicationLayout(options: LayoutOptions): Layout {
  return {
    hasData: true,
    recordsPath: childPath,
    read(record) {
      const parsed = parse(record)
      if (!parsed.success) return malformed(parsed.why)
      const meta = metaOf(parsed.value.payload)
      const endpoints = endpointsOf(meta['dubbo.endpoints'])
      if (endpoints === undefined) return malformed('dubbo.endpoints is no list of port and protocol')
      for (const protocol of options.protocols) {
        const found = endpoints.find((one) => one.protocol === protocol)
        if (found === undefined) continue
        return toInstance(
          record,
          parsed.value,
          { ...meta, protocol },
          dubboPlace(found.port, protocol, meta),
          options,
        )
      }
      if (endpoints.length > 0) {
        const offered = endpoints.map(({ protocol }) => protocol).join(', ')
        return { kind: 'unusable', process: record.name, why: `it speaks ${offered} only` }
      }
      const [protocol = 'tri'] = options.protocols
      const { port } = parsed.value
      return toInstance(
        record,
        parsed.value,
        { ...meta, protocol },
        dubboPlace(port, protocol, meta),
        options,
      )
    },
  }
}

interface Place {
  readonly port: number | null | undefined
  readonly scheme: Scheme
}

function dubboPlace(
  port: Place['port'],
  protocol: DubboProtocol,
  meta: Readonly<Record<string, string>>,
): Place {
  return { port, scheme: schemeOf(meta) ?? DUBBO_SCHEMES[protocol] }
}

/** Undefined = not what it should be. */
function endpointsOf(text: string | undefined): z.output<typeof endpoint>[] | undefined {
  if (text === undefined) return []
  try {
    return z.array(endpoint).parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

function parse({
  content,
}: NodeRecord): { success: true; value: ServiceInstance } | { success: false; why: string } {
  let value: unknown
  try {
    value = JSON.parse(content?.data.toString('utf8') ?? '')
  } catch {
    return { success: false, why: 'its data are no JSON' }
  }
  const result = serviceInstance.safeParse(value)
  if (result.success) return { success: true, value: result.data }
  const [issue] = result.error.issues
  return { success: false, why: [issue?.path.join('.'), issue?.message].filter(Boolean).join(' ') }
}

/** Spring and Dubbo put theirs below `metadata`; of other payloads the plain fields count. */
function metaOf(payload: unknown): Record<string, string> {
  if (typeof payload !== 'object' || payload === null) return {}
  const { metadata } = payload as { metadata?: unknown }
  if (typeof metadata === 'object' && metadata !== null) return textsOf(metadata)
  const { '@class': _class, ...texts } = textsOf(payload)
  return texts
}

function schemeOf({ scheme }: Readonly<Record<string, string>>): Scheme | undefined {
  return scheme === 'http' || scheme === 'https' || scheme === 'h2c' ? scheme : undefined
}

function placeOf({ port, sslPort }: ServiceInstance, meta: Readonly<Record<string, string>>): Place {
  const scheme = schemeOf(meta) ?? (isPort(port) || !isPort(sslPort) ? 'http' : 'https')
  return { port: scheme === 'https' && isPort(sslPort) ? sslPort : port, scheme }
}

function toInstance(
  { service, name, content }: NodeRecord,
  { address, enabled }: ServiceInstance,
  meta: Readonly<Record<string, string>>,
  { port, scheme }: Place,
  { registry, addressRule }: LayoutOptions,
): Mapped {
  if (!isPort(port))
    return malformed(port === undefined || port === null ? 'it has no port' : `${port} is no port`)
  const plain = address.replace(/^\[|\]$/g, '')
  const refusal = addressRule(plain)
  if (refusal !== undefined) return malformed(refusal)
  const tags = tagsOf(meta['tags'])
  const { state, weight, checks } = conditionOf(
    meta,
    tags,
    enabled !== false,
    content?.stat.ephemeralOwner !== 0n,
  )
  const { version, zone } = meta
  const instance: Instance = {
    key: `${registry}/zookeeper/${service}/${name}`,
    id: name,
    service,
    address: plain,
    port,
    scheme,
    state,
    weight,
    tags,
    meta,
    ...(checks === undefined ? {} : { checks }),
    ...(version === undefined ? {} : { version }),
    ...(zone === undefined ? {} : { zone }),
  }
  return { kind: 'instance', instance }
}

/** A JSON list, since tags may hold commas; else a list with commas. */
function tagsOf(text: string | undefined): string[] {
  if (text === undefined || text === '') return []
  try {
    const list: unknown = JSON.parse(text)
    if (Array.isArray(list)) return list.map(String)
  } catch {
    // A list with commas, then.
  }
  return text.split(',').map((tag) => tag.trim())
}

interface Condition {
  readonly state: InstanceState
  readonly weight: number
  readonly checks?: readonly Check[]
}

function conditionOf(
  meta: Readonly<Record<string, string>>,
  tags: readonly string[],
  isEnabled: boolean,
  isEphemeral: boolean,
): Condition {
  const weight = positive(meta['weight']) ?? 1
  const declared = declaredState(meta)
  const mark = meta[DRAIN_KEY]
  if (mark !== undefined) {
    const output = mark === '' ? DRAIN_MARK : `${DRAIN_MARK}: ${mark}`
    return { state: 'draining', weight, checks: [{ id: 'drain', state: 'maintenance', output: cut(output) }] }
  }
  if (declared === 'draining' || meta['draining'] === 'true' || tags.includes('draining')) {
    return { state: 'draining', weight, checks: declaredChecks('maintenance', meta) }
  }
  if (!isEnabled) return { state: 'maintenance', weight }
  // Whose session lives is there; of a node that stays nobody knows.
  if (declared === undefined) return { state: isEphemeral ? 'passing' : 'unknown', weight }
  const warningWeight = meta['weight-warning'] === '0' ? 0 : positive(meta['weight-warning'])
  if (declared === 'warning' && warningWeight === 0) {
    return { state: 'critical', weight, checks: declaredChecks('critical', meta, 'weight 0 while warning: ') }
  }
  return {
    state: declared,
    weight: declared === 'warning' ? (warningWeight ?? weight) : weight,
    checks: declaredChecks(declared, meta),
  }
}

function declaredState(meta: Readonly<Record<string, string>>): InstanceState | undefined {
  return OWN_STATES.find((state) => state === meta['state']) ?? SPRING_STATES[meta['instance_status'] ?? '']
}

function declaredChecks(state: InstanceState, meta: Readonly<Record<string, string>>, before = ''): Check[] {
  return [{ id: 'state', state, output: cut(`${before}${meta['state-output'] ?? ''}`) }]
}

const cut = (output: string) => output.slice(0, MAX_OUTPUT)

function positive(text: string | undefined): number | undefined {
  const value = Number(text)
  return text !== undefined && text !== '' && Number.isFinite(value) && value > 0 ? value : undefined
}
