import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorText, GatewayError } from '../core/errors.ts'
import { QuotaCounters } from './quota-counters.ts'

/** Written at most this often: what a crash may forget. ms. */
const INTERVAL_MS = 1000
const FORMAT = 1

export interface QuotaFileOptions {
  readonly path: string
  readonly onError: (text: string) => void
}

/**
 * Quotas that survive a restart, in a file that is replaced in one step. For one process: a second one on the same
 * file is not noticed. Throws GW_CONFIG_INVALID for a file that is there and cannot be read: counting anew would give
 * everybody a second quota.
 */
export class QuotaFile {
  readonly counters: QuotaCounters
  readonly #options: QuotaFileOptions
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(options: QuotaFileOptions) {
    this.#options = options
    this.counters = new QuotaCounters(() => this.#changed())
    for (const [key, start, count] of readCounts(options.path)) this.counters.set(key, { start, count })
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Saves what is not saved. Synchronous: nothing may come after it. */
  close(): void {
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#guarded(() => {
      const temporary = this.#temporary('last')
      mkdirSync(dirname(this.#options.path), { recursive: true })
      writeFileSync(temporary, this.#text())
      renameSync(temporary, this.#options.path)
    })
  }

  #changed(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#writing.then(() => this.#write())
    }, INTERVAL_MS)
    this.#timer.unref()
  }

  async #write(): Promise<void> {
    try {
      const temporary = this.#temporary('new')
      await writeFile(temporary, this.#text())
      await rename(temporary, this.#options.path)
    } catch (thrown) {
      this.#failed(thrown)
    }
  }

  #guarded(write: () => void): void {
    try {
      write()
    } catch (thrown) {
      this.#failed(thrown)
    }
  }

  #failed(thrown: unknown): void {
    this.#options.onError(`quotas cannot be saved in ${this.#options.path}: ${errorText(thrown)}`)
  }

  #temporary(kind: string): string {
    return `${this.#options.path}.${process.pid}.${kind}`
  }

  #text(): string {
    return JSON.stringify({ format: FORMAT, counts: this.counters.entries() })
  }
}

function readCounts(path: string): [string, number, number][] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new GatewayError('GW_CONFIG_INVALID', `quotas in ${path} cannot be read`, { cause })
  }
  try {
    const saved = JSON.parse(text) as { format?: unknown; counts?: unknown }
    if (saved.format === FORMAT && Array.isArray(saved.counts) && saved.counts.every(isCount)) {
      return saved.counts
    }
  } catch {
    // Said below.
  }
  throw new GatewayError('GW_CONFIG_INVALID', `quotas in ${path} are damaged; delete the file to count anew`)
}

function isCount(entry: unknown): entry is [string, number, number] {
  if (!Array.isArray(entry) || entry.length !== 3) return false
  const [key, start, count] = entry as unknown[]
  return typeof key === 'string' && Number.isSafeInteger(start) && Number.isSafeInteger(count)
}
