import { cookieValue } from '../routing/conditions.ts'
import type { PickRequest } from './exchange.ts'

/**
 * The text a request is hashed on: the first of `on` that the request has (`header:x`, `cookie:x`, `query:x`,
 * `path`, `client-ip`), else the client's address.
 */
export function hashInput(on: readonly string[], request: PickRequest): string {
  for (const source of on) {
    const value = readSource(source, request)
    if (value !== undefined && value !== '') return value
  }
  return request.clientIp
}

function readSource(source: string, request: PickRequest): string | undefined {
  const colon = source.indexOf(':')
  const kind = colon === -1 ? source : source.slice(0, colon)
  const name = source.slice(colon + 1)
  switch (kind) {
    case 'header':
      return request.headers.get(name)
    case 'cookie':
      return cookieValue(request.headers.get('cookie'), name)
    case 'query':
      return new URLSearchParams(request.routed.query).get(name) ?? undefined
    case 'path':
      return request.routed.path
    case 'client-ip':
      return request.clientIp
    default:
      return undefined
  }
}
