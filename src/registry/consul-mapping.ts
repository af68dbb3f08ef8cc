import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import type { Check, Instance, InstanceState, ServiceInstances } from '../core/types.ts'
import type { AddressRule } from './consul-address.ts'
import { isDrainReason } from './drain-mark.ts'

const MAX_OUTPUT = 512
const SERF_CHECK = 'serfHealth'

const tagged = z.record(z.string(), z.object({ Address: z.string(), Port: z.int() })).nullish()

/** One element of `/v1/health/service/:name`, as far as it means something here. */
const healthEntry = z.object({
  Node: z.object({
    Node: z.string().min(1),
    Address: z.string().default(''),
    Datacenter: z.string().optional(),
    TaggedAddresses: z.record(z.string(), z.string()).nullish(),
    Meta: z.record(z.string(), z.string()).nullish(),
  }),
  Service: z.object({
    ID: z.string().min(1),
    Service: z.string(),
    Address: z.string().default(''),
    Port: z.int().default(0),
    Tags: z.array(z.string()).nullish(),
    Meta: z.record(z.string(), z.string()).nullish(),
    Weights: z.object({ Passing: z.int(), Warning: z.int() }).nullish(),
    TaggedAddresses: tagged,
  }),
  Checks: z
    .array(
      z.object({
        CheckID: z.string(),
        Status: z.string(),
        Output: z.string().default(''),
        Notes: z.string().default(''),
        Type: z.string().default(''),
      }),
    )
    .nullish(),
})

type HealthEntry = z.output<typeof healthEntry>

/** How answers of Consul become instances. */
export interface MappingOptions {
  /** Name of the registry: begins the keys. */
  readonly registry: string
  readonly taggedAddress: string | undefined
  readonly addressRule: AddressRule
}

export interface MappedService {
  readonly service: ServiceInstances
  /** In the answer, with those that were left out. */
  readonly records: number
  /** One line for each record that was left out. */
  readonly problems: readonly string[]
}

const CHECK_STATES: Readonly<Record<string, InstanceState>> = {
  passing: 'passing',
  warning: 'warning',
  critical: 'critical',
  maintenance: 'maintenance',
}

/** Names of the roster (`/v1/catalog/services`). Throws GW_REGISTRY_ANSWER when it is no object. */
export function rosterNames(body: unknown): string[] {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new GatewayError('GW_REGISTRY_ANSWER', 'the list of services is no object')
  }
  return Object.keys(body)
}

/** Which service names to read. `*` stands for any text; no include = all; exclude wins. */
export function createNameFilter(
  include: readonly string[],
  exclude: readonly string[],
): (name: string) => boolean {
  const wanted = include.map(toPattern)
  const unwanted = exclude.map(toPattern)
  return (name) =>
    (wanted.length === 0 || wanted.some((pattern) => pattern.test(name))) &&
    !unwanted.some((pattern) => pattern.test(name))
}

function toPattern(glob: string): RegExp {
  const parts = glob.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}/-]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's')
}

/**
 * Turns an answer of `/v1/health/service/:name` into instances, ordered by key. What did not change since
 * `before` is the same object. Throws GW_REGISTRY_ANSWER when the answer is no list.
 */
export function mapHealth(
  name: string,
  datacentre: string | undefined,
  body: unknown,
  options: MappingOptions,
  before?: ServiceInstances,
): MappedService {
  if (!Array.isArray(body)) {
    throw new GatewayError('GW_REGISTRY_ANSWER', `the health of ${name} is no list`)
  }
  const old = new Map(before?.instances.map((instance) => [instance.key, instance]))
  const problems: string[] = []
  const instances = new Map<string, Instance>()
  for (const record of body as unknown[]) {
    const parsed = healthEntry.safeParse(record)
    if (!parsed.success) {
      const [issue] = parsed.error.issues
      problems.push(`${name}: a record is left out: ${issue?.path.map(String).join('.')}: ${issue?.message}`)
      continue
    }
    const made = toInstance(name, datacentre, parsed.data, options)
    if (typeof made === 'string') {
      problems.push(`${name}: ${parsed.data.Service.ID} on ${parsed.data.Node.Node} is left out: ${made}`)
      continue
    }
    const known = old.get(made.key)
    const isSame = known !== undefined && JSON.stringify(known) === JSON.stringify(made)
    instances.set(made.key, isSame ? known : made)
  }
  const list = [...instances.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  const isSame =
    before !== undefined &&
    before.instances.length === list.length &&
    list.every((instance, i) => instance === before.instances[i])
  return { service: isSame ? before : { name, instances: list }, records: body.length, problems }
}

/** An instance, or why there is none. */
function toInstance(
  name: string,
  datacentre: string | undefined,
  entry: HealthEntry,
  { registry, taggedAddress, addressRule }: MappingOptions,
): Instance | string {
  const { Node: node, Service: service } = entry
  const place = locate(entry, taggedAddress)
  if (place.port === 0) return 'its port is 0'
  if (place.port < 0 || place.port > 65_535) return `${place.port} is no port`
  const refusal = addressRule(place.address)
  if (refusal !== undefined) return refusal

  const tags = service.Tags ?? []
  const meta = service.Meta ?? {}
  const weights = service.Weights ?? { Passing: 1, Warning: 1 }
  const given = (entry.Checks ?? []).map(toCheck)
  const found = worstState(service.ID, given)
  // Consul has no word for "take no more while warning" but this weight, and a weight of 0 is none here.
  const isRefusing = found === 'warning' && weights.Warning <= 0
  const checks = isRefusing ? given.map(refuse) : given
  const state = isRefusing ? 'critical' : found
  const isDraining =
    entry.Checks?.some((check) => isDrainMark(service.ID, check)) === true ||
    (state !== 'maintenance' && (meta['draining'] === 'true' || tags.includes('draining')))
  const dc = node.Datacenter ?? datacentre ?? 'local'
  const scheme = meta['scheme'] ?? tagValue(tags, 'scheme')
  const version = meta['version'] ?? tagValue(tags, 'version')
  // A machine is in one place, and so is all that runs there: said once, in the agent's node_meta.
  const zone = meta['zone'] ?? node.Meta?.['zone']
  return {
    key: `${registry}/${dc}/${node.Node}/${service.ID}`,
    id: service.ID,
    service: name,
    address: place.address,
    port: place.port,
    scheme: scheme === 'https' || scheme === 'h2c' ? scheme : 'http',
    state: isDraining ? 'draining' : state,
    weight: Math.max(1, state === 'warning' ? weights.Warning : weights.Passing),
    tags,
    meta,
    node: node.Node,
    datacentre: dc,
    checks,
    ...(version === undefined ? {} : { version }),
    ...(zone === undefined ? {} : { zone }),
  }
}

function locate({ Node: node, Service: service }: HealthEntry, name: string | undefined) {
  const plain = { address: service.Address === '' ? node.Address : service.Address, port: service.Port }
  if (name === undefined) return plain
  const own = service.TaggedAddresses?.[name]
  if (own !== undefined && own.Address !== '') {
    return { address: own.Address, port: own.Port === 0 ? service.Port : own.Port }
  }
  const ofNode = node.TaggedAddresses?.[name]
  return service.Address === '' && ofNode !== undefined ? { ...plain, address: ofNode } : plain
}

function toCheck(check: NonNullable<HealthEntry['Checks']>[number]): Check {
  const state = CHECK_STATES[check.Status] ?? 'critical'
  return {
    id: check.CheckID,
    state,
    output: check.Output.slice(0, MAX_OUTPUT),
    ...(state === 'critical' && isExpired(check) ? { expired: true } : {}),
  }
}

/**
 * Nobody said that the instance is ill: its beats did not arrive. That is so for a TTL, and for serfHealth,
 * which turns critical when a node is not heard any more; after an outage of Consul both happen to many at once.
 */
function isExpired({
  CheckID: id,
  Output: output,
  Type: type,
}: {
  CheckID: string
  Output: string
  Type: string
}) {
  if (id === SERF_CHECK) return true
  return (type === '' || type === 'ttl') && output.startsWith('TTL expired')
}

/**
 * Maintenance that an instance set for itself because it goes away (docs/rolling-release.md): every reader of the
 * catalog leaves it alone, and we know that its end is no loss.
 */
function isDrainMark(
  id: string,
  { CheckID, Status, Notes }: { CheckID: string; Status: string; Notes: string },
) {
  return CheckID === `_service_maintenance:${id}` && Status === 'critical' && isDrainReason(Notes)
}

function refuse(check: Check): Check {
  if (check.state !== 'warning') return check
  return {
    ...check,
    state: 'critical',
    output: `weight 0 while warning: ${check.output}`.slice(0, MAX_OUTPUT),
  }
}

/** maintenance > critical > warning > passing; without checks: passing, as Consul has it. */
function worstState(id: string, checks: readonly Check[]): InstanceState {
  const isMaintenance = checks.some(
    (check) =>
      check.state === 'maintenance' ||
      (check.state === 'critical' &&
        (check.id === '_node_maintenance' || check.id === `_service_maintenance:${id}`)),
  )
  if (isMaintenance) return 'maintenance'
  if (checks.some(({ state }) => state === 'critical')) return 'critical'
  return checks.some(({ state }) => state === 'warning') ? 'warning' : 'passing'
}

function tagValue(tags: readonly string[], key: string): string | undefined {
  return tags.find((tag) => tag.startsWith(`${key}=`))?.slice(key.length + 1)
}
