import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { formatProblems } from '../config/load.ts'
import type { RevisionDraft, StoreState } from '../config-store/revisions.ts'
import { checkFiles } from '../config-store/tree.ts'
import { GatewayError } from '../core/errors.ts'
import { type RevisionRecord, revisionText, STORED, type StoredFiles } from '../core/stored-files.ts'
import type { PreviewView, TablesView } from '../core/views.ts'
import { type AdminAddress, callAdmin, postAdmin } from './admin-call.ts'
import { findProblems } from './check.ts'
import { previewLines } from './preview-text.ts'
import { atFolder, changeLines, changesOf, conflictText } from './store-changes.ts'
import { hashOf, readFolder, readMark, writeMark } from './store-folder.ts'
import { openStore, type StoreOptions, type StoreTarget } from './store-target.ts'
import type { ExitCode, Terminal } from './terminal.ts'

/** How long a gateway that was named may take to say that it took a revision. ms. */
const TAKE_MS = 15_000
const LOOK_MS = 100
const MAX_MESSAGE = 2000
const MAX_BY = 200

export interface WriteOptions extends StoreOptions {
  readonly message?: string
  readonly by?: string
  /** Gateways take it however much it changes. */
  readonly force?: true
  readonly dryRun?: true
  /** Of a gateway that is asked before and after. */
  readonly admin?: string
  readonly token?: string
  readonly json?: true
}

export interface PushOptions extends WriteOptions {
  /** Holds routes.d and canary.d. Default: that of sluice.yaml. */
  readonly folder?: string
  /** The revision that the folder comes from. Default: as `sluice pull` or the last push noted there. */
  readonly base?: string
}

/** Who and why. Throws GW_CLI_MISUSE. */
export function draftOf(options: WriteOptions, { env }: Terminal): RevisionDraft {
  const user = env['USER'] ?? env['LOGNAME'] ?? env['USERNAME'] ?? 'unknown'
  const { by = `${user}@${hostname()}`, message = '' } = options
  if (by === '' || by.length > MAX_BY || message.length > MAX_MESSAGE) {
    const text = `--by takes 1 to ${MAX_BY} characters, --message at most ${MAX_MESSAGE}`
    throw new GatewayError('GW_CLI_MISUSE', text)
  }
  return { at: Date.now(), by, message, isForced: options.force === true }
}

/**
 * Whether gateways would take these files: schema, references, filters, routes that hide each other. Mistakes and warnings
 * are printed. `folder`: where people find the files.
 */
export async function isValidFor(
  target: StoreTarget,
  files: StoredFiles,
  folder: string,
  terminal: Terminal,
): Promise<boolean> {
  const { problems } = await findProblems(target.loadOptions(files, folder))
  const shown = atFolder(folder, problems)
  if (shown.length > 0) terminal.err(formatProblems(shown, { color: terminal.hasColor }))
  return !problems.some(({ severity }) => severity === 'error')
}

/** What a running gateway makes of it; false = it is not valid there. */
export async function isValidThere(
  files: StoredFiles,
  { admin, token }: WriteOptions,
  terminal: Terminal,
): Promise<boolean> {
  if (admin === undefined) return true
  const named = Object.fromEntries([...files].map(([name, text]) => [STORED + name, text]))
  const body = { files: named, whole: false, examples: 3 }
  const { answer } = await postAdmin<PreviewView>({ admin, token }, '/api/preview', body)
  if (!answer.valid) {
    terminal.err(`${admin} would reject it:`)
    terminal.err(formatProblems([...answer.problems], { color: terminal.hasColor }))
    return false
  }
  for (const line of answer.preview === undefined ? [] : previewLines(answer.preview)) terminal.err(line)
  return true
}

/** Waits until a gateway has it in force, or says why not. True = taken. */
export async function isTakenBy(
  address: AdminAddress,
  { revision }: RevisionRecord,
  terminal: Terminal,
): Promise<boolean> {
  for (const end = Date.now() + TAKE_MS; ; ) {
    const { configuration } = await callAdmin<TablesView>(address, '/api/tables')
    if ((configuration?.revision?.revision ?? 0) >= revision) return true
    if (configuration?.rejected?.revision === revision) {
      terminal.err(`${address.admin} rejected it: ${configuration.rejected.message}`)
      return false
    }
    if (configuration === undefined || Date.now() > end) {
      const why = configuration === undefined ? 'has no configuration.store' : `is ${configuration.state}`
      terminal.err(`${address.admin} has not taken it: it ${why}`)
      return false
    }
    await pause(LOOK_MS)
  }
}

/** The revision that a folder comes from; undefined = nobody said. Throws GW_CLI_MISUSE. */
async function baseOf(options: PushOptions, folder: string, target: StoreTarget) {
  if (options.base === undefined) return readMark(folder, target.label)
  const revision = Number(options.base)
  if (!Number.isInteger(revision) || revision < 0) {
    throw new GatewayError('GW_CLI_MISUSE', `--base "${options.base}": write the number of a revision, or 0`)
  }
  return { revision, hash: '' }
}

/** Nobody pushed since the folder was made, or what they pushed is the same. */
function isOnTop(state: StoreState, base: { revision: number; hash: string } | undefined): boolean {
  const [newest] = state.revisions
  if (base === undefined || (newest?.revision ?? 0) === base.revision) return true
  return newest?.hash === base.hash
}

/** Prints who was faster; exit code 1. */
export function sayConflict(
  state: StoreState,
  base: number,
  { json }: WriteOptions,
  terminal: Terminal,
): ExitCode {
  if (json === true) {
    const since = state.revisions.filter(({ revision }) => revision > base)
    terminal.out(JSON.stringify({ pushed: false, base, conflict: since }, undefined, 2))
  }
  terminal.err(conflictText(state, base, Date.now()))
  return 1
}

/** Prints what was made, and whether the gateway that was named has it. */
export async function sayDone(
  record: RevisionRecord,
  changes: object,
  options: WriteOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const { admin, token } = options
  const isTaken = admin === undefined || (await isTakenBy({ admin, token }, record, terminal))
  if (options.json === true) {
    terminal.out(JSON.stringify({ pushed: true, record, ...changes }, undefined, 2))
  } else {
    terminal.out(
      `${revisionText(record)}, ${record.files} files${admin === undefined ? '' : isTaken ? `; in force at ${admin}` : ''}`,
    )
  }
  return isTaken ? 0 : 1
}

async function pushTo(target: StoreTarget, options: PushOptions, terminal: Terminal): Promise<ExitCode> {
  const folder = resolve(options.folder ?? target.folder)
  const files = await readFolder(folder)
  if (files.size === 0) {
    throw new GatewayError('GW_CLI_MISUSE', `${folder} has no file in routes.d or canary.d: nothing to push`)
  }
  checkFiles(files)
  if (!(await isValidFor(target, files, folder, terminal))) {
    terminal.err('not pushed: nothing was written')
    return 1
  }
  const draft = draftOf(options, terminal)
  const base = await baseOf(options, folder, target)
  const state = await target.revisions.state()
  const [newest] = state.revisions
  if (!isOnTop(state, base)) return sayConflict(state, base?.revision ?? 0, options, terminal)
  if (newest?.hash === hashOf(files)) {
    await writeMark(folder, target.label, newest)
    if (options.json === true) terminal.out(JSON.stringify({ pushed: false, record: newest }, undefined, 2))
    else terminal.out(`nothing to push: ${revisionText(newest)} has the same files`)
    return 0
  }
  // One that was tampered with is no reason not to push a whole one over it.
  const before = newest === undefined ? undefined : await target.revisions.read(newest).catch(() => undefined)
  const changes = await changesOf(target, before, files, folder)
  if (options.json !== true) for (const line of changeLines(changes)) terminal.out(line)
  if (!(await isValidThere(files, options, terminal))) return 1
  if (options.dryRun === true) {
    if (options.json === true) terminal.out(JSON.stringify({ pushed: false, ...changes }, undefined, 2))
    else terminal.out('not pushed: --dry-run')
    return 0
  }
  const outcome = await target.revisions.push(files, draft, state)
  if (outcome.kind === 'conflict') {
    return sayConflict(outcome.state, newest?.revision ?? 0, options, terminal)
  }
  await writeMark(folder, target.label, outcome.record)
  return sayDone(outcome.record, changes, options, terminal)
}

/**
 * `sluice push`: checks a folder, shows what it changes, and makes it the next revision of the store if nobody was faster.
 * 0 pushed or nothing to push, 1 not valid, a conflict, or the gateway that was named does not take it; throws
 * GW_CLI_MISUSE, GW_CONFIG_*, GW_REGISTRY_*, GW_ADMIN_*.
 */
export async function push(options: PushOptions, terminal: Terminal): Promise<ExitCode> {
  const target = await openStore(options, terminal)
  try {
    return await pushTo(target, options, terminal)
  } finally {
    await target.close()
  }
}
