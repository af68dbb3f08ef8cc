import { z } from 'zod'
import { callUrl, registryRules, registryTls } from './registry-common.ts'
import { duration, size } from './values.ts'

/** A registry of type http. */
export const httpRegistry = z
  .strictObject({
    type: z.literal('http'),
    url: callUrl().describe(
      'Of a JSON document: our own file format, or a list as Prometheus’ http_sd has it.',
    ),
    interval: duration().default(10_000).describe('How often it is asked. Default 10s.'),
    wait: duration()
      .default(0)
      .describe(
        'How long the endpoint may hold a request while nothing is new (Prefer: wait, with its ETag). 0 = it is only polled. Default 0.',
      ),
    timeout: duration().default(5000).describe('For a whole answer, beyond wait. Default 5s.'),
    maxSize: size().default(8_388_608).describe('Longer answers are refused. Default 8MiB.'),
    token: z
      .string()
      .min(1)
      .optional()
      .describe('Sent as Authorization: Bearer. Take it from ${ENV:…} or ${FILE:…}. Default: none.'),
    tokenFile: z
      .string()
      .optional()
      .describe('File with the token, read again when it changes. Wins over token. Default: none.'),
    tls: registryTls
      .optional()
      .describe('PEM files for an https endpoint. Default: the system’s authorities.'),
    ...registryRules,
  })
  .superRefine((value, ctx) => {
    const refuse = (path: string, message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', message, path: [path], params: { fix } })
    if (value.interval < 500) {
      refuse('interval', 'is too short: each is a request', 'write 500ms or more; 10s is the default')
    }
    if (value.timeout < 1)
      refuse('timeout', 'must not be 0', 'write how long an answer may take; 5s is the default')
    if (value.tls !== undefined && value.url.startsWith('http:')) {
      refuse('url', 'tls is given, but the endpoint is spoken to in clear', 'write https://')
    }
  })
