import { z } from 'zod'
import type { Headers } from '../core/headers.ts'
import { defineFilter, type FilterContext } from './filter.ts'
import { headerToken } from './header-options.ts'

const origin = z
  .string()
  .refine((text) => text === '*' || /^https?:\/\/(?:\*\.)?[a-z0-9.-]+(?::\d+)?$/.test(text), {
    error:
      'write * or an origin in lower case without a path: https://shop.example.com, https://*.example.com',
  })

function createOriginTest(origins: readonly string[]): (value: string) => boolean {
  if (origins.includes('*')) return () => true
  const exact = new Set(origins.filter((text) => !text.includes('*')))
  const wild = origins.filter((text) => text.includes('*')).map((text) => text.split('*') as [string, string])
  return (value) =>
    exact.has(value) ||
    wild.some(([head, tail]) => {
      const label = value.slice(head.length, value.length - tail.length)
      return value.startsWith(head) && value.endsWith(tail) && /^[a-z0-9-]+$/.test(label)
    })
}

/** Adds Origin to Vary unless it is there (RFC 9110 §12.5.5). */
export function addVary(headers: Headers, field: string): void {
  const vary = headers.get('vary')
  if (vary === undefined) headers.append('vary', field)
  else if (
    vary !== '*' &&
    !vary
      .toLowerCase()
      .split(/\s*,\s*/)
      .includes(field.toLowerCase())
  ) {
    headers.set('vary', `${vary}, ${field}`)
  }
}

const OURS = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-max-age',
  'access-control-allow-private-network',
]

/** Cross-origin resource sharing (Fetch standard): answers preflights, and replaces what the upstream says of it. */
export const cors = defineFilter({
  name: 'cors',
  summary: 'Cross-origin requests: answers preflights itself and replaces the upstream’s own CORS headers.',
  options: z
    .strictObject({
      origins: z
        .array(origin)
        .min(1)
        .describe('Origins that may read: exact, https://*.example.com (one label), or *.'),
      methods: z
        .array(z.string().regex(/^[A-Z][A-Z-]*$/))
        .default(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
        .describe('Methods that may be sent. Default GET HEAD POST PUT PATCH DELETE.'),
      headers: z
        .array(headerToken())
        .optional()
        .describe('Request headers that may be sent. Default: what the preflight asks for.'),
      exposeHeaders: z
        .array(headerToken())
        .default([])
        .describe('Answer headers that scripts may read. Default none.'),
      credentials: z
        .boolean()
        .default(false)
        .describe('Cookies and Authorization may be sent. Default false.'),
      maxAge: z
        .int()
        .min(0)
        .default(600)
        .describe('How long a browser keeps the preflight’s answer. Seconds. Default 600.'),
      privateNetwork: z
        .boolean()
        .default(false)
        .describe('Answer private-network preflights. Default false.'),
      refuse: z
        .boolean()
        .default(false)
        .describe('Answer requests of other origins with 403. Default false: they get no CORS headers.'),
    })
    .refine((options) => !options.credentials || !options.origins.includes('*'), {
      error: 'credentials with origin * would let every site act as the user; list the origins',
      path: ['origins'],
    }),
  create(options) {
    const isAllowed = createOriginTest(options.origins)
    const isOpen = options.origins.includes('*')

    function allow(ctx: FilterContext, headers: Headers): boolean {
      const value = ctx.headers.get('origin')
      if (!isOpen) addVary(headers, 'Origin')
      if (value === undefined || !isAllowed(value)) return false
      headers.set('access-control-allow-origin', isOpen ? '*' : value)
      if (options.credentials) headers.set('access-control-allow-credentials', 'true')
      return true
    }

    function preflight(ctx: FilterContext, headers: Headers): void {
      headers.set('access-control-allow-methods', options.methods.join(', '))
      const asked = options.headers?.join(', ') ?? ctx.headers.get('access-control-request-headers')
      if (asked !== undefined && asked !== '') headers.set('access-control-allow-headers', asked)
      headers.set('access-control-max-age', String(options.maxAge))
      if (options.privateNetwork && ctx.headers.get('access-control-request-private-network') === 'true') {
        headers.set('access-control-allow-private-network', 'true')
      }
      addVary(headers, 'Access-Control-Request-Method')
      addVary(headers, 'Access-Control-Request-Headers')
    }

    const isPreflight = (ctx: FilterContext) =>
      ctx.method === 'OPTIONS' &&
      ctx.headers.has('origin') &&
      ctx.headers.has('access-control-request-method')

    return {
      inbound(ctx) {
        if (isPreflight(ctx)) return { status: 204 }
        const value = ctx.headers.get('origin')
        if (!options.refuse || value === undefined || isAllowed(value)) return undefined
        return { status: 403, code: 'GW_CORS_REFUSED' }
      },
      outbound(ctx, response) {
        for (const name of OURS) response.headers.delete(name)
        if (!allow(ctx, response.headers)) return
        if (isPreflight(ctx)) preflight(ctx, response.headers)
        else if (options.exposeHeaders.length > 0) {
          response.headers.set('access-control-expose-headers', options.exposeHeaders.join(', '))
        }
      },
    }
  },
})
