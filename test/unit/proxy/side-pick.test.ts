import { expect, test } from 'vitest'
import { Headers } from '../../../src/core/headers.ts'
import type { Instance } from '../../../src/core/types.ts'
import type { Upstreams } from '../../../src/proxy/upstreams.ts'
import type { Side } from '../../../src/routing/release.ts'
import type { Table } from '../../../src/routing/table.ts'
import { aRule, askSide, CATALOG, releaseTable } from '../../support/canary.ts'
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
