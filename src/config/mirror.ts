import { z } from 'zod'
import { errorText } from '../core/errors.ts'
import { compilePaths } from '../core/json-path.ts'
import type { ContractSpec, MirrorSpec } from '../core/route.ts'
import { duration, method, name, size } from './values.ts'

/** What is done with copies of requests and answers: mirrors and contracts, as people write them. */

/** What is parsed and walked in one go must not hold the loop for long. */
const MAX_COMPARED = 262_144

const comparedSize = () =>
  size()
    .refine((bytes) => bytes <= MAX_COMPARED, {
      message: 'more than 256KiB would hold up other requests while it is looked at',
      params: { fix: 'write at most 256KiB' },
    })
    .default(65_536)

const share = (text: string) => z.number().min(0).max(1).describe(text)

function pathProblem(pattern: string): string | undefined {
  try {
    compilePaths([pattern])
    return undefined
  } catch (thrown) {
    return errorText(thrown)
  }
}

const compare = z
  .strictObject({
    sample: share('Share of the copies whose answers are compared, 0 to 1. Default 1.').default(1),
    ignore: z
      .array(
        z.string().superRefine((value, ctx) => {
          const problem = value.startsWith('header:') ? undefined : pathProblem(value)
          if (problem === undefined) return
          const fix = 'write a path such as $.items[*].id or **.updatedAt, or header:NAME'
          ctx.addIssue({ code: 'custom', message: problem, params: { fix } })
        }),
      )
      .default([])
      .describe(
        'Not compared: JSON paths ($.at, $.items[*].id, **.updatedAt) with everything below, and header:NAME. date, etag, set-cookie and others of their kind never are. Default none.',
      ),
    tolerance: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('Numbers are equal up to this share of the larger one. 0 = exact. Default 0.'),
    noise: share(
      'Share of the comparisons for which the answering service is asked a second time; what it answers otherwise than to itself is no difference. Safe methods only. The first 20 comparisons always do. 0 = never. Default 0.1.',
    ).default(0.1),
    maxBody: comparedSize().describe(
      'Larger answers are compared by status and headers alone. At most 256KiB. Default 64KiB.',
    ),
  })
  .describe('Compare the answers of the mirror with those that clients got.')

/** The key `mirror` of a route or service. */
export const mirror = z
  .strictObject({
    service: name().optional().describe('Service that gets the copies. Default: the one that answers.'),
    version: z.string().min(1).optional().describe('Only its instances of this version.'),
    percent: z
      .number()
      .min(0)
      .max(100)
      .default(100)
      .describe('Share of the requests that is copied, percent, in hundredths. Default 100.'),
    methods: z
      .array(method())
      .min(1)
      .default(['GET', 'HEAD'])
      .describe('Others are not copied: a copied POST is done twice. Default [GET, HEAD].'),
    maxBody: size().default(65_536).describe('A request with a larger body is not copied. Default 64KiB.'),
    timeout: duration().default(5000).describe('The whole exchange with the mirror. Default 5s.'),
    maxInFlight: z
      .int()
      .min(1)
      .max(1000)
      .default(16)
      .describe('Copies under way at a time; what is beyond is dropped and counted. Default 16.'),
    hostSuffix: z
      .string()
      .regex(/^[A-Za-z0-9._-]*$/, { error: 'letters, digits, and . _ -' })
      .default('-shadow')
      .describe('Put behind the host name that the copy carries; empty = the same host. Default -shadow.'),
    compare: compare.optional(),
  })
  .superRefine((value, ctx) => {
    if (value.service !== undefined || value.version !== undefined) return
    ctx.addIssue({
      code: 'custom',
      message: 'the mirror has no target',
      params: { fix: 'give it a service, or a version of the service that answers' },
    })
  })

/** The key `contract` of a route. */
export const contract = z.strictObject({
  sample: share('Share of the JSON answers that is looked at, 0 to 1. Default 0.01.').default(0.01),
  minSamples: z
    .int()
    .min(10)
    .default(100)
    .describe('Answers of a version before others are held against it. Default 100.'),
  requiredFrom: share(
    'A field in at least this share of earlier answers is expected, 0 to 1. Default 0.99.',
  ).default(0.99),
  maxBody: comparedSize().describe('Larger answers are not looked at. At most 256KiB. Default 64KiB.'),
  maxDepth: z.int().min(1).max(32).default(8).describe('Levels that are looked at. Default 8.'),
  maxFields: z.int().min(10).max(5000).default(500).describe('Places kept for each version. Default 500.'),
  schema: z
    .strictObject({
      file: z.string().min(1).describe('JSON Schema or OpenAPI document, JSON or YAML.'),
      at: z
        .string()
        .regex(/^#?(?:\/.*)?$/, { error: 'write a JSON pointer: #/components/schemas/Item' })
        .default('')
        .describe(
          'JSON pointer to the schema within it: #/components/schemas/Item. Default: the whole document.',
        ),
    })
    .optional()
    .describe('What answers must look like, instead of learning it.'),
})

export type MirrorInput = z.output<typeof mirror>
export type ContractInput = z.output<typeof contract>

/** What the code gets of a mirror. */
export function toMirror(input: MirrorInput): MirrorSpec {
  const { service, version, compare: rules } = input
  const { methods, maxInFlight, hostSuffix } = input
  return {
    share: Math.round(input.percent * 100),
    methods,
    maxBodyBytes: input.maxBody,
    timeoutMs: input.timeout,
    maxInFlight,
    hostSuffix,
    ...(service === undefined ? {} : { service }),
    ...(version === undefined ? {} : { version }),
    ...(rules === undefined
      ? {}
      : {
          compare: {
            sample: rules.sample,
            ignore: rules.ignore,
            tolerance: rules.tolerance,
            noise: rules.noise,
            maxBodyBytes: rules.maxBody,
          },
        }),
  }
}

/** What the code gets of a contract; the schema's file is still to be read. */
export function toContract(input: ContractInput): ContractSpec {
  const { sample, minSamples, requiredFrom, maxBody, maxDepth, maxFields } = input
  return {
    sample,
    minSamples,
    requiredFrom,
    maxBodyBytes: maxBody,
    maxDepth,
    maxFields,
  }
}
