import type { RetryPolicy, Timeouts } from '../core/route.ts'
import type { Instance } from '../core/types.ts'
import { decideSide, type SideDecision, type SideInput } from './canary.ts'
import { decide } from './decide.ts'
import type { Side } from './release.ts'
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
  /** Which version of the service, and why; absent = it has only one. */
  readonly canary?: {
    readonly rule: string | undefined
    readonly side: string | undefined
    readonly steps: readonly string[]
    /** Request headers that tell it upstream. */
    readonly headers: Readonly<Record<string, string>>
  }
  readonly instances?: readonly InstanceVerdict[]
  readonly timeouts?: Timeouts
  readonly retries?: RetryPolicy
}

/** What the live side knows about an instance: `ejected for 3 s: refused the connection`; undefined = fine. */
export type LiveVerdict = (instance: Instance) => string | undefined

/** What a request has beyond its shape. */
export interface ExplainContext {
  readonly live?: LiveVerdict
  /** As if an identity filter had found them; `sub` is who it is. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** As if it came from a trusted proxy. */
  readonly isTrustedPeer?: boolean
  /** What lanes and canary rules did decide, and why: for a request that was real. */
  readonly decided?: { readonly decided: SideDecision | undefined; readonly steps: readonly string[] }
}

function judge(
  instance: Instance,
  service: Service,
  live: LiveVerdict,
  side: Side | undefined,
): InstanceVerdict {
  const ejected = live(instance)
  let [eligible, reason] = [true, `${instance.state}, weight ${instance.weight}`]
  if (instance.held !== undefined) {
    eligible = service.eligible.length === 0
    reason = `held: ${instance.held}; used ${eligible ? 'because' : 'only when'} nothing else is left`
  } else if (instance.state === 'draining' && service.eligible.length === 0) {
    reason = 'draining; used because nothing else is left'
  } else if (side !== undefined && !side.keys.has(instance.key)) {
    const isNext = side.fallbacks.some(({ keys }) => keys.has(instance.key))
    ;[eligible, reason] = [
      false,
      `not of side ${side.name}${isNext ? '; used when nobody of it is there' : ''}`,
    ]
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

function explainSide(decision: Routed, request: RequestShape, table: Table, context: ExplainContext) {
  const { claims, isTrustedPeer = false } = context
  const [sub, steps] = [claims?.['sub'], [] as string[]]
  const input: SideInput = {
    header: (name) => {
      if (!isTrustedPeer && table.canaries.headers.has(name)) return undefined
      return request.header(name)
    },
    query: decision.query,
    clientIp: request.clientIp,
    isTrustedPeer,
    principal:
      claims === undefined
        ? undefined
        : {
            id: typeof sub === 'string' ? sub : '',
            kind: 'jwt',
            filter: 'explain',
            claims,
            roles: [],
            groups: [],
            scopes: [],
          },
  }
  const place = { route: decision.route.spec.name, service: decision.serviceName ?? '' }
  return { decided: decideSide(input, table.canaries, place, steps), steps }
}

function explainRouted(
  decision: Routed,
  request: RequestShape,
  table: Table,
  context: ExplainContext,
): Partial<Explanation> {
  const { route, service } = decision
  const { live = () => undefined } = context
  const { decided, steps } = context.decided ?? explainSide(decision, request, table, context)
  const side = decided?.side
  return {
    route: route.spec.name,
    source: route.spec.source,
    action: route.spec.action.kind,
    params: decision.params,
    filters: route.spec.filters.map(({ name, type }) => ({ name, type })),
    ...(decision.serviceName === undefined ? {} : { service: decision.serviceName }),
    ...(decision.upstreamTarget === undefined ? {} : { upstreamTarget: decision.upstreamTarget }),
    ...(decided === undefined
      ? {}
      : { canary: { rule: decided.rule, side: side?.name, steps, headers: headerRecord(decided.headers) } }),
    ...(service === undefined
      ? {}
      : {
          serviceSource: service.source,
          instances: service.instances.map((instance) => judge(instance, service, live, side)),
          timeouts: effectiveTimeouts(decision),
          retries: effectiveRetries(decision),
        }),
  }
}

const headerRecord = (flat: readonly string[]): Record<string, string> =>
  Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])))

function explainRefused(decision: Decision & { kind: 'refuse' }): Partial<Explanation> {
  return { code: decision.code, ...(decision.detail === undefined ? {} : { detail: decision.detail }) }
}

/** Explains a request with the very function that routes it. */
export function explain(request: RequestShape, table: Table, context: ExplainContext = {}): Explanation {
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
    ...(decision.kind === 'route'
      ? explainRouted(decision, request, table, context)
      : explainRefused(decision)),
  }
}
