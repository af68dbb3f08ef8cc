import { Transform } from 'node:stream'
import { z } from 'zod'
import { parseSize } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import { defineFilter } from './filter.ts'

const bytes = z.string().transform((text, ctx) => {
  const size = parseSize(text)
  if (size !== undefined && size > 0) return size
  ctx.addIssue({ code: 'custom', message: `"${text}" is no size; write it with its unit: 512B, 64KiB, 10MB` })
  return z.NEVER
})

function counting(limit: number): Transform {
  let left = limit
  return new Transform({
    transform(chunk: Buffer, _, done) {
      left -= chunk.length
      if (left < 0)
        done(new GatewayError('GW_UPSTREAM_RESPONSE_TOO_LARGE', `the answer is larger than ${limit} bytes`))
      else done(null, chunk)
    },
  })
}

/** Limits on one route: request body (413), request headers (431), answer body (cut off). */
export const sizeLimit = defineFilter({
  name: 'size-limit',
  summary:
    'Limits the request body (413), the request headers (431) and the answer’s body (502, or cut off).',
  options: z.strictObject({
    requestBody: bytes.optional().describe('Largest request body. Default: the route’s or gateway’s limit.'),
    requestHeaders: bytes
      .optional()
      .describe('Largest sum of request header names and values. Default: the gateway’s limit.'),
    responseBody: bytes.optional().describe('Largest answer body. Default: no limit.'),
  }),
  create({ requestBody, requestHeaders, responseBody }) {
    return {
      inbound(ctx) {
        if (requestHeaders !== undefined) {
          let sum = 0
          for (const part of ctx.headers.raw()) sum += part.length
          if (sum > requestHeaders) return { status: 431, code: 'GW_REQUEST_HEADERS_TOO_LARGE' }
        }
        if (requestBody === undefined) return undefined
        if (ctx.contentLength !== undefined && ctx.contentLength > requestBody) {
          return { status: 413, code: 'GW_REQUEST_BODY_TOO_LARGE' }
        }
        ctx.maxBodyBytes = Math.min(ctx.maxBodyBytes ?? requestBody, requestBody)
        return undefined
      },
      ...(responseBody === undefined
        ? {}
        : {
            outbound(_, response) {
              if (response.isLocal) return undefined
              const declared = Number(response.headers.get('content-length') ?? 0)
              if (declared > responseBody) return { status: 502, code: 'GW_UPSTREAM_RESPONSE_TOO_LARGE' }
              response.transforms.push(counting(responseBody))
              return undefined
            },
          }),
    }
  },
})
