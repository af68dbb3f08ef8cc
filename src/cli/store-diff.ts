import { resolve } from 'node:path'
import { ConfigError, formatProblems } from '../config/load.ts'
import { revisionText } from '../core/stored-files.ts'
import { atFolder, changeLines, changesOf } from './store-changes.ts'
import { readFolder } from './store-folder.ts'
import { openStore, type StoreOptions } from './store-target.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface StoreDiffOptions extends StoreOptions {
  /** Default: that of sluice.yaml. */
  readonly folder?: string
  readonly json?: true
}

/**
 * `sluice diff --store`: what a push of the folder would change. 0 nothing, 1 something, 2 the folder is not valid; throws
 * GW_CLI_MISUSE, GW_CONFIG_UNREADABLE, GW_REGISTRY_*.
 */
export async function storeDiff(options: StoreDiffOptions, terminal: Terminal): Promise<ExitCode> {
  const target = await openStore(options, terminal)
  const folder = resolve(options.folder ?? target.folder)
  try {
    const newest = await target.revisions.newest()
    const files = await readFolder(folder)
    const outcome = await changesOf(target, newest?.files, files, folder)
    const against = newest === undefined ? 'an empty store' : revisionText(newest.record)
    if (options.json === true) {
      terminal.out(JSON.stringify({ revision: newest?.record, ...outcome }, undefined, 2))
    } else {
      for (const line of changeLines(outcome)) terminal.out(line)
      const count = outcome.files.length
      terminal.out(
        `${count === 0 ? 'no change' : count === 1 ? '1 file' : `${count} files`} against ${against}`,
      )
    }
    return outcome.files.length === 0 ? 0 : 1
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    terminal.err(formatProblems(atFolder(folder, thrown.problems), { color: terminal.hasColor }))
    return 2
  } finally {
    await target.close()
  }
}
