import ipaddr from 'ipaddr.js'
import { GatewayError } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'

/** Who a request comes from, after trusted proxies were taken off. */
export interface ClientAddress {
  /** The last address that no trusted proxy vouches for; plain text, IPv4-mapped IPv6 unwrapped. */
  readonly clientIp: string
  /** The peer of the socket is a trusted proxy: what it forwards is believed. */
  readonly isTrustedPeer: boolean
  /** What the trusted peer says the client used; undefined = nothing said or not trusted. */
  readonly proto: 'http' | 'https' | undefined
  /** The Host that the client asked for, as the trusted peer says. */
  readonly host: string | undefined
}

type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number]

/** Longer chains are an attack or a loop; the walk stops there. */
const MAX_HOPS = 32
/** Peers remembered at a time. */
const MAX_KNOWN_PEERS = 4096

/**
 * Reads the client's address from the socket's peer and, only if that is one of `trusted` (CIDR or single
 * addresses), from `X-Forwarded-For` or else `Forwarded` (RFC 7239): from the RIGHT to the first address
 * that is not trusted. What stands left of it was written by a stranger. A token that is no address ends the
 * walk. `X-Forwarded-For` goes first because most proxies keep only that one and pass a client's own
 * `Forwarded` on. Give it the headers as received. Throws GW_CONFIG_INVALID for an entry that is no network.
 */
export function createClientAddress(
  trusted: readonly string[],
): (peerIp: string, headers: Headers) => ClientAddress {
  const networks = trusted.map(parseNetwork)
  // The same peers send again and again.
  const known = new Map<string, ClientAddress>()
  return (peerIp, headers) => {
    let peer = known.get(peerIp)
    if (peer === undefined) {
      const address = parseAddress(peerIp)
      const isTrustedPeer = address !== undefined && isIn(address, networks)
      peer = { clientIp: address?.toString() ?? peerIp, isTrustedPeer, proto: undefined, host: undefined }
      if (known.size >= MAX_KNOWN_PEERS) known.clear()
      known.set(peerIp, peer)
    }
    if (!peer.isTrustedPeer) return peer
    const { clientIp } = peer
    const forwarded = headers.has('x-forwarded-for') ? undefined : headers.get('forwarded')
    return forwarded === undefined
      ? fromXForwarded(clientIp, headers, networks)
      : fromForwarded(clientIp, forwarded, networks)
  }
}

function fromXForwarded(peerIp: string, headers: Headers, networks: readonly Network[]): ClientAddress {
  const chain = (headers.get('x-forwarded-for') ?? '').split(',')
  const proto = lastToken(headers.get('x-forwarded-proto'))?.toLowerCase()
  return {
    clientIp: walk(peerIp, chain, networks).clientIp,
    isTrustedPeer: true,
    proto: proto === 'http' || proto === 'https' ? proto : undefined,
    host: lastToken(headers.get('x-forwarded-host')),
  }
}

function fromForwarded(peerIp: string, header: string, networks: readonly Network[]): ClientAddress {
  const elements = splitQuoted(header, ',').map(parseElement)
  const { clientIp } = walk(
    peerIp,
    elements.map((element) => element.get('for') ?? ''),
    networks,
  )
  const last = elements.at(-1)
  const proto = last?.get('proto')?.toLowerCase()
  return {
    clientIp,
    isTrustedPeer: true,
    proto: proto === 'http' || proto === 'https' ? proto : undefined,
    host: last?.get('host'),
  }
}

function walk(
  peerIp: string,
  chain: readonly string[],
  networks: readonly Network[],
): { readonly clientIp: string } {
  let clientIp = peerIp
  const stop = Math.max(0, chain.length - MAX_HOPS)
  for (let i = chain.length - 1; i >= stop; i--) {
    const address = parseAddress(chain[i] ?? '')
    if (address === undefined) break
    clientIp = address.toString()
    if (!isIn(address, networks)) break
  }
  return { clientIp }
}

/** `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`, each also in quotes. */
function parseAddress(token: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  let text = token.trim()
  if (text.startsWith('"') && text.endsWith('"')) text = text.slice(1, -1)
  const bracketed = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text)
  if (bracketed !== null) text = bracketed[1] ?? ''
  else if (/^[^:]+:\d{1,5}$/.test(text)) text = text.slice(0, text.indexOf(':'))
  const zone = text.indexOf('%')
  if (zone !== -1) text = text.slice(0, zone)
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) return undefined
  return ipaddr.process(text)
}

function parseNetwork(text: string): Network {
  try {
    const [address, bits] = text.includes('/')
      ? ipaddr.parseCIDR(text)
      : ([ipaddr.parse(text), undefined] as const)
    if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()) {
      return [address.toIPv4Address(), Math.max(0, (bits ?? 128) - 96)]
    }
    return [address, bits ?? (address instanceof ipaddr.IPv6 ? 128 : 32)]
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_INVALID', `\`${text}\` is no address and no CIDR network`, { cause })
  }
}

function isIn(address: ipaddr.IPv4 | ipaddr.IPv6, networks: readonly Network[]): boolean {
  return networks.some(([network, bits]) => {
    if (address instanceof ipaddr.IPv4) return network instanceof ipaddr.IPv4 && address.match(network, bits)
    return network instanceof ipaddr.IPv6 && address.match(network, bits)
  })
}

/** The nearest proxy appends, so the last one is what the trusted peer itself says. */
function lastToken(value: string | undefined): string | undefined {
  const last = value?.slice(value.lastIndexOf(',') + 1).trim()
  return last === '' ? undefined : last
}

function parseElement(element: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>()
  for (const pair of splitQuoted(element, ';')) {
    const equals = pair.indexOf('=')
    if (equals === -1) continue
    const value = pair.slice(equals + 1).trim()
    const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"')
    const name = pair.slice(0, equals).trim().toLowerCase()
    pairs.set(name, isQuoted ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value)
  }
  return pairs
}

/** Splits at a separator outside quotes: `for="[::1]:80, x"` is one value. */
function splitQuoted(text: string, separator: string): string[] {
  const parts: string[] = []
  let start = 0
  let isQuoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '\\' && isQuoted) i++
    else if (char === '"') isQuoted = !isQuoted
    else if (char === separator && !isQuoted) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}
