import { BlockList, isIPv6 } from 'node:net'
import { RE2JS } from 're2js'
import { GatewayError } from '../core/errors.ts'
import type { FieldMatch, RouteSpec, TextMatch } from '../core/route.ts'
import type { RequestShape } from './table.ts'

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

type TextTest = (value: string | undefined) => boolean

function compileText(match: TextMatch): TextTest {
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

function compileFields(fields: readonly FieldMatch[]): { name: string; test: TextTest }[] {
  return fields.map(({ name, match }) => ({ name, test: compileText(match) }))
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

/** Everything of a route's match but host and path: the first condition that fails, or undefined. */
export type Conditions = (request: RequestShape, query: string) => string | undefined

/** What `conditions` answers when only the method is wrong. */
export const METHOD_FAILED = 'method'

/** OPTIONS with Origin and Access-Control-Request-Method (Fetch standard, CORS-preflight). */
export function preflightMethod(request: RequestShape): string | undefined {
  if (request.method !== 'OPTIONS' || request.header('origin') === undefined) return undefined
  return request.header('access-control-request-method')
}

function methodTest(spec: RouteSpec): ((request: RequestShape) => boolean) | undefined {
  if (spec.match.methods.length === 0) return undefined
  const methods = new Set(spec.match.methods)
  if (methods.has('GET')) methods.add('HEAD')
  const hasCors = spec.filters.some((filter) => filter.type === 'cors')
  return (request) => {
    if (methods.has(request.method)) return true
    const asked = hasCors ? preflightMethod(request) : undefined
    return asked !== undefined && methods.has(asked)
  }
}

/** Compiles the conditions of a route. The method is tested last, so that 405 means: all else fits. */
export function compileConditions(spec: RouteSpec): Conditions {
  const { headers, query, cookies, clientNetworks } = spec.match
  const method = methodTest(spec)
  if (headers.length + query.length + cookies.length + clientNetworks.length === 0) {
    return method === undefined ? () => undefined : (request) => (method(request) ? undefined : METHOD_FAILED)
  }
  const headerTests = compileFields(headers)
  const queryTests = compileFields(query)
  const cookieTests = compileFields(cookies)
  const networks = new BlockList()
  for (const network of clientNetworks) addNetwork(networks, network)

  return (request, rawQuery) => {
    for (const { name, test } of headerTests) if (!test(request.header(name))) return `header ${name}`
    for (const { name, test } of cookieTests) {
      if (!test(cookieValue(request.header('cookie'), name))) return `cookie ${name}`
    }
    if (queryTests.length > 0) {
      const params = new URLSearchParams(rawQuery)
      for (const { name, test } of queryTests) {
        const values = params.getAll(name)
        if (values.length === 0 ? !test(undefined) : !values.some(test)) return `query ${name}`
      }
    }
    if (clientNetworks.length > 0) {
      const family = isIPv6(request.clientIp) ? 'ipv6' : 'ipv4'
      if (!networks.check(request.clientIp, family)) return 'client network'
    }
    return method === undefined || method(request) ? undefined : METHOD_FAILED
  }
}
