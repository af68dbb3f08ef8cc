import { resolve } from 'node:path'
import { GatewayError } from '../core/errors.ts'
import { type RevisionRecord, revisionText } from '../core/stored-files.ts'
import { diffFiles, hashOf, readFolder, readMark, writeFolder, writeMark } from './store-folder.ts'
import { openStore, type StoreOptions, type StoreTarget } from './store-target.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface PullOptions extends StoreOptions {
  /** Default: that of sluice.yaml. */
  readonly folder?: string
  /** Default: the one in force. */
  readonly revision?: string
  /** Over what was changed in the folder. */
  readonly force?: true
  readonly json?: true
}

/** A revision that is still kept; undefined number = the one in force. Throws GW_CLI_MISUSE. */
export async function findRevision(
  { revisions }: StoreTarget,
  number: string | undefined,
): Promise<RevisionRecord> {
  const { revisions: kept } = await revisions.state()
  const found = number === undefined ? kept[0] : kept.find(({ revision }) => String(revision) === number)
  if (found !== undefined) return found
  const oldest = kept.at(-1)?.revision
  throw new GatewayError(
    'GW_CLI_MISUSE',
    kept.length === 0
      ? 'the store has no revision: nothing was pushed yet'
      : `revision ${number} is not kept: there are ${oldest} to ${kept[0]?.revision}`,
  )
}

/**
 * `sluice pull`: a folder becomes what a revision of the store is. 0 done, 1 the folder has changes of its own; throws
 * GW_CLI_MISUSE, GW_CONFIG_UNREADABLE, GW_REGISTRY_*.
 */
export async function pull(options: PullOptions, terminal: Terminal): Promise<ExitCode> {
  const target = await openStore(options, terminal)
  try {
    const folder = resolve(options.folder ?? target.folder)
    const record = await findRevision(target, options.revision)
    const [own, files] = [await readFolder(folder), await target.revisions.read(record)]
    const changes = diffFiles(own, files)
    const isClean = own.size === 0 || (await readMark(folder, target.label))?.hash === hashOf(own)
    if (changes.length > 0 && !isClean && options.force !== true) {
      terminal.err(`${folder} has changes of its own, which this would undo (--force does):`)
      for (const line of changes) terminal.err(line)
      return 1
    }
    await writeFolder(folder, files)
    await writeMark(folder, target.label, record)
    if (options.json === true) terminal.out(JSON.stringify({ record, folder, changes }, undefined, 2))
    else {
      for (const line of changes) terminal.out(line)
      terminal.out(`${folder} is ${revisionText(record)}`)
    }
    return 0
  } finally {
    await target.close()
  }
}
