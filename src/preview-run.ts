import { GatewayError } from './core/errors.ts'
import type { PreviewReport } from './core/preview-view.ts'
import type { RouteSpec } from './core/route.ts'
import { FilterReplays, unreplayable } from './filters/replay.ts'
import type { Chains } from './filters/runner.ts'
import { previewTables, type SideReplay } from './preview/preview.ts'
import type { Recorder } from './preview/recorder.ts'
import { createSlicer, type Slicer } from './routing/sliced.ts'
import type { Table } from './routing/table.ts'

export interface PreviewDeps {
  readonly recorder: Recorder
  readonly chains: Pick<Chains, 'chainFor'>
  readonly side?: SideReplay
}

/** Fewer requests are no ground to reject a change. */
const MIN_JUDGED = 50

/** What the routes of two tables look at. */
interface Looked {
  readonly filters: Set<string>
  readonly headers: Set<string>
  readonly cookies: Set<string>
  /** A client network finer than what is remembered. */
  hasFineNetwork: boolean
}

const isFine = (network: string): boolean => {
  const bits = Number(network.split('/')[1] ?? 128)
  return bits > (network.includes(':') ? 48 : 24)
}

async function lookedAt(
  chains: PreviewDeps['chains'],
  tables: readonly Table[],
  slicer: Slicer,
): Promise<Looked> {
  const looked: Looked = { filters: new Set(), headers: new Set(), cookies: new Set(), hasFineNetwork: false }
  const seen = new Set<RouteSpec>()
  for (const { routes } of tables) {
    for (const { spec } of routes.values()) {
      const turn = slicer.pause()
      if (turn !== undefined) await turn
      if (seen.has(spec)) continue
      seen.add(spec)
      for (const name of unreplayable(chains, spec)) looked.filters.add(name)
      for (const { name } of spec.match.headers) looked.headers.add(name)
      for (const { name } of spec.match.cookies) looked.cookies.add(name)
      looked.hasFineNetwork ||= spec.match.clientNetworks.some(isFine)
    }
  }
  return looked
}

async function notesOf(
  { recorder, chains }: PreviewDeps,
  tables: readonly Table[],
  slicer: Slicer,
): Promise<string[]> {
  const { size, sample, headers, cookies, client } = recorder.options
  if (size === 0) return ['no requests are remembered: set recorder.size']
  const looked = await lookedAt(chains, tables, slicer)
  const notes: string[] = []
  const say = (names: Iterable<string>, kept: readonly string[], text: string) => {
    const missing = [...names].filter((name) => !kept.includes(name)).sort()
    if (missing.length > 0) notes.push(`${missing.slice(0, 10).join(', ')}: ${text}`)
  }
  say(looked.filters, [], 'what these filters refuse cannot be told from what is remembered')
  say(looked.headers, headers, 'routes match on these headers: name them in recorder.headers')
  if (!headers.includes('cookie')) {
    say(looked.cookies, cookies, 'routes match on these cookies: name them in recorder.cookies')
  }
  if (client === 'network' && looked.hasFineNetwork) {
    notes.push('routes match on networks smaller than /24 or /48: set recorder.client to address')
  }
  if (sample < 1) {
    notes.push(`only ${sample * 100} % of the requests are remembered: limits refuse more than it seems`)
  }
  return notes
}

function askTables(deps: PreviewDeps, before: Table, after: Table, maxExamples: number, slicer: Slicer) {
  const { recorder, chains, side } = deps
  return previewTables({
    before,
    after,
    requests: recorder.requests(),
    maxExamples,
    filters: { before: new FilterReplays(chains), after: new FilterReplays(chains) },
    slicer,
    ...(side === undefined ? {} : { side }),
  })
}

/** What another table would make of the remembered requests. In slices. */
export async function runPreview(
  deps: PreviewDeps,
  before: Table,
  after: Table,
  maxExamples: number,
): Promise<PreviewReport> {
  const slicer = createSlicer()
  const result = await askTables(deps, before, after, maxExamples, slicer)
  return { ...result, notes: await notesOf(deps, [before, after], slicer) }
}

/** Throws GW_CONFIG_GUARDED when the change moves or refuses more than `maxPercent` of the remembered requests. */
export async function guardChange(
  deps: PreviewDeps,
  before: Table,
  after: Table,
  maxPercent: number,
): Promise<void> {
  if (deps.recorder.size < MIN_JUDGED) return
  const { total, changed, changedPercent, changes } = await askTables(deps, before, after, 1, createSlicer())
  if (changedPercent <= maxPercent) return
  const parts = Object.entries(changes)
    .filter(([, { count }]) => count > 0)
    .map(([change, { count }]) => `${change} ${count}`)
  const [example] = Object.values(changes).flatMap(({ examples }) => examples)
  throw new GatewayError(
    'GW_CONFIG_GUARDED',
    `${changed} of ${total} remembered requests (${changedPercent} %) would change, more than guard.maxChangedPercent ${maxPercent}: ` +
      `${parts.join(', ')}; for one, ${example?.request.split('?')[0] ?? ''}. Take it all the same: sluice reload --force`,
  )
}
