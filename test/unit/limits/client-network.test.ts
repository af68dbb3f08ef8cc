import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { expect, test } from 'vitest'
import { createClientNetwork } from '../../../src/limits/client-network.ts'

const clientNetwork = createClientNetwork(32, 64)

test.each([
  ['192.0.2.1', '192.0.2.1/32'],
  ['::ffff:192.0.2.1', '192.0.2.1/32'],
  ['2001:db8::1', '2001:db8::/64'],
  ['2001:DB8:0:0:ffff::', '2001:db8::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['::', '::/64'],
  ['1::', '1::/64'],
  ['', ''],
])('%s is the client %s', (address, network) => expect(clientNetwork(address)).toBe(network))

test('however an address is written, its first 64 bits say who it is', () => {
  const part = fc.integer({ min: 0, max: 0xffff })
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 8, maxLength: 8 }),
      fc.array(part, { minLength: 4, maxLength: 4 }),
      (parts, tail) => {
        const address = new ipaddr.IPv6(parts)
        const neighbour = new ipaddr.IPv6([...parts.slice(0, 4), ...tail])
        // ::ffff:0:0/96 and its like are written with dots: IPv4.
        fc.pre(!address.toString().includes('.') && !neighbour.toString().includes('.'))
        const network = clientNetwork(address.toString())
        return (
          network === clientNetwork(address.toNormalizedString()) &&
          network === clientNetwork(neighbour.toString())
        )
      },
    ),
  )
})
