import { z } from 'zod'
import { duration } from './values.ts'

/** The WAF's engine: one for all `waf` filters, started when the first of them is used. */
export const waf = z
  .strictObject({
    workers: z
      .int()
      .min(0)
      .max(64)
      .default(0)
      .describe('Threads. 0 = one less than cores, at least 1, at most 4. Default 0.'),
    library: z
      .string()
      .min(1)
      .optional()
      .describe('Path of libmodsecurity.so.3. Default: SLUICE_MODSECURITY, else where packages put it.'),
    crs: z
      .string()
      .min(1)
      .default('/usr/share/modsecurity-crs/rules')
      .describe('Folder of the Core Rule Set’s rules. Default /usr/share/modsecurity-crs/rules.'),
    queue: z
      .int()
      .min(1)
      .max(100_000)
      .default(256)
      .describe('Requests that may wait for a thread; beyond it the filter fails (onError). Default 256.'),
    timeout: duration()
      .default(2000)
      .refine((ms) => ms >= 10, { error: 'must be at least 10ms' })
      .describe('For one look at a request or an answer, waiting included. Default 2s.'),
  })
  .prefault({})
  .describe('The engine of waf filters; see docs/waf.md.')
