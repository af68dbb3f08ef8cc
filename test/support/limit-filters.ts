import type { RouteSpec } from '../../src/core/route.ts'
import type { FilterContext } from '../../src/filters/filter.ts'
import type { FilterEnvironment } from '../../src/filters/instances.ts'
import { FILTERS } from '../../src/filters/list.ts'
import { createChains, runInbound, runOutbound } from '../../src/filters/runner.ts'
import { aRouted } from './exchange.ts'
import { aFilterEnvironment } from './filter-environment.ts'
import { aContext, aResponse } from './filters.ts'
import { aRoute } from './routing.ts'

export type Sent = Partial<Omit<FilterContext, 'headers'>> & {
  headers?: Record<string, string>
  /** Name of the route. */
  route?: string
}

export interface Answered {
  readonly status: number
  readonly code: string | undefined
  /** Of the answer, lower case. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * A gateway's filters for limits: one filter in force, a clock by hand, and what was counted. The filter may be
 * edited; what it shares stays.
 */
export function limitBench(type: string, own: Partial<FilterEnvironment> = {}) {
  const at = { ms: 1_764_000_000_000 }
  const clock = { now: () => at.ms, monotonic: () => at.ms }
  const counted: string[] = []
  const environment = aFilterEnvironment({
    clock,
    metrics: { set: () => {}, count: (_name, [, decision = '']) => void counted.push(decision) },
    ...own,
  })
  const chains = createChains(FILTERS, environment)
  let filters: RouteSpec['filters'] = []
  const chainFor = (route: string) => chains.chainFor(aRoute(route, {}, { filters }))
  return {
    counted,
    pass: (ms: number) => {
      at.ms += ms
    },
    setTime: (ms: number) => {
      at.ms = ms
    },
    /** Puts a filter in force in the place of the one before. Throws for wrong options. */
    use(options: object, more: { name?: string; mode?: 'dryRun' } = {}) {
      const { name = type, ...rest } = more
      filters = [
        { name, type, options: options as Record<string, unknown>, source: 'a.yaml:1:1', ...rest },
      ] as RouteSpec['filters']
      chainFor('shop')
    },
    /** The same for several filters in one route. */
    useAll(all: readonly { type: string; options: object }[]) {
      filters = all.map(({ type, options }) => ({ name: type, type, options, source: 'a.yaml:1:1' })) as never
      chainFor('shop')
    },
    prepare: () => chains.prepare(aRoute('shop', {}, { filters })),
    close: () => chains.close(),
    /** Whether inbound answered without a promise. */
    isSync: () => !(runInbound(chainFor('shop'), aContext()) instanceof Promise),
    async send({ route = 'shop', ...own }: Sent = {}): Promise<Answered> {
      const chain = chainFor(route)
      const ctx = aContext({ decision: aRouted(undefined, { spec: { name: route } }), ...own })
      const reply = await runInbound(chain, ctx)
      const response = aResponse(reply?.headers as Record<string, string> | undefined, reply?.status ?? 200)
      await runOutbound(chain, ctx, response)
      const headers: Record<string, string> = {}
      for (const name of response.headers.names()) {
        headers[name.toLowerCase()] = response.headers.get(name.toLowerCase()) ?? ''
      }
      return { status: response.status, code: reply?.code, headers }
    },
    /** How many are let in until one is refused; at most 1000. */
    async allowed(sent: Sent = {}): Promise<number> {
      for (let i = 0; i < 1000; i++) if ((await this.send(sent)).status !== 200) return i
      return 1000
    },
  }
}
