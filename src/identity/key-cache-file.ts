import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorText } from '../core/errors.ts'

/** The last good key document on disk, for a start while the issuer is away. Holds public keys only. */
export interface KeyCacheFile {
  /** Undefined = there is none of this source, or it cannot be read. `savedAt`: ms since the epoch. */
  read(): Promise<{ readonly document: Uint8Array; readonly savedAt: number } | undefined>
  /** Never rejects. */
  write(document: Uint8Array, savedAt: number): Promise<void>
}

/** `source`: what the keys are of (issuer or address): a file of another one is not believed. */
export function createKeyCacheFile(
  path: string,
  source: string,
  warn: (fields: object, text: string) => void,
): KeyCacheFile {
  return {
    async read() {
      try {
        const saved = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
        const { savedAt, document } = saved
        if (saved['source'] !== source || typeof savedAt !== 'number' || typeof document !== 'string')
          return undefined
        return { document: Buffer.from(document), savedAt }
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT')
          warn({ path, err: errorText(thrown) }, 'the file of saved keys cannot be read')
        return undefined
      }
    },
    async write(document, savedAt) {
      try {
        await mkdir(dirname(path), { recursive: true })
        const text = JSON.stringify({ source, savedAt, document: Buffer.from(document).toString() })
        await writeFile(`${path}.new`, text, { mode: 0o600 })
        await rename(`${path}.new`, path)
      } catch (thrown) {
        warn({ path, err: errorText(thrown) }, 'the file of saved keys cannot be written')
      }
    },
  }
}
