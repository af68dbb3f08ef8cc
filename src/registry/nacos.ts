import { backoffMs, type Clock, type Random, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { Check, Instance, InstanceState, Scheme } from '../core/types.ts'
import { type AddressRule, createAddressRule } from './consul-address.ts'
import { createNameFilter } from './consul-mapping.ts'
import { isPort } from './instance-record.ts'
import { NacosClient, type NacosConnection, type NacosHost, readHost } from './nacos-client.ts'
import type { RegistryProvider } from './provider.ts'
import { Teller } from './teller.ts'

const BACKOFF_BASE_MS = 250
const BACKOFF_MAX_MS = 5000
/** Reads that are out at once. */
const MAX_AT_ONCE = 8

/** A registry of type nacos, as the configuration has it. Times: ms. */
export interface NacosOptions extends NacosConnection {
  readonly interval: number
  /** Globs with `*`; empty = all. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Addresses or CIDRs. */
  readonly forbidAddresses: readonly string[]
}

export interface NacosDeps {
  readonly clock: Clock
  readonly random: Random
}

/** Nacos' state of an instance, and what makes it so. */
function stateOf(host: NacosHost): { state: InstanceState; checks: readonly Check[] } {
  const because = (id: string, state: InstanceState, output: string, expired?: boolean) => ({
    state,
    checks: [{ id, state, output, ...(expired === true ? { expired } : {}) }],
  })
  if (!host.enabled) return because('enabled', 'maintenance', 'disabled in Nacos')
  if (host.weight <= 0) return because('weight', 'maintenance', 'weight 0: it is to take nothing')
  if (host.metadata?.['draining'] === 'true') return because('draining', 'draining', 'metadata draining')
  if (host.healthy) return { state: 'passing', checks: [] }
  // Of an ephemeral one Nacos only knows that it is no longer heard.
  return host.ephemeral
    ? because('beat', 'critical', 'no heartbeat', true)
    : because('check', 'critical', 'the check of Nacos fails')
}

function schemeOf({ metadata }: NacosHost): Scheme {
  const { scheme, secure } = metadata ?? {}
  if (scheme === 'https' || scheme === 'h2c' || scheme === 'http') return scheme
  // As Spring Cloud Alibaba writes it.
  return secure === 'true' ? 'https' : 'http'
}

function toInstance(registry: string, service: string, host: NacosHost): Instance {
  const { ip, port, clusterName, metadata, weight } = host
  const id = `${ip.includes(':') ? `[${ip}]` : ip}:${port}`
  const { state, checks } = stateOf(host)
  const { version, zone } = metadata ?? {}
  return {
    key: `${registry}/${clusterName}/${service}/${id}`,
    id,
    service,
    address: ip,
    port,
    scheme: schemeOf(host),
    state,
    weight: weight > 0 ? weight : 1,
    tags: [],
    meta: metadata ?? {},
    datacentre: clusterName,
    ...(checks.length === 0 ? {} : { checks }),
    ...(version === undefined ? {} : { version }),
    ...(zone === undefined ? {} : { zone }),
  }
}

/** The instances of a service; what is malformed or forbidden is left out alone, with a line. */
export function readHosts(
  registry: string,
  service: string,
  given: readonly unknown[],
  addressRule: AddressRule,
): { instances: Instance[]; problems: string[] } {
  const found = new Map<string, Instance>()
  const problems: string[] = []
  for (const [i, one] of given.entries()) {
    const read = readHost(one)
    const why =
      'why' in read ? read.why : isPort(read.host.port) ? addressRule(read.host.ip) : 'port: it is none'
    if ('why' in read || why !== undefined) {
      const name = 'host' in read ? `${read.host.ip}:${read.host.port}` : `hosts.${i}`
      problems.push(`${service}: ${name} is left out: ${why}`)
      continue
    }
    const instance = toInstance(registry, service, read.host)
    found.set(instance.key, instance)
  }
  return { instances: [...found.values()].sort((a, b) => (a.key < b.key ? -1 : 1)), problems }
}

/** What was read of one service. */
interface Known {
  readonly instances: readonly Instance[]
  readonly problems: readonly string[]
}

/**
 * Reads a namespace and group of Nacos, again and again: the list of services, then each. What was read stays through
 * every failure. `watch` rejects with GW_REGISTRY_FILE when a PEM file cannot be read.
 */
export function createNacosProvider(name: string, options: NacosOptions, deps: NacosDeps): RegistryProvider {
  const { clock, random } = deps
  const addressRule = createAddressRule(options.forbidAddresses)
  const isWanted = createNameFilter(options.include, options.exclude)

  /** All services once. */
  async function readAll(client: NacosClient, known: Map<string, Known>, signal: AbortSignal) {
    const names = (await client.services(signal)).filter(isWanted)
    for (const service of known.keys()) if (!names.includes(service)) known.delete(service)
    const errors = new Map<string, GatewayError>()
    const rest = [...names]
    const work = async () => {
      for (let service = rest.shift(); service !== undefined && !signal.aborted; service = rest.shift()) {
        try {
          known.set(service, readHosts(name, service, await client.hosts(service, signal), addressRule))
        } catch (thrown) {
          errors.set(service, toError(thrown))
        }
      }
    }
    await Promise.all(Array.from({ length: MAX_AT_ONCE }, work))
    const [first] = errors.values()
    if (first !== undefined && errors.size === names.length) throw first
    return errors
  }

  return {
    name,
    async watch(sink, signal) {
      const client = new NacosClient(options, () => clock.monotonic())
      const teller = new Teller(sink, clock)
      const known = new Map<string, Known>()
      for (let failures = 0; !signal.aborted; ) {
        try {
          const errors = await readAll(client, known, signal)
          if (signal.aborted) break
          failures = 0
          teller.read({
            services: new Map(
              [...known]
                .filter(([, { instances }]) => instances.length > 0)
                .map(([service, { instances }]) => [service, instances]),
            ),
            failed: new Set(errors.keys()),
            problems: [
              ...[...known.values()].flatMap(({ problems }) => problems),
              ...[...errors].map(([service, { message }]) => `${service}: ${message}`),
            ],
          })
        } catch (thrown) {
          if (signal.aborted) break
          failures++
          teller.failed(toError(thrown))
        }
        // Many gateways do not ask in step.
        const pause = options.interval * (0.9 + 0.2 * random())
        await sleep(
          failures === 0 ? pause : backoffMs(failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS, random),
          signal,
        )
      }
      await client.close()
    },
  }
}

const toError = (thrown: unknown): GatewayError =>
  thrown instanceof GatewayError ? thrown : new GatewayError('GW_REGISTRY_ANSWER', errorText(thrown))
