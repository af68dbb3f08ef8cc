import type { RefusalsView } from '../../src/core/refusal-view.ts'
import type { RouteView } from '../../src/core/views.ts'

/** Answers about routes and what became of requests; the last argument may be hostile and takes the place of a text. */

export function refusalsAnswer(now: number, reason = 'rule 942100: SQL injection in ARGS:q'): RefusalsView {
  const one = (index: number, over: object) => ({
    at: now - index * 7000,
    requestId: `01J8Z3F7Q${String(index).padStart(4, '0')}MWK2`,
    route: 'shop',
    filter: 'fair-use',
    type: 'rate-limit',
    code: 'GW_RATE_LIMITED',
    status: 429,
    client: `203.0.113.${index % 9}`,
    reason: 'limit "per client": 100 in 60 s',
    ...over,
  })
  const waf = {
    filter: 'firewall',
    type: 'waf',
    code: 'GW_WAF_BLOCKED',
    status: 403,
    reason,
    route: 'search',
  }
  const jwt = {
    filter: 'sign-in',
    type: 'jwt',
    code: 'GW_AUTH_TOKEN',
    status: 401,
    reason: 'the token is over since 12 s',
    route: 'orders',
  }
  return {
    refusals: Array.from({ length: 60 }, (_, index) =>
      one(index, index % 4 === 1 ? waf : index % 7 === 2 ? jwt : {}),
    ),
    counts: [
      { route: 'shop', filter: 'fair-use', code: 'GW_RATE_LIMITED', total: 18_204, lastMinute: 214 },
      { route: 'search', filter: 'firewall', code: 'GW_WAF_BLOCKED', total: 912, lastMinute: 11 },
      { route: 'orders', filter: 'sign-in', code: 'GW_AUTH_TOKEN', total: 77, lastMinute: 0 },
      { route: '', filter: 'overload', code: 'GW_OVERLOADED', total: 3, lastMinute: 0 },
    ],
  }
}

export function mirrorAnswer(now: number, path = '$.items[].price') {
  const example = {
    at: now - 4000,
    request: 'GET /catalog/7',
    kind: 'changed',
    primary: path,
    mirror: '1#.##',
  }
  const place = (over: object) => ({
    kinds: { changed: 210 },
    differs: 210,
    share: 0.105,
    noiseShare: 0,
    isNoise: false,
    firstSeen: now - 9e6,
    lastSeen: now - 4000,
    examples: [example],
    ...over,
  })
  return {
    mirrors: [
      {
        mirror: 'catalog-api',
        target: { service: 'catalog-next', version: '3.*' },
        percent: 20,
        inFlight: 3,
        results: { ok: 9820, error: 41, timeout: 12, dropped: 7, too_large: 2 },
        uncompared: 31,
        report: {
          compared: 2000,
          noiseCompared: 120,
          different: 214,
          equal: 1786,
          elsewhere: 0,
          paths: [
            place({ path, kinds: { retyped: 208, changed: 2 } }),
            place({ path: '$.links.next', kinds: { missing: 4 }, differs: 4, share: 0.002, examples: [] }),
            place({
              path: '$.requestId',
              kinds: { changed: 2000 },
              differs: 2000,
              share: 1,
              noiseShare: 1,
              isNoise: true,
              examples: [],
            }),
          ],
        },
      },
      {
        mirror: 'service orders',
        target: { version: '2.*' },
        percent: 100,
        inFlight: 0,
        pausedMs: 16_000,
        results: { paused: 120, error: 8 },
        uncompared: 0,
      },
    ],
  }
}

export function contractsAnswer(now: number, path = '$.items[].price') {
  const version = (text: string, answers: number) => ({
    version: text,
    service: 'catalog',
    answers,
    fields: 41,
    isCut: false,
    firstSeen: now - 9e7,
    lastSeen: now - 3000,
  })
  return {
    contracts: [
      {
        route: 'catalog-api',
        versions: [version('1.9', 80_210), version('2.0', 4120)],
        hasSchema: false,
        breaches: [
          {
            route: 'catalog-api',
            service: 'catalog',
            version: '2.0',
            against: '1.9',
            kind: 'retyped',
            path,
            before: 'number',
            after: 'string',
            count: 196,
            answers: 200,
            firstSeen: now - 600_000,
          },
          {
            route: 'catalog-api',
            service: 'catalog',
            version: '2.0',
            kind: 'dropped',
            path: '$.total',
            before: 'number',
            after: 'absent',
            count: 12,
            answers: 200,
            firstSeen: now - 300_000,
          },
        ],
      },
      { route: 'orders', versions: [version('7', 900)], hasSchema: true, breaches: [] },
    ],
  }
}

export function moreRoutes(name = 'shop'): { routes: RouteView[] } {
  const route = (own: string, over: Partial<RouteView>): RouteView => ({
    name: own,
    source: '/etc/sluice/routes.d/shop.yaml:2:5',
    priority: 0,
    hosts: ['shop.example.com'],
    path: { kind: 'prefix', value: `/${own}` },
    methods: [],
    conditions: [],
    action: 'proxy',
    target: own,
    services: [own],
    filters: [],
    labels: {},
    canaries: [],
    ...over,
  })
  return {
    routes: [
      route(name, {
        hosts: ['shop.example.com', '*.shop.example.com'],
        path: { kind: 'prefix', value: '/cart' },
        target: 'cart',
        services: ['cart'],
        filters: ['sign-in (jwt)', 'fair-use (rate-limit)', 'security-headers'],
        canaries: ['cart-v2', 'blue'],
        class: 'authenticated',
        labels: { team: 'cart' },
      }),
      route('shop-beta', {
        conditions: ['header x-beta present', 'client in 10.0.0.0/8'],
        methods: ['GET', 'POST'],
      }),
      route('orders', {
        hosts: ['api.example.com'],
        path: { kind: 'exact', value: '/orders/{id}' },
        filters: ['sign-in (jwt)'],
      }),
      route('search', {
        filters: ['firewall (waf)'],
        target: 'search 90, search-next 10',
        services: ['search', 'search-next'],
      }),
      route('old', { hosts: [], action: 'redirect', target: '308 https', services: [] }),
    ],
  }
}
