import { hash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sleep } from '../core/duration.ts'

/** File systems note times in steps. ms. */
const CLOCK_SLACK_MS = 20

export interface WatchOptions {
  /** A change is looked at once it was quiet for this long, at most twice as late. ms. Default 50. */
  readonly settleMs?: number
  /** Contents are compared this often even if the file system says nothing. ms. Default 2000. */
  readonly pollMs?: number
  /** After a change the next one is looked at this much later: a storm of edits must not eat a core. ms. Default 250. */
  readonly gapMs?: number
  /** When the files were read, ms since the epoch: what changed later is a change. Default: the call. */
  readonly readAt?: number
}

async function fingerprint(files: readonly string[], folders: readonly string[]): Promise<string> {
  const parts: string[] = []
  const all = new Set(files)
  for (const folder of folders) {
    try {
      const names = (await readdir(folder)).filter((name) => !name.startsWith('.')).sort()
      parts.push(...names)
      // Also those that were never taken: mending a file that was wrong from the start is a change.
      for (const name of names) all.add(join(folder, name))
    } catch {
      parts.push('no such folder')
    }
  }
  for (const file of all) {
    try {
      parts.push(hash('sha1', await readFile(file), 'hex'))
    } catch {
      parts.push('unreadable')
    }
  }
  return parts.join('\n')
}

/** Whether a file, or the list of those in a folder, may be newer than what was read. */
async function hasChangedSince(readAt: number, paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    try {
      if ((await stat(path)).ctimeMs >= readAt - CLOCK_SLACK_MS) return true
    } catch {
      // There is no such folder, or a file just went: the poll sees it.
    }
  }
  return false
}

/** `watchFiles` for the main file, first of the list, all others, and `routes.d` and `canary.d` beside it. */
export function watchConfig(
  getFiles: () => readonly string[],
  onChange: () => Promise<unknown>,
  signal: AbortSignal,
  options: WatchOptions = {},
): Promise<void> {
  const getFolders = () => ['routes.d', 'canary.d'].map((name) => join(dirname(getFiles()[0] ?? '.'), name))
  return watchFiles(getFiles, getFolders, onChange, signal, options)
}

/**
 * Calls `onChange` when the content of one of the files changed, or a file came to or left one of the folders.
 * Watches folders, not files: editors, Kubernetes and configuration tools replace files by renaming.
 * The next change is looked for when `onChange` is done, which must not reject. Resolves when the signal aborts;
 * never rejects.
 */
export async function watchFiles(
  getFiles: () => readonly string[],
  getFolders: () => readonly string[],
  onChange: () => Promise<unknown>,
  signal: AbortSignal,
  options: WatchOptions = {},
): Promise<void> {
  const { settleMs = 50, pollMs = 2000, gapMs = 250, readAt = Date.now() } = options
  const watchers = new Map<string, FSWatcher>()
  let wake = new AbortController()
  const sync = () => {
    const listed = getFolders()
    const folders = new Set([...getFiles(), ...listed].map((path) => dirname(path)).concat(listed))
    for (const [folder, watcher] of watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      watchers.delete(folder)
    }
    for (const folder of folders) {
      if (watchers.has(folder)) continue
      try {
        const watcher = watch(folder, { persistent: false }, () => wake.abort())
        watcher.on('error', () => {
          watcher.close()
          watchers.delete(folder)
        })
        watchers.set(folder, watcher)
      } catch {
        // Not there (yet): the poll sees it come.
      }
    }
    return listed
  }

  let last = await fingerprint(getFiles(), sync())
  if (await hasChangedSince(readAt, [...getFiles(), ...getFolders()])) await onChange()
  while (!signal.aborted) {
    await sleep(pollMs, AbortSignal.any([signal, wake.signal]))
    if (signal.aborted) break
    if (wake.signal.aborted) {
      await sleep(settleMs, signal)
      wake = new AbortController()
    }
    const now = await fingerprint(getFiles(), sync())
    if (now === last) continue
    await onChange()
    // Taken before the load, so that a change during it is seen the next time round.
    last = now
    await sleep(gapMs, signal)
  }
  for (const watcher of watchers.values()) watcher.close()
}
