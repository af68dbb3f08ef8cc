import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'

const DECODERS = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
}

/**
 * A body without its content coding, in the thread pool, off the request path. Undefined: a coding that is not known,
 * a broken body, or one that unpacks to more than `maxBytes`.
 */
export async function decodeBody(
  body: Buffer,
  coding: string | undefined,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const name = coding?.trim().toLowerCase() ?? 'identity'
  if (name === 'identity' || name === '' || body.length === 0) return body
  const decode = DECODERS[name as keyof typeof DECODERS]
  if (decode === undefined) return undefined
  try {
    return await decode(body, { maxOutputLength: maxBytes })
  } catch {
    return undefined
  }
}
