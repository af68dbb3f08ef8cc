import type { Transform } from 'node:stream'
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib'

/** A body as it is to be looked at. */
export type Decoded =
  | { readonly kind: 'plain'; readonly bytes: Buffer; readonly isWhole: boolean }
  /** Coded in a way that is not known, or not in the way it says: look at the bytes as they are. */
  | { readonly kind: 'opaque' }
  /** Grows beyond all measure. */
  | { readonly kind: 'bomb' }

/** Text rarely shrinks to a hundredth; less than this much is harmless anyway. Bytes. */
const MAX_RATIO = 200
const HARMLESS_BYTES = 64 * 1024
/** Codings on codings: nobody sends more than two. */
const MAX_CODINGS = 2

function decoder(coding: string): (Transform & { readonly bytesWritten: number }) | undefined {
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip({ finishFlush: constants.Z_SYNC_FLUSH })
    case 'deflate':
      return createInflate({ finishFlush: constants.Z_SYNC_FLUSH })
    case 'br':
      return createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH })
    case 'zstd':
      return createZstdDecompress({ finishFlush: constants.ZSTD_e_flush })
    default:
      return undefined
  }
}

/** Decodes until `maxBytes` are there; undefined = broken or of another coding. */
async function decodeOne(
  bytes: Buffer,
  coding: string,
  maxBytes: number,
): Promise<{ readonly bytes: Buffer; readonly consumed: number } | undefined> {
  const stream = decoder(coding)
  if (stream === undefined) return undefined
  const chunks: Buffer[] = []
  let size = 0
  try {
    stream.end(bytes)
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      if (size > maxBytes) break
    }
  } catch {
    return undefined
  } finally {
    stream.destroy()
  }
  return { bytes: Buffer.concat(chunks), consumed: Math.max(1, stream.bytesWritten) }
}

/** The codings of a Content-Encoding field, in the order in which they are to be taken off (RFC 9110 §8.4). */
export function codingsOf(field: string | undefined): string[] {
  return (field ?? '')
    .toLowerCase()
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part !== 'identity')
    .reverse()
}

/**
 * Takes codings off the beginning of a body; at most `maxBytes` come out, whatever went in. Off the main loop: zlib works in
 * its own threads.
 */
export async function decodeBody(
  bytes: Buffer,
  isWhole: boolean,
  codings: readonly string[],
  maxBytes: number,
): Promise<Decoded> {
  if (codings.length > MAX_CODINGS) return { kind: 'opaque' }
  let current = bytes
  for (const coding of codings) {
    const decoded = await decodeOne(current, coding, maxBytes)
    if (decoded === undefined) return { kind: 'opaque' }
    const { length } = decoded.bytes
    if (length > HARMLESS_BYTES && length / decoded.consumed > MAX_RATIO) return { kind: 'bomb' }
    current = decoded.bytes
  }
  const isCut = current.length > maxBytes
  return { kind: 'plain', bytes: isCut ? current.subarray(0, maxBytes) : current, isWhole: isWhole && !isCut }
}
