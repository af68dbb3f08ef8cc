import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { buildTree, parseJson } from '../config-store/tree.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { RevisionRecord, StoredFiles } from '../core/stored-files.ts'

/** In a folder that was pulled or pushed: which revision it is. */
const MARK = '.sluice-revision'
const FOLDERS = ['routes.d', 'canary.d']

const mark = z.object({ store: z.string(), revision: z.int(), hash: z.string() })

/** The files of a folder that go into a store. Throws GW_CONFIG_UNREADABLE. */
export async function readFolder(folder: string): Promise<StoredFiles> {
  const files = new Map<string, string>()
  for (const beside of FOLDERS) {
    try {
      for (const name of (await readdir(join(folder, beside))).sort()) {
        if (!/^[^.].*\.ya?ml$/.test(name)) continue
        files.set(`${beside}/${name}`, await readFile(join(folder, beside, name), 'utf8'))
      }
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') continue
      throw new GatewayError(
        'GW_CONFIG_UNREADABLE',
        `${join(folder, beside)} cannot be read: ${errorText(thrown)}`,
      )
    }
  }
  return files
}

/** Makes a folder hold these files, and no others of routes.d and canary.d. Throws GW_CONFIG_UNREADABLE. */
export async function writeFolder(folder: string, files: StoredFiles): Promise<void> {
  try {
    for (const name of (await readFolder(folder)).keys()) if (!files.has(name)) await rm(join(folder, name))
    for (const [name, text] of files) {
      await mkdir(dirname(join(folder, name)), { recursive: true })
      await writeFile(join(folder, name), text)
    }
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown
    throw new GatewayError('GW_CONFIG_UNREADABLE', `${folder} cannot be written: ${errorText(thrown)}`)
  }
}

/** The revision that a folder was made of; undefined = nobody knows, or it is of another store. */
export async function readMark(
  folder: string,
  store: string,
): Promise<Pick<RevisionRecord, 'revision' | 'hash'> | undefined> {
  const text = await readFile(join(folder, MARK), 'utf8').catch(() => '')
  const { success, data } = mark.safeParse(parseJson(text))
  return success && data.store === store ? data : undefined
}

/** Notes the revision that a folder is now. Throws GW_CONFIG_UNREADABLE. */
export async function writeMark(
  folder: string,
  store: string,
  { revision, hash }: RevisionRecord,
): Promise<void> {
  try {
    await writeFile(join(folder, MARK), `${JSON.stringify({ store, revision, hash })}\n`)
  } catch (thrown) {
    throw new GatewayError(
      'GW_CONFIG_UNREADABLE',
      `${join(folder, MARK)} cannot be written: ${errorText(thrown)}`,
    )
  }
}

/** Of the content alone. */
export const hashOf = (files: StoredFiles): string => buildTree(files).hash

/** `+ routes.d/a.yaml`, `- …`, `~ …`. */
export function diffFiles(before: StoredFiles, after: StoredFiles): string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort()
  return names.flatMap((name) => {
    const [old, now] = [before.get(name), after.get(name)]
    if (old === now) return []
    return [`${old === undefined ? '+' : now === undefined ? '-' : '~'} ${name}`]
  })
}
