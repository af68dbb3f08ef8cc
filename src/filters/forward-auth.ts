import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { errorText } from '../core/errors.ts'
import { Headers } from '../core/headers.ts'
import type { Principal } from '../core/principal.ts'
import { durationOption } from './duration-option.ts'
import { defineFilter, type FilterContext, type FilterDeps, type FilterReply } from './filter.ts'
import { type AuthAnswer, createAuthService } from './forward-auth-service.ts'
import { headerName } from './header-options.ts'
import { fileOption } from './identity-options.ts'

/** Seconds that a client is told to wait when the service does not answer. */
const RETRY_AFTER_S = 2

/** Headers that every client may need: they are replaced where the service says so, never taken from all. */
const SHARED: ReadonlySet<string> = new Set(['authorization', 'cookie'])

/** Set by the gateway in the question; see docs/identity.md. */
const OURS = [
  'x-forwarded-method',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-uri',
  'x-forwarded-for',
]

const headerList = (names: readonly string[]) => z.array(headerName()).default([...names])

const options = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/ })
      .describe('The service that is asked. Its 2xx lets the request pass.'),
    method: z.enum(['GET', 'HEAD', 'POST']).default('GET').describe('Default GET. There is never a body.'),
    timeout: durationOption()
      .refine((ms) => ms > 0, { error: 'it must be more than 0' })
      .prefault('1s')
      .describe('The whole question. Default 1s.'),
    ca: fileOption()
      .optional()
      .describe('PEM file of a private authority that is trusted, too. Default: only public ones.'),
    requestHeaders: headerList(['authorization', 'cookie']).describe(
      'Headers of the request that go along, beside X-Forwarded-Method, -Proto, -Host, -Uri, -For and the request’s id. Default authorization, cookie.',
    ),
    passHeaders: headerList([]).describe(
      'Headers of its 2xx that the request gets. A client’s own copies are dropped on every route (authorization and cookie: on this one). Default none.',
    ),
    clientHeaders: headerList(['www-authenticate', 'location', 'set-cookie', 'content-type']).describe(
      'Headers of its refusal (401, 403, 3xx) that the client gets, with the body. Default www-authenticate, location, set-cookie, content-type.',
    ),
    principal: z
      .strictObject({
        id: headerName().describe('Header of its 2xx that says who it is.'),
        roles: headerName().optional().describe('Header with roles, joined by commas. Default: no roles.'),
        groups: headerName().optional().describe('The same for groups.'),
        scopes: headerName().optional().describe('The same for scopes, joined by spaces or commas.'),
        realm: z.string().min(1).optional().describe('Default: the address of the service.'),
      })
      .optional()
      .describe('Who it is. Default: nobody knows.'),
    onFailure: z
      .enum(['closed', 'open'])
      .default('closed')
      .describe(
        'When it does not answer, or with anything but 2xx, 3xx, 401, 403: closed = 503; open = the request goes on, nobody known. Default closed.',
      ),
    maxInFlight: z
      .int()
      .min(1)
      .default(256)
      .describe('Questions under way at once; beyond that it counts as a failure. Default 256.'),
    cache: z
      .strictObject({
        ttl: durationOption().describe('How long a 2xx is believed, so how late a change is noticed.'),
        keyHeaders: z
          .array(headerName())
          .min(1)
          .default(['authorization', 'cookie'])
          .describe(
            'Requests with equal values here (and equal method, host, path, query) are alike; without any of them they are asked about each time. Default authorization, cookie.',
          ),
        entries: z.int().min(1).default(10_000).describe('Answers that are remembered. Default 10000.'),
      })
      .optional()
      .describe('Remember what lets pass. Default: ask each time.'),
  })
  .refine(({ passHeaders }) => !passHeaders.some((name) => OURS.includes(name)), {
    error: 'the gateway sets the forwarding headers itself',
    path: ['passHeaders'],
  })

type Options = z.output<typeof options>

/** Lets an HTTP service decide about each request. */
export const forwardAuth = defineFilter({
  name: 'forward-auth',
  summary:
    'Asks an HTTP service about each request: its 2xx lets pass, its 401, 403 or redirect is the answer.',
  options,
  create(chosen, deps) {
    const url = new URL(chosen.url)
    const { timeout: timeoutMs, method, maxInFlight, ca } = chosen
    const service = createAuthService({ url, method, timeoutMs, maxInFlight, ca })
    const remembered = createMemory(chosen, deps)
    const count = (decision: string) =>
      deps.metrics.count('sluice_auth_decisions_total', [deps.name, decision])

    const pass = (ctx: FilterContext, answer: AuthAnswer): undefined => {
      for (const name of chosen.passHeaders) {
        ctx.headers.delete(name)
        for (const value of answer.headers.getAll(name)) ctx.headers.append(name, value)
      }
      const principal = principalOf(answer.headers, chosen, deps.name)
      if (principal !== undefined) ctx.principal = principal
      count(principal === undefined ? 'anonymous' : 'ok')
      return undefined
    }
    const fail = (ctx: FilterContext, reason: string): FilterReply | undefined => {
      for (const name of chosen.passHeaders) ctx.headers.delete(name)
      deps.log.warn({ filter: deps.name, err: reason }, 'the service of forward-auth cannot be asked')
      count('unavailable')
      if (chosen.onFailure === 'open') return undefined
      return { status: 503, code: 'GW_AUTH_UNAVAILABLE', headers: { 'retry-after': String(RETRY_AFTER_S) } }
    }
    const decide = (ctx: FilterContext, answer: AuthAnswer, key: string | undefined) => {
      const { status } = answer
      if (status >= 200 && status < 300) {
        remembered.keep(key, answer)
        return pass(ctx, answer)
      }
      const isRefusal = status === 401 || status === 403 || (status >= 300 && status < 400 && status !== 304)
      if (!isRefusal) return fail(ctx, `it answered with status ${status}`)
      count(status === 403 ? 'forbidden' : 'refused')
      return refusal(answer, chosen.clientHeaders)
    }
    return {
      ownsHeaders: chosen.passHeaders.filter((name) => !SHARED.has(name)),
      inbound(ctx) {
        const key = remembered.keyOf(ctx)
        const known = remembered.recall(key)
        if (known !== undefined) return pass(ctx, known)
        return service.ask(question(ctx, chosen.requestHeaders)).then(
          (answer) => decide(ctx, answer, key),
          (thrown: unknown) => fail(ctx, errorText(thrown)),
        )
      },
      close: () => void service.close(),
    }
  },
})

/** What the service is told of a request. */
function question(ctx: FilterContext, names: readonly string[]): Headers {
  const headers = new Headers()
  for (const name of names) for (const value of ctx.headers.getAll(name)) headers.append(name, value)
  const { decision } = ctx
  headers.set('x-forwarded-method', ctx.method)
  headers.set('x-forwarded-proto', ctx.scheme)
  headers.set('x-forwarded-host', ctx.headers.get('x-forwarded-host') ?? decision.host)
  headers.set('x-forwarded-uri', decision.path + decision.query)
  headers.set('x-forwarded-for', ctx.clientIp)
  headers.set('x-request-id', ctx.requestId)
  return headers
}

function refusal({ status, headers, body }: AuthAnswer, names: readonly string[]): FilterReply {
  const copied: Record<string, readonly string[]> = {}
  for (const name of names) {
    const values = headers.getAll(name)
    if (values.length > 0) copied[name] = values
  }
  const reason = `its service answered ${status}`
  return {
    status,
    code: 'GW_AUTH_FORWARD',
    reason,
    headers: { 'cache-control': 'no-store', ...copied },
    body,
  }
}

function principalOf(
  headers: Headers,
  { principal: names, url }: Options,
  filter: string,
): Principal | undefined {
  const id = names === undefined ? undefined : headers.get(names.id)
  if (names === undefined || id === undefined || id === '') return undefined
  const words = (name: string | undefined, separator: RegExp) =>
    (name === undefined ? '' : (headers.get(name) ?? '')).split(separator).filter((word) => word !== '')
  return Object.freeze({
    id,
    kind: 'forward-auth',
    filter,
    realm: names.realm ?? new URL(url).origin,
    claims: {},
    roles: words(names.roles, /\s*,\s*/),
    groups: words(names.groups, /\s*,\s*/),
    scopes: words(names.scopes, /[\s,]+/),
  })
}

interface Memory {
  /** Undefined: this request is not remembered. */
  keyOf(ctx: FilterContext): string | undefined
  recall(key: string | undefined): AuthAnswer | undefined
  keep(key: string | undefined, answer: AuthAnswer): void
}

function createMemory({ cache, requestHeaders }: Options, { clock }: FilterDeps): Memory {
  if (cache === undefined || cache.ttl === 0) {
    return { keyOf: () => undefined, recall: () => undefined, keep: () => {} }
  }
  const entries = new LRUCache<string, { readonly answer: AuthAnswer; readonly until: number }>({
    max: cache.entries,
  })
  // What the service sees may decide, too: two requests that differ in it are not alike.
  const names = [...new Set([...cache.keyHeaders, ...requestHeaders])]
  return {
    keyOf(ctx) {
      if (!cache.keyHeaders.some((name) => ctx.headers.has(name))) return undefined
      const { host, path, query } = ctx.decision
      const values = names.map((name) => ctx.headers.getAll(name))
      return hash('sha256', JSON.stringify([ctx.method, ctx.scheme, host, path, query, values]), 'base64url')
    },
    recall(key) {
      const entry = key === undefined ? undefined : entries.get(key)
      return entry !== undefined && entry.until > clock.monotonic() ? entry.answer : undefined
    },
    keep(key, answer) {
      if (key !== undefined) entries.set(key, { answer, until: clock.monotonic() + cache.ttl })
    },
  }
}
