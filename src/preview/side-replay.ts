import type { Principal } from '../core/principal.ts'
import { decideSide } from '../routing/canary.ts'
import type { SideReplay } from './preview.ts'

/** Whom a recorded request came from, as far as a canary rule can still tell users apart by it. */
function principalOf(recorded: string | undefined): Principal | undefined {
  if (recorded === undefined) return undefined
  const id = recorded.slice(recorded.indexOf(':') + 1)
  const kind = recorded.slice(0, recorded.indexOf(':')) as Principal['kind']
  return { id, kind, filter: '', claims: { sub: id }, roles: [], groups: [], scopes: [] }
}

/**
 * The side that the canary rules of a table give a recorded request. Users are known by a hash only, so it may be
 * another one than each had; the same user has the same one in both tables, and shares are the same.
 */
export const replaySide: SideReplay = (request, { serviceName, query, route }, table) => {
  if (serviceName === undefined) return undefined
  const input = {
    header: (name: string) => request.header(name),
    query,
    clientIp: request.clientIp,
    isTrustedPeer: false,
    principal: principalOf(request.principal),
  }
  return decideSide(input, table.canaries, { route: route.spec.name, service: serviceName })?.side?.name
}
