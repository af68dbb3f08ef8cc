import { z } from 'zod'
import type { Principal } from '../core/principal.ts'
import type { LastGood } from '../identity/last-good.ts'
import { HEADER_SOURCE, writePrincipal } from '../identity/principal-headers.ts'
import type { FilterContext, FilterDeps, FilterReply, InboundResult } from './filter.ts'
import { headerName } from './header-options.ts'

/** A file; relative to the one it is written in (`src/config/filter-paths.ts`). */
export const fileOption = () => z.string().min(1).meta({ format: 'path' })

/** Text that may stand in quotes in `WWW-Authenticate`. */
export const realmOption = () =>
  z
    .string()
    .regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,128}$/, {
      error: 'a realm is ASCII text without quotes and backslashes',
    })
    .optional()
    .describe('Realm of the principals and of the challenge. Default: the name of the filter.')

/** Whether a request may come without credentials of this kind. */
export const allowOption = () =>
  z
    .literal('missing')
    .optional()
    .describe(
      'missing: a request without such credentials goes on, for another filter (acl) to judge; wrong ones are refused all the same. Default: they are needed.',
    )

/** Headers for the service, made of the principal. */
export const principalHeadersOption = () =>
  z
    .record(
      headerName(),
      z.string().regex(HEADER_SOURCE, {
        error: 'write id, kind, realm, roles, groups, scopes or claims.NAME',
      }),
    )
    .default({})
    .refine((mapping) => !['authorization', 'cookie'].some((name) => name in mapping), {
      error: 'authorization and cookie would be taken from every client of the gateway',
    })
    .describe(
      'Headers for the service: name to id, kind, realm, roles, groups, scopes or claims.NAME. Lists are joined by commas; what is not visible ASCII is percent-encoded. Copies sent by clients are removed on every route.',
    )

/** Credentials are there but wrong, or there are none: 401 with the challenge. */
export function challenge(
  code: 'GW_AUTH_MISSING' | 'GW_AUTH_INVALID' | 'GW_AUTH_EXPIRED' | 'GW_AUTH_SIGNATURE' | 'GW_AUTH_REPLAYED',
  authenticate: string,
  detail?: string,
): FilterReply {
  return {
    status: 401,
    code,
    headers: { 'www-authenticate': authenticate },
    ...(detail === undefined ? {} : { detail }),
  }
}

/** A filter that lets requests without credentials go on leaves its challenge for the one that refuses them. */
export function leaveChallenge(ctx: FilterContext, authenticate: string): undefined {
  const others = ctx.attributes.get('challenges') as readonly string[] | undefined
  ctx.attributes.set('challenges', [...(others ?? []), authenticate])
  return undefined
}

/** Found out who it is. */
export function identify(
  ctx: FilterContext,
  principal: Principal,
  headers: Readonly<Record<string, string>>,
): undefined {
  ctx.principal = principal
  writePrincipal(ctx.headers, principal, headers)
  return undefined
}

/** Loads again when a file changes; what is wrong is said in the log and in the event stream. */
export function reloadOnChange<T>(
  deps: FilterDeps,
  files: readonly (string | undefined)[],
  held: LastGood<T>,
  afterwards: () => void = () => {},
): void {
  const watched = files.filter((file) => file !== undefined)
  if (watched.length === 0) return
  deps.watchFiles(watched, async () => {
    const problem = await held.reload()
    if (problem === undefined) {
      deps.log.info({ filter: deps.name }, 'credentials were read again')
      afterwards()
      return
    }
    deps.log.warn(
      { filter: deps.name, err: problem },
      'credentials cannot be read; the last good ones stay in force',
    )
    deps.event({ filter: deps.name, what: 'credentials_refused', problem })
  })
}

/** Counts what an identity filter decides. */
export function counted(
  deps: FilterDeps,
  inbound: (ctx: FilterContext) => InboundResult,
): (ctx: FilterContext) => InboundResult {
  const note = (ctx: FilterContext, reply: FilterReply | undefined) => {
    const passed = ctx.principal?.filter === deps.name ? 'ok' : 'anonymous'
    const decision = reply === undefined ? passed : (reply.code ?? '').replace('GW_AUTH_', '').toLowerCase()
    deps.metrics.count('sluice_auth_decisions_total', [deps.name, decision])
    return reply
  }
  return (ctx) => {
    const result = inbound(ctx)
    return result instanceof Promise ? result.then((reply) => note(ctx, reply)) : note(ctx, result)
  }
}
