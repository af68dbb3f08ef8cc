import { expect, test } from 'vitest'
import { DEFAULT_HEALTH } from '../../../src/core/health-policy.ts'
import { load, problemsOf } from '../../support/config.ts'

async function healthOf(yaml: string) {
  const { dynamic } = await load({ 'sluice.yaml': yaml })
  return dynamic.services.find(({ name }) => name === 'shop')?.health
}

test('without a word: ejection, no checks, no breaker, no zones', async () => {
  expect(await healthOf('services: { shop: {} }')).toEqual(DEFAULT_HEALTH)
  const { dynamic } = await load({ 'sluice.yaml': 'defaults: { panic: 0.3 }' })
  expect(dynamic.defaultPolicy.health.panic).toBe(0.3)
})

test('the service over the defaults over ours, key by key', async () => {
  const health = await healthOf(`
defaults:
  outlier: { baseTime: 1m, maxTime: 10m, successRate: { stdevs: 3, minRequests: 10 } }
  breaker: { openFor: 1s }
  check: { path: /live, interval: 3s }
  zone: prefer
services:
  shop:
    outlier: { baseTime: 2s, successRate: { stdevs: 2 } }
    breaker: { minRequests: 7 }
    check: { type: tcp }`)
  expect(health).toMatchObject({
    outlier: {
      baseTimeMs: 2000,
      maxTimeMs: 600_000,
      intervalMs: 10_000,
      successRate: { stdevs: 2, minRequests: 10, minInstances: 5 },
      failurePercent: { percent: 85 },
    },
    breaker: { openForMs: 1000, minRequests: 7, failurePercent: 50 },
    check: { type: 'tcp', path: '/live', intervalMs: 3000, timeoutMs: 2000 },
    zone: 'prefer',
    panic: 0.5,
  })
})

test('a base time beyond the longest one is the longest one', async () => {
  const outlier = async (text: string) =>
    (await healthOf(`services: { shop: { outlier: ${text} } }`))?.outlier
  expect(await outlier('{ baseTime: 20m }')).toMatchObject({ baseTimeMs: 1_200_000, maxTimeMs: 1_200_000 })
  expect(await outlier('{ baseTime: 20m, maxTime: 1m }')).toMatchObject({ maxTimeMs: 60_000 })
})

test('{} turns on, false turns off what the defaults turned on', async () => {
  const on = await healthOf('services: { shop: { breaker: {}, check: {} } }')
  expect(on?.breaker).toMatchObject({ failurePercent: 50, halfOpenProbes: 3 })
  expect(on?.check).toMatchObject({ type: 'http', path: '/health', method: 'GET' })
  expect(on?.check?.expect).toContain(299)
  const off = await healthOf(
    'defaults: { breaker: {}, check: {} }\nservices: { shop: { breaker: false, check: false } }',
  )
  expect([off?.breaker, off?.check]).toEqual([undefined, undefined])
})

test.each([
  ['outlier: { interval: 5ms }', 'shorter than 100ms'],
  ['outlier: { maxEjected: 2 }', 'maxEjected'],
  ['outlier: { failures: 2 }', 'failures'],
  ['check: { path: health }', 'path'],
  ['check: { expect: [] }', 'expect'],
  ['panic: 50', 'panic'],
  ['zone: near', 'zone'],
  ['breaker: true', 'breaker'],
])('%s is a mistake', async (line, text) => {
  const problems = await problemsOf({ 'sluice.yaml': `services:\n  shop:\n    ${line}` })
  expect(problems).toHaveLength(1)
  expect(JSON.stringify(problems)).toContain(text)
})
