import type { DynamicConfig, RouteMatch, RouteSpec } from '../../src/core/route.ts'
import type { RegistryState } from '../../src/core/types.ts'
import { compileTable } from '../../src/routing/compile.ts'
import { decide } from '../../src/routing/decide.ts'
import { shapeOf } from '../../src/routing/request-shape.ts'
import type { Decision, Table } from '../../src/routing/table.ts'
import { aPolicy } from './exchange.ts'

export const NO_EDITS = { remove: [], set: {}, add: {} }
export const NOBODY: RegistryState = { services: new Map(), problems: [] }

/** A route with these parts; it goes to the service of its own name. */
export function aRoute(
  name: string,
  match: Partial<RouteMatch> = {},
  own: Partial<RouteSpec> = {},
): RouteSpec {
  return {
    name,
    source: `${name}.yaml:1:1`,
    priority: 0,
    match: {
      hosts: [],
      path: { kind: 'prefix', value: '/' },
      methods: [],
      headers: [],
      query: [],
      cookies: [],
      clientNetworks: [],
      ...match,
    },
    action: { kind: 'proxy', targets: [{ service: name, weight: 1 }], host: 'preserve' },
    filters: [],
    requestHeaders: NO_EDITS,
    responseHeaders: NO_EDITS,
    timeouts: {},
    retries: {},
    labels: {},
    ...own,
  }
}

/** `exact /a`, `prefix /a`, `regex /a.*` as a path match. */
export function path(text: string): RouteMatch['path'] {
  const [kind, value] = text.split(' ') as [RouteMatch['path']['kind'], string]
  return { kind, value }
}

export function configOf(routes: readonly RouteSpec[], own: Partial<DynamicConfig> = {}): DynamicConfig {
  return {
    routes,
    services: [],
    defaultPolicy: aPolicy({ name: '' }),
    hostFallback: false,
    mergeSlashes: true,
    ...own,
  }
}

export function tableOf(
  routes: readonly RouteSpec[],
  own: Partial<DynamicConfig> = {},
  registry: RegistryState = NOBODY,
  previous?: Table,
): Promise<Table> {
  return compileTable({
    config: configOf(routes, own),
    declared: [],
    registry,
    version: (previous?.version ?? 0) + 1,
    cause: 'test',
    now: 0,
    ...(previous === undefined ? {} : { previous }),
  })
}

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly clientIp?: string
  readonly roll?: number
}

/** What the table says of a request; `url` without a scheme is a path on `a.example`. */
export function ask(table: Table, url: string, asked: Asked = {}): Decision {
  const full = url.startsWith('http') ? url : `http://a.example${url}`
  const { method = 'GET', headers = {}, clientIp = '192.0.2.1', roll = 0 } = asked
  return decide(shapeOf({ method, url: full, headers, clientIp }, roll), table)
}

/** The route's name, or the code of the refusal. */
export function answer(table: Table, url: string, asked: Asked = {}): string {
  const decision = ask(table, url, asked)
  return decision.kind === 'route' ? decision.route.spec.name : decision.code
}
