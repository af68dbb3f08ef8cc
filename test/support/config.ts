import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ConfigError, type ConfigProblem, type LoadedConfig, loadConfig } from '../../src/config/load.ts'
import { filterSchemas } from '../../src/filters/list.ts'

/** A folder with these files; sluice.yaml gets `version: 1` when it has none. */
export function configFolder(files: Readonly<Record<string, string>>): { folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
  for (const [name, text] of Object.entries({ 'sluice.yaml': '', ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    const needsVersion = name === 'sluice.yaml' && !/^version:/m.test(text)
    writeFileSync(join(folder, name), needsVersion ? `version: 1\n${text}` : text)
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Loads a configuration written in place. */
export async function load(
  files: Readonly<Record<string, string>>,
  env: NodeJS.ProcessEnv = {},
): Promise<LoadedConfig> {
  const { folder, remove } = configFolder(files)
  try {
    return await loadConfig({ path: folder, env, filterSchemas: filterSchemas() })
  } finally {
    remove()
  }
}

/** The problems of a configuration that is not valid, with file names without their folder. */
export async function problemsOf(
  files: Readonly<Record<string, string>>,
  env: NodeJS.ProcessEnv = {},
): Promise<ConfigProblem[]> {
  const { folder, remove } = configFolder(files)
  try {
    await loadConfig({ path: folder, env, filterSchemas: filterSchemas() })
    return []
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    return thrown.problems.map((problem) => ({ ...problem, file: problem.file.slice(folder.length + 1) }))
  } finally {
    remove()
  }
}
