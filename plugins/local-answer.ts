import type { ErrorCode } from '../src/core/errors.ts'
import { Headers } from '../src/core/headers.ts'
import type { HeaderEdits, RouteAction } from '../src/core/route.ts'
import type { FilterReply } from '../src/filters/filter.ts'
import { type LocalAnswer, renderReply } from '../src/filters/reply.ts'
import type { Routed } from '../src/routing/table.ts'
import type { Intake } from './intake.ts'

/** Removes, then sets, then adds. */
export function applyEdits(headers: Headers, edits: HeaderEdits): void {
  for (const name of edits.remove) headers.delete(name)
  for (const name in edits.set) headers.set(name, edits.set[name] as string)
  for (const name in edits.add) headers.append(name, edits.add[name] as string)
}

/** A problem document with what belongs to its code. */
export function problemAnswer(
  reply: FilterReply & { readonly code: ErrorCode },
  requestId: string,
  extra: { readonly allow?: readonly string[]; readonly retryAfterSeconds?: number } = {},
): LocalAnswer {
  const answer = renderReply(reply, requestId)
  if (extra.allow !== undefined) answer.headers.set('allow', extra.allow.join(', '))
  if (extra.retryAfterSeconds !== undefined) {
    answer.headers.set('retry-after', String(extra.retryAfterSeconds))
  }
  return answer
}

function location(action: RouteAction & { kind: 'redirect' }, routed: Routed, intake: Intake): string {
  const scheme = action.scheme ?? intake.scheme
  const named = /:(\d{1,5})$/.exec(intake.clientHost)?.[1]
  // A port belongs to the scheme and host it was named with.
  const keepsPort = action.scheme === undefined && action.host === undefined
  const port = action.port ?? (keepsPort && named !== undefined ? Number(named) : undefined)
  const isDefault = port === undefined || port === (scheme === 'https' ? 443 : 80)
  const path =
    action.path === undefined
      ? routed.path
      : action.path.replace(/\{([a-zA-Z_][\w-]*)\}/g, (_, name: string) => routed.params[name] ?? '')
  const query = action.stripQuery ? '' : routed.query
  return `${scheme}://${action.host ?? routed.host}${isDefault ? '' : `:${port}`}${path}${query}`
}

/** The answer of a route that redirects or responds by itself. */
export function actionAnswer(
  action: Exclude<RouteAction, { kind: 'proxy' }>,
  routed: Routed,
  intake: Intake,
): LocalAnswer {
  if (action.kind === 'respond') {
    return renderReply(
      { status: action.status, headers: action.headers, body: action.body },
      intake.requestId,
    )
  }
  return {
    status: action.status,
    headers: new Headers(['location', location(action, routed, intake), 'content-length', '0']),
    body: Buffer.alloc(0),
  }
}
