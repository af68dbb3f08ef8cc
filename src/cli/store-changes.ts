import type { ConfigProblem } from '../config/problems.ts'
import type { StoreState } from '../config-store/revisions.ts'
import { errorText } from '../core/errors.ts'
import { type RevisionRecord, revisionText, STORED, type StoredFiles } from '../core/stored-files.ts'
import { diffTables } from '../routing/diff.ts'
import { compileOffline } from './check.ts'
import { ageText } from './figures.ts'
import { diffFiles } from './store-folder.ts'
import { loadWith, type StoreTarget } from './store-target.ts'

/** What other files in the store change. */
export interface StoreChanges {
  /** `~ routes.d/shop.yaml` */
  readonly files: readonly string[]
  /** Of routes, services, filters and canary rules. */
  readonly changes: readonly string[]
  /** Why `changes` may not be all. */
  readonly note?: string
}

/** What `after` changes against `before`, by files and by what gateways make of them. Throws ConfigError of `after`. */
export async function changesOf(
  target: StoreTarget,
  before: StoredFiles | undefined,
  after: StoredFiles,
  folder: string,
): Promise<StoreChanges> {
  const files = diffFiles(before ?? new Map(), after)
  if (files.length === 0) return { files, changes: [] }
  const next = await compileOffline(await loadWith(target, after, folder))
  try {
    const old = await compileOffline(await loadWith(target, before, folder))
    return { files, changes: diffTables(old, next) }
  } catch (thrown) {
    const note = `what the store has is not valid here: ${errorText(thrown).split('\n')[0]}`
    return { files, changes: [], note }
  }
}

/** Files, then what they mean. */
export function changeLines({ files, changes, note }: StoreChanges): string[] {
  return [...files, ...changes.map((line) => `  ${line}`), ...(note === undefined ? [] : [`  ${note}`])]
}

/** A problem at the file that a person can open. */
export function atFolder(folder: string, problems: readonly ConfigProblem[]): ConfigProblem[] {
  return problems.map((problem) =>
    problem.file.startsWith(STORED)
      ? { ...problem, file: `${folder}/${problem.file.slice(STORED.length)}` }
      : problem,
  )
}

/** `revision 18 by ann: more shops, 2m ago` */
export const recordLine = (record: RevisionRecord, now: number): string =>
  `${revisionText(record)} (${ageText(Math.max(0, now - record.at))} ago)`

/** Who pushed since a revision, in words; the newest first. */
export function conflictText(state: StoreState, base: number, now: number): string {
  const since = state.revisions.filter(({ revision }) => revision > base)
  const [newest] = state.revisions
  if (newest === undefined) return `revision ${base} is not in the store any more: it has none`
  const who = since.length === 0 ? [newest] : since
  return [
    `not pushed: this comes from revision ${base}, and meanwhile there is`,
    ...who.map((record) => `  ${recordLine(record, now)}`),
    `look at it (sluice diff --store), take it in (sluice pull), or push over it with --base ${newest.revision}`,
  ].join('\n')
}
