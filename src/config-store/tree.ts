import { hash } from 'node:crypto'
import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import type { StoredFiles } from '../core/stored-files.ts'
import type { KeyValue } from './kv.ts'

/** Folder of one content; its name is the hash, so it never changes and two people cannot mix theirs. */
const TREES = 'trees/'
/** In a tree: the hash of each file. The hash of this text is that of the tree. */
const MANIFEST = '@files'
/** Consul takes no more in one value. Bytes. */
export const MAX_FILE_BYTES = 512 * 1024

const NAME = /^(?:routes|canary)\.d\/[A-Za-z0-9_][\w.-]*\.ya?ml$/

const manifest = z.record(z.string().regex(NAME), z.string())

/** Below it is everything of one content. */
export const treePrefix = (treeHash: string): string => `${TREES}${treeHash}/`

const sha256 = (text: string): string => hash('sha256', text, 'hex')

/** A content as it is written. */
export interface Tree {
  readonly hash: string
  /** The files, then what names them. */
  readonly entries: readonly { readonly key: string; readonly value: string }[]
}

/** Throws GW_CONFIG_INVALID for a name or a size that cannot be kept. */
export function checkFiles(files: StoredFiles): void {
  for (const [name, text] of files) {
    if (!NAME.test(name)) {
      throw new GatewayError(
        'GW_CONFIG_INVALID',
        `${name} cannot be kept: name it routes.d/<name>.yaml or canary.d/<name>.yaml, of letters, digits, . _ and -`,
      )
    }
    const bytes = Buffer.byteLength(text)
    if (bytes <= MAX_FILE_BYTES) continue
    throw new GatewayError(
      'GW_CONFIG_INVALID',
      `${name} has ${bytes} bytes, the store takes ${MAX_FILE_BYTES} in one key: split it into several files`,
    )
  }
}

/** Keys and values of a content. Throws as `checkFiles` does. */
export function buildTree(files: StoredFiles): Tree {
  checkFiles(files)
  const names = [...files.keys()].sort()
  const hashes = names.map((name) => [name, sha256(files.get(name) ?? '')] as const)
  const list = JSON.stringify(Object.fromEntries(hashes), undefined, 1)
  const treeHash = sha256(list).slice(0, 16)
  const prefix = treePrefix(treeHash)
  return {
    hash: treeHash,
    entries: [
      ...names.map((name) => ({ key: prefix + name, value: files.get(name) ?? '' })),
      { key: prefix + MANIFEST, value: list },
    ],
  }
}

/** The files of a tree, or the key that is not what it was when it was pushed. */
export type TreeOutcome =
  | { readonly files: StoredFiles }
  | { readonly key: string; readonly problem: string; readonly isMissing: boolean }

/** Checks a tree against its hash: what was pushed is whole, and nobody wrote into it since. */
export function readTree(treeHash: string, entries: readonly KeyValue[]): TreeOutcome {
  const prefix = treePrefix(treeHash)
  const found = new Map(entries.map(({ key, value }) => [key.slice(prefix.length), value]))
  const refuse = (name: string, problem: string, isMissing = false) => ({
    key: prefix + name,
    problem,
    isMissing,
  })
  const list = found.get(MANIFEST)
  if (list === undefined) return refuse(MANIFEST, 'is missing', true)
  if (sha256(list).slice(0, treeHash.length) !== treeHash) {
    return refuse(MANIFEST, 'was changed by hand: it does not match the hash of the revision')
  }
  const parsed = manifest.safeParse(parseJson(list))
  if (!parsed.success) return refuse(MANIFEST, 'is not readable')
  const files = new Map<string, string>()
  for (const [name, expected] of Object.entries(parsed.data)) {
    const text = found.get(name)
    if (text === undefined) return refuse(name, 'is missing', true)
    if (sha256(text) !== expected) {
      return refuse(name, 'was changed by hand: it does not match the hash of the revision')
    }
    files.set(name, text)
  }
  return { files }
}

/** Undefined when it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
