import { z } from 'zod'
import { parseDuration } from '../core/duration.ts'

/** Also as Go writes them: `1m0s`, `1h30m`. */
const goDuration = z.string().transform((text, ctx) => {
  const parts = text.trim().match(/^(?:[\d.]+(?:ms|s|m|h))+$/) === null ? [text] : text.match(/[\d.]+[a-z]+/g)
  const ms = (parts ?? []).map(parseDuration)
  if (ms.every((part) => part !== undefined)) return ms.reduce((sum, part) => sum + part, 0)
  ctx.addIssue({ code: 'custom', message: `"${text}" is no duration; write 10s, 1m` })
  return z.NEVER
})

const check = z.object({
  CheckID: z.string().optional(),
  Name: z.string().optional(),
  TTL: goDuration.optional(),
  Status: z.enum(['passing', 'warning', 'critical']).default('critical'),
  DeregisterCriticalServiceAfter: goDuration.optional(),
  Notes: z.string().optional(),
})

/** Consul's agent registration (`PUT /v1/agent/service/register`), as far as it means something here. */
export const registration = z.object({
  ID: z.string().min(1).max(256).optional(),
  Name: z.string().min(1).max(256),
  Address: z.string().default('127.0.0.1'),
  Port: z.int().min(1).max(65535),
  Tags: z.array(z.string().max(4096)).max(64).nullish(),
  Meta: z.record(z.string().max(128), z.string().max(512)).nullish(),
  Weights: z.object({ Passing: z.int().min(1).max(65535), Warning: z.int().min(0).max(65535) }).nullish(),
  Check: check.nullish(),
  Checks: z.array(check).nullish(),
})

export type Registration = z.output<typeof registration>
