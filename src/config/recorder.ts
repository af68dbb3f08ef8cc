import { z } from 'zod'
import { headerName, size } from './values.ts'

/** The key `recorder`: requests that are remembered for previews. */
export const recorder = z
  .strictObject({
    size: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(2000)
      .describe('Requests that are remembered; the oldest go first. 0 = none. Default 2000.'),
    bytes: size().default(4_194_304).describe('Memory for them, about. Default 4MiB.'),
    sample: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe(
        'Share of the requests that is remembered, 0 to 1. Limits are replayed well only with 1. Default 1.',
      ),
    headers: z
      .array(headerName())
      .default([])
      .describe(
        'Headers that are remembered as they are: those that routes match on. Nothing secret. Default none.',
      ),
    cookies: z
      .array(z.string().regex(/^[^\s;=]+$/, { error: 'write the name of a cookie' }))
      .default([])
      .describe('Cookies that are remembered as they are. Nothing secret. Default none.'),
    client: z
      .enum(['network', 'address'])
      .default('network')
      .describe('network = only the /24 (IPv6: /48) of the client’s address. Default network.'),
  })
  .prefault({})
  .describe('Remembers the form of requests, without secrets, for previews of a change; see docs/preview.md.')
