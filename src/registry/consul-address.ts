import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i
/** A name like this is read as an IPv4 address by resolvers: 2130706433, 127.1, 0x7f000001. */
const NUMERIC_LABEL = /^(\d+|0x[0-9a-f]*)$/i

type Range = readonly [ipaddr.IPv4 | ipaddr.IPv6, number]

/** Says why an address must not be used, or undefined. */
export type AddressRule = (address: string) => string | undefined

/**
 * Checks addresses that somebody wrote into the registry. `forbidden`: addresses or CIDRs. Names cannot be
 * compared with networks (they resolve later), except localhost with the loopback ones.
 */
export function createAddressRule(forbidden: readonly string[]): AddressRule {
  const ranges = forbidden.map(toRange)
  const isForbidden = (address: string) => {
    const parsed = ipaddr.process(address)
    return ranges.some(([network, bits]) => parsed.kind() === network.kind() && parsed.match(network, bits))
  }
  const isLocalForbidden = ranges.length > 0 && (isForbidden('127.0.0.1') || isForbidden('::1'))
  return (address) => {
    if (isIP(address) !== 0) {
      return isForbidden(address) ? `${address} is in forbidAddresses` : undefined
    }
    const name = address.toLowerCase().replace(/\.$/, '')
    const last = name.slice(name.lastIndexOf('.') + 1)
    if (!HOST_NAME.test(address) || NUMERIC_LABEL.test(last)) {
      return `"${address.slice(0, 80)}" is neither an IP address nor a host name`
    }
    if (isLocalForbidden && (name === 'localhost' || name.endsWith('.localhost'))) {
      return `${address} is in forbidAddresses`
    }
    return undefined
  }
}

function toRange(network: string): Range {
  const [address = '', bits] = network.split('/')
  const parsed = ipaddr.parse(address)
  const max = parsed.kind() === 'ipv4' ? 32 : 128
  return [parsed, bits === undefined ? max : Number(bits)]
}
