import { z } from 'zod'
import type { FilterContext } from './filter.ts'

const KINDS = ['jwt', 'api-key', 'basic', 'hmac', 'mtls', 'introspection', 'forward-auth'] as const

/** Which requests are counted at all. */
export const matchOption = () =>
  z
    .strictObject({
      methods: z
        .array(z.string().regex(/^[A-Z][A-Z-]*$/, { error: 'write methods in upper case' }))
        .min(1)
        .optional()
        .describe('Default: all.'),
      principal: z
        .array(z.enum(['anonymous', 'authenticated', ...KINDS]))
        .min(1)
        .optional()
        .describe('`anonymous`, `authenticated`, or how they were authenticated. Default: all.'),
    })
    .prefault({})
    .describe('Only requests like this are counted. Default: all.')

export type MatchOption = z.output<ReturnType<typeof matchOption>>

export function createMatch({ methods, principal }: MatchOption): (ctx: FilterContext) => boolean {
  const known = methods === undefined ? undefined : new Set(methods)
  const kinds = principal === undefined ? undefined : new Set<string>(principal)
  if (known === undefined && kinds === undefined) return () => true
  return (ctx) => {
    if (known !== undefined && !known.has(ctx.method)) return false
    if (kinds === undefined) return true
    if (ctx.principal === undefined) return kinds.has('anonymous')
    return kinds.has('authenticated') || kinds.has(ctx.principal.kind)
  }
}
