import { BlockList, isIP, isIPv6 } from 'node:net'
import { z } from 'zod'

/** A CIDR or one address, as filters take it. */
export const networkOption = () =>
  z.string().refine(
    (value) => {
      const [address = '', bits, more] = value.split('/')
      if (isIP(address) === 0 || more !== undefined) return false
      return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (isIPv6(address) ? 128 : 32))
    },
    { error: 'write an address or a CIDR: 10.0.0.0/8, 2001:db8::/32' },
  )

/** Answers remembered at a time. */
const MAX_KNOWN = 4096

/** A test whether an address is in one of the networks; IPv4-mapped IPv6 counts as IPv4. */
export function createNetworkTest(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  const isListed = (address: string): boolean => {
    const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
    const family = isIP(plain)
    return family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4')
  }
  // The same clients send again and again, and a list of Node is slow to ask.
  const known = new Map<string, boolean>()
  return (address) => {
    let answer = known.get(address)
    if (answer === undefined) {
      answer = isListed(address)
      if (known.size >= MAX_KNOWN) known.clear()
      known.set(address, answer)
    }
    return answer
  }
}
