import { type BlockList, isIPv6 } from 'node:net'
import { RE2JS } from 're2js'
import { GatewayError } from '../core/errors.ts'
import type { TextMatch } from '../core/text-match.ts'

/** RE2 syntax, linear time. Throws GW_CONFIG_INVALID naming the pattern. */
export function compileRegex(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern)
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_INVALID', `"${pattern}" is no RE2 regular expression`, { cause })
  }
}

/** Adds `10.0.0.0/8` or a single address. Throws GW_CONFIG_INVALID. */
export function addNetwork(list: BlockList, network: string): void {
  const slash = network.indexOf('/')
  const address = slash === -1 ? network : network.slice(0, slash)
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  try {
    if (slash === -1) list.addAddress(address, family)
    else list.addSubnet(address, Number(network.slice(slash + 1)), family)
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_INVALID', `"${network}" is no network`, { cause })
  }
}

export type TextTest = (value: string | undefined) => boolean

/** How one text must look, as a test. Throws GW_CONFIG_INVALID. */
export function compileText(match: TextMatch): TextTest {
  switch (match.kind) {
    case 'exact':
      return (value) => value === match.value
    case 'prefix':
      return (value) => value?.startsWith(match.value) === true
    case 'regex': {
      const regex = compileRegex(match.value)
      return (value) => value !== undefined && regex.matches(value)
    }
    case 'present':
      return (value) => value !== undefined
    case 'absent':
      return (value) => value === undefined
  }
}

/** The value of a cookie; the first of that name. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return undefined
}
