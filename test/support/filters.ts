import { Headers } from '../../src/core/headers.ts'
import type { RouteSpec } from '../../src/core/route.ts'
import type { FilterContext, FilterDefinition, ResponseContext } from '../../src/filters/filter.ts'
import { FILTERS } from '../../src/filters/list.ts'
import {
  type Chain,
  type ChainDeps,
  createChains,
  runInbound,
  runOutbound,
} from '../../src/filters/runner.ts'
import { aRouted } from './exchange.ts'
import { aFilterEnvironment } from './filter-environment.ts'
import { aRoute } from './routing.ts'

export interface Noted {
  readonly warnings: string[]
  readonly verdicts: string[]
  readonly timings: string[]
}

/** Chain dependencies that note what they hear; time stands still. */
export function notingDeps(): ChainDeps & Noted {
  const noted: Noted = { warnings: [], verdicts: [], timings: [] }
  return {
    ...noted,
    ...aFilterEnvironment(),
    clock: { now: () => 0, monotonic: () => 0 },
    random: () => 0.5,
    log: {
      info: () => {},
      warn: (fields, text) => void noted.warnings.push(`${text} ${JSON.stringify(fields)}`),
    },
    onTiming: (name) => void noted.timings.push(name),
    onVerdict: (name, verdict) => void noted.verdicts.push(`${name} ${verdict}`),
  }
}

/** A filter as a route names it. */
export const use = (
  type: string,
  options: object = {},
  onError?: 'open' | 'closed',
): RouteSpec['filters'][number] => ({
  name: type,
  type,
  options: options as Record<string, unknown>,
  source: 'a.yaml:1:1',
  ...(onError === undefined ? {} : { onError }),
})

export function aContext(
  own: Partial<Omit<FilterContext, 'headers'>> & { headers?: Record<string, string> } = {},
): FilterContext {
  const { headers = {}, ...rest } = own
  return {
    requestId: 'r-1',
    method: 'GET',
    scheme: 'http',
    httpVersion: '1.1',
    clientIp: '192.0.2.1',
    isTrustedPeer: false,
    decision: aRouted(undefined),
    target: '/',
    authority: 'shop.example.com',
    headers: new Headers(Object.entries(headers).flat()),
    receivedHeaders: () => new Headers(Object.entries(headers).flat()),
    clientCertificate: () => undefined,
    contentLength: 0,
    body: undefined,
    isBodyWhole: false,
    principal: undefined,
    response: undefined,
    maxBodyBytes: undefined,
    attributes: new Map(),
    ...rest,
  }
}

export const aResponse = (headers: Record<string, string> = {}, status = 200): ResponseContext => ({
  status,
  headers: new Headers(Object.entries(headers).flat()),
  isLocal: false,
  transforms: [],
})

/** The chain of a route with these filters. */
export function chainOf(
  filters: RouteSpec['filters'],
  deps: ChainDeps = notingDeps(),
  definitions: readonly FilterDefinition[] = FILTERS,
): Chain {
  return createChains(definitions, deps).chainFor(aRoute('r', {}, { filters }))
}

/** Runs one filter of the gateway over a request and, when it goes on, over the answer. */
export async function through(
  type: string,
  options: object,
  ctx: FilterContext,
  response: ResponseContext = aResponse(),
) {
  const chain = chainOf([use(type, options)])
  const reply = await runInbound(chain, ctx)
  if (reply !== undefined) {
    response.status = reply.status
    response.isLocal = true
  }
  const replaced = await runOutbound(chain, ctx, response)
  return {
    reply,
    replaced,
    request: ctx.headers,
    response: response.headers,
    transforms: response.transforms,
  }
}
