import { z } from 'zod'
import { BOT_AGENTS } from '../core/priority-class.ts'
import { duration, headerName, regex, size } from './values.ts'

const ordered = <T extends { from: number; full: number }>({ from, full }: T) => full === 0 || from <= full
const problem = {
  message: 'from is above full',
  path: ['from'],
  params: { fix: 'set full to at least from' },
}
const ratio = () => z.number().min(0).max(1)

/** `overload` of the static configuration: what the gateway does when it is short of time or memory itself. */
export const overload = z
  .strictObject({
    enabled: z.boolean().default(true).describe('false = nothing is refused for it. Default true.'),
    eventLoopDelay: z
      .strictObject({
        from: duration().default(1000).describe('Refusing begins at this. Default 1s.'),
        full: duration()
          .default(3000)
          .describe('Only class health is served at this. 0 = not looked at. Default 3s.'),
        utilization: ratio()
          .default(0.9)
          .describe('A delay counts only when the loop was busy for so much of the time. Default 0.9.'),
      })
      .refine(ordered, problem)
      .prefault({})
      .describe('How late the event loop is (p99 of half a second, lasting for three of them).'),
    heap: z
      .strictObject({
        from: ratio().default(0.92).describe('Default 0.92.'),
        full: ratio().default(0.99).describe('0 = not looked at. Default 0.99.'),
      })
      .refine(ordered, problem)
      .prefault({})
      .describe('Used part of the largest heap (node --max-old-space-size), 0 to 1.'),
    rss: z
      .strictObject({
        from: size().default(0).describe('Default 0.'),
        full: size().default(0).describe('0 = not looked at. Default 0.'),
      })
      .refine(ordered, problem)
      .prefault({})
      .describe('Memory of the process, below the limit of its container. Default: not looked at.'),
    maxRequests: z
      .int()
      .min(0)
      .default(0)
      .describe(
        'Requests and tunnels in flight: bots up to 70 % of it, strangers up to 90 %; class health has no limit. 0 = no limit. Default 0.',
      ),
    credentials: z
      .array(headerName())
      .default(['authorization', 'x-api-key'])
      .describe(
        'A request with one of these headers counts as authenticated: whether they are right is not known yet. Default authorization, x-api-key.',
      ),
    bots: z
      .array(regex())
      .default([...BOT_AGENTS])
      .describe('RE2, found anywhere in the User-Agent whatever its case, of requests without credentials.'),
    retryAfter: duration()
      .default(5000)
      .describe('Retry-After of a refusal, drawn between this and twice this; whole seconds. Default 5s.'),
  })
  .prefault({})
  .describe(
    'What is refused (503) when the gateway itself is short of time or memory: bots first, then strangers, then all but class health.',
  )

export type OverloadConfig = z.output<typeof overload>
