import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Metrics } from '../../../plugins/metrics.ts'
import type { TablesView, TopologyView } from '../../../src/core/views.ts'
import { NOT_OVERLOADED } from '../../support/overload.ts'
import { aRecord } from '../../support/records.ts'

const TOPOLOGY: TopologyView = {
  at: 0,
  gateway: { version: '1', state: 'ready', startedAt: 0, table: 1, routes: 1 },
  registries: [
    { name: 'consul', type: 'consul', status: { state: 'live', lastSuccess: 5000, lagMs: 20 } },
    { name: 'other', type: 'file', status: { state: 'failed' } },
  ],
  services: [],
  problems: [],
}
const TABLES: TablesView = { current: 1, versions: [], warnings: [], problems: [] }

const createMetrics = (maxSeries = 2000) =>
  new Metrics({
    maxSeries,
    version: '1.2.3',
    topology: () => TOPOLOGY,
    tables: () => TABLES,
    canaries: () => [],
    decidesCanaries: () => false,
    tunnels: () => 2,
    overload: () => NOT_OVERLOADED,
    connections: async () => new Map([['http', 4]]),
    certificates: () => new Map([['a.pem', 1_000_000]]),
    keyAges: () => new Map([['login', 12]]),
    monitor: {
      alertCounts: () => [
        { rule: 'ServiceDown', severity: 'critical', firing: 2 },
        { rule: 'RegistryStale', severity: 'warning', firing: 0 },
      ],
      unwritten: 3,
    },
  })

const linesOf = async (metrics: Metrics, name: string) =>
  (await metrics.expose()).body.split('\n').filter((line) => line.startsWith(name) && !line.startsWith('#'))

test('counts requests by route, service, known method and class', async () => {
  const metrics = createMetrics()
  metrics.record(aRecord())
  metrics.record(aRecord({ status: 503, outcome: 'no_instance' }))
  metrics.record(
    aRecord({ method: 'BREW', status: 404, outcome: 'no_route', route: undefined, service: undefined }),
  )
  expect(await linesOf(metrics, 'sluice_requests_total')).toEqual([
    'sluice_requests_total{route="shop",service="shop",method="GET",code_class="2xx"} 1',
    'sluice_requests_total{route="shop",service="shop",method="GET",code_class="5xx"} 1',
    'sluice_requests_total{route="_none",service="",method="_other",code_class="4xx"} 1',
  ])
  expect(
    await linesOf(metrics, 'sluice_request_outcomes_total{route="shop",outcome="no_instance"}'),
  ).toHaveLength(1)
})

test('a histogram is cumulative, in seconds, and leaves tunnels out', async () => {
  const metrics = createMetrics()
  for (const totalMs of [0.5, 3, 3, 20_000]) metrics.record(aRecord({ totalMs }))
  metrics.record(aRecord({ totalMs: 3_600_000, isUpgrade: true }))
  const lines = await linesOf(metrics, 'sluice_request_duration_seconds')
  const sampleOf = (label: string) =>
    lines
      .find((line) => line.includes(label))
      ?.split(' ')
      .at(-1)
  expect(sampleOf('le="0.001"')).toBe('1')
  expect(sampleOf('le="0.005"')).toBe('3')
  expect(sampleOf('le="10"')).toBe('3')
  expect(sampleOf('le="+Inf"')).toBe('4')
  expect(sampleOf('_count')).toBe('4')
  expect(Number(sampleOf('_sum'))).toBeCloseTo(20.0065)
})

test('series beyond the cap count under _other, and nothing is lost', async () => {
  const metrics = createMetrics(100)
  for (let i = 0; i < 300; i++) metrics.record(aRecord({ route: `route-${i}`, service: `service-${i}` }))
  const lines = await linesOf(metrics, 'sluice_requests_total')
  expect(lines.length).toBeLessThanOrEqual(101)
  const total = lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  expect(total).toBe(300)
  expect(lines.some((line) => line.includes('route="_other"'))).toBe(true)
  const [overflows] = await linesOf(metrics, 'sluice_metrics_overflows_total')
  expect(Number(overflows?.split(' ').at(-1))).toBeGreaterThanOrEqual(200)
})

test('latencies of routes beyond 15 % of the cap count under _other, and outcomes beyond the cap', async () => {
  const metrics = createMetrics(100)
  for (let i = 0; i < 50; i++) {
    for (const outcome of ['ok', 'reset', 'deadline'] as const) {
      metrics.record(aRecord({ route: `route-${i}`, outcome }))
    }
  }
  const durations = await linesOf(metrics, 'sluice_request_duration_seconds_count')
  expect(durations.length).toBeLessThanOrEqual(16)
  const sum = (lines: readonly string[]) =>
    lines.reduce((total, line) => total + Number(line.split(' ').at(-1)), 0)
  expect(sum(durations)).toBe(150)
  const outcomes = await linesOf(metrics, 'sluice_request_outcomes_total')
  expect(outcomes.length).toBeLessThanOrEqual(104)
  expect(sum(outcomes)).toBe(150)
})

test('removed routes take their series along and give their room back', async () => {
  const metrics = createMetrics(100)
  for (let i = 0; i < 100; i++) metrics.record(aRecord({ route: `route-${i}` }))
  metrics.keepOnly(new Set(['route-7']), new Set(), new Set())
  metrics.record(aRecord({ route: 'fresh' }))
  const routes = (await linesOf(metrics, 'sluice_requests_total')).map(
    (line) => /route="([^"]+)"/.exec(line)?.[1],
  )
  expect(routes).toEqual(['route-7', 'fresh'])
})

test('ejections of services beyond the cap count under _other; those of removed services go', async () => {
  const metrics = createMetrics(99)
  for (let i = 0; i < 50; i++) metrics.ejection(`service-${i}`, 'ejected')
  const lines = await linesOf(metrics, 'sluice_ejections_total')
  expect(lines).toHaveLength(34)
  expect(lines).toContain('sluice_ejections_total{service="_other",kind="ejected"} 17')
  metrics.keepOnly(new Set(), new Set(['service-3']), new Set())
  expect(await linesOf(metrics, 'sluice_ejections_total{service="service-')).toEqual([
    'sluice_ejections_total{service="service-3",kind="ejected"} 1',
  ])
  metrics.ejection('fresh', 'returned')
  expect(await linesOf(metrics, 'sluice_ejections_total{service="fresh"')).toHaveLength(1)
})

test('a label value with quotes and newlines cannot break the format', async () => {
  const metrics = createMetrics()
  metrics.record(aRecord({ route: 'a"b\nc\\d' }))
  const [line] = await linesOf(metrics, 'sluice_requests_total')
  expect(line).toContain('route="a\\"b\\nc\\\\d"')
})

test('registries show state, age and lag', async () => {
  const metrics = createMetrics()
  expect(await linesOf(metrics, 'sluice_registry_')).toEqual(
    expect.arrayContaining([
      'sluice_registry_state{registry="consul",state="live"} 1',
      'sluice_registry_state{registry="other",state="failed"} 1',
      'sluice_registry_last_success_timestamp_seconds{registry="consul"} 5',
      'sluice_registry_lag_seconds{registry="consul"} 0.02',
    ]),
  )
})

test('docs/metrics.md lists exactly the metrics that there are', async () => {
  const { body } = await createMetrics().expose()
  const exposed = [...body.matchAll(/^# TYPE (sluice_\S+) (\S+)$/gm)].map(
    ([, name, type]) => `${name} ${type}`,
  )
  const page = readFileSync(join(import.meta.dirname, '../../../docs/metrics.md'), 'utf8')
  const listed = [...page.matchAll(/^\|\s*`(sluice_\S+)`\s*\|\s*(\w+)/gm)].map(
    ([, name, type]) => `${name} ${type}`,
  )
  expect(listed.sort()).toEqual(exposed.sort())
})
