import { GatewayError } from '../core/errors.ts'
import { revisionText } from '../core/stored-files.ts'
import { draftOf, isValidFor, isValidThere, sayConflict, sayDone, type WriteOptions } from './push.ts'
import { changeLines, changesOf } from './store-changes.ts'
import { openStore, type StoreTarget } from './store-target.ts'
import type { ExitCode, Terminal } from './terminal.ts'

async function rollbackIn(
  target: StoreTarget,
  number: string,
  options: WriteOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const state = await target.revisions.state()
  const [newest] = state.revisions
  const earlier = state.revisions.find(({ revision }) => String(revision) === number)
  if (newest === undefined || earlier === undefined) {
    const there = newest === undefined ? 'none' : `${state.revisions.at(-1)?.revision} to ${newest.revision}`
    throw new GatewayError('GW_CLI_MISUSE', `revision ${number} is not kept: there are ${there}`)
  }
  if (earlier.hash === newest.hash) {
    terminal.out(`nothing to do: ${revisionText(newest)} has the same files`)
    return 0
  }
  const draft = draftOf(options, terminal)
  const [before, files] = [
    await target.revisions.read(newest).catch(() => undefined),
    await target.revisions.read(earlier),
  ]
  const folder = `revision ${number}`
  if (!(await isValidFor(target, files, folder, terminal))) {
    terminal.err('not rolled back: it is not valid any more')
    return 1
  }
  const changes = await changesOf(target, before, files, folder)
  if (options.json !== true) for (const line of changeLines(changes)) terminal.out(line)
  if (!(await isValidThere(files, options, terminal))) return 1
  if (options.dryRun === true) {
    terminal.out('not rolled back: --dry-run')
    return 0
  }
  const outcome = await target.revisions.restore(earlier, draft, state)
  if (outcome.kind === 'conflict') return sayConflict(outcome.state, newest.revision, options, terminal)
  return sayDone(outcome.record, changes, options, terminal)
}

/**
 * `sluice rollback`: an earlier revision's files become the next revision. 0 done, 1 not valid any more, a conflict, or the
 * gateway that was named does not take it; throws GW_CLI_MISUSE, GW_CONFIG_*, GW_REGISTRY_*, GW_ADMIN_*.
 */
export async function rollback(number: string, options: WriteOptions, terminal: Terminal): Promise<ExitCode> {
  const target = await openStore(options, terminal)
  try {
    return await rollbackIn(target, number, options, terminal)
  } finally {
    await target.close()
  }
}
