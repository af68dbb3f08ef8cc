import type { RevisionRecord } from '../core/stored-files.ts'
import { openStore, type StoreOptions } from './store-target.ts'
import { cleanText } from './styled.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface HistoryOptions extends StoreOptions {
  readonly json?: true
}

const time = (at: number): string => new Date(at).toISOString().replace('T', ' ').slice(0, 19)

function lineOf(
  { revision, at, by, message, files, restores, isForced }: RevisionRecord,
  isCurrent: boolean,
) {
  const notes = [
    `${files} files`,
    ...(restores === undefined ? [] : [`back to ${restores}`]),
    ...(isForced === true ? ['forced'] : []),
  ]
  const text = `${isCurrent ? '*' : ' '} ${String(revision).padStart(5)}  ${time(at)}  ${by}  (${notes.join(', ')})  ${message}`
  return cleanText(text.trimEnd())
}

/** `sluice history`: the revisions that are kept, the newest first. 0; throws GW_CLI_MISUSE, GW_REGISTRY_*. */
export async function history(options: HistoryOptions, terminal: Terminal): Promise<ExitCode> {
  const target = await openStore(options, terminal)
  try {
    const { revisions } = await target.revisions.state()
    if (options.json === true) terminal.out(JSON.stringify({ revisions }, undefined, 2))
    else if (revisions.length === 0) terminal.out('nothing was pushed yet')
    else revisions.forEach((record, i) => void terminal.out(lineOf(record, i === 0)))
    return 0
  } finally {
    await target.close()
  }
}
