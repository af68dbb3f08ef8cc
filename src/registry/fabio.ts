import { GatewayError } from '../core/errors.ts'
import { type Declaration, splitPlace } from './declaration.ts'

/**
 * fabio's tag after `urlprefix-`: `host/path [strip=/x] [host=dst|name] [redirect=301,url] [allow=ip:cidr,…]
 * [proto=http]`. What cannot be honoured makes the declaration invalid: a route without its access rule would
 * be an open door.
 */
export function parseFabioTag(text: string): Declaration {
  const [place = '', ...options] = text.trim().split(/\s+/)
  if (place.startsWith(':')) throw unsupported('a TCP listener')
  let declaration: Declaration = splitPlace(place)
  for (const option of options) {
    const equals = option.indexOf('=')
    const [key, value] = [option.slice(0, equals), option.slice(equals + 1)]
    declaration = { ...declaration, ...parseOption(key, value) }
  }
  return declaration
}

function parseOption(key: string, value: string): Partial<Declaration> {
  switch (key) {
    case 'strip':
      return { strip: splitPlace(value).path }
    case 'host':
      return { hostMode: value === 'dst' ? 'upstream' : { value } }
    case 'redirect':
      return { redirect: parseRedirect(value) }
    case 'allow':
      return { allowNetworks: parseAllow(value) }
    case 'proto':
      if (value === 'http') return {}
      throw unsupported(`proto=${value} (tag the instance scheme=https instead)`)
    case 'weight':
      throw unsupported('weight= (use Consul’s own weights, or weighted services in a route)')
    default:
      throw unsupported(`${key}=`)
  }
}

function parseRedirect(value: string): NonNullable<Declaration['redirect']> {
  const [status, url = ''] = value.split(',', 2)
  const code = Number(status)
  if (code !== 301 && code !== 302 && code !== 303 && code !== 307 && code !== 308) {
    throw new GatewayError(
      'GW_REGISTRY_ANSWER',
      `redirect=${value}: the status must be 301, 302, 303, 307 or 308`,
    )
  }
  if (!URL.canParse(url))
    throw new GatewayError('GW_REGISTRY_ANSWER', `redirect=${value}: "${url}" is no URL`)
  return { status: code, url: new URL(url) }
}

function parseAllow(value: string): string[] {
  return value.split(',').map((entry) => {
    if (!entry.startsWith('ip:')) throw unsupported(`allow=${entry}`)
    return entry.slice(3)
  })
}

function unsupported(what: string): GatewayError {
  return new GatewayError('GW_REGISTRY_ANSWER', `${what} of fabio is not supported here`)
}
