import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { z } from 'zod'
import { errorText, GatewayError } from '../core/errors.ts'
import { STORED, type StoredFiles } from '../core/stored-files.ts'
import { type ConfigurationSettings, mayNameVariable } from './configuration.ts'
import { ConfigDocument } from './document.ts'
import type { ConfigProblem } from './problems.ts'
import type { RoutesFile } from './schema.ts'

export interface LoadOptions {
  /** sluice.yaml, or the folder that holds it. */
  readonly path: string
  /** For `${ENV:…}` and the `SLUICE_*` overrides. Default: none. */
  readonly env?: NodeJS.ProcessEnv
  /** Option schemas by filter type; without them filter options are not checked. */
  readonly filterSchemas?: ReadonlyMap<string, z.ZodType>
  /** Texts that stand in for files, by absolute path: a candidate that is not on disk. */
  readonly overlay?: ReadonlyMap<string, string>
  /** Files out of a store, by name (`routes.d/shop.yaml`); they come on top of those on disk. */
  readonly stored?: StoredFiles
  /** What is in routes.d and canary.d on disk does not count: it is what `stored` was read from. */
  readonly isStoredOnly?: boolean
  /** Files of routes.d as they were read last time: the same text is not parsed again. Filled by the load. */
  readonly cache?: Map<string, CachedFile>
}

/** A file of routes.d that was valid and holds no references. */
export interface CachedFile {
  readonly text: string
  readonly document: ConfigDocument
  readonly value: RoutesFile
}

/** A file as it was read. */
export interface ReadFile {
  readonly document: ConfigDocument
  readonly text: string
}

/** sluice.yaml, absolute. Throws GW_CONFIG_UNREADABLE. */
export async function mainPath({ path, overlay }: LoadOptions): Promise<string> {
  const absolute = resolve(path)
  if (overlay?.has(absolute) === true) return absolute
  try {
    return (await stat(absolute)).isDirectory() ? join(absolute, 'sluice.yaml') : absolute
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_UNREADABLE', `${absolute} cannot be read`, { cause })
  }
}

/** A file, or the text that stands in for it. Throws GW_CONFIG_UNREADABLE. */
export async function readDocument(
  file: string,
  { env = {}, overlay, cache }: LoadOptions,
): Promise<ReadFile> {
  let text: string
  try {
    text = overlay?.get(file) ?? (await readFile(file, 'utf8'))
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_UNREADABLE', `${file} cannot be read`, { cause })
  }
  const cached = cache?.get(file)
  if (cached?.text === text) return cached
  cache?.delete(file)
  return { document: new ConfigDocument(file, text, env), text }
}

/** The YAML files of a folder beside the main file, by name. Throws GW_CONFIG_UNREADABLE. */
export async function filesOf(
  main: string,
  beside: string,
  { overlay, isStoredOnly }: LoadOptions,
): Promise<string[]> {
  if (isStoredOnly === true) return []
  const folder = join(dirname(main), beside)
  const names = new Set<string>()
  for (const file of overlay?.keys() ?? []) if (dirname(file) === folder) names.add(basename(file))
  try {
    for (const name of await readdir(folder)) names.add(name)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new GatewayError('GW_CONFIG_UNREADABLE', `${folder} cannot be read: ${errorText(thrown)}`)
  }
  return [...names]
    .filter((each) => /^[^.].*\.ya?ml$/.test(each))
    .sort()
    .map((each) => join(folder, each))
}

/** The value by its schema; undefined when it is not valid, and why goes to `problems`. */
export function parse<T>(
  document: ConfigDocument,
  schema: z.ZodType<T>,
  problems: ConfigProblem[],
  value: unknown = document.value,
): T | undefined {
  problems.push(...document.problems)
  if (document.value === undefined) return undefined
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return result.data
  problems.push(...document.fromIssues(schema, result.error.issues))
  return undefined
}

/** The files of a store that are in one of the folders, by name. */
export function storedOf(
  main: string,
  beside: string,
  settings: ConfigurationSettings | undefined,
  { env = {}, stored, cache }: LoadOptions,
): ReadFile[] {
  const place = {
    // Relative paths in them mean what they would in a file of the gateway.
    folder: join(dirname(main), beside),
    mayName: (variable: string) => mayNameVariable(settings, variable),
  }
  const names = [...(stored?.keys() ?? [])].filter((name) => dirname(name) === beside).sort()
  return names.map((name) => {
    const [file, text] = [STORED + name, stored?.get(name) ?? '']
    const cached = cache?.get(file)
    if (cached?.text === text) return cached
    cache?.delete(file)
    return { document: new ConfigDocument(file, text, env, place), text }
  })
}
