import { RE2JS } from 're2js'
import { z } from 'zod'
import { parseDuration } from '../core/duration.ts'
import { BOT_AGENTS, PRIORITY_CLASSES } from '../core/priority-class.ts'

const duration = (minMs: number) =>
  z.string().transform((text, ctx) => {
    const ms = parseDuration(text)
    if (ms !== undefined && ms >= minMs) return ms
    ctx.addIssue({
      code: 'custom',
      message: `"${text}" is no duration of ${minMs}ms or more; write it with its unit: 250ms, 2s`,
    })
    return z.NEVER
  })

const regex = z.string().superRefine((text, ctx) => {
  try {
    RE2JS.compile(text)
  } catch {
    ctx.addIssue({ code: 'custom', message: `"${text}" is no RE2 regular expression` })
  }
})

const priorityClass = z.enum(PRIORITY_CLASSES)
const clientKey = z.enum(['principal', 'client-ip'])
const count = () => z.int().min(1).max(1_000_000)
const share = () => z.number().min(0).max(100)

const adaptive = z
  .strictObject({
    min: count().default(5).describe('Never below this. Default 5.'),
    max: count().default(1000).describe('Never above this. Default 1000.'),
    initial: count().default(20).describe('Before anything is known. Default 20.'),
    tolerance: z
      .number()
      .min(1)
      .max(10)
      .default(1.25)
      .describe('How much slower than without a queue answers may be; 1.25 = by a quarter. Default 1.25.'),
    window: duration(50)
      .default(500)
      .describe(
        'Answers are judged together for this, or for two answer times if that is longer. Default 500ms.',
      ),
    minSamples: z
      .int()
      .min(5)
      .max(10_000)
      .default(50)
      .describe('And not before there are so many: fewer say nothing. Default 50.'),
    probeInterval: duration(1000)
      .default(30_000)
      .describe(
        'How often the limit is halved for a window, to see the answer time without a queue. Default 30s.',
      ),
  })
  .refine(({ min, max }) => min <= max, { message: 'min is above max', path: ['min'] })

const shares = z
  .strictObject({
    health: share().default(100).describe('Default 100.'),
    authenticated: share().default(100).describe('Default 100.'),
    anonymous: share().default(90).describe('Default 90.'),
    bots: share().default(70).describe('Default 70.'),
  })
  .prefault({})
  .refine(
    (value) =>
      PRIORITY_CLASSES.every((name, i) => i === 0 || value[name] <= value[PRIORITY_CLASSES[i - 1] ?? name]),
    {
      message: 'a lower class has a larger share than a higher one (health, authenticated, anonymous, bots)',
    },
  )

/** Options of the filter `concurrency`. */
export const concurrencyOptions = z
  .strictObject({
    limit: count().optional().describe('Requests at a time. This or adaptive.'),
    adaptive: adaptive.optional().describe('A limit learnt from the answer times. This or limit.'),
    scope: z
      .enum(['service', 'route'])
      .default('service')
      .describe(
        'What the limit is for: the service, over all routes that name this filter, or each route by itself. Default service.',
      ),
    key: z
      .union([clientKey.transform((one) => [one]), z.array(clientKey).min(1).max(2)])
      .optional()
      .describe(
        'The limit is for each client instead (429): the first of these that a request has. Those without a principal count as one client if client-ip is not named. Default: for all together.',
      ),
    queue: z
      .strictObject({
        length: z
          .int()
          .min(0)
          .max(100_000)
          .default(0)
          .describe('Requests that may wait. 0 = none. Default 0.'),
        timeout: duration(1).default(1000).describe('How long one waits at most. Default 1s.'),
      })
      .prefault({})
      .describe('Where requests wait for a place, higher classes in front.'),
    shares: shares.describe('Per cent of the limit up to which each class is let in; 0 = never.'),
    class: priorityClass
      .optional()
      .describe('Class of all requests here. Default: that of the route, else as the rules below find out.'),
    claims: z
      .array(
        z.strictObject({
          claim: z.string().min(1).describe('Name of a claim of the principal.'),
          value: z.union([z.string(), z.number(), z.boolean()]).describe('A list matches with one element.'),
          class: priorityClass,
        }),
      )
      .default([])
      .describe('Classes of principals by claim, the first that holds. Default: none.'),
    roles: z
      .record(z.string(), priorityClass)
      .default({})
      .describe(
        'Classes of principals by role, the highest; after claims. Default: every principal is authenticated.',
      ),
    bots: z
      .array(regex)
      .default([...BOT_AGENTS])
      .describe('RE2, found anywhere in the User-Agent whatever its case: bots, if there is no principal.'),
    retryAfter: duration(1000)
      .default(1000)
      .describe('Retry-After of a refusal, drawn between this and twice this; whole seconds. Default 1s.'),
  })
  .refine(({ limit, adaptive }) => (limit === undefined) !== (adaptive === undefined), {
    message: 'give either limit or adaptive',
  })
  .refine(({ key, adaptive }) => key === undefined || adaptive === undefined, {
    message: 'an adaptive limit is for a service or a route: leave key out, or give a fixed limit',
    path: ['key'],
  })

export type ConcurrencyOptions = z.output<typeof concurrencyOptions>
