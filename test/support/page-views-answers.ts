import type { FleetView } from '../../src/core/fleet-view.ts'
import { canariesAnswer, tablesAnswer } from './page-release-answers.ts'
import { requestAnswer } from './page-request-answers.ts'
import { contractsAnswer, mirrorAnswer, moreRoutes, refusalsAnswer } from './page-traffic-answers.ts'

/** Answers about the gateway and its fleet; the last argument may be hostile and takes the place of a text. */

const MINUTE = 60_000

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
      gateway('edge-3', { name, admin: 'javascript:alert(1)', isStale: true, seenAt: now - 95_000 }),
      gateway('watch', { role: 'monitor', address: '' }),
    ],
    instances: {
      'consul/dc1/node-3/catalog-7': [
        { gateway: 'edge-1', use: 'rotation', inFlight: 4, rps: 31.2, errorRatio: 0, p99: 82 },
        {
          gateway: 'edge-2',
          use: 'ejected',
          reason: `5 failures in a row of ${name}; back in 30 s`,
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
      entry(40, {
        who: detail === 'wrong prices' ? 'admin token' : detail,
        action: 'canary promote',
        target: 'catalog-v2',
        detail: 'looks good',
      }),
    ],
  }
}

export const toolsAnswer = (title = 'Elsewhere') => ({
  tools: [
    { name: 'consul', title: 'Consul', path: '/tools/consul/ui/' },
    { name: 'grafana', title: 'Grafana', path: '/tools/grafana/' },
    { name: 'prometheus', title: 'Prometheus', path: '/tools/prometheus/' },
    { name: 'elsewhere', title, path: 'javascript:alert(1)' },
  ],
})

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
    '/api/canaries': canariesAnswer(now, hostile, hostile),
    '/api/tables': tablesAnswer(now, hostile),
    '/api/refusals': refusalsAnswer(now, hostile),
    '/api/mirror': mirrorAnswer(now, hostile),
    '/api/contracts': contractsAnswer(now, hostile),
    '/api/fleet': fleetAnswer(now, hostile),
    '/api/audit': auditAnswer(now, hostile),
    '/api/tools': toolsAnswer(hostile),
    '/api/requests': { requests: [request], isEnabled: true },
    [`/api/requests/${request.id}`]: request,
    '/api/routes': moreRoutes(hostile),
    '/api/alerts': alertsAnswer(now, hostile),
    '/api/history': historyAnswer(now, hostile),
    '/api/session': { canWrite: true, who: 'maria' },
  }
}
