import { z } from 'zod'
import type { RevisionRecord } from '../core/stored-files.ts'
import { parseJson } from './tree.ts'

/** The one key that says which content holds; replaced by compare-and-set. */
export const POINTER = 'current'
/** Revisions that are kept, with the one in force. */
export const KEPT_REVISIONS = 20

const record = z.object({
  revision: z.int().min(1),
  hash: z.string().regex(/^[0-9a-f]{16,64}$/),
  at: z.number(),
  by: z.string().max(200),
  message: z.string().max(2000),
  files: z.int().min(0),
  restores: z.int().min(1).optional(),
  isForced: z.literal(true).optional(),
})

const pointer = z.object({
  format: z.literal(1),
  /** The newest first: that is the one in force. */
  revisions: z.array(record).min(1),
})

/** Revisions of a pointer, the newest first; undefined = it is not readable. */
export function parsePointer(text: string): readonly RevisionRecord[] | undefined {
  const { success, data } = pointer.safeParse(parseJson(text))
  return success ? (data.revisions as RevisionRecord[]) : undefined
}

/** The pointer with a further revision, and what dropped out of it. */
export function nextPointer(
  next: RevisionRecord,
  before: readonly RevisionRecord[],
): { readonly text: string; readonly dropped: readonly RevisionRecord[] } {
  const revisions = [next, ...before].slice(0, KEPT_REVISIONS)
  return {
    text: JSON.stringify({ format: 1, revisions }, undefined, 1),
    dropped: before.slice(KEPT_REVISIONS - 1),
  }
}
