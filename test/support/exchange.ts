import { EventEmitter } from 'node:events'
import { systemClock } from '../../src/core/duration.ts'
import { Headers } from '../../src/core/headers.ts'
import { DEFAULT_HEALTH } from '../../src/core/health-policy.ts'
import type { RouteSpec, ServicePolicy } from '../../src/core/route.ts'
import type { Instance } from '../../src/core/types.ts'
import type { Exchange, RequestBody, ResponseSink } from '../../src/proxy/exchange.ts'
import { Upstreams, type UpstreamsDeps } from '../../src/proxy/upstreams.ts'
import { NO_RELEASES } from '../../src/routing/release.ts'
import type { Routed, Service, Table } from '../../src/routing/table.ts'

export const quietLog = { warn: () => {}, info: () => {} }

/** A policy with the documented defaults. */
export function aPolicy(own: Partial<ServicePolicy> = {}): ServicePolicy {
  return {
    name: 'shop',
    source: 'test',
    registryName: 'shop',
    upstreams: [],
    balance: { kind: 'round-robin' },
    slowStartMs: 0,
    timeouts: { connectMs: 1000, headersMs: 5000, idleMs: 5000, totalMs: 0, perTryMs: 0 },
    retries: {
      attempts: 2,
      on: ['connect-failure', 'reset'],
      statuses: [],
      idempotencyKey: false,
      replayBytes: 65_536,
    },
    tls: { verify: true },
    maxConnections: 16,
    maxPending: 64,
    keepAliveMs: 4000,
    streamDrainMs: 300_000,
    health: DEFAULT_HEALTH,
    ...own,
  }
}

/** An instance on loopback. */
export function anInstance(id: string, port: number, own: Partial<Instance> = {}): Instance {
  return {
    key: `test/dc1/node/${id}`,
    id,
    service: 'shop',
    address: '127.0.0.1',
    port,
    scheme: 'http',
    state: 'passing',
    weight: 1,
    tags: [],
    meta: {},
    ...own,
  }
}

export function aService(instances: readonly Instance[], own: Partial<ServicePolicy> = {}): Service {
  const policy = aPolicy(own)
  return {
    name: policy.name,
    policy,
    instances,
    eligible: instances.filter((one) => one.state === 'passing'),
    reserve: [],
    standby: [],
    contentId: 'service',
    source: 'live',
  }
}

export function aTable(...services: Service[]): Table {
  return {
    version: 1,
    id: '0'.repeat(16),
    createdAt: 0,
    cause: 'test',
    routes: new Map(),
    services: new Map(services.map((service) => [service.name, service])),
    hosts: { routeCount: 0 },
    canaries: NO_RELEASES,
    hostFallback: false,
    mergeSlashes: true,
    problems: [],
  }
}

export function aRouted(
  service: Service | undefined,
  own: Partial<Routed> & { spec?: Partial<RouteSpec> } = {},
): Routed {
  const { spec, ...rest } = own
  return {
    kind: 'route',
    route: {
      contentId: 'route',
      precedence: {
        priority: 0,
        pathClass: 2,
        segments: [],
        hasMethods: false,
        headerCount: 0,
        queryCount: 0,
      },
      spec: {
        name: 'shop',
        source: 'test',
        priority: 0,
        match: {
          hosts: [],
          path: { kind: 'prefix', value: '/' },
          methods: [],
          headers: [],
          query: [],
          cookies: [],
          clientNetworks: [],
        },
        action: { kind: 'proxy', targets: [{ service: 'shop', weight: 1 }], host: 'preserve' },
        filters: [],
        requestHeaders: { remove: [], set: {}, add: {} },
        responseHeaders: { remove: [], set: {}, add: {} },
        timeouts: {},
        retries: {},
        labels: {},
        ...spec,
      },
    },
    host: 'shop.example',
    path: '/',
    query: '',
    params: {},
    serviceName: service?.name ?? 'shop',
    ...(service === undefined ? {} : { service }),
    upstreamTarget: '/',
    ...rest,
  }
}

/** A sink that keeps what it gets; `isSlow` makes each write ask for a pause until `drain`. */
export class RecordingSink extends EventEmitter implements ResponseSink {
  readonly hints: { status: number; headers: Headers }[] = []
  status: number | undefined
  headers: Headers | undefined
  trailers: Headers | undefined
  readonly chunks: Buffer[] = []
  hasEnded = false
  wasAborted = false
  isSlow = false
  /** Set: `head` waits for it. */
  headGate: Promise<void> | undefined
  #resume: (() => void) | undefined

  informational(status: number, headers: Headers): void {
    this.hints.push({ status, headers })
  }

  head(status: number, headers: Headers): void | Promise<void> {
    this.status = status
    this.headers = headers
    this.emit('head')
    return this.headGate
  }

  write(chunk: Buffer): boolean {
    this.chunks.push(chunk)
    this.emit('chunk')
    return !this.isSlow
  }

  onDrain(resume: () => void): void {
    this.#resume = resume
    this.emit('waiting')
  }

  drain(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  get isWaiting(): boolean {
    return this.#resume !== undefined
  }

  get body(): string {
    return Buffer.concat(this.chunks).toString()
  }

  end(trailers: Headers | undefined): void {
    this.trailers = trailers
    this.hasEnded = true
  }

  abort(): void {
    this.wasAborted = true
  }
}

export interface ExchangeParts {
  readonly sink?: RecordingSink
  readonly method?: string
  readonly headers?: string[]
  readonly body?: RequestBody
  readonly signal?: AbortSignal
}

export function anExchange(routed: Routed, parts: ExchangeParts = {}): Exchange & { sink: RecordingSink } {
  return {
    routed,
    requestId: 'r-1',
    method: parts.method ?? 'GET',
    headers: new Headers(parts.headers ?? []),
    clientHost: 'shop.example',
    clientIp: '192.0.2.1',
    body: parts.body ?? { kind: 'none' },
    sink: parts.sink ?? new RecordingSink(),
    signal: parts.signal ?? new AbortController().signal,
  }
}

export function someUpstreams(table: Table, own: Partial<UpstreamsDeps> = {}): Upstreams {
  const upstreams = new Upstreams({ clock: systemClock, random: Math.random, log: quietLog, ...own })
  upstreams.sync(table)
  return upstreams
}
