import { z } from 'zod'
import { PRIORITY_CLASSES } from '../core/priority-class.ts'
import { contract, mirror } from './mirror.ts'
import { retries, timeouts } from './policy.ts'
import {
  authority,
  groupProblem,
  headerName,
  headerValue,
  hostPattern,
  literalPath,
  method,
  name,
  network,
  pathPattern,
  regex,
  size,
  upstreamUrl,
} from './values.ts'

const textMatch = z
  .union([
    z.string(),
    z.strictObject({ exact: z.string() }),
    z.strictObject({ prefix: z.string().min(1) }),
    z.strictObject({ regex: regex() }),
    z.strictObject({ present: z.boolean() }),
  ])
  .describe(
    'A text (exact), or one of { exact }, { prefix }, { regex } (RE2, whole value), { present: true|false }.',
  )

const match = z
  .strictObject({
    hosts: z
      .array(hostPattern())
      .describe(
        'shop.example.com, *.example.com (one label), **.example.com (one or more). Default: any host.',
      ),
    path: pathPattern().describe('The whole path; {param} takes one segment.'),
    pathPrefix: pathPattern().describe(
      'The path or everything below it, by whole segments: /a takes /a/b, never /ab.',
    ),
    pathRegex: regex().describe('RE2 over the whole path.'),
    methods: z.array(method()).describe('GET also takes HEAD. Default: any.'),
    headers: z.record(headerName(), textMatch).describe('All must hold.'),
    query: z
      .record(z.string(), textMatch)
      .describe('All must hold; of a repeated parameter one value is enough.'),
    cookies: z.record(z.string(), textMatch).describe('All must hold.'),
    clientNetworks: z
      .array(network())
      .describe('The client’s address (after trusted proxies) is in one of them.'),
  })
  .partial()
  .superRefine((value, ctx) => {
    const given = (['path', 'pathPrefix', 'pathRegex'] as const).filter((key) => value[key] !== undefined)
    if (given.length > 1) {
      ctx.addIssue({
        code: 'custom',
        message: `${given.join(' and ')} exclude each other`,
        path: [given[1] as string],
        params: { fix: 'keep one of them' },
      })
    }
  })

const headerEdits = z
  .strictObject({
    remove: z.array(headerName()).describe('Done first.'),
    set: z.record(headerName(), headerValue()).describe('Replaces what is there.'),
    add: z.record(headerName(), headerValue()).describe('Stands beside what is there.'),
  })
  .partial()

const rewrite = z.union([
  z.strictObject({ stripPrefix: literalPath().describe('Cut these segments off the front.') }),
  z.strictObject({ prefix: literalPath().describe('Put this in place of the route’s pathPrefix.') }),
  z.strictObject({
    regex: regex(),
    replacement: z.string().describe('$1 or ${name} stand for groups.'),
  }),
])

const redirect = z.strictObject({
  status: z
    .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)])
    .default(308),
  scheme: z.enum(['http', 'https']).optional(),
  host: authority().optional().describe('What is left out stays as the request has it.'),
  port: z.int().min(1).max(65535).optional(),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, { error: 'write a path of visible ASCII that begins with /' })
    .optional()
    .describe('{param} stands for a parameter of the route’s path.'),
  stripQuery: z.boolean().default(false),
})

const respond = z
  .strictObject({
    status: z.int().min(200).max(599).default(200),
    headers: z.record(headerName(), headerValue()).default({}),
    body: z.string().optional(),
    json: z.json().optional().describe('Sent as application/json.'),
  })
  .refine((value) => value.body === undefined || value.json === undefined, {
    message: 'body and json exclude each other',
    params: { fix: 'keep one of them' },
  })

/** A filter as people write it: its type, the common keys, and the options of that type. */
export const filterDefinition = z
  .looseObject({
    type: z.string().describe('Which filter: see docs/filters.md.'),
    onError: z
      .enum(['closed', 'open'])
      .optional()
      .describe(
        'When the filter itself fails: closed = refuse the request (500), open = go on. Default: as the filter declares.',
      ),
    mode: z
      .enum(['enforce', 'dryRun'])
      .optional()
      .describe(
        'dryRun = work on a copy of the request: what it would have refused is counted and logged, nothing is done. Default enforce.',
      ),
  })
  .describe('A filter and its options.')

const ACTIONS = ['service', 'services', 'upstreams', 'redirect', 'respond'] as const

/** One entry of `routes`. */
export const route = z
  .strictObject({
    name: name().describe('Unique over all files.'),
    priority: z
      .int()
      .default(0)
      .describe('Higher goes first, before every other rule within a host. Default 0.'),
    class: z
      .enum(PRIORITY_CLASSES)
      .optional()
      .describe(
        'Who goes first when there is not enough for all (filter concurrency, overload): health, authenticated, anonymous, bots. Default: as each request shows who sent it.',
      ),
    match: match.default({}).describe('All conditions must hold. Default: everything.'),
    filters: z
      .array(z.union([name(), filterDefinition]))
      .default([])
      .describe('In order: names of `filters`, or written here.'),
    service: name().optional().describe('The service that answers.'),
    services: z
      .array(z.strictObject({ service: name(), weight: z.int().min(0).max(1_000_000) }))
      .min(1)
      .refine((list) => list.some(({ weight }) => weight > 0), {
        message: 'the weights sum to 0',
        params: { fix: 'give one of them a weight above 0' },
      })
      .optional()
      .describe('Several services by share of traffic; weights count relative to their sum.'),
    upstreams: z.array(upstreamUrl()).min(1).optional().describe('Fixed addresses, without a registry.'),
    redirect: redirect.optional().describe('Answer with a redirect.'),
    respond: respond.optional().describe('Answer with this.'),
    rewrite: rewrite.optional().describe('What happens to the path before it goes upstream.'),
    host: authority()
      .default('preserve')
      .describe(
        'Host header upstream: preserve (the client’s), upstream (the instance’s address), or a text. Default preserve.',
      ),
    requestHeaders: headerEdits.default({}).describe('Edits on the way in, after the filters.'),
    responseHeaders: headerEdits.default({}).describe('Edits on the way out, after the filters.'),
    timeouts: timeouts.default({}).describe('Over those of the service.'),
    retries: retries.default({}).describe('Over those of the service.'),
    maxBody: size().optional().describe('Largest request body. 0 = no limit. Default: limits.bodyBytes.'),
    labels: z.record(z.string(), z.string()).default({}).describe('Free words for people and tools.'),
    mirror: mirror
      .optional()
      .describe(
        'Send copies of requests to another service or version; see docs/mirror.md. Default: the service’s.',
      ),
    contract: contract
      .optional()
      .describe('Watch the shape of the JSON answers of each version; see docs/mirror.md. Default: no.'),
  })
  .superRefine((value, ctx) => {
    const given = ACTIONS.filter((key) => value[key] !== undefined)
    if (given.length === 0) {
      ctx.addIssue({
        code: 'custom',
        message: `route "${value.name}" does nothing`,
        params: { fix: `give it one of ${ACTIONS.join(', ')}` },
      })
    }
    if (given.length > 1) {
      ctx.addIssue({
        code: 'custom',
        message: `${given.join(' and ')} exclude each other`,
        path: [given[1] as string],
        params: { fix: 'keep one of them' },
      })
    }
    if (value.rewrite !== undefined && 'regex' in value.rewrite) {
      const { regex: pattern, replacement } = value.rewrite
      const problem = groupProblem(pattern, replacement)
      if (problem !== undefined) {
        ctx.addIssue({
          code: 'custom',
          message: problem,
          path: ['rewrite', 'replacement'],
          params: { fix: 'use only groups of the regex; \\$ is a plain $' },
        })
      }
    }
    for (const key of ['mirror', 'contract'] as const) {
      if (value[key] === undefined || (value.redirect === undefined && value.respond === undefined)) continue
      ctx.addIssue({
        code: 'custom',
        message: `the route answers by itself: there is nothing for ${key}`,
        path: [key],
        params: { fix: 'remove it' },
      })
    }
    const known: readonly string[] =
      (value.match.path ?? value.match.pathPrefix ?? '').match(/\{[^}]*\}/g) ?? []
    const unknown = value.redirect?.path?.match(/\{[^}]*\}/g)?.find((param) => !known.includes(param))
    if (unknown !== undefined) {
      ctx.addIssue({
        code: 'custom',
        message: `the route has no parameter ${unknown}`,
        path: ['redirect', 'path'],
        params: { fix: `name it in match.path or match.pathPrefix, as in /items/${unknown}` },
      })
    }
    if (value.rewrite !== undefined && 'prefix' in value.rewrite && value.match.pathPrefix === undefined) {
      ctx.addIssue({
        code: 'custom',
        message: 'rewrite.prefix replaces the pathPrefix of the route, which has none',
        path: ['rewrite', 'prefix'],
        params: { fix: 'use match.pathPrefix, or rewrite by regex' },
      })
    }
  })

export type RouteInput = z.output<typeof route>
export type FilterInput = z.output<typeof filterDefinition>
export type TextMatchInput = z.output<typeof textMatch>
