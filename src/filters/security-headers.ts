import { z } from 'zod'
import { defineFilter } from './filter.ts'
import { headerName, headerValue } from './header-options.ts'

const PRESETS = {
  api: {
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
  },
  web: {
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
    'referrer-policy': 'strict-origin-when-cross-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  },
  none: {},
} as const

/** Headers that make browsers careful (OWASP Secure Headers Project). */
export const securityHeaders = defineFilter({
  name: 'security-headers',
  summary: 'Headers that make browsers careful: presets, each of which can be changed or switched off.',
  options: z.strictObject({
    preset: z.enum(['api', 'web', 'none']).default('api').describe('Where to start from. Default api.'),
    headers: z
      .record(headerName(), z.union([headerValue(), z.literal(false)]))
      .prefault({})
      .describe('Over the preset; false switches one off. Default none.'),
    hsts: z
      .strictObject({
        maxAge: z.int().min(0).default(31_536_000).describe('Seconds. Default 31536000 (a year).'),
        includeSubDomains: z.boolean().default(true).describe('Default true.'),
        preload: z.boolean().default(false).describe('Default false.'),
      })
      .optional()
      .describe('Strict-Transport-Security, only on https. Default: not sent.'),
    override: z.boolean().default(false).describe('Replace what the upstream set itself. Default false.'),
  }),
  create({ preset, headers, hsts, override }) {
    const merged: Record<string, string | false> = { ...PRESETS[preset], ...headers }
    const all = Object.entries(merged).filter((pair): pair is [string, string] => pair[1] !== false)
    const strict =
      hsts === undefined
        ? undefined
        : `max-age=${hsts.maxAge}${hsts.includeSubDomains ? '; includeSubDomains' : ''}${hsts.preload ? '; preload' : ''}`
    return {
      outbound(ctx, { headers: answer }) {
        for (const [name, value] of all) if (override || !answer.has(name)) answer.set(name, value)
        if (strict === undefined || ctx.scheme !== 'https') return
        if (override || !answer.has('strict-transport-security'))
          answer.set('strict-transport-security', strict)
      },
    }
  },
})
