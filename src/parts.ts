import { Audit } from '../plugins/audit.ts'
import { Contracts } from '../plugins/contracts.ts'
import { EventHub } from '../plugins/events.ts'
import { watchAll } from '../plugins/exchange-watch.ts'
import { LiveRequests } from '../plugins/live-requests.ts'
import { createLogs, type Logs } from '../plugins/log.ts'
import { Metrics } from '../plugins/metrics.ts'
import { Mirrors } from '../plugins/mirrors.ts'
import { Overload } from '../plugins/overload.ts'
import { createProxy, type DataPath } from '../plugins/proxy.ts'
import { Refusals } from '../plugins/refusals.ts'
import { Traffic } from '../plugins/traffic.ts'
import { type AdminParts, liveVerdicts, servicesOf, tablesOf, topologyOf } from './admin-context.ts'
import type { CandidateDeps } from './candidate.ts'
import type { LoadedConfig } from './config/load.ts'
import { monitorFor } from './config/monitor.ts'
import { watchFiles } from './config/watch.ts'
import type { ConfigLoader } from './config-loader.ts'
import { ControlPlane } from './control.ts'
import { type Clock, type Random, systemClock } from './core/duration.ts'
import { createIdSource } from './core/ids.ts'
import type { Instance } from './core/types.ts'
import type { GatewayState } from './core/views.ts'
import { DrainControl } from './drain-control.ts'
import { DrainMarks } from './drain-marks.ts'
import { createFilterResources, type ResourceSet } from './filter-resources.ts'
import { FILTERS } from './filters/list.ts'
import type { FilterMetrics } from './filters/metrics.ts'
import { type Chains, createChains } from './filters/runner.ts'
import { Fleet } from './fleet.ts'
import { viewCanaries } from './health/canaries.ts'
import { publishInstanceEvents } from './instance-events.ts'
import { Listeners } from './listeners.ts'
import { Monitor } from './monitor.ts'
import { Recorder } from './preview/recorder.ts'
import { replaySide } from './preview/side-replay.ts'
import { guardChange } from './preview-run.ts'
import { createProviders } from './providers.ts'
import { createClientAddress } from './proxy/client-address.ts'
import { Upstreams } from './proxy/upstreams.ts'
import { createDeclaredRoutes } from './registry/declared-routes.ts'
import { Reducer } from './registry/reducer.ts'
import { SnapshotWriter } from './registry/snapshot-file.ts'
import { Supervisor } from './registry/supervisor.ts'
import { Releases } from './releases.ts'
import { TableStore } from './routing/store.ts'
import type { Table } from './routing/table.ts'
import type { StoredConfiguration } from './stored-configuration.ts'

export interface GatewayOptions {
  readonly version: string
  /** Already loaded, so that mistakes are shown before anything starts. */
  readonly config: LoadedConfig
  /** What loaded it; reads it again on each change. */
  readonly loader: ConfigLoader
  /** `monitor`: it serves no clients, decides on no release and talks to no instance. Default `gateway`. */
  readonly role?: 'gateway' | 'monitor'
  /** Configuration from a store; what it has is in `config`. */
  readonly stored?: StoredConfiguration | undefined
}

/** What changes over the life of a gateway. */
export interface Life {
  state: GatewayState
  /** Where the admin side listens; empty before it does. */
  adminUrl: string
  /** A snapshot from disk was put in. */
  hasSnapshot: boolean
  /** Of the files as they were last read; differs from the one in use = a restart is needed. */
  latestStaticHash: string
}

/** The parts of a gateway, wired, not started. */
export interface Parts extends AdminParts {
  readonly life: Life
  readonly clock: Clock
  readonly random: Random
  readonly logs: Logs
  readonly chains: Chains
  readonly resources: ResourceSet
  readonly dataPath: DataPath
  readonly listeners: Listeners
  readonly supervisor: Supervisor
  readonly snapshot: SnapshotWriter | undefined
  readonly loader: ConfigLoader
  readonly registryTypes: ReadonlyMap<string, string>
}

/** Reads the files again and notes whether a restart is needed. */
function createLoad(
  { config, loader, stored }: GatewayOptions,
  life: Life,
  { log }: Logs,
): CandidateDeps['loadConfig'] {
  return async (overlay, files = stored?.files) => {
    if (overlay !== undefined) return loader.load(overlay, files)
    const loaded = await loader.load(undefined, files)
    if (loaded.staticHash !== life.latestStaticHash && loaded.staticHash !== config.staticHash) {
      log.warn({}, 'the static part of the configuration changed: restart to apply it')
    }
    life.latestStaticHash = loaded.staticHash
    return loaded
  }
}

/** Tables and ejections as log lines, events and metrics. */
function announce({ store, upstreams, events, logs, metrics, monitor }: Parts): void {
  store.onSwap((table, { version, cause, changes }) => {
    logs.log.info({ table: version, cause, routes: table.routes.size }, 'table in force')
    for (const change of changes) logs.log.info({ table: version }, change)
    events.publish('table', { version, cause, changes })
    const { lanes, rules } = table.canaries
    const canaries = new Set([...lanes, ...rules].map(({ rule }) => rule.spec.name))
    metrics.keepOnly(table.routes, table.services, canaries)
  })
  upstreams.health.subscribe((event) => {
    const { type, ...data } = event
    events.publish(type, data)
    monitor.health(event)
    if (event.type === 'ejection') metrics.ejection(event.service, event.kind)
  })
}

/** Those that the configuration names; no registry has them. */
function staticInstances(table: Table | undefined): Instance[] {
  return [...(table?.services.values() ?? [])]
    .filter(({ source }) => source === 'static')
    .flatMap(({ instances }) => instances)
}

/**
 * Puts the parts of a gateway together; nothing runs yet. Throws GW_CONFIG_INVALID for what only shows when it is
 * used: a certificate, a network.
 */
export function createParts(options: GatewayOptions): Parts {
  const { static: config } = options.config
  const { role = 'gateway' } = options
  const [clock, random] = [systemClock, Math.random]
  const life: Life = {
    state: 'starting',
    adminUrl: '',
    hasSnapshot: false,
    latestStaticHash: options.config.staticHash,
  }
  const logs = createLogs(config.log, random)
  const { log } = logs
  const load = createLoad(options, life, logs)
  const events = new EventHub(clock.now)
  const store = new TableStore(clock.now)
  const marks = new DrainMarks()
  const review = () => marks.review(reducer.state(), () => staticInstances(store.current()))
  const environment = {
    clock,
    random,
    log,
    event: (data: Readonly<Record<string, unknown>>) => events.publish('filter', data),
    metrics: {
      count: (...args: Parameters<FilterMetrics['count']>) => metrics.filters.count(...args),
      set: (...args: Parameters<FilterMetrics['set']>) => metrics.filters.set(...args),
    },
    isCheck: false,
  }
  const resources = createFilterResources(config, environment)
  const chains = createChains(FILTERS, {
    ...environment,
    resources,
    watchFiles: (paths, onChange, signal) =>
      watchFiles(
        () => paths,
        () => [],
        async () => onChange(),
        signal,
      ),
    onTiming: (name, ms) => metrics.filterTiming(name, ms),
    onVerdict: (name, verdict) => metrics.filterVerdict(name, verdict),
  })
  const upstreams = new Upstreams({
    clock,
    random,
    log,
    zone: config.zone,
    onRefused: (key) => reducer.refused(key),
  })
  const providers = createProviders(config.registries, { clock, random, log })
  const reducer = new Reducer({
    guard: config.guard,
    clock,
    onChange: (cause, isUrgent) => {
      snapshot?.save(reducer.state())
      review()
      control.changed(cause, isUrgent)
    },
  })
  const supervisor = new Supervisor(providers.all, {
    reducer,
    clock,
    random,
    log,
    onState: (registry, status) => {
      const { state, lastError } = status
      events.publish('registry', { registry, state, error: lastError?.message })
      monitor.registry(registry, status)
    },
  })
  const snapshot =
    config.snapshot === undefined
      ? undefined
      : new SnapshotWriter(config.snapshot.path, config.snapshot.interval, (text) => log.warn({}, text))
  const control: ControlPlane = new ControlPlane(options.config, {
    loadConfig: () => load(),
    registryState: () => reducer.state(),
    drains: () => marks.reasons,
    canaryStates: ({ canaries }) => releases.live(canaries),
    declaredRoutes: createDeclaredRoutes(config.declaredRoutes),
    validateFilters: (spec) => chains.validate(spec),
    prepareFilters: (spec) => chains.prepare(spec),
    reviewChange: async (current, candidate) => {
      const { maxChangedPercent } = config.guard
      if (maxChangedPercent === undefined) return
      await guardChange({ recorder, chains, side: replaySide }, current, candidate, maxChangedPercent)
    },
    // A monitor has no requests for instances, and must not add its checks to those of all gateways.
    beforeSwap: (table) => (role === 'monitor' ? undefined : upstreams.sync(table)),
    store,
    clock,
    log,
    onReload: (result) => {
      metrics.reloaded(result)
      log.info({ result }, 'configuration read')
    },
    onReject: (cause, message) => events.publish('rejected', { cause, message }),
  })
  const releases: Releases = new Releases({
    config,
    tables: store,
    events,
    isFollower: role === 'monitor',
    breaches: () => contracts.breaches(),
    onChange: (cause) => control.changed(cause, true),
    onNotified: (result) => metrics.monitor.notified('canary', result),
    clock,
    random,
    log,
  })
  const monitor = new Monitor({
    config: monitorFor(config.monitor, role),
    events,
    services: () => servicesOf(parts, 'all'),
    registries: () => parts.registries(),
    onNotified: (channel, result) => metrics.monitor.notified(channel, result),
    clock,
    log,
  })
  const overload = new Overload(config.overload, {
    random,
    onLevel: (view, before) => {
      const state = view.level === 0 ? 'end' : before === 0 ? 'begin' : 'level'
      events.publish('overload', { state, ...view })
      log.warn({ ...view }, view.level === 0 ? 'overload is over' : 'overloaded: requests are refused')
    },
    onShed: (priorityClass, reason) => metrics.shed(priorityClass, reason),
  })
  const newId = createIdSource()
  const recorder = new Recorder(config.recorder, { random, salt: newId(16) })
  const mirrors = new Mirrors({
    clock,
    random,
    newId,
    log,
    onResult: (mirror, result) => metrics.mirrors.request(mirror, result),
    onDifference: (mirror, kind) => metrics.mirrors.difference(mirror, kind),
  })
  const contracts: Contracts = new Contracts({
    clock,
    random,
    log,
    onBreach: (breach) => {
      metrics.mirrors.breach(breach)
      events.publish('contract', { ...breach })
      log.warn({ ...breach }, 'a service does not keep its contract')
    },
  })
  const traffic = new Traffic({ now: clock.now, table: () => store.current() })
  const refusals = new Refusals({ now: clock.now, overload: () => overload.view })
  const audit = new Audit({
    now: clock.now,
    file: config.admin.audit.file,
    log,
    versions: () => store.versions(),
  })
  const { debugKey } = config.admin
  const debug =
    debugKey === undefined
      ? undefined
      : new LiveRequests({
          key: debugKey,
          clock,
          newId,
          live: () => liveVerdicts(upstreams),
          onToken: (result) => metrics.debugToken(result),
        })
  const dataPath = createProxy({
    debug,
    overload,
    store,
    upstreams,
    chains,
    clientAddress: createClientAddress(config.trustedProxies),
    limits: config.limits,
    clock,
    random,
    log,
    newId,
    recorder,
    watch: watchAll([mirrors.watch, contracts.watch]),
    onRecord: (record) => {
      metrics.record(record)
      traffic.record(record)
      refusals.record(record)
      releases.count(record)
      logs.access(record)
    },
    isDraining: () => life.state === 'draining',
  })
  const listeners = new Listeners({
    config: role === 'monitor' ? { ...config, listen: {} } : config,
    dataPath,
    onMalformed: (code) => metrics.malformed(code),
  })
  const metrics = new Metrics({
    maxSeries: config.metrics.maxSeries,
    version: options.version,
    topology: () => topologyOf(parts),
    tables: () => tablesOf(parts),
    canaries: () => releases.complete(viewCanaries(store.current())),
    decidesCanaries: () => releases.isDeciding,
    tunnels: () => dataPath.tunnels.size,
    overload: () => overload.view,
    connections: () => listeners.connections(),
    certificates: () => listeners.certificates(),
    keyAges: () => resources.keyAges(),
    monitor,
  })
  const fleet = new Fleet({
    config,
    role,
    version: options.version,
    startedAt: Date.now(),
    state: () => life.state,
    table: () => store.current(),
    services: () => topologyOf(parts).services,
    measured: () => traffic.view(),
    addresses: () => ({ address: listeners.urls()[0] ?? '', admin: life.adminUrl }),
    clock,
    random,
    log,
  })
  const parts: Parts = {
    version: options.version,
    startedAt: Date.now(),
    configFile: options.config.files[0] as string,
    store,
    chains,
    resources,
    overload,
    recorder,
    side: replaySide,
    mirrors,
    contracts,
    traffic: role === 'monitor' ? { view: () => fleet.traffic() } : traffic,
    refusals,
    audit,
    tools: config.admin.tools,
    debug,
    releases,
    fleet,
    monitor,
    upstreams,
    reducer,
    control,
    events,
    metrics,
    embedded: providers.embedded,
    drains: new DrainControl({ marks, control, store, reducer, tellers: providers.tellers }),
    state: () => life.state,
    registries: () =>
      supervisor
        .statuses()
        .map(({ name, status }) => ({ name, status, type: providers.types.get(name) ?? '' })),
    hasSnapshot: () => life.hasSnapshot,
    needsRestart: () => life.latestStaticHash !== options.config.staticHash,
    loadConfig: load,
    stored: options.stored,
    validateFilters: (spec) => chains.validate(spec),
    drainReasons: () => marks.reasons,
    life,
    clock,
    random,
    logs,
    dataPath,
    listeners,
    supervisor,
    snapshot,
    loader: options.loader,
    registryTypes: providers.types,
  }
  announce(parts)
  store.onSwap((table) => {
    mirrors.keepOnly(table)
    contracts.keepOnly(table)
    traffic.keepOnly(table)
    refusals.keepOnly(table)
  })
  store.onSwap(review)
  publishInstanceEvents(parts)
  return parts
}
