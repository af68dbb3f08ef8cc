import { z } from 'zod'
import { parseDuration } from '../core/duration.ts'

/** `250ms`, `15s`, `10m`; plain 0 where nothing is meant. Becomes ms. */
export const durationOption = () =>
  z.union([z.string(), z.literal(0)]).transform((text, ctx) => {
    const ms = parseDuration(String(text))
    if (ms !== undefined) return ms
    ctx.addIssue({
      code: 'custom',
      message: `"${text}" is no duration; write it with its unit: 250ms, 15s, 10m`,
    })
    return z.NEVER
  })
