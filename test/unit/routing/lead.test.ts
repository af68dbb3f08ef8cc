import { expect, test } from 'vitest'
import { Headers } from '../../../src/core/headers.ts'
import type { Instance, RegistryState } from '../../../src/core/types.ts'
import type { LiveUpstream } from '../../../src/proxy/live-upstream.ts'
import { Upstreams } from '../../../src/proxy/upstreams.ts'
import { compileTable } from '../../../src/routing/compile.ts'
import { diffTables } from '../../../src/routing/diff.ts'
import { chooseLead } from '../../../src/routing/lead.ts'
import type { Table } from '../../../src/routing/table.ts'
import { FakeClock } from '../../support/clock.ts'
import { anInstance, aPolicy, aRouted, aTable, quietLog } from '../../support/exchange.ts'
import { aRoute, configOf } from '../../support/routing.ts'

const FAILOVER = { order: ['a', 'b'], returnAfterMs: 1000 }
const choose = (usable: string[], before: Parameters<typeof chooseLead>[2], now: number) =>
  chooseLead(FAILOVER, new Set(usable), before, now)

test('the lead goes at once, and comes back after a time without a break', () => {
  let lead = choose(['a', 'b'], undefined, 0)
  expect(lead).toEqual({ registry: 'a' })
  lead = choose(['b'], lead, 10)
  expect(lead).toEqual({ registry: 'b' })
  lead = choose(['a', 'b'], lead, 100)
  expect(lead).toEqual({ registry: 'b', returning: { registry: 'a', since: 100 }, dueAt: 1100 })
  lead = choose(['a', 'b'], lead, 900)
  expect(lead.dueAt).toBe(1100)
  lead = choose(['b'], lead, 1000)
  expect(lead).toEqual({ registry: 'b' })
  lead = choose(['a', 'b'], lead, 1050)
  expect(lead.dueAt).toBe(2050)
  expect(choose(['a', 'b'], lead, 2049).registry).toBe('b')
  expect(choose(['a', 'b'], lead, 2050)).toEqual({ registry: 'a' })
})

test('who stands in has nobody left: the earlier one does not wait', () => {
  const waiting = choose(['a', 'b'], { registry: 'b' }, 0)
  expect(choose(['a'], waiting, 1)).toEqual({ registry: 'a' })
})

test('with nobody anywhere the lead stays where it is', () => {
  expect(choose([], { registry: 'b' }, 0)).toEqual({ registry: 'b' })
  expect(choose([], undefined, 0)).toEqual({ registry: 'a' })
})

test('a lead of a registry that is no longer in the list is none', () => {
  expect(choose(['a', 'b'], { registry: 'old' }, 0)).toEqual({ registry: 'a' })
})

const from = (registry: string, id: string, own: Partial<Instance> = {}) =>
  anInstance(id, 8000 + Number(id), { key: `${registry}/x/${id}`, ...own })

function compile(instances: Instance[], now: number, previous?: Table, policy = {}): Promise<Table> {
  const registry: RegistryState = {
    problems: [],
    services: new Map([['shop', { name: 'shop', instances, source: 'live', lastGoodAt: 0 }]]),
  }
  return compileTable({
    config: configOf([aRoute('shop')], { services: [aPolicy({ failover: FAILOVER, ...policy })] }),
    declared: [],
    registry,
    version: 1,
    cause: 'test',
    now,
    ...(previous === undefined ? {} : { previous }),
  })
}
const shop = (table: Table) => {
  const service = table.services.get('shop')
  if (service === undefined) throw new RangeError('no service')
  return service
}
const ids = (instances: readonly Instance[]) => instances.map(({ id }) => id)

test('only the registry in the lead is used; the others stand by, before those that are held or drain', async () => {
  const all = [
    from('b', '3'),
    from('a', '1'),
    from('a', '2', { state: 'critical' }),
    from('a', '4', { state: 'draining' }),
    from('a', '5', { held: 'lost' }),
  ]
  const service = shop(await compile(all, 0))
  expect(ids(service.eligible)).toEqual(['1'])
  expect(service.standby.map(ids)).toEqual([['3']])
  expect(ids(service.reserve)).toEqual(['3', '4', '5'])
  expect(service.lead).toEqual({ registry: 'a' })
})

test('held instances keep no lead: a guard’s word is not the registry’s', async () => {
  const first = await compile([from('a', '1'), from('b', '3')], 0)
  const lost = await compile([from('a', '1', { held: 'lost' }), from('b', '3')], 10, first)
  expect(ids(shop(lost).eligible)).toEqual(['3'])
  expect(diffTables(first, lost)).toContain('~ service shop lead a -> b')
})

test('the table is made anew when the time to return has come, though nothing else changed', async () => {
  const all = [from('a', '1'), from('b', '3')]
  const lost = await compile([from('b', '3')], 0)
  const back = await compile(all, 100, lost)
  expect(shop(back).lead).toMatchObject({ registry: 'b', dueAt: 1100 })
  const before = await compile(all, 1099, back)
  expect(ids(shop(before).eligible)).toEqual(['3'])
  const after = await compile(all, 1100, before)
  expect(ids(shop(after).eligible)).toEqual(['1'])
  expect(after.id).not.toBe(before.id)
})

test('without a failover all registries are one, and a worse priority stands by', async () => {
  const all = [
    from('a', '1'),
    from('b', '3'),
    from('a', '5', { priority: 2 }),
    from('a', '4', { priority: 1 }),
  ]
  const config = configOf([aRoute('shop')], { services: [aPolicy()] })
  const registry: RegistryState = {
    problems: [],
    services: new Map([['shop', { name: 'shop', instances: all, source: 'live', lastGoodAt: 0 }]]),
  }
  const service = shop(
    await compileTable({ config, declared: [], registry, version: 1, cause: 'test', now: 0 }),
  )
  expect(ids(service.eligible)).toEqual(['1', '3'])
  expect(service.standby.map(ids)).toEqual([['4'], ['5']])
  expect(service.lead).toBeUndefined()
})

test('who stands by is asked before those of the lead that are ejected, and those of the lead again after that', async () => {
  const clock = new FakeClock()
  const upstreams = new Upstreams({ clock, random: () => 0, log: quietLog })
  const service = shop(await compile([from('a', '1'), from('b', '3'), from('b', '4', { priority: 1 })], 0))
  upstreams.sync(aTable(service))
  const pick = () => {
    const request = { routed: aRouted(service), tried: new Set<string>(), headers: new Headers([]) }
    return upstreams.pick({ ...request, clientIp: '192.0.2.1' })?.instance.id
  }
  const events: string[] = []
  upstreams.health.subscribe(({ type }) => events.push(type))
  expect(pick()).toBe('1')
  upstreams.health.connectFailed(upstreams.get('shop', 'a/x/1') as LiveUpstream, 'refused', 0)
  expect(pick()).toBe('3')
  clock.advance(60_000)
  upstreams.health.tick()
  expect(pick()).toBe('1')
  expect(events).not.toContain('panic')
  await upstreams.close()
})
