import type { AlertView, HistoryView } from '../../src/core/monitor-view.ts'
import type { TrafficView } from '../../src/core/traffic-view.ts'
import type { InstanceView, RouteView, ServiceView, TopologyView } from '../../src/core/views.ts'

/** Answers of the admin API as the page reads them, for landscapes that are too large or too ill to start in a test. */

const BUCKETS = 60
const BUCKET_MS = 5000

export interface Landscape {
  readonly services: number
  readonly instances: number
  /** ms since the epoch. */
  readonly now: number
  /** Takes the place of the names that are made up. */
  readonly names?: readonly string[]
}

/** The same for the same seed. 0 to 1. */
const noise = (seed: number) => {
  const value = Math.sin(seed * 12.9898) * 43758.5453
  return value - Math.floor(value)
}

const NAMES = 'cart catalog checkout search orders users payments stock prices reviews mail images'.split(' ')
const nameOf = (index: number, names: readonly string[] = []) =>
  names[index] ??
  `${NAMES[index % NAMES.length]}${index < NAMES.length ? '' : `-${Math.floor(index / NAMES.length)}`}`

function instance(service: string, seed: number, index: number, now: number): InstanceView {
  const isEjected = noise(seed * 31 + index) > 0.985
  const isCritical = noise(seed * 17 + index) > 0.988
  const id = `${service}-${index}`
  return {
    key: `local/dc1/node-${index}/${id}`,
    id,
    address: `10.${seed % 256}.0.${index + 1}:8080`,
    scheme: 'http',
    state: isCritical ? 'critical' : 'passing',
    use: isCritical ? 'out' : isEjected ? 'ejected' : 'rotation',
    ...(isCritical ? { reason: 'the registry says critical' } : {}),
    ...(isEjected ? { reason: '5 failures of the gateway in a row; back in 30 s' } : {}),
    weight: 1,
    version: index % 4 === 3 ? '2.1.0' : '2.0.4',
    zone: `eu-${(index % 3) + 1}`,
    node: `node-${index}`,
    tags: ['web', `shard-${index}`],
    checks: [
      {
        id: 'ttl',
        state: isCritical ? 'critical' : 'passing',
        output: isCritical ? 'connect ECONNREFUSED 10.0.0.1:8080\nafter 3 attempts' : 'alive',
      },
      { id: 'http', state: 'passing', output: 'HTTP GET /health: 200 OK, 4 ms' },
    ],
    inFlight: Math.round(noise(seed + index * 7) * 6),
    since: now - 3_600_000 * (1 + noise(seed + index) * 80),
    lastRequestAt: now - 1000,
    requests: Math.round(noise(seed * 3 + index) * 50_000),
    failures: isEjected ? 5 : 0,
    ejectedForMs: isEjected ? 30_000 : 0,
    sockets: { connected: 4, free: 3, queued: 0 },
  }
}

function service(index: number, { instances, now, names }: Landscape): ServiceView {
  const name = nameOf(index, names)
  const list = Array.from({ length: instances }, (_, at) => instance(name, index + 1, at, now))
  return {
    name,
    isInTable: true,
    source: 'live',
    routes: [`${name}-api`],
    balance: 'least-requests',
    inFlight: list.reduce((sum, { inFlight }) => sum + inFlight, 0),
    retries: 12,
    retryOverflows: 0,
    isPanic: false,
    breaker: 'closed',
    breakerRefusals: 0,
    available: list.filter(({ use }) => use === 'rotation').length,
    instances: list,
  }
}

export function topologyAnswer(landscape: Landscape): TopologyView {
  const { services, now } = landscape
  return {
    at: now,
    gateway: { version: '0.1.0', state: 'ready', startedAt: now - 7_400_000, table: 42, routes: services },
    registries: [
      { name: 'consul', type: 'consul', status: { state: 'live', lastSuccess: now - 2000, lagMs: 4 } },
      {
        name: 'legacy',
        type: 'zookeeper',
        status: {
          state: 'stale',
          lastSuccess: now - 95_000,
          lastError: {
            at: now - 5000,
            code: 'GW_REGISTRY_UNREACHABLE',
            message: 'no connection to zk1:2181',
          },
        },
      },
    ],
    services: Array.from({ length: services }, (_, index) => service(index, landscape)),
    problems: [],
  }
}

export function routesAnswer({ services, names }: Landscape): { routes: RouteView[] } {
  return {
    routes: Array.from({ length: services }, (_, index) => {
      const name = nameOf(index, names)
      return {
        name: `${name}-api`,
        source: 'file',
        priority: 0,
        hosts: ['shop.example.com'],
        path: { kind: 'prefix', value: `/api/${name}` },
        methods: [],
        conditions: [],
        action: 'proxy',
        target: name,
        services: [name],
        filters: ['standard-headers'],
        labels: {},
        canaries: [],
      } as unknown as RouteView
    }),
  }
}

function traffic(seed: number, base: number, from: number) {
  const at = (index: number, kind: number) => noise(seed * 97 + index * 13 + kind)
  const list = <T>(make: (index: number) => T) => Array.from({ length: BUCKETS }, (_, index) => make(index))
  const isIll = seed % 9 === 4
  const wave = (index: number) => 0.75 + 0.2 * Math.sin((index + seed * 5) / 7)
  const requests = list((index) => Math.round(base * 5 * wave(index) * (0.9 + 0.2 * at(index, 1))))
  const errors = requests.map((amount, index) =>
    Math.round(amount * (isIll && index > 40 ? 0.06 : 0.004) * at(index, 2)),
  )
  const p50 = list((index) => 8 + (seed % 7) * 3 + at(index, 3) * 4)
  return {
    rps: (requests.at(-1) ?? 0) / 5,
    errorRatio: (errors.at(-1) ?? 0) / Math.max(1, requests.at(-1) ?? 0),
    p50: p50.at(-1) ?? null,
    p99: 60 + at(3, 5) * 90,
    series: { from, requests, errors, p50, p99: p50.map((value, index) => value * (3 + 4 * at(index, 4))) },
  }
}

export function trafficAnswer({ services, instances, now, names }: Landscape): TrafficView {
  const from = now - BUCKETS * BUCKET_MS
  const all = Array.from({ length: services }, (_, index) => {
    const name = nameOf(index, names)
    return { name, index, data: traffic(index + 1, 2 + noise(index) ** 4 * 220, from) }
  })
  return {
    at: now,
    bucketMs: BUCKET_MS,
    total: traffic(3, 640, from),
    services: Object.fromEntries(all.map(({ name, data }) => [name, data])),
    routes: Object.fromEntries(
      all.map(({ name, data }) => [
        `${name}-api`,
        { rps: data.rps, errorRatio: data.errorRatio, services: { [name]: data.rps } },
      ]),
    ),
    instances: Object.fromEntries(
      all.flatMap(({ name, data }) =>
        Array.from({ length: instances }, (_, at) => [
          `local/dc1/node-${at}/${name}-${at}`,
          { rps: data.rps / instances, errorRatio: data.errorRatio, p50: data.p50, p99: data.p99 },
        ]),
      ),
    ),
  }
}

export function historyAnswer({ now, names }: Landscape): HistoryView {
  const name = nameOf(0, names)
  const at = (minutes: number) => now - minutes * 60_000
  const address = '10.1.0.1:8080'
  const one = { service: name, key: `local/dc1/node-0/${name}-0`, address, version: '2.0.4' }
  return {
    from: at(2000),
    registries: [],
    flapping: [{ service: name, key: one.key, address, changes: 6, since: at(9) }],
    entries: [
      { ...one, at: at(1), what: 'returned', to: 'passing' },
      { ...one, at: at(2), what: 'ejected', to: 'ejected', reason: '5 failures of the gateway in a row' },
      { ...one, at: at(9), what: 'changed', from: 'critical', to: 'passing' },
      { ...one, at: at(11), what: 'changed', from: 'passing', to: 'critical', reason: 'TTL expired' },
      { ...one, at: at(1500), what: 'appeared', to: 'passing' },
    ],
  }
}

export function alertsAnswer({ now, names }: Landscape): { alerts: AlertView[] } {
  const common = { state: 'firing' as const, labels: {} }
  return {
    alerts: [
      {
        ...common,
        id: 'a1',
        rule: 'TooFewHealthy',
        kind: 'minHealthy',
        severity: 'critical',
        service: nameOf(3, names),
        summary: 'only 1 of 4 instances is healthy, 2 are wanted',
        activeAt: now - 190_000,
        since: now - 130_000,
      },
      {
        ...common,
        id: 'a2',
        rule: 'RegistryStale',
        kind: 'registryStale',
        severity: 'warning',
        service: '',
        registry: 'legacy',
        summary: 'has not answered for 95 s',
        activeAt: now - 95_000,
        since: now - 35_000,
      },
    ],
  }
}

/** Everything above by path. */
export function landscapeAnswers(landscape: Landscape): Record<string, unknown> {
  return {
    '/api/topology': topologyAnswer(landscape),
    '/api/routes': routesAnswer(landscape),
    '/api/traffic': trafficAnswer(landscape),
    '/api/history': historyAnswer(landscape),
    '/api/alerts': alertsAnswer(landscape),
    '/api/session': { canWrite: true, who: 'maria', via: 'session', hasSignIn: true },
  }
}
