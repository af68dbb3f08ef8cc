import type { Audit } from '../plugins/audit.ts'
import type { Contracts } from '../plugins/contracts.ts'
import type { EventHub } from '../plugins/events.ts'
import type { LiveRequests } from '../plugins/live-requests.ts'
import type { Metrics } from '../plugins/metrics.ts'
import type { Mirrors } from '../plugins/mirrors.ts'
import type { Overload } from '../plugins/overload.ts'
import type { Refusals } from '../plugins/refusals.ts'
import type { Traffic } from '../plugins/traffic.ts'
import type { AdminContext, PreviewRequest } from '../routes/context.ts'
import { type CandidateDeps, type CandidateFiles, compileCandidate } from './candidate.ts'
import { GatewayError } from './core/errors.ts'
import type {
  GatewayState,
  HealthVerdict,
  PreviewView,
  RegistryView,
  ServiceView,
  TablesView,
  TopologyView,
  ValidationView,
} from './core/views.ts'
import type { DrainControl } from './drain-control.ts'
import type { Fleet } from './fleet.ts'
import { viewCanaries } from './health/canaries.ts'
import { readiness } from './health/readiness.ts'
import { ejectionText, viewRoute, viewServices, viewTopology } from './health/topology.ts'
import { judgeHealth } from './health/verdict.ts'
import type { Monitor } from './monitor.ts'
import { type PreviewDeps, runPreview } from './preview-run.ts'
import type { Upstreams } from './proxy/upstreams.ts'
import { type EmbeddedRegistry, requireEmbedded } from './registry/embedded.ts'
import type { Releases } from './releases.ts'
import { explain, type LiveVerdict } from './routing/explain.ts'
import { lintTable } from './routing/lint.ts'
import { shapeOf } from './routing/request-shape.ts'
import type { Table } from './routing/table.ts'
import type { StoredConfiguration } from './stored-configuration.ts'

/** The parts of a gateway that the admin side looks at. */
export interface AdminParts extends CandidateDeps, PreviewDeps {
  readonly version: string
  readonly startedAt: number
  readonly upstreams: Upstreams
  readonly events: EventHub
  readonly drains: DrainControl
  readonly embedded: EmbeddedRegistry | undefined
  readonly metrics: Metrics
  readonly overload: Overload
  readonly mirrors: Mirrors
  readonly contracts: Contracts
  readonly traffic: Pick<Traffic, 'view'>
  readonly refusals: Refusals
  readonly audit: Audit
  /** By name. */
  readonly tools: Readonly<Record<string, { readonly title?: string | undefined }>>
  /** Undefined = no request is explained. */
  readonly debug: LiveRequests | undefined
  state(): GatewayState
  registries(): readonly RegistryView[]
  hasSnapshot(): boolean
  needsRestart(): boolean
  readonly releases: Releases
  readonly fleet: Fleet
  readonly monitor: Monitor
  /** Undefined = the configuration is in files alone. */
  readonly stored: StoredConfiguration | undefined
}

const lintOf = new WeakMap<Table, readonly string[]>()

/** Once for each table: it compares routes with each other. */
function lintTexts(table: Table | undefined): readonly string[] {
  if (table === undefined) return []
  let texts = lintOf.get(table)
  if (texts === undefined) {
    texts = lintTable(table).map(({ message }) => message)
    lintOf.set(table, texts)
  }
  return texts
}

function viewTables({ store, control, stored }: AdminParts): TablesView {
  const table = store.current()
  const rejection = store.lastRejection()
  return {
    current: table?.version,
    versions: store
      .versions()
      .map((version) => ({ ...version, isCurrent: version.version === table?.version }))
      .reverse(),
    ...(rejection === undefined ? {} : { rejection }),
    warnings: lintTexts(table),
    problems: control.problems,
    ...(stored === undefined ? {} : { configuration: stored.view() }),
  }
}

/** Topology of a gateway at this moment; `scope`: only what is in the table, or all that registries know. */
export function topologyOf(parts: AdminParts, scope: 'table' | 'all' = 'table'): TopologyView {
  const { store, upstreams, reducer, control, version, startedAt } = parts
  return viewTopology({
    ...(scope === 'all' ? { unrouted: control.config.dynamic.defaultPolicy } : {}),
    table: store.current(),
    instances: upstreams.stats(),
    services: upstreams.serviceStats(),
    registries: parts.registries(),
    registry: reducer.state(),
    flapping: parts.monitor.flapping,
    problems: control.problems,
    state: parts.state(),
    version,
    startedAt,
    now: Date.now(),
  })
}

/** Why instances are out of rotation, as it is at this moment. */
export function liveVerdicts(upstreams: Upstreams): LiveVerdict {
  const reasons = new Map(
    upstreams.stats().map((one) => [one.instance.key, one.outOfZone ?? ejectionText(one)]),
  )
  return ({ key }) => reasons.get(key)
}

/** Services, or the one of this name, at this moment; `scope` as for `topologyOf`. */
export function servicesOf(
  { store, upstreams, reducer, monitor, control }: AdminParts,
  scope: 'table' | 'all',
  only?: string,
): ServiceView[] {
  return viewServices({
    ...(scope === 'all' ? { unrouted: control.config.dynamic.defaultPolicy } : {}),
    table: store.current(),
    instances: upstreams.stats(only),
    ...(only === undefined ? {} : { only }),
    services: upstreams.serviceStats(),
    registry: reducer.state(),
    flapping: monitor.flapping,
    now: Date.now(),
  })
}

/** Tables of a gateway at this moment. */
export const tablesOf = viewTables

function healthOf(parts: AdminParts, name: string, instance: string | undefined): HealthVerdict {
  const [service] = servicesOf(parts, 'all', name)
  return judgeHealth({ service, registries: parts.registries(), instance })
}

async function validate(parts: AdminParts, files: CandidateFiles): Promise<ValidationView> {
  const candidate = await compileCandidate(parts, files, false)
  const { isValid, problems } = candidate
  return { valid: isValid, problems, changes: candidate.isValid ? candidate.changes : [] }
}

async function preview(
  parts: AdminParts,
  { files, isWhole, examples }: PreviewRequest,
): Promise<PreviewView> {
  const before = parts.store.current()
  if (before === undefined) throw new GatewayError('GW_ADMIN_CONFLICT', 'there is no table yet')
  const candidate = await compileCandidate(parts, files, isWhole)
  const table = { version: before.version, id: before.id }
  if (!candidate.isValid) return { valid: false, table, problems: candidate.problems, changes: [] }
  const { problems, changes, needsRestart } = candidate
  const report = await runPreview(parts, before, candidate.table, examples)
  return { valid: true, table, problems, changes, needsRestart, preview: report }
}

/** The admin side's view of a gateway. */
export function createAdminContext(parts: AdminParts): AdminContext {
  const { store, upstreams, reducer, control, releases } = parts
  return {
    version: parts.version,
    readiness: () =>
      readiness({
        state: parts.state(),
        table: store.current(),
        registries: parts.registries(),
        registry: reducer.state(),
        hasSnapshot: parts.hasSnapshot(),
        rejection: store.lastRejection(),
        needsRestart: parts.needsRestart(),
        overload: parts.overload.view,
        configuration:
          parts.stored === undefined
            ? undefined
            : { ...parts.stored.view(), isRequired: parts.stored.isRequired },
      }),
    routes() {
      const table = store.current()
      return [...(table?.routes.values() ?? [])].map(({ spec }) => viewRoute(spec, table))
    },
    canaries: () => releases.complete(viewCanaries(store.current())),
    decidesCanaries: () => releases.isDeciding,
    actOnCanary: ({ name, action, by, reason }) => releases.act(name, action, by, reason),
    services: () => servicesOf(parts, 'all'),
    topology: () => topologyOf(parts, 'all'),
    fleet: () => parts.fleet.view(),
    takeFleetReport: (body) => parts.fleet.take(body),
    history: (query) => parts.monitor.history(query),
    alerts: () => parts.monitor.alerts(),
    health: (service, instance) => healthOf(parts, service, instance),
    tables: () => viewTables(parts),
    async rollback(version) {
      const table = await control.rollback(version)
      const found = viewTables(parts).versions.find((one) => one.version === table.version)
      if (found === undefined) throw new GatewayError('GW_INTERNAL_STATE', 'the new table is not in the list')
      return found
    },
    explain(request) {
      const table = store.current()
      if (table === undefined) throw new GatewayError('GW_ADMIN_CONFLICT', 'there is no table yet')
      const { claims, trusted } = request
      return explain(shapeOf(request, Math.random()), table, {
        live: liveVerdicts(upstreams),
        isTrustedPeer: trusted === true,
        ...(claims === undefined ? {} : { claims }),
      })
    },
    validate: (files) => validate(parts, files),
    preview: (request) => preview(parts, request),
    async reload(isForced) {
      const ofFiles = await control.reload(isForced)
      // What the store has may fit now, or is wanted all the same.
      const result = parts.stored?.isWaiting === true ? await parts.stored.retry(isForced) : ofFiles
      const rejection = store.lastRejection()
      return {
        result,
        ...(result === 'rejected' && rejection !== undefined ? { message: rejection.message } : {}),
      }
    },
    drain: (request) => parts.drains.drain(request),
    mirrors: () => parts.mirrors.view(),
    resetMirror: (name) => parts.mirrors.reset(name),
    contracts: () => parts.contracts.view(),
    forgetContract: (route) => parts.contracts.forget(route),
    traffic: () => parts.traffic.view(),
    tools: () =>
      Object.entries(parts.tools).map(([name, { title = name }]) => ({
        name,
        title,
        path: `/tools/${name}/`,
      })),
    requests: () => parts.debug?.view(),
    audit: (limit) => parts.audit.view(limit),
    refusals: (limit) => parts.refusals.view(limit),
    metrics: () => parts.metrics.expose(),
    events: parts.events,
    agent: () => requireEmbedded(parts.embedded),
  }
}
