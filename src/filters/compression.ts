import type { Transform } from 'node:stream'
import { constants, createBrotliCompress, createGzip, createZstdCompress } from 'node:zlib'
import compressible from 'compressible'
import Negotiator from 'negotiator'
import { z } from 'zod'
import { parseSize } from '../core/duration.ts'
import { addVary } from './cors.ts'
import { defineFilter, type FilterContext, type ResponseContext } from './filter.ts'

/** What negotiator 1 has and its types do not know yet: our order decides between equal q-values. */
interface Encodings {
  encodings(available: string[], options: { preferred: readonly string[] }): string[]
}

const ENCODINGS = ['br', 'zstd', 'gzip'] as const
type Encoding = (typeof ENCODINGS)[number]

/** A compressor that hands on what it has after each chunk, so that streams stay streams. */
function createCompressor(encoding: Encoding): Transform {
  switch (encoding) {
    case 'br':
      return createBrotliCompress({
        flush: constants.BROTLI_OPERATION_FLUSH,
        params: { [constants.BROTLI_PARAM_QUALITY]: 4 },
      })
    case 'zstd':
      return createZstdCompress({ flush: constants.ZSTD_e_flush })
    case 'gzip':
      return createGzip({ flush: constants.Z_SYNC_FLUSH, level: 6 })
  }
}

function mayCompress(ctx: FilterContext, response: ResponseContext, minBytes: number): boolean {
  const { headers, status } = response
  if (
    response.isLocal ||
    ctx.method === 'HEAD' ||
    status < 200 ||
    status === 204 ||
    status === 206 ||
    status === 304
  )
    return false
  if (headers.has('content-encoding') || headers.has('content-range')) return false
  if (headers.get('cache-control')?.toLowerCase().includes('no-transform') === true) return false
  const type = headers.get('content-type')
  if (type === undefined || compressible(type) !== true || type.startsWith('text/event-stream')) return false
  const length = headers.get('content-length')
  return length === undefined || Number(length) >= minBytes
}

/** Compresses answers by what the client accepts (RFC 9110 §12.5.3), streaming. */
export const compression = defineFilter({
  name: 'compression',
  summary: 'Compresses answers of compressible types with br, zstd or gzip, as the client prefers.',
  options: z.strictObject({
    encodings: z
      .array(z.enum(ENCODINGS))
      .min(1)
      .default([...ENCODINGS])
      .describe('Offered, best first. Default br, zstd, gzip.'),
    minSize: z
      .string()
      .default('1KiB')
      .transform((text, ctx) => {
        const size = parseSize(text)
        if (size !== undefined) return size
        ctx.addIssue({ code: 'custom', message: `"${text}" is no size; write it with its unit: 512B, 1KiB` })
        return z.NEVER
      })
      .describe('Shorter answers stay as they are; unknown lengths are compressed. Default 1KiB.'),
  }),
  create({ encodings, minSize }) {
    return {
      outbound(ctx, response) {
        if (!mayCompress(ctx, response, minSize)) return
        addVary(response.headers, 'Accept-Encoding')
        const accepted: Encodings = new Negotiator({
          headers: { 'accept-encoding': ctx.headers.get('accept-encoding') ?? 'identity' },
        })
        const chosen = accepted.encodings([...encodings, 'identity'], { preferred: encodings })[0]
        const encoding = encodings.find((each) => each === chosen)
        if (encoding === undefined) return
        response.headers.set('content-encoding', encoding)
        response.headers.delete('content-length')
        response.headers.delete('accept-ranges')
        const etag = response.headers.get('etag')
        if (etag?.startsWith('"') === true) response.headers.set('etag', `W/${etag}`)
        response.transforms.push(createCompressor(encoding))
      },
    }
  },
})
