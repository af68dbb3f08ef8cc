import { BlockList, isIPv6 } from 'node:net'
import type { FieldMatch, RouteSpec } from '../core/route.ts'
import { addNetwork, compileText, cookieValue, type TextTest } from './field-tests.ts'
import type { RequestShape } from './table.ts'

export { addNetwork, compileRegex, cookieValue } from './field-tests.ts'

function compileFields(fields: readonly FieldMatch[]): { name: string; test: TextTest }[] {
  return fields.map(({ name, match }) => ({ name, test: compileText(match) }))
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
