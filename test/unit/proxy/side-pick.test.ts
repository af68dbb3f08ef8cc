import { describe, expect, onTestFinished, test } from 'vitest'
import { Headers } from '../../../src/core/headers.ts'
import { DEFAULT_HEALTH, type HealthPolicy } from '../../../src/core/health-policy.ts'
import type { ServicePolicy } from '../../../src/core/route.ts'
import type { Instance } from '../../../src/core/types.ts'
import type { LiveUpstream } from '../../../src/proxy/live-upstream.ts'
import type { Upstreams } from '../../../src/proxy/upstreams.ts'
import type { Side } from '../../../src/routing/release.ts'
import type { Table } from '../../../src/routing/table.ts'
import { anInstance, aRule, askSide, CATALOG, releaseTable } from '../../support/canary.ts'
import { FakeClock } from '../../support/clock.ts'
import { aRouted, aService, someUpstreams } from '../../support/exchange.ts'

const sideOf = (table: Table): Side => askSide(table, { user: 'u' })?.side as Side

function pick(upstreams: Upstreams, side: Side, tried: readonly string[] = []): string | undefined {
  const routed = { ...aRouted(aService([])), serviceName: 'catalog', side }
  const request = { routed, tried: new Set(tried), headers: new Headers(), clientIp: '192.0.2.1' }
  return upstreams.pick(request)?.instance.id
}

const withState = (id: string, state: Instance['state']): Instance[] =>
  CATALOG.map((one) => (one.id === id ? { ...one, state } : one))

test('picks within the side, and of stable only when all of it were tried', async () => {
  const table = await releaseTable([aRule('v2', 10_000)])
  const upstreams = someUpstreams(table)
  const side = sideOf(table)
  for (let i = 0; i < 20; i++) expect(pick(upstreams, side)).toBe('new-1')
  expect(pick(upstreams, side, ['test/dc1/node/new-1'])).toMatch(/^old-/)
  await upstreams.close()
})

test('a request that began with an older table gets nobody who has left rotation since', async () => {
  const before = await releaseTable([aRule('v2', 10_000)])
  const upstreams = someUpstreams(before)
  const side = sideOf(before)
  expect(pick(upstreams, side)).toBe('new-1')
  const instances = withState('new-1', 'maintenance')
  upstreams.sync(await releaseTable([aRule('v2', 10_000)], { instances, previous: before }))
  expect(pick(upstreams, side)).toMatch(/^old-/)
  await upstreams.close()
})

test('a draining instance of the side comes after stable, and is better than nobody', async () => {
  const instances = withState('new-1', 'draining')
  const table = await releaseTable([aRule('v2', 10_000)], { instances })
  const upstreams = someUpstreams(table)
  expect(pick(upstreams, sideOf(table))).toMatch(/^old-/)
  await upstreams.close()
  const alone = await releaseTable([aRule('v2', 10_000, { whenEmpty: 'fail' })], { instances })
  const others = someUpstreams(alone)
  expect(pick(others, sideOf(alone))).toBe('new-1')
  await others.close()
})

describe('health within a version', () => {
  const some = (prefix: string, count: number, own: Partial<Instance> = {}) =>
    Array.from({ length: count }, (_, i) => anInstance('catalog', `${prefix}-${i + 1}`, own))
  const old = (count: number, own: Partial<Instance> = {}) => some('old', count, { version: '1.0', ...own })
  const fresh = (count: number, own: Partial<Instance> = {}) => some('new', count, { version: '2.0', ...own })

  async function catalog(
    instances: readonly Instance[],
    health: Partial<HealthPolicy> = {},
    own: Partial<ServicePolicy> = {},
  ) {
    const policy = { health: { ...DEFAULT_HEALTH, ...health }, ...own }
    const table = await releaseTable([aRule('v2', 10_000)], { instances, policy })
    const upstreams = someUpstreams(table, { clock: new FakeClock(), zone: 'here' })
    onTestFinished(() => upstreams.close())
    const keyOf = (id: string) => `test/dc1/node/${id}`
    const live = (id: string) => upstreams.get('catalog', keyOf(id)) as LiveUpstream
    return {
      answer: (id: string) => upstreams.health.answered(live(id), 200, 0),
      fill(...ids: string[]) {
        for (const id of ids) upstreams.begin(live(id), 0)
      },
      eject(...ids: string[]) {
        for (const id of ids) upstreams.health.connectFailed(live(id), 'refused', 0)
        for (const id of ids) expect(live(id).isEjected).toBe(true)
      },
      /** Who gets something of 60 requests. */
      picked: (tried: readonly string[] = []) =>
        [
          ...new Set(Array.from({ length: 60 }, () => pick(upstreams, sideOf(table), tried.map(keyOf)))),
        ].sort(),
      isPanic: () => upstreams.serviceStats()[0]?.isPanic,
    }
  }

  test.each(['least-request', 'round-robin'] as const)(
    'an ejected one: the others of it, %s',
    async (kind) => {
      const { eject, picked } = await catalog([...old(3), ...fresh(3)], {}, { balance: { kind } })
      eject('new-1')
      expect(picked()).toEqual(['new-2', 'new-3'])
    },
  )

  test('with all of it ejected stable answers, and the version again when one is back', async () => {
    const { eject, answer, picked } = await catalog([...old(2), ...fresh(2)])
    eject('new-1', 'new-2')
    expect(picked()).toEqual(['old-1', 'old-2'])
    answer('new-2')
    expect(picked()).toEqual(['new-2'])
  })

  test('when those left of it were tried or are full, stable comes before the ejected ones', async () => {
    const { eject, fill, picked } = await catalog(
      [...old(2), ...fresh(2)],
      {},
      { maxConnections: 1, maxPending: 0 },
    )
    eject('new-1')
    expect(picked(['new-2'])).toEqual(['old-1', 'old-2'])
    fill('new-2')
    expect(picked()).toEqual(['old-1', 'old-2'])
    fill('old-1', 'old-2')
    expect(picked()).toEqual(['new-2'])
  })

  test('few of it in rotation are no panic; in a panic of the service ejections count in no version', async () => {
    const calm = await catalog([...old(5), ...fresh(3)])
    calm.eject('new-1', 'new-2')
    expect(calm.isPanic()).toBe(false)
    expect(calm.picked()).toEqual(['new-3'])
    const panic = await catalog([...old(1), ...fresh(3)], { panic: 0.8 })
    panic.eject('new-1')
    expect(panic.isPanic()).toBe(true)
    expect(panic.picked()).toEqual(['new-1', 'new-2', 'new-3'])
  })

  test('even in a panic of the service nobody asks a version of which nobody is left', async () => {
    const { eject, isPanic, picked } = await catalog([...old(2), ...fresh(2)], { panic: 0.8 })
    eject('new-1', 'new-2')
    expect(isPanic()).toBe(true)
    expect(picked()).toEqual(['old-1', 'old-2'])
  })

  test('zones: the own one first, within the version; the version counts more than the zone', async () => {
    const near = fresh(1, { zone: 'here' })
    const far = some('far', 2, { version: '2.0', zone: 'there' })
    const { eject, picked } = await catalog([...old(3, { zone: 'here' }), ...near, ...far], {
      zone: 'prefer',
    })
    expect(picked()).toEqual(['new-1'])
    eject('new-1')
    expect(picked()).toEqual(['far-1', 'far-2'])
    eject('far-1')
    expect(picked()).toEqual(['far-2'])
  })

  test('zones: who of the version is missing in the own one is counted within the version', async () => {
    const far = some('far', 1, { version: '2.0', zone: 'there' })
    const near = [
      ...fresh(1, { zone: 'here' }),
      anInstance('catalog', 'new-2', { version: '2.0', zone: 'here' }),
    ]
    const stable = old(1, { zone: 'here' })
    const critical = some('old-critical', 4, { version: '1.0', zone: 'here', state: 'critical' })
    const whole = await catalog([...stable, ...critical, ...near, ...far], { zone: 'prefer' })
    expect(whole.picked()).toEqual(['new-1', 'new-2'])
    const gone = some('new-critical', 2, { version: '2.0', zone: 'here', state: 'critical' })
    const half = await catalog([...stable, ...near, ...gone, ...far], { zone: 'prefer' })
    expect(half.picked()).toEqual(['far-1', 'new-1', 'new-2'])
  })

  test('zone strict: a version that has nobody left in the zone is answered for by stable', async () => {
    const far = some('far', 2, { version: '2.0', zone: 'there' })
    const { eject, picked } = await catalog(
      [...old(2, { zone: 'here' }), ...fresh(1, { zone: 'here' }), ...far],
      { zone: 'strict' },
    )
    expect(picked()).toEqual(['new-1'])
    eject('new-1')
    expect(picked()).toEqual(['old-1', 'old-2'])
  })
})
