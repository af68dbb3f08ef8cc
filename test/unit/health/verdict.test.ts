import { expect, test } from 'vitest'
import type { InstanceView, RegistryView, ServiceView } from '../../../src/core/views.ts'
import { judgeHealth } from '../../../src/health/verdict.ts'
import { anInstanceView, aServiceView } from '../../support/views.ts'

const INSTANCE = anInstanceView('shop-1', {
  key: 'consul/dc1/n1/shop-1',
  address: '10.0.0.7:8080',
  node: 'n1',
})
const SERVICE = aServiceView('shop', [INSTANCE])
const registries = (state: RegistryView['status']['state']): RegistryView[] => [
  { name: 'consul', type: 'consul', status: { state } },
]

function verdict(
  instance: Partial<InstanceView>,
  service: Partial<ServiceView> = {},
  state: RegistryView['status']['state'] = 'live',
  name: string | undefined = 'shop-1',
) {
  const all = { ...SERVICE, instances: [{ ...INSTANCE, ...instance }], ...service }
  return judgeHealth({ service: all, registries: registries(state), instance: name }).verdict
}

test.each(['shop-1', 'consul/dc1/n1/shop-1', '10.0.0.7:8080', '10.0.0.7', 'n1'])(
  'an instance may be named %s',
  (name) => expect(verdict({}, {}, 'live', name)).toBe('healthy'),
)

test.each<[string, string, Partial<InstanceView>]>([
  ['a passing one', 'healthy', {}],
  ['one with a warning', 'healthy', { state: 'warning' }],
  ['one that drains', 'healthy', { state: 'draining', use: 'out' }],
  ['one in maintenance', 'healthy', { state: 'maintenance', use: 'out' }],
  ['one with a failed check', 'unhealthy', { state: 'critical', use: 'out' }],
  [
    'one whose node is silent',
    'unknown',
    {
      state: 'critical',
      use: 'out',
      checks: [
        { id: 'serfHealth', state: 'critical', output: 'Agent not live or unreachable', expired: true },
        { id: 'service:shop-1', state: 'critical', output: 'TTL expired', expired: true },
      ],
    },
  ],
  [
    'one whose check failed before its node fell silent',
    'unhealthy',
    {
      state: 'critical',
      use: 'out',
      checks: [
        { id: 'serfHealth', state: 'critical', output: 'Agent not live or unreachable', expired: true },
        { id: 'service:shop-1', state: 'critical', output: 'no database' },
      ],
    },
  ],
  [
    'one whose beats stopped while its node is heard',
    'unhealthy',
    {
      state: 'critical',
      use: 'out',
      checks: [{ id: 'service:shop-1', state: 'critical', output: 'TTL expired', expired: true }],
    },
  ],
  ['one that refuses connections', 'unhealthy', { use: 'ejected', reason: 'refused' }],
  ['one that a guard holds', 'unknown', { use: 'reserve', reason: 'held: all vanished' }],
])('%s is %s', (_what, expected, instance) => {
  expect(verdict(instance)).toBe(expected)
})

test('what a registry said before it fell silent proves nothing', () => {
  const failed = { state: 'critical', use: 'out' } as const
  expect(verdict(failed, {}, 'stale')).toBe('unknown')
  expect(verdict(failed, { source: 'stale' })).toBe('unknown')
  expect(verdict({ use: 'ejected' }, {}, 'stale'), 'that is what the gateway saw itself').toBe('unhealthy')
})

test('what is not known is nobody’s fault', () => {
  expect(verdict({}, {}, 'live', 'other')).toBe('unknown')
  expect(judgeHealth({ service: undefined, registries: [], instance: undefined }).verdict).toBe('unknown')
  const twins = [INSTANCE, { ...INSTANCE, id: 'shop-2', key: 'consul/dc1/n1/shop-2', address: '10.0.0.7:81' }]
  expect(verdict({}, { instances: twins }, 'live', '10.0.0.7')).toBe('unknown')
})

test('a service is unhealthy when none of its instances can be used', () => {
  const whole = (service: Partial<ServiceView>) =>
    judgeHealth({ service: { ...SERVICE, ...service }, registries: registries('live'), instance: undefined })
      .verdict
  expect(whole({})).toBe('healthy')
  expect(whole({ available: 0 })).toBe('unhealthy')
  expect(whole({ available: 0, source: 'stale' })).toBe('unknown')
  expect(whole({ available: 0, instances: [] })).toBe('unknown')
})

const whole = (service: ServiceView, all: RegistryView[]) =>
  judgeHealth({ service, registries: all, instance: undefined })

test('a registry that lists nobody of a service may have somebody once it answers', () => {
  const down = {
    ...SERVICE,
    available: 0,
    instances: [{ ...INSTANCE, state: 'critical', use: 'out' } as const],
  }
  const other = { name: 'other', type: 'consul', status: { state: 'failed' } } as const
  const both = [...registries('live'), other]
  expect(whole(down, both)).toEqual({ verdict: 'unknown', reason: 'registry other is failed' })
  expect(whole({ ...down, source: 'static' }, both).verdict, 'nobody else can').toBe('unhealthy')
  const one = judgeHealth({ service: down, registries: both, instance: 'shop-1' })
  expect(one.verdict, 'its own registry answers').toBe('unhealthy')
})

test('a service whose instances can be used is healthy; the reason says how old that is', () => {
  expect(whole(SERVICE, registries('stale'))).toEqual({
    verdict: 'healthy',
    reason: '1 of 1 can be used, as last known: registry consul is stale',
  })
  expect(whole(SERVICE, registries('live')).reason).toBe('1 of 1 can be used')
})

test('a service all of whose nodes are silent is unknown, as each of its instances is', () => {
  const silent: InstanceView = {
    ...INSTANCE,
    state: 'critical',
    use: 'out',
    checks: [{ id: 'serfHealth', state: 'critical', output: '', expired: true }],
  }
  const failed: InstanceView = { ...INSTANCE, id: 'shop-2', state: 'critical', use: 'out' }
  const of = (...instances: InstanceView[]) =>
    whole({ ...SERVICE, available: 0, instances }, registries('live')).verdict
  expect(of(silent)).toBe('unknown')
  expect(of(silent, failed), 'one has failed for certain, and nobody can be used').toBe('unhealthy')
})
