import { GatewayError } from '../core/errors.ts'
import type { RequestShape } from './table.ts'

/** A request as people write it down. */
export interface WrittenRequest {
  readonly method: string
  /** `http://shop.example.com/cart?x=1`; the path is taken as it stands, not normalised. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly clientIp: string
}

/** What `decide` looks at, from a written request. Throws GW_ADMIN_BAD_REQUEST. */
export function shapeOf(request: WrittenRequest, roll: number): RequestShape {
  const parts = /^(https?):\/\/([^/?#\s]+)([^#\s]*)/i.exec(request.url)
  if (parts === null) {
    throw new GatewayError('GW_ADMIN_BAD_REQUEST', `"${request.url}" is no URL: write http://host/path`)
  }
  const [, scheme = 'http', authority = '', rest = ''] = parts
  const headers = new Map(
    Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value.trim()]),
  )
  return {
    method: request.method,
    target: rest.startsWith('/') ? rest : `/${rest}`,
    authority: headers.get('host') ?? authority,
    scheme: scheme.toLowerCase() === 'https' ? 'https' : 'http',
    header: (name) => headers.get(name),
    clientIp: request.clientIp,
    roll,
  }
}
