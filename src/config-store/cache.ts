import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import type { RevisionRecord, StoredRevision } from '../core/stored-files.ts'
import { parseJson } from './tree.ts'

const saved = z.object({
  format: z.literal(1),
  /** Store and prefix: what another one had is not ours. */
  store: z.string(),
  record: z.object({ revision: z.int(), hash: z.string(), by: z.string(), message: z.string() }).loose(),
  files: z.record(z.string(), z.string()),
})

/** The last revision that was taken; undefined = there is none of this store. Throws GW_CONFIG_UNREADABLE. */
export async function readCache(path: string, store: string): Promise<StoredRevision | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new GatewayError('GW_CONFIG_UNREADABLE', `configuration.cache ${path} cannot be read`, { cause })
  }
  const { success, data } = saved.safeParse(parseJson(text))
  if (!success) {
    throw new GatewayError(
      'GW_CONFIG_UNREADABLE',
      `configuration.cache ${path} is damaged; delete it to start without`,
    )
  }
  if (data.store !== store) return undefined
  return { record: data.record as unknown as RevisionRecord, files: new Map(Object.entries(data.files)) }
}

/** In one step (write, then rename), for this user alone. Throws what the file system says. */
export async function writeCache(
  path: string,
  store: string,
  { record, files }: StoredRevision,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.new`
  const text = JSON.stringify({ format: 1, store, record, files: Object.fromEntries(files) })
  await writeFile(temporary, text, { mode: 0o600 })
  await rename(temporary, path)
}
