import { z } from 'zod'
import { parseSize } from '../core/duration.ts'
import { isExclusionRule, isExclusionTarget } from '../waf/exclusions.ts'

const bytes = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, ctx) => {
      const size = parseSize(text)
      if (size !== undefined && size > 0 && size <= 16 * 1024 * 1024) return size
      ctx.addIssue({ code: 'custom', message: `"${text}" is no size up to 16MiB; write 64KiB, 128KiB, 1MiB` })
      return z.NEVER
    })

const level = z.int().min(1).max(4)

const target = z
  .string()
  .refine(isExclusionTarget, { error: 'letters, digits and _ . - [ ] $ @ : are possible' })
  .optional()

const mediaType = z
  .string()
  .transform((text) => text.toLowerCase())
  .refine((text) => /^[a-z0-9][a-z0-9!#&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#&^_.+-]{0,126}$/.test(text), {
    error: 'write a media type without parameters: application/json',
  })

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

const CONTENT_TYPES = [
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'multipart/related',
  'application/json',
  'application/problem+json',
  'application/merge-patch+json',
  'application/json-patch+json',
  'application/vnd.api+json',
  'application/hal+json',
  'application/ld+json',
  'application/cloudevents+json',
  'application/cloudevents-batch+json',
  'application/csp-report',
  'application/reports+json',
  'application/graphql',
  'application/graphql+json',
  'application/x-ndjson',
  'application/xml',
  'application/soap+xml',
  'application/octet-stream',
  'application/pdf',
  'application/zip',
  'application/grpc',
  'application/grpc-web',
  'application/grpc-web-text',
  'text/xml',
  'text/plain',
  'text/csv',
  'image/png',
  'image/jpeg',
  'image/webp',
]

const ANSWER_TYPES = ['text/plain', 'text/html', 'text/xml', 'application/json', 'application/xml']

const exclusion = z
  .strictObject({
    rules: z
      .array(
        z.union([z.int().positive(), z.string()]).refine(isExclusionRule, {
          error: 'write a number, a range "942000-942999" or a tag "attack-sqli"',
        }),
      )
      .min(1)
      .max(100)
      .describe('Rule numbers, ranges and tags.'),
    parameter: target.describe('Only this argument of query or body is left out; JSON: json.user.name.'),
    header: target.describe('Only this request header is left out.'),
    cookie: target.describe('Only this cookie is left out.'),
    route: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('Only on this route. Default: wherever the filter is.'),
  })
  .refine((one) => [one.parameter, one.header, one.cookie].filter((each) => each !== undefined).length <= 1, {
    error: 'name one of parameter, header and cookie',
  })

const requestBody = z.strictObject({
  maxBytes: bytes('128KiB').describe(
    'How much of a body is looked at, decoded. Default 128KiB, at most 16MiB.',
  ),
  larger: z
    .enum(['partial', 'refuse'])
    .default('partial')
    .describe('Larger bodies: look at the beginning and let the rest pass, or 413. Default partial.'),
  maxArguments: z
    .int()
    .min(1)
    .max(100_000)
    .default(1000)
    .describe('Fields of form, JSON or query; more are refused: each costs time. Default 1000.'),
})

const answer = z.strictObject({
  headers: z.boolean().default(false).describe('Look at status and headers of answers. Default false.'),
  body: z
    .strictObject({
      maxBytes: bytes('128KiB').describe(
        'The answer is withheld until so much of it was judged. Default 128KiB.',
      ),
      types: z
        .array(mediaType)
        .min(1)
        .default(ANSWER_TYPES)
        .describe('Media types that are looked at. Default text/plain, text/html, JSON, XML.'),
    })
    .optional()
    .describe('Look at bodies of answers, and at their headers. Default: no.'),
})

/** Options of the `waf` filter. `action`, because `mode: enforce | dryRun` is every filter's. */
export const wafOptions = z
  .strictObject({
    action: z
      .enum(['block', 'monitor', 'off'])
      .default('block')
      .describe('block = refuse with 403; monitor = only score and log, nothing waits; off. Default block.'),
    paranoia: z
      .strictObject({
        blocking: level.default(1).describe('Level whose rules count, 1 to 4. Default 1.'),
        detection: level.optional().describe('Level whose rules run for the log. Default: as blocking.'),
      })
      .prefault({})
      .refine(({ blocking, detection = 4 }) => detection >= blocking, {
        error: 'detection cannot be below blocking',
        path: ['detection'],
      })
      .describe('Paranoia levels of the Core Rule Set.'),
    thresholds: z
      .strictObject({
        inbound: z.int().min(1).max(100_000).default(5).describe('Points that refuse a request. Default 5.'),
        outbound: z.int().min(1).max(100_000).default(4).describe('Points that refuse an answer. Default 4.'),
      })
      .prefault({})
      .describe('Critical hits have 5 points, errors 4, warnings 3, notices 2.'),
    sampling: z
      .number()
      .min(0)
      .max(100)
      .default(100)
      .describe('Percentage of requests that are looked at. Default 100; 0 = none.'),
    requestBody: z
      .union([z.literal(false), requestBody])
      .prefault({})
      .describe('How bodies of requests are looked at; false = not at all.'),
    response: answer.prefault({}).describe('What of answers is looked at. Default: nothing.'),
    methods: z
      .array(z.string().regex(/^[A-Z][A-Z-]{0,29}$/, { error: 'write methods in capitals' }))
      .min(1)
      .default(METHODS)
      .describe('Methods without suspicion. Default GET HEAD POST PUT PATCH DELETE OPTIONS.'),
    contentTypes: z
      .array(mediaType)
      .min(1)
      .default(CONTENT_TYPES)
      .describe('Media types of bodies without suspicion. Default: see docs/waf.md.'),
    exclusions: z
      .array(exclusion)
      .max(500)
      .default([])
      .describe('Rules that are not to be applied. Default none.'),
    graphql: z
      .boolean()
      .default(false)
      .describe(
        'The text of GraphQL queries (field query) is no shell command: rules 932100 to 932115 leave it alone. Default false.',
      ),
    coreRules: z.boolean().default(true).describe('Load the OWASP Core Rule Set. Default true.'),
    ruleFiles: z
      .array(z.string().min(1).meta({ format: 'path' }))
      .max(100)
      .default([])
      .describe(
        'Files with rules of your own, relative to this file, loaded before the Core Rule Set and again when they change.',
      ),
  })
  .refine((options) => options.coreRules || options.ruleFiles.length > 0, {
    error: 'without coreRules there must be ruleFiles',
    path: ['ruleFiles'],
  })

export type WafOptions = z.output<typeof wafOptions>
