import { createHash, hash } from 'node:crypto'
import type { CanaryStates } from '../core/canary.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { identityOf } from '../core/identity.ts'
import type { DynamicConfig, RouteSpec } from '../core/route.ts'
import type { RegistryState } from '../core/types.ts'
import { buildPathIndex, type CompiledHosts, createEntry, type Entry, type PathIndex } from './host-index.ts'
import { compareRoutes, precedenceOf } from './precedence.ts'
import { compileReleases } from './release.ts'
import { compileServices } from './services.ts'
import { createSlicer, type Slicer, sortSliced } from './sliced.ts'
import type { Route, Table } from './table.ts'

export interface CompileInput {
  readonly config: DynamicConfig
  /** Routes that services declare themselves. */
  readonly declared: readonly RouteSpec[]
  readonly registry: RegistryState
  /** Reason by instance key: what was drained through this gateway. Default: nothing. */
  readonly drains?: ReadonlyMap<string, string>
  /** What canary rules and lanes are doing now, where that is not what their file says. Default: as the files say. */
  readonly canaryStates?: CanaryStates
  /** What did not change is taken over from it. */
  readonly previous?: Table
  readonly version: number
  readonly cause: string
  /** ms since the epoch. */
  readonly now: number
}

/** Lines hashed at a time. */
const HASH_CHUNK = 512

interface HostEntries {
  readonly entries: readonly Entry[]
  readonly index: PathIndex
}

/** What the next compile can take over. */
interface RouteSet extends CompiledHosts {
  readonly config: DynamicConfig
  readonly declared: readonly RouteSpec[]
  readonly entries: ReadonlyMap<string, Entry>
  readonly byHost: ReadonlyMap<string, HostEntries>
  readonly contentId: string
  readonly problems: readonly string[]
}

function contentId(spec: RouteSpec): string {
  return hash(
    'sha1',
    JSON.stringify(spec, (key, value) => (key === 'source' ? undefined : value)),
    'base64url',
  )
}

/** Entries by name; those of the previous table where nothing changed. Throws with every error at once. */
async function collectEntries(
  input: CompileInput,
  before: RouteSet | undefined,
  slicer: Slicer,
): Promise<{ entries: Map<string, Entry>; problems: string[] }> {
  const entries = new Map<string, Entry>()
  const problems: string[] = []
  const errors: string[] = []
  for (const spec of input.config.routes) {
    const old = before?.entries.get(spec.name)
    if (entries.has(spec.name)) errors.push(`${spec.source}: a second route has the name "${spec.name}"`)
    try {
      entries.set(spec.name, reuse(spec, old))
    } catch (thrown) {
      errors.push(`${spec.source}: route "${spec.name}": ${errorText(thrown)}`)
    }
    const turn = slicer.pause()
    if (turn !== undefined) await turn
  }
  if (errors.length > 0) throw new GatewayError('GW_CONFIG_INVALID', errors.join('\n'))
  for (const spec of input.declared) {
    if (entries.has(spec.name)) {
      problems.push(`${spec.source}: route "${spec.name}" exists already; this declaration is dropped`)
      continue
    }
    try {
      entries.set(spec.name, reuse(spec, before?.entries.get(spec.name)))
    } catch (thrown) {
      problems.push(`${spec.source}: route "${spec.name}" is dropped: ${errorText(thrown)}`)
    }
  }
  return { entries, problems }
}

function reuse(spec: RouteSpec, old: Entry | undefined): Entry {
  if (old !== undefined && identityOf(old.route.spec) === identityOf(spec)) return old
  return createEntry({ spec, precedence: precedenceOf(spec), contentId: contentId(spec) })
}

async function groupByHost(entries: Iterable<Entry>, slicer: Slicer): Promise<Map<string, Entry[]>> {
  const groups = new Map<string, Entry[]>()
  for (const entry of entries) {
    const { hosts } = entry.route.spec.match
    for (const host of hosts.length === 0 ? [''] : new Set(hosts)) {
      const group = groups.get(host)
      if (group === undefined) groups.set(host, [entry])
      else group.push(entry)
    }
    const turn = slicer.pause()
    if (turn !== undefined) await turn
  }
  return groups
}

const isSameList = (a: readonly Entry[], b: readonly Entry[] | undefined): boolean =>
  b !== undefined && a.length === b.length && a.every((entry, i) => entry === b[i])

/** Sorted into exact hosts, suffixes and any. */
function arrangeHosts(byHost: ReadonlyMap<string, HostEntries>): Omit<CompiledHosts, 'routeCount'> {
  const exact = new Map<string, PathIndex>()
  const suffixes = new Map<string, { one: PathIndex | undefined; many: PathIndex | undefined }>()
  for (const [host, { index }] of byHost) {
    if (host === '') continue
    const many = host.startsWith('**.')
    if (!many && !host.startsWith('*.')) {
      exact.set(host, index)
      continue
    }
    const tail = host.slice(many ? 3 : 2)
    const suffix = suffixes.get(tail) ?? { one: undefined, many: undefined }
    suffixes.set(tail, suffix)
    if (many) suffix.many = index
    else suffix.one = index
  }
  return { exact, suffixes, any: byHost.get('')?.index }
}

async function compileRoutes(
  input: CompileInput,
  before: RouteSet | undefined,
  slicer: Slicer,
): Promise<RouteSet> {
  const { entries, problems } = await collectEntries(input, before, slicer)
  const byHost = new Map<string, HostEntries>()
  for (const [host, group] of await groupByHost(entries.values(), slicer)) {
    const sorted = await sortSliced(group, (a, b) => compareRoutes(a.route, b.route), slicer)
    const old = before?.byHost.get(host)
    byHost.set(
      host,
      isSameList(sorted, old?.entries)
        ? (old as HostEntries)
        : { entries: sorted, index: buildPathIndex(sorted) },
    )
    const turn = slicer.pause()
    if (turn !== undefined) await turn
  }
  const ids: string[] = []
  for (const { route } of entries.values()) {
    ids.push(`${route.spec.name} ${route.contentId}`)
    const turn = slicer.pause()
    if (turn !== undefined) await turn
  }
  const sortedIds = await sortSliced(ids, (a, b) => (a < b ? -1 : 1), slicer)
  const digest = createHash('sha1')
  for (let i = 0; i < sortedIds.length; i += HASH_CHUNK) {
    digest.update(`${sortedIds.slice(i, i + HASH_CHUNK).join('\n')}\n`)
    const turn = slicer.pause()
    if (turn !== undefined) await turn
  }
  return {
    config: input.config,
    declared: input.declared,
    entries,
    byHost,
    contentId: digest.digest('hex'),
    problems,
    routeCount: entries.size,
    ...arrangeHosts(byHost),
  }
}

const isSameRoutes = (input: CompileInput, before: RouteSet | undefined): before is RouteSet =>
  before !== undefined &&
  before.config === input.config &&
  before.declared.length === input.declared.length &&
  before.declared.every((spec, i) => identityOf(spec) === identityOf(input.declared[i] as RouteSpec))

async function routesByName(entries: RouteSet['entries'], slicer: Slicer): Promise<Map<string, Route>> {
  const routes = new Map<string, Route>()
  for (const [name, { route }] of entries) {
    routes.set(name, route)
    const turn = slicer.pause()
    if (turn !== undefined) await turn
  }
  return routes
}

/**
 * Builds a table off to the side, in slices of a few ms. A change of instances alone costs O(services).
 * Throws GW_CONFIG_INVALID with one line for each route that cannot be compiled.
 */
export async function compileTable(input: CompileInput): Promise<Table> {
  const before = input.previous?.hosts as RouteSet | undefined
  const slicer = createSlicer()
  const hosts = isSameRoutes(input, before) ? before : await compileRoutes(input, before, slicer)
  const routes =
    hosts === before && input.previous !== undefined
      ? input.previous.routes
      : await routesByName(hosts.entries, slicer)
  await slicer.pause()
  const services = await compileServices(
    input.config,
    routes.values(),
    input.registry,
    input.previous?.services,
    slicer,
    input.drains,
    input.now,
  )
  const canaries = compileReleases(
    input.config.canaries ?? [],
    services,
    input.canaryStates,
    input.previous?.canaries,
  )
  const serviceIds = [...services.values()].map((service) => `${service.name} ${service.contentId}`).sort()
  const { hostFallback, mergeSlashes } = input.config
  const parts = [hosts.contentId, hostFallback, mergeSlashes, canaries.contentId, ...serviceIds]
  const id = hash('sha256', parts.join('\n'), 'hex')
  return {
    version: input.version,
    id: id.slice(0, 16),
    createdAt: input.now,
    cause: input.cause,
    routes,
    services,
    canaries,
    hosts,
    hostFallback,
    mergeSlashes,
    problems: [...hosts.problems, ...input.registry.problems],
  }
}
