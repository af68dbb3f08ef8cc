import {
  ConfigError,
  type ConfigProblem,
  formatProblems,
  type LoadedConfig,
  type LoadOptions,
  loadConfig,
} from '../config/load.ts'
import { systemClock } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { createFilterResources } from '../filter-resources.ts'
import { FILTERS, filterSchemas } from '../filters/list.ts'
import { NO_METRICS } from '../filters/metrics.ts'
import { createChains } from '../filters/runner.ts'
import { compileTable } from '../routing/compile.ts'
import { lintTable } from '../routing/lint.ts'
import type { Table } from '../routing/table.ts'
import type { ExitCode, Terminal } from './terminal.ts'

const EMPTY_REGISTRY = { services: new Map(), problems: [] }

/** A table of the files alone: no registry is asked, so services have only their static instances. */
export async function compileOffline(loaded: LoadedConfig): Promise<Table> {
  const environment = {
    clock: systemClock,
    random: Math.random,
    log: { info: () => {}, warn: () => {} },
    event: () => {},
    metrics: NO_METRICS,
    isCheck: true,
  }
  const resources = createFilterResources(loaded.static, environment)
  const chains = createChains(FILTERS, { ...environment, resources, watchFiles: async () => {} })
  try {
    for (const route of loaded.dynamic.routes) {
      chains.validate(route)
      await chains.prepare(route)
    }
  } finally {
    chains.close()
    await resources.close()
  }
  return compileTable({
    config: loaded.dynamic,
    declared: [],
    registry: EMPTY_REGISTRY,
    version: 1,
    cause: 'check',
    now: Date.now(),
  })
}

function lintProblems(table: Table, hasRegistry: boolean): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  for (const finding of lintTable(table)) {
    // Without a registry at hand nothing is known about who runs.
    if (finding.code === 'no-instances' || (finding.code === 'unknown-service' && hasRegistry)) continue
    const [, file = finding.sources[0] ?? '', line = '1', column = '1'] =
      /^(.*):(\d+):(\d+)$/.exec(finding.sources[0] ?? '') ?? []
    problems.push({
      file,
      line: Number(line),
      column: Number(column),
      path: `${finding.code.startsWith('canary-') ? 'canaries' : 'routes'} ${finding.routes.join(', ')}`,
      severity: 'warning',
      code: finding.code,
      message: finding.message,
      fix: finding.fix ?? 'give one of them a more specific match or a priority, or delete it',
    })
  }
  return problems
}

function rulesText({ canaries: { rules, lanes } }: Table): string {
  const canaries = rules.length === 0 ? '' : `, ${rules.length} canary rules`
  return lanes.length === 0 ? canaries : `${canaries}, ${lanes.length} lanes`
}

/** Loads, compiles and lints. Throws GatewayError GW_CONFIG_UNREADABLE when there is no such file. */
export async function findProblems(
  options: LoadOptions,
): Promise<{ problems: ConfigProblem[]; summary: string }> {
  try {
    const loaded = await loadConfig({ ...options, filterSchemas: filterSchemas() })
    const table = await compileOffline(loaded)
    const hasRegistry = Object.keys(loaded.static.registries).length > 0
    return {
      problems: [...loaded.warnings, ...lintProblems(table, hasRegistry)],
      summary: `${loaded.files.length} files, ${table.routes.size} routes, ${table.services.size} services${rulesText(table)}`,
    }
  } catch (thrown) {
    if (thrown instanceof ConfigError) return { problems: [...thrown.problems], summary: 'not valid' }
    if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_CONFIG_INVALID') throw thrown
    const message = errorText(thrown)
    const problem = {
      file: options.path,
      line: 1,
      column: 1,
      path: '',
      severity: 'error' as const,
      message,
      fix: '',
    }
    return { problems: [problem], summary: 'not valid' }
  }
}

/** `sluice check`: 0 valid, 1 not valid (with `strict`: or a warning), 2 unreadable. */
export async function check(
  options: { config: string; strict?: true; json?: true },
  terminal: Terminal,
): Promise<ExitCode> {
  const { problems, summary } = await findProblems({ path: options.config, env: terminal.env })
  const errors = problems.filter((problem) => problem.severity === 'error').length
  const warnings = problems.length - errors
  const code: ExitCode = errors > 0 || (options.strict === true && warnings > 0) ? 1 : 0
  if (options.json === true) {
    terminal.out(JSON.stringify({ valid: errors === 0, errors, warnings, problems }, undefined, 2))
    return code
  }
  if (problems.length > 0) terminal.out(formatProblems(problems, { color: terminal.hasColor }))
  terminal.out(`${errors} errors, ${warnings} warnings (${summary})`)
  return code
}
