import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ErrorCode } from '../src/core/errors.ts'
import type { PriorityClass } from '../src/core/priority-class.ts'
import type { RequestRecord } from '../src/core/record.ts'
import type { CanaryView, OverloadView, ServiceView, TablesView, TopologyView } from '../src/core/views.ts'
import { FILTER_METRICS, type FilterMetric, type FilterMetrics } from '../src/filters/metrics.ts'
import type { FilterVerdict } from '../src/filters/runner.ts'
import { CanaryMetrics } from './canary-metrics.ts'
import { addConfigurationMetrics } from './configuration-metrics.ts'
import { MirrorMetrics } from './mirror-metrics.ts'
import { MonitorMetrics, type MonitorState } from './monitor-metrics.ts'
import { OTHER, RequestMetrics } from './request-metrics.ts'

const EJECTION_KINDS = ['ejected', 'kept', 'returned'] as const
type EjectionKind = (typeof EJECTION_KINDS)[number]

const BREAKER_STATES = ['closed', 'open', 'half-open'] as const

export interface MetricsDeps {
  /** Series of one metric. */
  readonly maxSeries: number
  readonly version: string
  topology(): TopologyView
  tables(): TablesView
  /** Of the table in force. */
  canaries(): readonly CanaryView[]
  /** Of all gateways this one decides on releases. */
  decidesCanaries(): boolean
  tunnels(): number
  overload(): OverloadView
  /** Open client connections by listener. */
  connections(): Promise<ReadonlyMap<string, number>>
  /** Expiry of each certificate by file; ms since the epoch. */
  certificates(): ReadonlyMap<string, number>
  /** Age of the keys of each identity provider; s. */
  keyAges(): ReadonlyMap<string, number>
  readonly monitor: MonitorState
}

/** All metrics of the gateway. docs/metrics.md lists them; a test holds the two equal. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #requests: RequestMetrics
  readonly #canaries = new CanaryMetrics()
  /** What filters count by themselves. */
  readonly filters: FilterMetrics
  readonly mirrors: MirrorMetrics
  readonly monitor: MonitorMetrics
  readonly #deps: MetricsDeps
  readonly #maxSeries: number
  readonly #reloads: Counter
  readonly #reloadOk: Gauge
  readonly #reloadAt: Gauge
  readonly #filterSeconds: Histogram
  readonly #verdicts: Counter
  readonly #malformed: Counter
  readonly #shed: Counter
  readonly #ejections: Counter
  readonly #debugTokens: Counter
  /** Services that have series of ejections. */
  readonly #ejecting = new Set<string>()
  /** The topology of the scrape under way: many gauges read it. */
  #seen: TopologyView | undefined

  constructor(deps: MetricsDeps) {
    this.#deps = deps
    this.#maxSeries = deps.maxSeries
    const registers = [this.#registry]
    this.#requests = new RequestMetrics(deps.maxSeries)
    this.#requests.registerIn(this.#registry)
    this.#canaries.registerIn(this.#registry, deps)
    const counter = (name: string, help: string, labelNames: string[]) =>
      new Counter({ name, help, labelNames, registers })
    this.#reloads = counter('sluice_config_reloads_total', 'Reloads of the configuration by result.', [
      'result',
    ])
    this.#reloadOk = new Gauge({
      name: 'sluice_config_last_reload_successful',
      help: '1 when the last reload was taken, 0 when it was rejected.',
      registers,
    })
    this.#reloadOk.set(1)
    this.#reloadAt = new Gauge({
      name: 'sluice_config_last_reload_success_timestamp_seconds',
      help: 'When a configuration was last taken.',
      registers,
    })
    this.#reloadAt.setToCurrentTime()
    this.#filterSeconds = new Histogram({
      name: 'sluice_filter_duration_seconds',
      help: 'Time in a filter; one request in 16 is measured.',
      labelNames: ['filter'],
      buckets: [0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1],
      registers,
    })
    this.#verdicts = counter('sluice_filter_verdicts_total', 'Refusals and failures of filters.', [
      'filter',
      'verdict',
    ])
    this.#shed = counter(
      'sluice_overload_shed_total',
      'Requests refused while the gateway was at its limit.',
      ['class', 'reason'],
    )
    this.#malformed = counter('sluice_malformed_requests_total', 'What came in and was no request.', ['code'])
    this.#debugTokens = counter('sluice_debug_tokens_total', 'Requests with a debug token.', ['result'])
    this.#ejections = counter('sluice_ejections_total', 'Instances taken out or back by the gateway.', [
      'service',
      'kind',
    ])
    this.filters = this.#createFilterMetrics()
    this.mirrors = new MirrorMetrics(this.#registry)
    this.monitor = new MonitorMetrics(this.#registry, deps.monitor)
    addConfigurationMetrics(this.#registry, () => deps.tables().configuration)
    this.#addLive()
    collectDefaultMetrics({ register: this.#registry })
    new Gauge({ name: 'sluice_build_info', help: 'Always 1.', labelNames: ['version', 'node'], registers })
      .labels(deps.version, process.version)
      .set(1)
  }

  #createFilterMetrics(): FilterMetrics {
    const registers = [this.#registry]
    const [counters, gauges] = [new Map<string, Counter>(), new Map<string, Gauge>()]
    for (const [name, { type, help, labels }] of Object.entries<FilterMetric>(FILTER_METRICS)) {
      const options = { name, help, labelNames: [...labels], registers }
      if (type === 'counter') counters.set(name, new Counter(options))
      else gauges.set(name, new Gauge(options))
    }
    return {
      count: (name, labels, by = 1) =>
        counters
          .get(name)
          ?.labels(...labels)
          .inc(by),
      set: (name, labels, value) =>
        gauges
          .get(name)
          ?.labels(...labels)
          .set(value),
    }
  }

  /** Counts one request that is over. */
  record(record: RequestRecord): void {
    this.#requests.record(record)
    this.#canaries.record(record)
  }

  reloaded(result: 'applied' | 'unchanged' | 'rejected'): void {
    this.#reloads.labels(result).inc()
    this.#reloadOk.set(result === 'rejected' ? 0 : 1)
    if (result === 'applied') this.#reloadAt.setToCurrentTime()
  }

  filterTiming(filter: string, ms: number): void {
    this.#filterSeconds.labels(filter).observe(ms / 1000)
  }

  filterVerdict(filter: string, verdict: FilterVerdict): void {
    this.#verdicts.labels(filter, verdict).inc()
  }

  shed(priorityClass: PriorityClass, reason: NonNullable<OverloadView['reason']>): void {
    this.#shed.labels(priorityClass, reason).inc()
  }

  malformed(code: ErrorCode): void {
    this.#malformed.labels(code).inc()
  }

  debugToken(result: 'valid' | 'expired' | 'invalid'): void {
    this.#debugTokens.labels(result).inc()
  }

  ejection(service: string, kind: EjectionKind): void {
    // Each has a series for every kind.
    const hasRoom = this.#ejecting.size < this.#maxSeries / EJECTION_KINDS.length
    if (hasRoom) this.#ejecting.add(service)
    this.#ejections.labels(this.#ejecting.has(service) ? service : OTHER, kind).inc()
  }

  /** Drops the series of routes, services and canary rules that are no more. */
  keepOnly(
    routes: { has(name: string): boolean },
    services: { has(name: string): boolean },
    canaries: ReadonlySet<string>,
  ): void {
    this.#requests.keepOnly(routes)
    this.#canaries.keepOnly(canaries)
    for (const service of this.#ejecting) {
      if (services.has(service)) continue
      this.#ejecting.delete(service)
      for (const kind of EJECTION_KINDS) this.#ejections.remove(service, kind)
    }
  }

  /** The Prometheus text format. */
  async expose(): Promise<{ contentType: string; body: string }> {
    this.#seen = this.#deps.topology()
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  #topology(): TopologyView {
    return this.#seen ?? this.#deps.topology()
  }

  /** Gauges that are read from the live state when somebody scrapes. */
  #addLive(): void {
    const gauge = (name: string, help: string, labelNames: string[], fill: (gauge: Gauge) => unknown) =>
      new Gauge({
        name,
        help,
        labelNames,
        registers: [this.#registry],
        async collect() {
          this.reset()
          await fill(this)
        },
      })
    const services = () => this.#topology().services.slice(0, this.#maxSeries)
    const bySeries = (fill: (gauge: Gauge, service: ServiceView) => void) => (one: Gauge) => {
      for (const service of services()) fill(one, service)
    }
    gauge(
      'sluice_instances',
      'Instances by what the gateway makes of them.',
      ['service', 'use'],
      bySeries((one, service) => {
        const counts = new Map<string, number>([['rotation', 0]])
        for (const { use } of service.instances) counts.set(use, (counts.get(use) ?? 0) + 1)
        for (const [use, count] of counts) one.labels(service.name, use).set(count)
      }),
    )
    gauge(
      'sluice_service_in_flight',
      'Requests and tunnels under way.',
      ['service'],
      bySeries((one, service) => one.labels(service.name).set(service.inFlight)),
    )
    gauge(
      'sluice_service_source_state',
      '1 for where the instances of a service come from: live, stale, held, static, absent.',
      ['service', 'source'],
      bySeries((one, service) => one.labels(service.name, service.source).set(1)),
    )
    gauge(
      'sluice_upstream_sockets',
      'Sockets to the instances of a service.',
      ['service', 'state'],
      bySeries((one, service) => {
        let [connected, free, queued] = [0, 0, 0]
        for (const { sockets } of service.instances) {
          connected += sockets.connected
          free += sockets.free
          queued += sockets.queued
        }
        one.labels(service.name, 'connected').set(connected)
        one.labels(service.name, 'free').set(free)
        one.labels(service.name, 'queued').set(queued)
      }),
    )
    this.#addHealth(gauge, bySeries)
    this.#addRetries(services)
    this.#addRegistries(gauge)
    this.#addProcess(gauge)
  }

  #addHealth(
    gauge: GaugeMaker,
    bySeries: (fill: (gauge: Gauge, service: ServiceView) => void) => (one: Gauge) => void,
  ): void {
    gauge(
      'sluice_instances_ejected',
      'Instances that the gateway has taken out of rotation.',
      ['service'],
      bySeries((one, { name, instances }) =>
        one.labels(name).set(instances.filter(({ use }) => use === 'ejected').length),
      ),
    )
    gauge(
      'sluice_instances_flapping',
      'Instances that change too often.',
      ['service'],
      bySeries((one, { name, instances }) =>
        one.labels(name).set(instances.filter(({ flapping }) => flapping === true).length),
      ),
    )
    gauge(
      'sluice_panic',
      '1 while too few instances are in rotation and ejections are ignored.',
      ['service'],
      bySeries((one, { name, isPanic }) => one.labels(name).set(isPanic ? 1 : 0)),
    )
    gauge(
      'sluice_breaker_state',
      '1 for the state of a circuit breaker: closed, open, half-open.',
      ['service', 'state'],
      bySeries((one, { name, breaker }) => {
        if (breaker === undefined) return
        for (const state of BREAKER_STATES) one.labels(name, state).set(state === breaker ? 1 : 0)
      }),
    )
  }

  #addRetries(services: () => readonly ServiceView[]): void {
    const counter = (name: string, help: string, read: (service: ServiceView) => number) =>
      new Counter({
        name,
        help,
        labelNames: ['service'],
        registers: [this.#registry],
        collect() {
          this.reset()
          for (const service of services()) this.labels(service.name).inc(read(service))
        },
      })
    counter('sluice_retries_total', 'Further tries of requests.', ({ retries }) => retries)
    counter(
      'sluice_retry_overflows_total',
      'Retries not done because the budget was used up.',
      ({ retryOverflows }) => retryOverflows,
    )
    counter(
      'sluice_breaker_refusals_total',
      'Requests refused because the circuit breaker was open.',
      ({ breakerRefusals }) => breakerRefusals,
    )
  }

  #addRegistries(gauge: GaugeMaker): void {
    const registries = () => this.#topology().registries
    gauge(
      'sluice_registry_state',
      '1 for the state a registry is in: connecting, live, stale, failed.',
      ['registry', 'state'],
      (one) => {
        for (const { name, status } of registries()) one.labels(name, status.state).set(1)
      },
    )
    gauge(
      'sluice_registry_last_success_timestamp_seconds',
      'When a registry last answered.',
      ['registry'],
      (one) => {
        for (const { name, status } of registries()) {
          if (status.lastSuccess !== undefined) one.labels(name).set(status.lastSuccess / 1000)
        }
      },
    )
    gauge(
      'sluice_registry_lag_seconds',
      'How old a registry says that its answer is (Consul X-Consul-LastContact).',
      ['registry'],
      (one) => {
        for (const { name, status } of registries()) {
          if (status.lagMs !== undefined) one.labels(name).set(status.lagMs / 1000)
        }
      },
    )
  }

  #addProcess(gauge: GaugeMaker): void {
    gauge('sluice_table_version', 'Version of the table in force; 0 before the first.', [], (one) =>
      one.set(this.#deps.tables().current ?? 0),
    )
    gauge('sluice_table_routes', 'Routes of the table in force.', [], (one) =>
      one.set(this.#topology().gateway.routes),
    )
    gauge('sluice_table_rejected', '1 while the last candidate was rejected.', [], (one) =>
      one.set(this.#deps.tables().rejection === undefined ? 0 : 1),
    )
    gauge(
      'sluice_overload_level',
      '0: all are served; 1: bots and strangers are refused in part or all; 2: also those we know.',
      [],
      (one) => one.set(this.#deps.overload().level),
    )
    gauge('sluice_tunnels', 'WebSockets and other upgrades that are open.', [], (one) =>
      one.set(this.#deps.tunnels()),
    )
    gauge('sluice_client_connections', 'Open client connections.', ['listener'], async (one) => {
      for (const [listener, count] of await this.#deps.connections()) one.labels(listener).set(count)
    })
    gauge('sluice_certificate_expiry_timestamp_seconds', 'When a certificate expires.', ['file'], (one) => {
      for (const [file, at] of this.#deps.certificates()) one.labels(file).set(at / 1000)
    })
    gauge('sluice_jwks_age_seconds', 'Age of the keys of an identity provider.', ['provider'], (one) => {
      for (const [provider, age] of this.#deps.keyAges()) one.labels(provider).set(age)
    })
    const requests = this.#requests
    new Counter({
      name: 'sluice_metrics_overflows_total',
      help: 'Requests counted under _other for want of series.',
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(requests.overflows)
      },
    })
  }
}

type GaugeMaker = (
  name: string,
  help: string,
  labelNames: string[],
  fill: (gauge: Gauge) => unknown,
) => unknown
