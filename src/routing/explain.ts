import type { RetryPolicy, Timeouts } from '../core/route.ts'
import type { Instance } from '../core/types.ts'
import { decide } from './decide.ts'
import type { Decision, DecisionTrace, RequestShape, Routed, Service, Table } from './table.ts'

const timeoutsOf = new WeakMap<object, WeakMap<object, Timeouts>>()
const retriesOf = new WeakMap<object, WeakMap<object, RetryPolicy>>()

function cached<T>(cache: WeakMap<object, WeakMap<object, T>>, a: object, b: object, make: () => T): T {
  let inner = cache.get(a)
  if (inner === undefined) {
    inner = new WeakMap()
    cache.set(a, inner)
  }
  let value = inner.get(b)
  if (value === undefined) {
    value = make()
    inner.set(b, value)
  }
  return value
}

/** The limits of an exchange: the route's over the service's. The service must be known. */
export function effectiveTimeouts(routed: Routed): Timeouts {
  const { policy } = routed.service as Service
  const { spec } = routed.route
  return cached(timeoutsOf, spec, policy, () => ({ ...policy.timeouts, ...spec.timeouts }))
}

/** The retry policy of an exchange: the route's over the service's. The service must be known. */
export function effectiveRetries(routed: Routed): RetryPolicy {
  const { policy } = routed.service as Service
  const { spec } = routed.route
  return cached(retriesOf, spec, policy, () => ({ ...policy.retries, ...spec.retries }))
}

/** One instance and whether it may get the request. */
export interface InstanceVerdict {
  readonly key: string
  readonly address: string
  readonly version?: string
  readonly eligible: boolean
  readonly reason: string
}

/** Everything about where one request goes, for people and tools. */
export interface Explanation {
  readonly table: { readonly version: number; readonly id: string }
  readonly request: {
    readonly method: string
    readonly target: string
    readonly authority: string | undefined
  }
  readonly steps: readonly string[]
  readonly candidates: DecisionTrace['candidates']
  readonly result: 'route' | 'refuse'
  readonly code?: string
  readonly detail?: string
  readonly host?: string
  readonly path?: string
  readonly route?: string
  readonly source?: string
  readonly action?: string
  readonly params?: Readonly<Record<string, string>>
  readonly filters?: readonly { readonly name: string; readonly type: string }[]
  readonly service?: string
  readonly serviceSource?: string
  readonly upstreamTarget?: string
  readonly instances?: readonly InstanceVerdict[]
  readonly timeouts?: Timeouts
  readonly retries?: RetryPolicy
}

/** What the live side knows about an instance: `ejected for 3 s: refused the connection`; undefined = fine. */
export type LiveVerdict = (instance: Instance) => string | undefined

function judge(instance: Instance, service: Service, live: LiveVerdict): InstanceVerdict {
  const ejected = live(instance)
  let [eligible, reason] = [true, `${instance.state}, weight ${instance.weight}`]
  if (instance.held !== undefined) {
    eligible = service.eligible.length === 0
    reason = `held: ${instance.held}; used ${eligible ? 'because' : 'only when'} nothing else is left`
  } else if (instance.state === 'draining' && service.eligible.length === 0) {
    reason = 'draining; used because nothing else is left'
  } else if (!service.eligible.includes(instance)) {
    ;[eligible, reason] = [false, `the registry says ${instance.state}`]
  } else if (ejected !== undefined) {
    ;[eligible, reason] = [false, ejected]
  }
  return {
    key: instance.key,
    address: `${instance.address}:${instance.port}`,
    eligible,
    reason,
    ...(instance.version === undefined ? {} : { version: instance.version }),
  }
}

function explainRouted(decision: Routed, live: LiveVerdict): Partial<Explanation> {
  const { route, service } = decision
  return {
    route: route.spec.name,
    source: route.spec.source,
    action: route.spec.action.kind,
    params: decision.params,
    filters: route.spec.filters.map(({ name, type }) => ({ name, type })),
    ...(decision.serviceName === undefined ? {} : { service: decision.serviceName }),
    ...(decision.upstreamTarget === undefined ? {} : { upstreamTarget: decision.upstreamTarget }),
    ...(service === undefined
      ? {}
      : {
          serviceSource: service.source,
          instances: service.instances.map((instance) => judge(instance, service, live)),
          timeouts: effectiveTimeouts(decision),
          retries: effectiveRetries(decision),
        }),
  }
}

function explainRefused(decision: Decision & { kind: 'refuse' }): Partial<Explanation> {
  return { code: decision.code, ...(decision.detail === undefined ? {} : { detail: decision.detail }) }
}

/** Explains a request with the very function that routes it. */
export function explain(
  request: RequestShape,
  table: Table,
  live: LiveVerdict = () => undefined,
): Explanation {
  const trace: DecisionTrace = { steps: [], candidates: [] }
  const decision = decide(request, table, trace)
  return {
    table: { version: table.version, id: table.id },
    request: { method: request.method, target: request.target, authority: request.authority },
    steps: trace.steps,
    candidates: trace.candidates,
    result: decision.kind,
    ...(decision.host === undefined ? {} : { host: decision.host }),
    ...(decision.path === undefined ? {} : { path: decision.path }),
    ...(decision.kind === 'route' ? explainRouted(decision, live) : explainRefused(decision)),
  }
}
