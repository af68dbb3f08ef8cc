import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { CanaryMetrics, canaryResult } from '../../../plugins/canary-metrics.ts'
import type { CanaryFinding } from '../../../src/core/record.ts'
import type { CanaryView } from '../../../src/core/views.ts'
import { aRecord } from '../../support/records.ts'

const finding = (own: Partial<CanaryFinding> = {}): CanaryFinding => ({
  rule: 'v2',
  side: 'canary',
  others: [],
  ...own,
})

async function linesOf(metrics: CanaryMetrics, name: string, canaries: readonly CanaryView[] = []) {
  const registry = new Registry()
  metrics.registerIn(registry, { canaries: () => canaries, decidesCanaries: () => true })
  return (await registry.metrics()).split('\n').filter((line) => line.startsWith(name))
}

test.each([
  [{ status: 200, outcome: 'ok' }, 'ok'],
  [{ status: 304, outcome: 'ok' }, 'ok'],
  [{ status: 404, outcome: 'ok' }, 'client'],
  [{ status: 500, outcome: 'ok' }, 'failed'],
  [{ status: 502, outcome: 'connect_failed' }, 'failed'],
  [{ status: 200, outcome: 'reset' }, 'failed'],
  [{ status: 499, outcome: 'client_gone' }, 'gone'],
  [{ status: 408, outcome: 'client_timeout' }, 'gone'],
  [{ status: 413, outcome: 'body_too_large' }, 'client'],
] as const)('%j is %s', (record, result) => expect(canaryResult(record)).toBe(result))

test('counts by rule, side and result', async () => {
  const metrics = new CanaryMetrics()
  metrics.record(aRecord())
  metrics.record(aRecord({ canary: finding() }))
  metrics.record(aRecord({ canary: finding(), status: 500 }))
  metrics.record(aRecord({ canary: finding({ side: 'stable' }) }))
  expect(await linesOf(metrics, 'sluice_canary_requests_total')).toEqual([
    'sluice_canary_requests_total{canary="v2",side="canary",result="ok"} 1',
    'sluice_canary_requests_total{canary="v2",side="canary",result="failed"} 1',
    'sluice_canary_requests_total{canary="v2",side="stable",result="ok"} 1',
  ])
})

test('a stable request counts for each rule that left it alone; a canary one only for its own', async () => {
  const metrics = new CanaryMetrics()
  metrics.record(aRecord({ canary: finding({ rule: 'v3', side: 'stable', others: ['v2'] }) }))
  metrics.record(aRecord({ canary: finding({ rule: 'v3' }) }))
  metrics.record(aRecord({ canary: finding({ rule: 'v3', wanted: 'stable' }) }))
  expect(await linesOf(metrics, 'sluice_canary_requests_total')).toEqual([
    'sluice_canary_requests_total{canary="v3",side="stable",result="ok"} 1',
    'sluice_canary_requests_total{canary="v3",side="canary",result="ok"} 1',
    'sluice_canary_requests_total{canary="v2",side="stable",result="ok"} 1',
  ])
})

test('an empty side is counted, whether another one answered or nobody; what others did is not its doing', async () => {
  const metrics = new CanaryMetrics()
  metrics.record(aRecord({ canary: finding({ side: 'stable', wanted: 'canary' }) }))
  metrics.record(aRecord({ canary: finding(), status: 503, outcome: 'no_instance' }))
  metrics.record(aRecord({ canary: finding() }))
  expect(await linesOf(metrics, 'sluice_canary_empty_total')).toEqual([
    'sluice_canary_empty_total{canary="v2",side="canary"} 2',
  ])
})

test('series of rules that are gone go, too', async () => {
  const metrics = new CanaryMetrics()
  metrics.record(aRecord({ canary: finding() }))
  metrics.keepOnly(new Set())
  expect(await linesOf(metrics, 'sluice_canary_requests_total')).toEqual([])
})

test('the percentage is that of the table in force', async () => {
  const view = { name: 'v2', percent: 12.5 } as CanaryView
  expect(await linesOf(new CanaryMetrics(), 'sluice_canary_percent', [view])).toEqual([
    'sluice_canary_percent{canary="v2"} 12.5',
  ])
})
