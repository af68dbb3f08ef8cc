import { z } from 'zod'
import { percent } from './canary-ramp.ts'
import { headerName, name, network, regex } from './values.ts'

/** Which instances make up a side. */
export const selector = z
  .strictObject({
    version: z.string().min(1).describe('Version in the registry; * stands for any text: "2.*".'),
    tag: z.string().min(1).describe('A tag in the registry.'),
    meta: z.record(z.string(), z.string()).describe('Metadata in the registry: { lane: blue }.'),
  })
  .partial()
  .refine(
    (value) =>
      value.version !== undefined || value.tag !== undefined || Object.keys(value.meta ?? {}).length > 0,
    {
      message: 'the selector selects nothing',
      params: { fix: 'give it version, tag or meta' },
    },
  )
  .describe('Instances by what the registry says of them; all that is given must hold.')

const valueMatch = z
  .union([
    z.string(),
    z.strictObject({ exact: z.string() }),
    z.strictObject({ prefix: z.string().min(1) }),
    z.strictObject({ regex: regex() }),
    z.strictObject({ present: z.boolean() }),
    z.strictObject({ in: z.array(z.string()).min(1) }),
  ])
  .describe(
    'A text (exact), or one of { exact }, { prefix }, { regex } (RE2, whole value), { present: true|false }, { in: [a, b] }.',
  )

const user = z
  .strictObject({
    in: z.array(z.string().min(1)).describe('Ids of users.'),
    file: z
      .string()
      .min(1)
      .describe(
        'A file with one id a line, at most 1 MiB, relative to this file; # begins a comment. Read again when it changes.',
      ),
    hash: z
      .strictObject({ lt: percent() })
      .describe('Only so many percent of them, always the same ones: { lt: 20 }.'),
  })
  .partial()
  .refine((value) => Object.keys(value).length > 0, {
    message: 'user says nothing',
    params: { fix: 'give it in, file or hash' },
  })

const CONDITIONS = ['header', 'cookie', 'query', 'claim', 'user', 'ip', 'from'] as const

/** One entry of `match`. */
export const matchEntry = z
  .strictObject({
    name: name().optional().describe('For explain, for guard.keepPins, and for the draw of user.hash.'),
    header: z.record(headerName(), valueMatch).optional().describe('All must hold.'),
    cookie: z.record(z.string(), valueMatch).optional().describe('All must hold.'),
    query: z
      .record(z.string(), valueMatch)
      .optional()
      .describe('All must hold; of a repeated one any value.'),
    claim: z
      .record(z.string(), valueMatch)
      .optional()
      .describe('Claims of the principal; of a list one entry is enough. All must hold.'),
    user: user
      .optional()
      .describe('The id of the principal; from trusted proxies also the first header in key.'),
    ip: z.array(network()).min(1).optional().describe('The client’s address is in one of them.'),
    from: z
      .literal('trusted')
      .optional()
      .describe('trusted = only requests that come from one of trustedProxies.'),
    side: name().describe('canary, stable, or the name of a variant; in a lane: its name or stable.'),
  })
  .refine((value) => CONDITIONS.some((key) => value[key] !== undefined), {
    message: 'the entry has no condition and would pin everybody',
    params: { fix: `give it one of ${CONDITIONS.join(', ')}` },
  })
