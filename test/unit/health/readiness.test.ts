import { expect, test } from 'vitest'
import type { RegistryState, ServiceState } from '../../../src/core/types.ts'
import { type ReadinessInput, readiness } from '../../../src/health/readiness.ts'
import { aTable } from '../../support/exchange.ts'
import { NOT_OVERLOADED } from '../../support/overload.ts'

const EMPTY: RegistryState = { services: new Map(), problems: [] }

const input = (own: Partial<ReadinessInput> = {}): ReadinessInput => ({
  state: 'ready',
  table: aTable(),
  registries: [],
  registry: EMPTY,
  hasSnapshot: false,
  rejection: undefined,
  needsRestart: false,
  overload: NOT_OVERLOADED,
  ...own,
})
const consul = (own: object) => ({
  name: 'consul',
  type: 'consul',
  status: { state: 'live' as const, ...own },
})

test('is ready with a table and an answer of a registry', () => {
  expect(readiness(input({ registries: [consul({ lastSuccess: 1 })] }))).toEqual({
    status: 'ready',
    reasons: [],
    warnings: [],
    table: 1,
  })
})

test('is not ready before the first table', () => {
  const view = readiness(input({ state: 'starting', table: undefined }))
  expect(view.status).toBe('unready')
  expect(view.reasons).toContain('there is no table yet')
})

test('is not ready while no registry has ever answered, unless a snapshot stands in', () => {
  const registries = [consul({ state: 'failed', lastError: { at: 0, code: 'X', message: 'refused' } })]
  expect(readiness(input({ registries })).status).toBe('unready')
  const view = readiness(input({ registries, hasSnapshot: true }))
  expect(view.status).toBe('ready')
  expect(view.warnings).toEqual(['registry consul is failed: refused'])
})

test('stays ready when the registry goes away later, and says so', () => {
  const registries = [consul({ state: 'stale', lastSuccess: 1 })]
  const view = readiness(input({ registries }))
  expect(view.status).toBe('ready')
  expect(view.warnings).toEqual(['registry consul is stale'])
})

test('is draining whatever else holds', () => {
  expect(readiness(input({ state: 'draining' })).status).toBe('draining')
})

test('names what is held, stale, rejected and waiting for a restart', () => {
  const held: ServiceState = {
    name: 'shop',
    instances: [],
    source: 'held',
    reason: 'all gone',
    lastGoodAt: 0,
  }
  const view = readiness(
    input({
      registry: { services: new Map([['shop', held]]), problems: [] },
      rejection: { cause: 'configuration', message: 'a.yaml:1:1 wrong' },
      needsRestart: true,
    }),
  )
  expect(view.status).toBe('ready')
  expect(view.warnings).toEqual([
    'a change (configuration) was rejected: a.yaml:1:1 wrong',
    'the static part of the configuration changed: restart to apply it',
    'service shop is held: all gone',
  ])
})
