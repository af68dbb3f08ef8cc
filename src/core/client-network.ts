import { isIPv6 } from 'node:net'

/**
 * What one client is for limits: an IPv4 address, or the /64 of an IPv6 address, of which one subscriber has 2⁶⁴.
 * `::ffff:192.0.2.1` counts as IPv4.
 */
export function clientNetwork(address: string): string {
  if (!isIPv6(address)) return address
  const plain = address.split('%')[0] as string
  if (plain.includes('.')) return plain.slice(plain.lastIndexOf(':') + 1)
  const [head = '', tail] = plain.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':')
    groups.push(...Array<string>(8 - groups.length - after.length).fill('0'), ...after)
  }
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
