import { isIPv4, isIPv6 } from 'node:net'

/** Names of query parameters whose values may open something. */
const SECRET =
  /(?:^|[_.-])(?:key|code|sig|pin|otp|mail)(?:$|[_.-])|pass|secret|token|auth|session|jwt|credential|signature|apikey|email/i
const REDACTED = 'redacted'

function isSecret(name: string): boolean {
  if (!name.includes('%')) return SECRET.test(name)
  try {
    return SECRET.test(decodeURIComponent(name))
  } catch {
    return true
  }
}

/** A request target without values of query parameters that sound like secrets, and without user and password. */
export function redactTarget(target: string): string {
  const start = target.indexOf('?')
  const path = start === -1 ? target : target.slice(0, start)
  const place = path.startsWith('/') ? path : path.replace(/^([a-z][\w+.-]*:\/\/)[^/]*@/i, '$1')
  if (start === -1) return place
  const query = target
    .slice(start + 1)
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=')
      return equals > 0 && isSecret(pair.slice(0, equals)) ? `${pair.slice(0, equals)}=${REDACTED}` : pair
    })
  return `${place}?${query.join('&')}`
}

const plainOf = (address: string): string =>
  address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address

/** The network of an address, as an address: the first of its /24 (IPv4) or /48 (IPv6). */
export function networkOf(address: string): string {
  const plain = plainOf(address)
  if (isIPv4(plain)) return `${plain.slice(0, plain.lastIndexOf('.'))}.0`
  return isIPv6(address) ? `${groupsOf(address).slice(0, 3).join(':')}::` : ''
}

/** What counts as one client: an IPv4 address, a /64 of IPv6. */
export function clientOf(address: string): string {
  const plain = plainOf(address)
  return isIPv4(plain) || !isIPv6(address) ? plain : groupsOf(address).slice(0, 4).join(':')
}

/** The eight groups of an IPv6 address, without leading zeros. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = address.split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0')
  return [...front, ...zeros, ...back].map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
}

/** The cookies of these names out of a Cookie header; undefined when there are none of them. */
export function chosenCookies(header: string | undefined, names: ReadonlySet<string>): string | undefined {
  if (header === undefined || names.size === 0) return undefined
  const chosen = header.split(';').filter((pair) => names.has((pair.split('=', 1)[0] ?? '').trim()))
  return chosen.length === 0 ? undefined : chosen.map((pair) => pair.trim()).join('; ')
}
