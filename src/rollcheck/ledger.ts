import { glob, readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'

/** What the client knows of one request that must be executed once. */
export interface WriteRecord {
  readonly id: string
  readonly name: string
  /** ms since the epoch. */
  readonly at: number
  readonly isAnswered: boolean
}

export interface LedgerFindings {
  /** Executed more than once. */
  readonly duplicated: readonly (WriteRecord & { readonly times: number })[]
  /** Answered with success, but no instance noted it. */
  readonly lostWrites: readonly WriteRecord[]
  /** Executed, but the client saw a failure: only an idempotency key could tell it so. */
  readonly executedButFailed: readonly WriteRecord[]
  /** Ids of this run in the ledger. */
  readonly executed: number
}

/** How often each id stands in ledger texts: the first word of each line counts. */
export function countIds(texts: Iterable<string>): Map<string, number> {
  const times = new Map<string, number>()
  for (const text of texts) {
    for (const line of text.split('\n')) {
      const id = line.trim().split(/\s/, 1)[0] ?? ''
      if (id !== '') times.set(id, (times.get(id) ?? 0) + 1)
    }
  }
  return times
}

/** Compares what the client saw with what the instances noted. */
export function compareLedger(
  writes: Iterable<WriteRecord>,
  times: ReadonlyMap<string, number>,
): LedgerFindings {
  const duplicated: (WriteRecord & { times: number })[] = []
  const lostWrites: WriteRecord[] = []
  const executedButFailed: WriteRecord[] = []
  let executed = 0
  for (const write of writes) {
    const found = times.get(write.id) ?? 0
    if (found > 0) executed++
    if (found > 1) duplicated.push({ ...write, times: found })
    if (found === 0 && write.isAnswered) lostWrites.push(write)
    if (found > 0 && !write.isAnswered) executedButFailed.push(write)
  }
  return { duplicated, lostWrites, executedButFailed, executed }
}

/** All ledger files that the globs name, relative to `folder`. */
export async function readLedger(
  patterns: readonly string[],
  folder: string,
): Promise<{ files: number; times: Map<string, number> }> {
  const files = new Set<string>()
  for (const pattern of patterns) {
    for await (const name of glob(isAbsolute(pattern) ? pattern : join(folder, pattern))) files.add(name)
  }
  const texts = await Promise.all([...files].map((file) => readFile(file, 'utf8')))
  return { files: files.size, times: countIds(texts) }
}
