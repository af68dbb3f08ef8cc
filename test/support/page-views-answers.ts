import type { FleetView } from '../../src/core/fleet-view.ts'
import type { RefusalsView } from '../../src/core/refusal-view.ts'
import type { CanaryView, ReleaseView, RouteView, TablesView } from '../../src/core/views.ts'

/** Answers of the admin API for views that show releases, tables, refusals and the like; `name` may be hostile. */

const MINUTE = 60_000

function release(now: number, over: Partial<ReleaseView>): ReleaseView {
  const plan = [
    { percent: 1, forMs: 10 * MINUTE, minRequests: 500, isHold: false },
    { percent: 5, forMs: 30 * MINUTE, minRequests: 2000, isHold: false },
    { percent: 25, forMs: 60 * MINUTE, minRequests: 5000, isHold: false },
    { percent: 50, forMs: 0, minRequests: 0, isHold: true },
    { percent: 100, forMs: 1440 * MINUTE, minRequests: 0, isHold: false },
  ]
  const none = { canary: { total: 0, bad: 0 }, stable: { total: 0, bad: 0 } }
  return {
    status: 'ramping',
    percent: 5,
    step: 2,
    steps: plan.length,
    plan,
    since: now - 18 * MINUTE,
    by: 'ramp',
    reason: 'waits for: 12 min more; 760 more requests of the canary',
    counts: { canary: { total: 1240, bad: 5 }, stable: { total: 23_480, bad: 61 } },
    checks: [
      { name: 'error-ratio', suspicion: 0.12, failures: 0 },
      { name: 'latency-p95', suspicion: 0.63, failures: 0 },
      { name: 'prometheus', suspicion: 0, failures: 1 },
    ],
    history: [
      {
        at: now - 40 * MINUTE,
        status: 'waiting',
        percent: 0,
        by: 'ramp',
        reason: 'before its start',
        counts: none,
      },
      {
        at: now - 30 * MINUTE,
        status: 'ramping',
        percent: 1,
        by: 'ramp',
        reason: 'its start has come',
        counts: none,
      },
      {
        at: now - 18 * MINUTE,
        status: 'ramping',
        percent: 5,
        by: 'ramp',
        reason: 'nothing bad was found',
        counts: { canary: { total: 612, bad: 2 }, stable: { total: 60_210, bad: 140 } },
      },
    ],
    ...over,
  }
}

function canary(name: string, service: string, over: Partial<CanaryView>): CanaryView {
  const percent = over.release?.percent ?? 0
  return {
    name,
    kind: 'canary',
    source: '/etc/sluice/canary.d/shop.yaml:3:5',
    services: [service],
    routes: [],
    percent,
    state: 'led',
    isLive: true,
    releasedPins: false,
    match: ['testers: user (3 listed) -> canary'],
    keys: ['user', 'header x-device'],
    cookie: 'sluice-bucket',
    forward: 'x-sluice-canary',
    whenEmpty: 'stable',
    hasRamp: true,
    sides: [
      { service, name: 'canary', select: 'version 2.0.*', percent, instances: 2, available: 2 },
      {
        service,
        name: 'stable',
        select: 'everything else',
        percent: 100 - percent,
        instances: 6,
        available: 6,
      },
    ],
    ...over,
  }
}

export function canariesAnswer(now: number, name = 'catalog-v2') {
  const aborted = 'error-ratio: canary 34 of 210 (16.2 %), stable 61 of 23,480 (0.3 %)'
  const canaries: CanaryView[] = [
    canary(name, 'catalog', { release: release(now, {}) }),
    canary('checkout-v5', 'checkout', {
      release: release(now, {
        status: 'holding',
        percent: 50,
        step: 4,
        reason: 'nothing bad was found; a person has to promote',
        counts: { canary: { total: 18_200, bad: 12 }, stable: { total: 18_440, bad: 15 } },
        checks: [
          { name: 'error-ratio', suspicion: 0, failures: 0 },
          { name: 'contract', suspicion: 1, failures: 1, breaches: ['$.items[].price: number, now string'] },
        ],
      }),
    }),
    canary('search-next', 'search', {
      release: release(now, {
        status: 'aborted',
        percent: 0,
        step: 0,
        since: now - 4 * MINUTE,
        reason: aborted,
        counts: { canary: { total: 0, bad: 0 }, stable: { total: 0, bad: 0 } },
        checks: [{ name: 'error-ratio', suspicion: 0, failures: 0 }],
      }),
    }),
    canary('blue', 'cart', {
      kind: 'lane',
      services: ['cart', 'orders'],
      hasRamp: false,
      isLive: false,
      state: 'file',
      percent: 1,
      match: ['1: claim team is "blue" -> blue'],
      sides: [
        { service: 'cart', name: 'blue', select: 'meta lane blue', percent: 1, instances: 1, available: 1 },
        { service: 'orders', name: 'blue', select: 'meta lane blue', percent: 1, instances: 1, available: 0 },
      ],
    }),
  ]
  return { canaries, decides: true }
}

export function tablesAnswer(now: number, text = 'api'): TablesView {
  const version = (number: number, minutes: number, cause: string, changes: string[]) => ({
    version: number,
    id: `b7c2${number}9f0e51ad7733`,
    createdAt: now - minutes * MINUTE,
    cause,
    routes: 24,
    services: 12,
    instances: 96,
    changes,
    isCurrent: number === 42,
  })
  return {
    current: 42,
    versions: [
      version(42, 3, 'consul: catalog', [
        '+ instance catalog 10.0.3.7:8080',
        '- instance catalog 10.0.3.2:8080',
      ]),
      version(41, 22, 'reload', [
        `+ route ${text}-v2`,
        `~ route ${text} (match, filters)`,
        '- route legacy',
        ...Array.from({ length: 20 }, (_, index) => `~ service orders-${index} (timeouts)`),
      ]),
      version(40, 190, 'canary catalog-v2: 1% -> 5%', ['~ canary catalog-v2 (percent)']),
      version(39, 1500, 'start', []),
    ],
    rejection: {
      at: now - 2 * MINUTE,
      cause: 'routes.d/shop.yaml',
      message: `routes.d/shop.yaml:12:7  error  key "pathPrefx" is not known (routes[3].match); did you mean pathPrefix?\n   12 |     match: { pathPrefx: /${text} }\n      |              ^`,
    },
    warnings: [`route "${text}-old" never matches: "${text}" takes all of its requests`],
    problems: ['consul: service "images": tag sluice.weight=abc: not a number'],
  }
}

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
    primary: '"1#.##"',
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

export function fleetAnswer(now: number, name = 'edge-3'): FleetView {
  const gateway = (id: string, over: object) => ({
    id,
    name: `${id}:4121`,
    role: 'gateway' as const,
    address: '10.0.9.1:8080',
    admin: `http://${id}.internal:8081`,
    version: '0.1.0',
    startedAt: now - 7_400_000,
    table: { version: 42, id: 'b7c2429f0e51ad77' },
    state: 'ready' as const,
    seenAt: now - 800,
    isSelf: false,
    isStale: false,
    isCut: false,
    ...over,
  })
  return {
    at: now,
    exchange: 'the key-value store of consul',
    gateways: [
      gateway('edge-1', { isSelf: true }),
      gateway('edge-2', { table: { version: 17, id: 'aa01429f0e51ad77' }, state: 'draining' }),
      gateway('edge-3', { name, isStale: true, seenAt: now - 95_000 }),
      gateway('watch', { role: 'monitor', address: '' }),
    ],
    instances: {
      'consul/dc1/node-3/catalog-7': [
        { gateway: 'edge-1', use: 'rotation', inFlight: 4, rps: 31.2, errorRatio: 0, p99: 82 },
        {
          gateway: 'edge-2',
          use: 'ejected',
          reason: '5 failures of the gateway in a row; back in 30 s',
          inFlight: 0,
        },
      ],
    },
  }
}

export function auditAnswer(now: number, detail = 'wrong prices') {
  const entry = (minutes: number, over: object) => ({
    at: now - minutes * MINUTE,
    who: 'maria',
    address: '10.0.0.8',
    action: 'reload',
    target: '',
    detail: '',
    outcome: 'done',
    ...over,
  })
  return {
    entries: [
      entry(1, { action: 'canary abort', target: 'search-next', detail }),
      entry(4, {
        action: 'rollback',
        target: 'table 40',
        diff: ['- route api-v2', '~ route api (match)', '+ route legacy'],
      }),
      entry(9, { outcome: 'rejected' }),
      entry(14, {
        who: 'read token',
        action: 'drain',
        target: 'consul/dc1/node-3/catalog-7',
        outcome: 'refused',
      }),
      entry(40, { who: 'admin token', action: 'canary promote', target: 'catalog-v2', detail: 'looks good' }),
    ],
  }
}

export const toolsAnswer = () => ({
  tools: [
    { name: 'consul', title: 'Consul', path: '/tools/consul/ui/' },
    { name: 'grafana', title: 'Grafana', path: '/tools/grafana/' },
    { name: 'prometheus', title: 'Prometheus', path: '/tools/prometheus/' },
  ],
})

export function requestAnswer(now: number, name = 'shop') {
  return {
    id: '5f3a9c21',
    requestId: '01J8Z3F7Q0001MWK2',
    at: now - 21_000,
    client: '203.0.113.9',
    principal: { id: 'u-1007', kind: 'jwt' },
    table: { version: 42, id: 'b7c2' },
    request: { method: 'GET', target: '/cart/7?x=1', authority: 'shop.example.com' },
    steps: ['host shop.example.com, path /cart/7', 'host shop.example.com: 3 routes'],
    candidates: [
      { route: 'shop-all', result: 'outranked', reason: `by ${name}: longer prefix` },
      { route: 'shop-beta', result: 'lost', reason: 'condition not met: header x-beta' },
      { route: name, result: 'won', reason: 'every condition met, none ranks higher' },
    ],
    result: 'route',
    host: 'shop.example.com',
    path: '/cart/7',
    route: name,
    source: '/etc/sluice/routes.d/shop.yaml:2:5',
    action: 'proxy',
    params: { id: '7' },
    filters: [
      { name: 'sign-in', type: 'jwt', verdict: 'passed', ms: 0.412 },
      { name: 'fair-use', type: 'rate-limit', verdict: 'passed', ms: 0.061 },
      {
        name: 'new-networks',
        type: 'ip-deny',
        isDryRun: true,
        verdict: 'would refuse',
        status: 403,
        code: 'GW_AUTH_IP',
        reason: '203.0.113.9 is in 203.0.113.0/24',
      },
      {
        name: 'security-headers',
        type: 'security-headers',
        verdict: 'passed',
        outbound: { verdict: 'passed', ms: 0.02 },
      },
    ],
    service: 'cart',
    serviceSource: 'live',
    upstreamTarget: '/cart/7?x=1',
    canary: {
      rule: 'cart-v2',
      side: 'canary',
      steps: ['cart-v2: bucket 412 of 10000 is below 500 -> canary'],
      headers: { 'x-sluice-canary': 'cart-v2=canary' },
      bucket: 412,
    },
    instances: [
      {
        key: 'a',
        address: '10.0.3.7:8080',
        version: '1.4.0',
        eligible: false,
        reason: 'not of side canary; used when nobody of it is there',
      },
      { key: 'b', address: '10.0.3.8:8080', version: '2.0.0', eligible: true, reason: 'passing, weight 1' },
      {
        key: 'c',
        address: '10.0.3.9:8080',
        version: '2.0.0',
        eligible: false,
        reason: 'ejected for 12 s: 5 failures of the gateway in a row',
      },
    ],
    timeouts: { connectMs: 1000, headersMs: 15_000, idleMs: 60_000, totalMs: 60_000, perTryMs: 0 },
    retries: {
      attempts: 2,
      on: ['connect-failure', 'reset'],
      statuses: [],
      idempotencyKey: false,
      replayBytes: 65_536,
    },
    attempts: [
      { instance: 'c', address: '10.0.3.9:8080', version: '2.0.0', outcome: 'upstream_connect', ms: 1000.4 },
      { instance: 'b', address: '10.0.3.8:8080', version: '2.0.0', status: 200, outcome: 'ok', ms: 18.21 },
    ],
    status: 200,
    outcome: 'ok',
    ms: 1019.7,
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

export function alertsAnswer(now: number, summary = 'only 1 of 4 instances is healthy, 2 are wanted') {
  const alert = (id: string, over: object) => ({
    id,
    rule: 'enough',
    kind: 'minHealthy',
    severity: 'critical',
    service: 'checkout',
    summary,
    activeAt: now - 190_000,
    since: now - 130_000,
    state: 'firing',
    labels: { team: 'shop' },
    ...over,
  })
  return {
    alerts: [
      alert('a1', {}),
      alert('a2', {
        rule: 'skew',
        kind: 'versionSkew',
        severity: 'warning',
        service: 'cart',
        summary: 'two versions for longer than 1 h: 2.0.4, 2.1.0',
        since: now - 4_000_000,
        labels: {},
      }),
      alert('a3', {
        rule: 'fresh',
        kind: 'registryStale',
        severity: 'warning',
        service: '',
        registry: 'legacy',
        summary: 'no answer for 95 s: no connection to zk1:2181',
        labels: {},
      }),
      alert('a4', {
        rule: 'flapping',
        kind: 'flapping',
        severity: 'info',
        service: 'search',
        instance: 'k/search-0',
        address: '10.0.1.1:8080',
        summary: '6 changes in 9 min',
        state: 'resolved',
        resolvedAt: now - 60_000,
        labels: {},
      }),
    ],
  }
}

export function historyAnswer(now: number, reason = 'TTL expired') {
  const one = { service: 'cart', key: 'consul/dc1/node-0/cart-0', address: '10.1.0.1:8080', version: '2.0.4' }
  const at = (minutes: number) => now - minutes * MINUTE
  return {
    from: at(2900),
    flapping: [{ ...one, changes: 6, since: at(9) }],
    registries: [
      { at: at(5), registry: 'legacy', from: 'live', to: 'stale', reason: 'no connection to zk1:2181' },
      { at: at(2900), registry: 'consul', to: 'live' },
    ],
    entries: [
      { ...one, at: at(1), what: 'returned', to: 'passing' },
      { ...one, at: at(2), what: 'ejected', to: 'ejected', reason: '5 failures of the gateway in a row' },
      { ...one, at: at(9), what: 'changed', from: 'critical', to: 'passing' },
      { ...one, at: at(11), what: 'changed', from: 'passing', to: 'critical', reason },
      {
        ...one,
        at: at(1500),
        what: 'left',
        from: 'passing',
        to: 'gone',
        away: true,
        address: '10.1.0.9:8080',
      },
      { ...one, at: at(1700), what: 'appeared', to: 'passing' },
    ],
  }
}

/** Everything above by path. `hostile`: takes the place of names and reasons. */
export function viewsAnswers(now: number, hostile?: string): Record<string, unknown> {
  const request = requestAnswer(now, hostile)
  return {
    '/api/canaries': canariesAnswer(now, hostile),
    '/api/tables': tablesAnswer(now, hostile),
    '/api/refusals': refusalsAnswer(now, hostile),
    '/api/mirror': mirrorAnswer(now, hostile),
    '/api/contracts': contractsAnswer(now, hostile),
    '/api/fleet': fleetAnswer(now, hostile),
    '/api/audit': auditAnswer(now, hostile),
    '/api/tools': toolsAnswer(),
    '/api/requests': { requests: [request], isEnabled: true },
    [`/api/requests/${request.id}`]: request,
    '/api/routes': moreRoutes(hostile),
    '/api/alerts': alertsAnswer(now, hostile),
    '/api/history': historyAnswer(now, hostile),
    '/api/session': { canWrite: true, who: 'maria' },
  }
}
