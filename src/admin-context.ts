import { dirname, join } from 'node:path'
import type { EventHub } from '../plugins/events.ts'
import type { Metrics } from '../plugins/metrics.ts'
import type { Overload } from '../plugins/overload.ts'
import type { AdminContext } from '../routes/context.ts'
import { ConfigError, type ConfigProblem, type LoadedConfig } from './config/load.ts'
import type { ControlPlane } from './control.ts'
import { errorText, GatewayError } from './core/errors.ts'
import type { RouteSpec } from './core/route.ts'
import type { GatewayState, RegistryView, TablesView, TopologyView } from './core/views.ts'
import type { DrainControl } from './drain-control.ts'
import { viewCanaries } from './health/canaries.ts'
import { readiness } from './health/readiness.ts'
import { ejectionText, viewRoute, viewServices, viewTopology } from './health/topology.ts'
import { judgeHealth } from './health/verdict.ts'
import type { Upstreams } from './proxy/upstreams.ts'
import { type EmbeddedRegistry, requireEmbedded } from './registry/embedded.ts'
import type { Reducer } from './registry/reducer.ts'
import type { Releases } from './releases.ts'
import { compileTable } from './routing/compile.ts'
import { diffTables } from './routing/diff.ts'
import { explain } from './routing/explain.ts'
import { lintTable } from './routing/lint.ts'
import { shapeOf } from './routing/request-shape.ts'
import type { TableStore } from './routing/store.ts'
import type { Table } from './routing/table.ts'

/** The parts of a gateway that the admin side looks at. */
export interface AdminParts {
  readonly version: string
  readonly startedAt: number
  /** sluice.yaml. */
  readonly configFile: string
  readonly store: TableStore
  readonly upstreams: Upstreams
  readonly reducer: Reducer
  readonly control: ControlPlane
  readonly events: EventHub
  readonly drains: DrainControl
  readonly embedded: EmbeddedRegistry | undefined
  readonly metrics: Metrics
  readonly overload: Overload
  state(): GatewayState
  registries(): readonly RegistryView[]
  hasSnapshot(): boolean
  needsRestart(): boolean
  /** Reads the configuration, with these texts in the place of files. */
  loadConfig(overlay?: ReadonlyMap<string, string>): Promise<LoadedConfig>
  validateFilters(spec: RouteSpec): void
  readonly releases: Releases
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

function viewTables({ store, control }: AdminParts): TablesView {
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
  }
}

/** Topology of a gateway at this moment. */
export function topologyOf(parts: AdminParts): TopologyView {
  const { store, upstreams, reducer, control, version, startedAt } = parts
  return viewTopology({
    table: store.current(),
    instances: upstreams.stats(),
    services: upstreams.serviceStats(),
    registries: parts.registries(),
    registry: reducer.state(),
    problems: control.problems,
    state: parts.state(),
    version,
    startedAt,
    now: Date.now(),
  })
}

/** Tables of a gateway at this moment. */
export const tablesOf = viewTables

function overlayOf(parts: AdminParts, files: Readonly<Record<string, string>>): Map<string, string> {
  const folder = dirname(parts.configFile)
  return new Map(
    Object.entries(files).map(([name, text]) => {
      if (name === 'sluice.yaml') return [parts.configFile, text]
      if (/^(?:routes|canary)\.d\/[^/.][^/]*\.ya?ml$/.test(name)) return [join(folder, name), text]
      throw new GatewayError(
        'GW_ADMIN_BAD_REQUEST',
        `files: "${name}" is not read by the gateway: write sluice.yaml, routes.d/<name>.yaml or canary.d/<name>.yaml`,
      )
    }),
  )
}

function problemOf(thrown: unknown, file: string): ConfigProblem[] {
  if (thrown instanceof ConfigError) return [...thrown.problems]
  const isOurs =
    thrown instanceof GatewayError &&
    (thrown.code === 'GW_CONFIG_INVALID' || thrown.code === 'GW_CONFIG_UNREADABLE')
  if (!isOurs) throw thrown
  return [{ file, line: 1, column: 1, path: '', severity: 'error', message: errorText(thrown), fix: '' }]
}

async function validate(parts: AdminParts, files: Readonly<Record<string, string>>) {
  const overlay = overlayOf(parts, files)
  const current = parts.store.current()
  try {
    const { dynamic, warnings } = await parts.loadConfig(overlay)
    for (const spec of dynamic.routes) parts.validateFilters(spec)
    const declared = current === undefined ? [] : declaredOf(current)
    const candidate = await compileTable({
      config: dynamic,
      declared,
      registry: parts.reducer.state(),
      canaryStates: parts.releases.live(dynamic.canaries),
      version: 0,
      cause: 'validate',
      now: Date.now(),
      ...(current === undefined ? {} : { previous: current }),
    })
    const changes = current === undefined ? [] : diffTables(current, candidate)
    return { valid: true, problems: warnings, changes }
  } catch (thrown) {
    return { valid: false, problems: problemOf(thrown, parts.configFile), changes: [] }
  }
}

/** Routes that services declared themselves. */
function declaredOf(table: Table): RouteSpec[] {
  return [...table.routes.values()]
    .map(({ spec }) => spec)
    .filter(({ source }) => source.startsWith('registry:'))
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
      }),
    routes() {
      const table = store.current()
      return [...(table?.routes.values() ?? [])].map(({ spec }) => viewRoute(spec, table))
    },
    canaries: () => releases.complete(viewCanaries(store.current())),
    decidesCanaries: () => releases.isDeciding,
    actOnCanary: ({ name, action, by, reason }) => releases.act(name, action, by, reason),
    services: () =>
      viewServices({
        table: store.current(),
        instances: upstreams.stats(),
        services: upstreams.serviceStats(),
        registry: reducer.state(),
        now: Date.now(),
      }),
    topology: () => topologyOf(parts),
    health(service, instance) {
      const { services, registries } = topologyOf(parts)
      return judgeHealth({ service: services.find(({ name }) => name === service), registries, instance })
    },
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
      const ejected = new Map(
        upstreams.stats().map((one) => [one.instance.key, one.outOfZone ?? ejectionText(one)]),
      )
      const { claims, trusted } = request
      return explain(shapeOf(request, Math.random()), table, {
        live: ({ key }) => ejected.get(key),
        isTrustedPeer: trusted === true,
        ...(claims === undefined ? {} : { claims }),
      })
    },
    validate: (files) => validate(parts, files),
    async reload() {
      const result = await control.reload()
      const rejection = store.lastRejection()
      return {
        result,
        ...(result === 'rejected' && rejection !== undefined ? { message: rejection.message } : {}),
      }
    },
    drain: (request) => parts.drains.drain(request),
    metrics: () => parts.metrics.expose(),
    events: parts.events,
    agent: () => requireEmbedded(parts.embedded),
  }
}
