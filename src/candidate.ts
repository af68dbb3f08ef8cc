import { basename, dirname, join } from 'node:path'
import { ConfigError, type ConfigProblem, type LoadedConfig } from './config/load.ts'
import type { ControlPlane } from './control.ts'
import type { CanaryStates } from './core/canary.ts'
import { errorText, GatewayError } from './core/errors.ts'
import type { DynamicConfig, RouteSpec } from './core/route.ts'
import { STORED, type StoredFiles } from './core/stored-files.ts'
import type { Reducer } from './registry/reducer.ts'
import { compileTable } from './routing/compile.ts'
import { diffTables } from './routing/diff.ts'
import type { TableStore } from './routing/store.ts'
import type { Table } from './routing/table.ts'

/** What is needed to build a table off to the side. */
export interface CandidateDeps {
  /** sluice.yaml. */
  readonly configFile: string
  readonly store: TableStore
  readonly reducer: Reducer
  readonly control: ControlPlane
  /** Reads the configuration, with these texts in the place of files, and of those of a store. */
  loadConfig(overlay?: ReadonlyMap<string, string>, stored?: StoredFiles): Promise<LoadedConfig>
  validateFilters(spec: RouteSpec): void
  /** Reason by instance key: what was drained through this gateway. */
  drainReasons(): ReadonlyMap<string, string>
  /** What canary rules are doing now, where that is not what their files say. */
  readonly releases: { live(rules: DynamicConfig['canaries']): CanaryStates }
}

/** Contents by name relative to the folder of sluice.yaml; `kv:routes.d/shop.yaml`: in the store, then those are all of it. */
export type CandidateFiles = Readonly<Record<string, string>>

/** A configuration that is not in force. */
export type Candidate =
  | {
      readonly isValid: true
      readonly table: Table
      readonly problems: readonly ConfigProblem[]
      /** Against the table in force. */
      readonly changes: readonly string[]
      readonly needsRestart: boolean
    }
  | { readonly isValid: false; readonly problems: readonly ConfigProblem[] }

/** Folders beside sluice.yaml whose files are read. */
const PART = /^(?:routes|canary)\.d\/[^/.][^/]*\.ya?ml$/

/** A revision is whole: what is not named is not in it. Undefined = none is named. */
function storedOf(files: CandidateFiles): StoredFiles | undefined {
  const found = Object.entries(files).filter(([name]) => name.startsWith(STORED))
  if (found.length === 0) return undefined
  return new Map(found.map(([name, text]) => [name.slice(STORED.length), text]))
}

function overlayOf(deps: CandidateDeps, given: CandidateFiles, isWhole: boolean): Map<string, string> {
  const folder = dirname(deps.configFile)
  const files = Object.entries(given).filter(
    ([name]) => !(name.startsWith(STORED) && PART.test(name.slice(STORED.length))),
  )
  const overlay = new Map(
    files.map(([name, text]) => {
      if (name === 'sluice.yaml') return [deps.configFile, text] as const
      if (PART.test(name)) return [join(folder, name), text] as const
      throw new GatewayError(
        'GW_ADMIN_BAD_REQUEST',
        `files: "${name}" is not read by the gateway: write sluice.yaml, routes.d/<name>.yaml or canary.d/<name>.yaml`,
      )
    }),
  )
  if (!isWhole) return overlay
  for (const file of deps.control.config.files) {
    const isPart =
      dirname(dirname(file)) === folder && PART.test(`${basename(dirname(file))}/${basename(file)}`)
    if (isPart && !overlay.has(file)) overlay.set(file, '')
  }
  return overlay
}

function problemsOf(thrown: unknown, file: string): readonly ConfigProblem[] {
  if (thrown instanceof ConfigError) return thrown.problems
  const isOurs =
    thrown instanceof GatewayError &&
    (thrown.code === 'GW_CONFIG_INVALID' || thrown.code === 'GW_CONFIG_UNREADABLE')
  if (!isOurs) throw thrown
  return [{ file, line: 1, column: 1, path: '', severity: 'error', message: errorText(thrown), fix: '' }]
}

/** Routes that services declared themselves. */
function declaredOf(table: Table): RouteSpec[] {
  return [...table.routes.values()]
    .map(({ spec }) => spec)
    .filter(({ source }) => source.startsWith('registry:'))
}

/**
 * The table that these files would give, by the same steps as a reload; nothing is taken. `isWhole`: files of the
 * gateway that are not named are as if they were not there. Throws GW_ADMIN_BAD_REQUEST for names that are not read.
 */
export async function compileCandidate(
  deps: CandidateDeps,
  files: CandidateFiles,
  isWhole: boolean,
): Promise<Candidate> {
  const overlay = overlayOf(deps, files, isWhole)
  const current = deps.store.current()
  try {
    const { dynamic, warnings, staticHash } = await deps.loadConfig(overlay, storedOf(files))
    for (const spec of dynamic.routes) deps.validateFilters(spec)
    const table = await compileTable({
      config: dynamic,
      declared: current === undefined ? [] : declaredOf(current),
      registry: deps.reducer.state(),
      drains: deps.drainReasons(),
      canaryStates: deps.releases.live(dynamic.canaries),
      version: 0,
      cause: 'candidate',
      now: Date.now(),
      ...(current === undefined ? {} : { previous: current }),
    })
    return {
      isValid: true,
      table,
      problems: warnings,
      changes: current === undefined ? [] : diffTables(current, table),
      needsRestart: staticHash !== deps.control.config.staticHash,
    }
  } catch (thrown) {
    return { isValid: false, problems: problemsOf(thrown, deps.configFile) }
  }
}
