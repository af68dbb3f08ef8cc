import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { parse } from 'yaml'
import { ConfigError, formatProblems, loadConfig } from '../config/load.ts'
import { GatewayError } from '../core/errors.ts'
import type { PreviewView } from '../core/views.ts'
import { filterSchemas } from '../filters/list.ts'
import { diffTables } from '../routing/diff.ts'
import { type AdminAddress, postAdmin } from './admin-call.ts'
import { compileOffline } from './check.ts'
import { previewLines } from './preview-text.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface DiffOptions extends AdminAddress {
  /** The new configuration: sluice.yaml, the folder that holds it, or one file of routes.d. */
  readonly config: string
  /** Compare with these files instead of the running gateway. */
  readonly from?: string
  readonly examples: string
  readonly json?: true
}

/** What is shown, from the files alone or from the gateway. */
type Outcome = Omit<PreviewView, 'table'> & Partial<Pick<PreviewView, 'table'>>

/** The line that stands for everything that needs a restart. */
const STATIC_CHANGE = '~ static part (needs a restart)'

/** Folders beside sluice.yaml whose files belong to the configuration. */
const FOLDERS = ['routes.d', 'canary.d']

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_UNREADABLE', `${file} cannot be read`, { cause })
  }
}

async function mainFile(path: string): Promise<string> {
  try {
    return (await stat(path)).isDirectory() ? join(path, 'sluice.yaml') : path
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_UNREADABLE', `${path} cannot be read`, { cause })
  }
}

/** A file without `version` is one of routes.d. YAML that is broken is for the gateway to tell. */
function isPart(file: string, text: string): boolean {
  if (FOLDERS.includes(basename(dirname(file)))) return true
  try {
    const value: unknown = parse(text)
    return typeof value === 'object' && value !== null && !('version' in value)
  } catch {
    return false
  }
}

/** The new configuration as the gateway takes it: contents by name. */
async function candidateFiles(
  path: string,
): Promise<{ readonly files: Record<string, string>; readonly whole: boolean }> {
  const main = await mainFile(path)
  const text = await readText(main)
  if (isPart(main, text)) {
    const folder = basename(dirname(main))
    const name = FOLDERS.includes(folder) ? folder : 'routes.d'
    return { files: { [`${name}/${basename(main)}`]: text }, whole: false }
  }
  const files: Record<string, string> = { 'sluice.yaml': text }
  for (const folder of FOLDERS) {
    const names = await readdir(join(dirname(main), folder)).catch(() => [])
    for (const name of names.filter((each) => /^[^.].*\.ya?ml$/.test(each))) {
      files[`${folder}/${name}`] = await readText(join(dirname(main), folder, name))
    }
  }
  return { files, whole: true }
}

async function online(options: DiffOptions): Promise<Outcome> {
  const examples = Number(options.examples)
  if (!Number.isInteger(examples) || examples < 0 || examples > 50) {
    throw new GatewayError('GW_CLI_MISUSE', `--examples "${options.examples}": write a number from 0 to 50`)
  }
  const { files, whole } = await candidateFiles(options.config)
  const { answer } = await postAdmin<PreviewView>(options, '/api/preview', { files, whole, examples })
  return answer
}

async function offline(from: string, to: string, { env }: Terminal): Promise<Outcome> {
  const load = (path: string) => loadConfig({ path, env, filterSchemas: filterSchemas() })
  const before = await load(from)
  try {
    const after = await load(to)
    const changes = diffTables(await compileOffline(before), await compileOffline(after))
    return {
      valid: true,
      problems: after.warnings,
      changes,
      needsRestart: before.staticHash !== after.staticHash,
    }
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    return { valid: false, problems: thrown.problems, changes: [] }
  }
}

/**
 * `sluice diff`: what a new configuration changes against the running gateway, or against other files. 0 nothing, 1
 * something, 2 it is not valid; throws GW_CLI_MISUSE, GW_CONFIG_UNREADABLE, GW_ADMIN_UNREACHABLE, GW_ADMIN_UNAUTHORIZED.
 */
export async function diff(options: DiffOptions, terminal: Terminal): Promise<ExitCode> {
  const { from, config } = options
  const outcome = from === undefined ? await online(options) : await offline(from, config, terminal)
  const { valid, problems, preview, table } = outcome
  const changes = [...(outcome.needsRestart === true ? [STATIC_CHANGE] : []), ...outcome.changes]
  if (options.json === true) {
    terminal.out(JSON.stringify({ ...outcome, changes }, undefined, 2))
  } else if (!valid) {
    terminal.err(formatProblems([...problems], { color: terminal.hasColor }))
  } else {
    for (const line of changes) terminal.out(line)
    const against = table === undefined ? from : `${options.admin}, table ${table.version}`
    const count =
      changes.length === 0 ? 'no change' : changes.length === 1 ? '1 change' : `${changes.length} changes`
    terminal.out(`${count} against ${against}`)
    if (preview !== undefined) for (const line of previewLines(preview)) terminal.out(line)
  }
  if (!valid) return 2
  return changes.length === 0 ? 0 : 1
}
