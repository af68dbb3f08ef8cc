import type {
  BalancePolicy,
  FieldMatch,
  FilterSpec,
  HeaderEdits,
  PathMatch,
  PathRewrite,
  RetryPolicy,
  RouteAction,
  RouteSpec,
  ServicePolicy,
  Target,
  TextMatch,
  Timeouts,
  UpstreamTls,
} from '../core/route.ts'
import { toHealth } from './health.ts'
import { toContract, toMirror } from './mirror.ts'
import type { DefaultsInput, ServiceInput } from './policy.ts'
import type { FilterInput, RouteInput, TextMatchInput } from './routes.ts'

/** From what people write to what the code gets: every default filled in. */

const TIMEOUTS: Timeouts = {
  connectMs: 1000,
  headersMs: 15_000,
  idleMs: 60_000,
  totalMs: 60_000,
  perTryMs: 0,
}
const RETRIES: RetryPolicy = {
  attempts: 2,
  on: ['connect-failure', 'reset'],
  statuses: [],
  idempotencyKey: false,
  replayBytes: 65_536,
}

/** An object without its undefined values, so that a spread does not overwrite by nothing. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as never
}

function toTimeouts(input: RouteInput['timeouts'] | undefined): Partial<Timeouts> {
  if (input === undefined) return {}
  const { connect, headers, idle, total, perTry } = input
  return defined({ connectMs: connect, headersMs: headers, idleMs: idle, totalMs: total, perTryMs: perTry })
}

function toBalance(input: DefaultsInput['balance']): BalancePolicy {
  if (input === undefined) return { kind: 'least-request' }
  return typeof input === 'string' ? { kind: input } : { kind: 'consistent-hash', on: input.hash }
}

/** The settings of one service: its own over `defaults` over ours. `allRegistries`: names in their order. */
export function toPolicy(
  name: string,
  own: ServiceInput,
  defaults: DefaultsInput,
  source: string,
  allRegistries: readonly string[] = [],
): ServicePolicy {
  const pick = <K extends keyof DefaultsInput>(key: K) => own[key] ?? defaults[key]
  const registries = own.registry === undefined ? undefined : [own.registry].flat()
  const order = registries ?? allRegistries
  const isFailover = pick('registryMode') === 'failover' && order.length > 1
  const scheme = pick('scheme')
  const tls: UpstreamTls = { verify: true, ...defined(defaults.tls ?? {}), ...defined(own.tls ?? {}) }
  return {
    name,
    source,
    registryName: own.name ?? name,
    upstreams: own.upstreams ?? [],
    balance: toBalance(pick('balance')),
    slowStartMs: pick('slowStart') ?? 0,
    timeouts: { ...TIMEOUTS, ...toTimeouts(defaults.timeouts), ...toTimeouts(own.timeouts) },
    retries: { ...RETRIES, ...defined(defaults.retries ?? {}), ...defined(own.retries ?? {}) },
    tls,
    maxConnections: pick('maxConnections') ?? 256,
    maxPending: pick('maxPending') ?? 1024,
    keepAliveMs: pick('keepAlive') ?? 4000,
    streamDrainMs: pick('streamDrain') ?? 300_000,
    health: toHealth(own, defaults),
    ...(registries === undefined ? {} : { registries }),
    ...(isFailover ? { failover: { order, returnAfterMs: pick('registryReturn') ?? 30_000 } } : {}),
    ...(scheme === undefined ? {} : { scheme }),
    ...(own.mirror === undefined ? {} : { mirror: toMirror(own.mirror) }),
  }
}

function toTextMatch(input: TextMatchInput): TextMatch {
  if (typeof input === 'string') return { kind: 'exact', value: input }
  if ('exact' in input) return { kind: 'exact', value: input.exact }
  if ('prefix' in input) return { kind: 'prefix', value: input.prefix }
  if ('regex' in input) return { kind: 'regex', value: input.regex }
  return { kind: input.present ? 'present' : 'absent' }
}

function toFields(input: Record<string, TextMatchInput> | undefined): FieldMatch[] {
  return Object.entries(input ?? {}).map(([name, value]) => ({ name, match: toTextMatch(value) }))
}

function toPath(match: RouteInput['match']): PathMatch {
  if (match.path !== undefined) return { kind: 'exact', value: match.path }
  if (match.pathRegex !== undefined) return { kind: 'regex', value: match.pathRegex }
  return { kind: 'prefix', value: match.pathPrefix ?? '/' }
}

function toRewrite(input: RouteInput['rewrite']): PathRewrite | undefined {
  if (input === undefined) return undefined
  if ('stripPrefix' in input) return { kind: 'strip', prefix: input.stripPrefix }
  if ('prefix' in input) return { kind: 'prefix', value: input.prefix }
  return { kind: 'regex', pattern: input.regex, replacement: input.replacement }
}

function toEdits(input: RouteInput['requestHeaders']): HeaderEdits {
  return { remove: input.remove ?? [], set: input.set ?? {}, add: input.add ?? {} }
}

/** The service that stands for the `upstreams` of a route. */
export const anonymousService = (route: string): string => `route:${route}`

function toAction(input: RouteInput): RouteAction {
  if (input.redirect !== undefined) {
    const { status, stripQuery, ...parts } = input.redirect
    return { kind: 'redirect', status, stripQuery, ...defined(parts) }
  }
  if (input.respond !== undefined) {
    const { status, headers, body, json } = input.respond
    if (json === undefined) return { kind: 'respond', status, headers, body: body ?? '' }
    return {
      kind: 'respond',
      status,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(json),
    }
  }
  const single = input.service ?? anonymousService(input.name)
  const targets: readonly Target[] = input.services ?? [{ service: single, weight: 1 }]
  const rewrite = toRewrite(input.rewrite)
  const host = input.host === 'preserve' || input.host === 'upstream' ? input.host : { value: input.host }
  return { kind: 'proxy', targets, host, ...(rewrite === undefined ? {} : { rewrite }) }
}

/** A named or inline filter. */
export function toFilter(name: string, input: FilterInput, source: string): FilterSpec {
  const { type, onError, mode, ...options } = input
  return {
    name,
    type,
    options,
    source,
    ...(onError === undefined ? {} : { onError }),
    ...(mode === undefined ? {} : { mode }),
  }
}

/** A route with its filters looked up already. */
export function toRoute(input: RouteInput, filters: readonly FilterSpec[], source: string): RouteSpec {
  const { match } = input
  return {
    name: input.name,
    source,
    priority: input.priority,
    ...(input.class === undefined ? {} : { class: input.class }),
    match: {
      hosts: match.hosts ?? [],
      path: toPath(match),
      methods: match.methods ?? [],
      headers: toFields(match.headers),
      query: toFields(match.query),
      cookies: toFields(match.cookies),
      clientNetworks: match.clientNetworks ?? [],
    },
    action: toAction(input),
    filters,
    requestHeaders: toEdits(input.requestHeaders),
    responseHeaders: toEdits(input.responseHeaders),
    timeouts: toTimeouts(input.timeouts),
    retries: defined(input.retries),
    labels: input.labels,
    ...(input.maxBody === undefined ? {} : { maxBodyBytes: input.maxBody }),
    ...(input.mirror === undefined ? {} : { mirror: toMirror(input.mirror) }),
    ...(input.contract === undefined ? {} : { contract: toContract(input.contract) }),
  }
}
