import type { Headers } from '../core/headers.ts'

/** What the forwarding headers say about one request. */
export interface ForwardedInfo {
  /** The peer of the socket; plain address. */
  readonly peerIp: string
  /** After trusted proxies were taken off. */
  readonly clientIp: string
  readonly isTrustedPeer: boolean
  /** The client's own scheme: a trusted peer's word, else our listener's. */
  readonly scheme: 'http' | 'https'
  /** The Host that the client asked for, normalised, with its port if it named one. */
  readonly host: string
  /** Port of our listener. */
  readonly port: number
}

/** Fields a stranger could use to pose as somebody else; some servers believe them. */
const ONLY_FROM_TRUSTED = [
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-server',
  'x-forwarded-prefix',
  'x-original-url',
  'x-rewrite-url',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'forwarded',
  // What a proxy in front says of the client's certificate (Envoy; RFC 9440).
  'x-forwarded-client-cert',
  'client-cert',
  'client-cert-chain',
] as const

/**
 * Sets `X-Forwarded-For/-Proto/-Host/-Port`, `Forwarded` (RFC 7239) and `X-Real-IP`. From a trusted peer the
 * chain is continued, and scheme, host and port that it named stay; from anybody else all of it is replaced.
 * Call it after `cleanRequestHeaders`.
 */
export function setForwarded(headers: Headers, info: ForwardedInfo): void {
  if (!info.isTrustedPeer) {
    for (const name of ONLY_FROM_TRUSTED) headers.delete(name)
  }
  const chain = headers.get('x-forwarded-for')
  headers.set('x-forwarded-for', chain === undefined ? info.peerIp : `${chain}, ${info.peerIp}`)
  if (!headers.has('x-forwarded-proto')) headers.set('x-forwarded-proto', info.scheme)
  if (!headers.has('x-forwarded-host')) headers.set('x-forwarded-host', info.host)
  if (!headers.has('x-forwarded-port')) headers.set('x-forwarded-port', forwardedPort(info))
  headers.set('x-real-ip', info.clientIp)
  const element = forwardedElement(info)
  const elements = headers.get('forwarded')
  headers.set('forwarded', elements === undefined ? element : `${elements}, ${element}`)
}

/** The port the client named; else what its scheme means; a trusted peer's scheme hides our own port. */
function forwardedPort(info: ForwardedInfo): string {
  const { host } = info
  const colon = host.lastIndexOf(':')
  // Not inside the brackets of an IPv6 address.
  if (colon !== -1 && !host.endsWith(']')) return host.slice(colon + 1)
  if (info.isTrustedPeer) return info.scheme === 'https' ? '443' : '80'
  return String(info.port)
}

function forwardedElement(info: ForwardedInfo): string {
  const node = info.peerIp.includes(':') ? `"[${info.peerIp}]"` : info.peerIp
  // A normalised host needs quotes only for its port or brackets (RFC 7239 §4).
  const host = info.host.includes(':') ? `"${info.host}"` : info.host
  return `for=${node};host=${host};proto=${info.scheme}`
}
