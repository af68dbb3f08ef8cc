import type { CanaryMatch, CanaryRule, CanaryStates, LaneRule, ReleaseRule } from '../../src/core/canary.ts'
import type { Principal } from '../../src/core/principal.ts'
import type { ServicePolicy } from '../../src/core/route.ts'
import type { Instance, RegistryState } from '../../src/core/types.ts'
import { decideSide, type SideDecision, type SideInput } from '../../src/routing/canary.ts'
import { compileTable } from '../../src/routing/compile.ts'
import type { Table } from '../../src/routing/table.ts'
import { aPolicy } from './exchange.ts'
import { aRoute, configOf } from './routing.ts'

/** An instance as a registry would tell it. */
export function anInstance(service: string, id: string, own: Partial<Instance> = {}): Instance {
  return {
    key: `test/dc1/node/${id}`,
    id,
    service,
    address: '127.0.0.1',
    port: 1,
    scheme: 'http',
    state: 'passing',
    weight: 1,
    tags: [],
    meta: {},
    ...own,
  }
}

/** A registry with these instances. */
export function registryOf(...instances: readonly Instance[]): RegistryState {
  const byName = Map.groupBy(instances, ({ service }) => service)
  return {
    services: new Map(
      [...byName].map(([name, list]) => [name, { name, instances: list, source: 'live', lastGoodAt: 0 }]),
    ),
    problems: [],
  }
}

const COMMON = {
  routes: [],
  match: [],
  keys: [{ kind: 'claim', name: 'sub' }],
  whenEmpty: 'stable',
} as const

/** A rule for version 2.* of `catalog`. */
export function aRule(name: string, percent: number, own: Partial<CanaryRule> = {}): CanaryRule {
  return {
    ...COMMON,
    kind: 'canary',
    name,
    source: `${name}.yaml:1:1`,
    service: 'catalog',
    variants: [{ name: 'canary', select: { version: '2.*' }, percent }],
    forward: 'x-canary',
    ...own,
  }
}

/** A lane of what has `lane` in its metadata. */
export function aLane(name: string, percent: number, own: Partial<LaneRule> = {}): LaneRule {
  return {
    ...COMMON,
    kind: 'lane',
    name,
    source: `${name}.yaml:1:1`,
    select: { meta: { lane: name } },
    services: {},
    percent,
    forward: 'x-lane',
    ...own,
  }
}

/** An entry of `match` without conditions. */
export function aMatch(side: string, own: Partial<CanaryMatch> = {}): CanaryMatch {
  return {
    headers: [],
    cookies: [],
    query: [],
    claims: [],
    networks: [],
    isTrustedOnly: false,
    side,
    ...own,
  }
}

/** Somebody with a token. */
export function aPrincipal(id: string, claims: Record<string, unknown> = {}): Principal {
  return { id, kind: 'jwt', filter: 'jwt', claims: { sub: id, ...claims }, roles: [], groups: [], scopes: [] }
}

/** catalog: two of 1.0, one of 2.0. */
export const CATALOG = [
  anInstance('catalog', 'old-1', { version: '1.0' }),
  anInstance('catalog', 'old-2', { version: '1.0' }),
  anInstance('catalog', 'new-1', { version: '2.0' }),
]

/** The same instances are the same registry: what did not change must stay what it was. */
const registries = new WeakMap<readonly Instance[], RegistryState>()

/** A table with a route to each service of the instances, named as the service. */
export function releaseTable(
  canaries: readonly ReleaseRule[],
  more: {
    instances?: readonly Instance[]
    states?: CanaryStates
    previous?: Table
    routes?: string[]
    /** Of every service. */
    policy?: Partial<ServicePolicy>
  } = {},
): Promise<Table> {
  const { instances = CATALOG, states, previous } = more
  const registry = registries.get(instances) ?? registryOf(...instances)
  registries.set(instances, registry)
  const routes = more.routes ?? [...new Set(instances.map(({ service }) => service))]
  return compileTable({
    config: configOf(
      routes.map((name) => aRoute(name)),
      { canaries, defaultPolicy: aPolicy({ name: '', ...more.policy }) },
    ),
    declared: [],
    registry,
    version: 1,
    cause: 'test',
    now: 0,
    ...(states === undefined ? {} : { canaryStates: states }),
    ...(previous === undefined ? {} : { previous }),
  })
}

export interface Asker {
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: string
  readonly clientIp?: string
  readonly isTrustedPeer?: boolean
  readonly user?: string
  readonly claims?: Record<string, unknown>
  readonly newId?: (bytes: number) => string
  readonly route?: string
  readonly service?: string
}

/** What the releases of a table say of a request. */
export function askSide(table: Table, asker: Asker = {}, trace?: string[]): SideDecision | undefined {
  const { headers = {}, query = '', clientIp = '192.0.2.1', isTrustedPeer = false, user, claims } = asker
  const input: SideInput = {
    header: (name) => headers[name],
    query,
    clientIp,
    isTrustedPeer,
    principal: user === undefined && claims === undefined ? undefined : aPrincipal(user ?? '', claims),
    ...(asker.newId === undefined ? {} : { newId: asker.newId }),
  }
  const service = asker.service ?? 'catalog'
  return decideSide(input, table.canaries, { route: asker.route ?? service, service }, trace)
}

/** The name of the side; `none` when nothing has anything to say. */
export const sideOf = (table: Table, asker: Asker = {}): string => askSide(table, asker)?.side?.name ?? 'none'
