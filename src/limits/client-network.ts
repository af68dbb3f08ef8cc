import ipaddr from 'ipaddr.js'
import { LRUCache } from 'lru-cache'

/** Addresses remembered at a time: taking one apart costs more than a decision. */
const MAX_KNOWN = 10_000

/**
 * The network of a client as one text. A client that has a /64 of IPv6 has 2^64 addresses and must not have as many
 * limits. An IPv4 address in IPv6 clothes is an IPv4 address; what is no address is itself.
 */
export function createClientNetwork(ipv4Prefix: number, ipv6Prefix: number): (address: string) => string {
  const known = new LRUCache<string, string>({ max: MAX_KNOWN })
  return (address) => {
    let network = known.get(address)
    if (network === undefined) {
      network = networkOf(address, ipv4Prefix, ipv6Prefix)
      known.set(address, network)
    }
    return network
  }
}

function networkOf(text: string, ipv4Prefix: number, ipv6Prefix: number): string {
  const address = text.replace(/%.*$/, '')
  if (!ipaddr.isValid(address)) return encodeURIComponent(text)
  const parsed = ipaddr.process(address)
  const bits = parsed.kind() === 'ipv4' ? ipv4Prefix : ipv6Prefix
  const bytes = parsed.toByteArray().map((byte, i) => {
    const kept = Math.min(8, Math.max(0, bits - i * 8))
    return byte & (0xff << (8 - kept)) & 0xff
  })
  return `${ipaddr.fromByteArray(bytes).toString()}/${bits}`
}
