import { type FileHandle, mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorText } from '../core/errors.ts'
import type { HistoryEntry, RegistryEntry } from '../core/monitor-view.ts'

export type StoredEntry = HistoryEntry | RegistryEntry

/** Lines are gathered for so long before they are written. ms. */
const GATHER_MS = 1000
/** Lines that wait for a disk which does not take them; the oldest are dropped. */
const MAX_WAITING = 20_000
const NEW_LINE = 10

export interface HistoryFileOptions {
  readonly path: string
  /** A file of this size is renamed to `<path>.1`, in the place of the one before. Bytes. */
  readonly maxBytes: number
  /** Once for each kind of trouble, not with each line. */
  onError(text: string): void
}

const WHATS: ReadonlySet<unknown> = new Set(['appeared', 'changed', 'left', 'ejected', 'returned'])
const areTexts = (values: readonly unknown[]) => values.every((value) => typeof value === 'string')
const isTextOrNone = (value: unknown) => value === undefined || typeof value === 'string'

/** One line; undefined for one that is torn or not ours. */
function parseLine(line: string): StoredEntry | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { at, to, from, reason, registry, service, key, address, version, what } = value as Record<
    string,
    unknown
  >
  if (typeof at !== 'number' || !areTexts([to]) || ![from, reason, version].every(isTextOrNone))
    return undefined
  const isGood =
    registry === undefined ? areTexts([service, key, address]) && WHATS.has(what) : areTexts([registry])
  return isGood ? (value as StoredEntry) : undefined
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw thrown
  }
}

/**
 * The newest entries of a history file and of the one before it, the oldest first; at most `limit` of each kind. Lines that
 * are torn are left out. Rejects when a file is there and cannot be read.
 */
export async function readHistory(path: string, limit: number): Promise<StoredEntry[]> {
  const entries: StoredEntry[] = []
  for (const file of [path, `${path}.1`]) {
    if (entries.length >= limit) break
    const lines = (await readText(file)).split('\n')
    for (let i = lines.length - 1; i >= 0 && entries.length < limit; i--) {
      const entry = parseLine(lines[i] as string)
      if (entry !== undefined) entries.push(entry)
    }
  }
  return entries.reverse()
}

/** Appends entries as lines of JSON, gathered, synced to disk, behind everything else. Nobody waits for it. */
export class HistoryFile {
  readonly #options: HistoryFileOptions
  #waiting: StoredEntry[] = []
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #handle: FileHandle | undefined
  #bytes = 0
  /** The last line in the file may be torn: a line of its own has to begin. */
  #isTorn = false
  #isFailing = false
  #isClosed = false
  #dropped = 0

  constructor(options: HistoryFileOptions) {
    this.#options = options
  }

  /** Asks for an entry to be written soon. Cheap. */
  append(entry: StoredEntry): void {
    if (this.#isClosed) return
    this.#waiting.push(entry)
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.shift()
      this.#dropped++
    }
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => void this.flush(), GATHER_MS)
    this.#timer.unref()
  }

  /** Entries that were not written, since the start. */
  get dropped(): number {
    return this.#dropped
  }

  /** Writes what waits; resolves when it is on disk, or when that failed. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    const entries = this.#waiting
    if (entries.length === 0) return
    this.#waiting = []
    let unwritten = entries.length
    try {
      const handle = this.#handle ?? (await this.#open())
      const bytes = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
      await handle.appendFile(this.#isTorn ? Buffer.concat([Buffer.from('\n'), bytes]) : bytes)
      unwritten = 0
      this.#isTorn = false
      this.#bytes += bytes.length
      await handle.datasync()
      if (this.#bytes >= this.#options.maxBytes) await this.#rotate()
      this.#isFailing = false
    } catch (thrown) {
      // Some of it may be in the file: it is not tried again, so that nothing stands there twice.
      this.#dropped += unwritten
      const { path, onError } = this.#options
      if (!this.#isFailing) onError(`history ${path} cannot be written: ${errorText(thrown)}`)
      this.#isFailing = true
      await this.#close()
    }
  }

  async #open(): Promise<FileHandle> {
    const { path } = this.#options
    await mkdir(dirname(path), { recursive: true })
    const handle = await open(path, 'a+')
    this.#handle = handle
    this.#bytes = (await handle.stat()).size
    if (this.#bytes > 0) {
      const last = Buffer.alloc(1)
      await handle.read(last, 0, 1, this.#bytes - 1)
      this.#isTorn = last[0] !== NEW_LINE
    }
    return handle
  }

  async #rotate(): Promise<void> {
    const { path } = this.#options
    await this.#close()
    // Another process may have done it already.
    if ((await stat(path)).size >= this.#options.maxBytes) await rename(path, `${path}.1`)
  }

  async #close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    // It is lost either way.
    await handle?.close().catch(() => {})
  }

  /** Writes what waits and lets go of the file; what comes later is not written. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
    await this.#close()
  }
}
