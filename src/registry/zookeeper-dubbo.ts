import type { Instance, Scheme } from '../core/types.ts'
import { childPath } from '../zookeeper/servers.ts'
import {
  DUBBO_SCHEMES,
  type DubboProtocol,
  isPort,
  type Layout,
  type LayoutOptions,
  type Mapped,
  malformed,
} from './zookeeper-layout.ts'

/** Dubbo's default; it is 1 here. */
const DUBBO_WEIGHT = 100
/** What Dubbo writes for "no version". */
const NO_VERSION = '0.0.0'

/**
 * Dubbo's interfaces: `<base>/<interface>/providers/<URL>`, in which the whole URL of a provider, encoded, is the name
 * of a node without data. A service is an interface. What `configurators` say is not read.
 */
export function dubboLayout(options: LayoutOptions): Layout {
  return {
    hasData: false,
    recordsPath: (base, service) => childPath(childPath(base, service), 'providers'),
    read: ({ service, name }) => readProvider(service, name, options),
  }
}

function readProvider(service: string, name: string, options: LayoutOptions): Mapped {
  const url = parseUrl(name)
  if (url === undefined) return malformed('its name is no encoded URL')
  const params = Object.fromEntries(url.searchParams)
  const port = Number(url.port)
  const address = url.hostname.replace(/^\[|\]$/g, '')
  if (address === '') return malformed('its URL has no address')
  if (!isPort(port)) return malformed(`"${url.port}" is no port`)
  const refusal = options.addressRule(address)
  if (refusal !== undefined) return malformed(refusal)

  const { group = '', application = '', pid = '' } = params
  const version = params['version'] === NO_VERSION ? undefined : params['version']
  const process = [address, application, pid, group, version ?? ''].join('\n')
  const offered = [url.protocol.slice(0, -1), ...(params['ext.protocol'] ?? '').split(',').filter(Boolean)]
  const rank = options.protocols.findIndex((protocol) => offered.includes(protocol))
  const protocol = options.protocols[rank]
  if (protocol === undefined) {
    return { kind: 'unusable', process, why: `${url.host} speaks ${offered.join(', ')} only` }
  }
  const id = [`${url.host}`, ...[group, version ?? ''].filter(Boolean)].join('/')
  const instance: Instance = {
    key: `${options.registry}/zookeeper/${service}/${id}`,
    id,
    service,
    address,
    port,
    scheme: schemeOf(params, protocol),
    ...conditionOf(params),
    tags: [],
    meta: { ...params, protocol },
    ...(version === undefined ? {} : { version }),
    ...(params['zone'] === undefined ? {} : { zone: params['zone'] }),
  }
  return { kind: 'instance', instance, process, rank }
}

function parseUrl(name: string): URL | undefined {
  try {
    return new URL(decodeURIComponent(name))
  } catch {
    return undefined
  }
}

function schemeOf(params: Readonly<Record<string, string>>, protocol: DubboProtocol): Scheme {
  const { scheme } = params
  if (scheme === 'http' || scheme === 'https' || scheme === 'h2c') return scheme
  return params['ssl-enabled'] === 'true' ? 'https' : DUBBO_SCHEMES[protocol]
}

/** A weight of 0 is how Dubbo says "send it nothing". */
function conditionOf(params: Readonly<Record<string, string>>): Pick<Instance, 'state' | 'weight'> {
  const given = Number(params['weight'] ?? DUBBO_WEIGHT)
  const weight = Number.isFinite(given) && given > 0 ? given / DUBBO_WEIGHT : 1
  if (given === 0 || params['disabled'] === 'true' || params['enabled'] === 'false') {
    return { state: 'maintenance', weight }
  }
  // A node that stays (dynamic=false) says nothing about who lives.
  return { state: params['dynamic'] === 'false' ? 'unknown' : 'passing', weight }
}
