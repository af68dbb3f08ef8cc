import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/core/duration.ts'
import { createIdSource } from '../../src/core/ids.ts'
import type { InstanceState } from '../../src/core/types.ts'
import { forward } from '../../src/proxy/forward.ts'
import type { Service } from '../../src/routing/table.ts'
import { useCleanups } from '../support/cleanup.ts'
import {
  anExchange,
  anInstance,
  aRouted,
  aService,
  aTable,
  quietLog,
  someUpstreams,
} from '../support/exchange.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened } = useCleanups()
const deps = { clock: systemClock, random: Math.random, newId: createIdSource(), log: quietLog }

test.each<InstanceState>(['draining', 'maintenance', 'critical'])(
  'an instance that becomes %s: idle sockets are closed, what runs is finished, nothing new comes',
  async (state) => {
    const held: ServerResponse[] = []
    const leaving = await opened(httpServer((_request, response) => void held.push(response)))
    const staying = await opened(httpServer((_request, response) => response.end('staying')))
    const service = (own: InstanceState) =>
      aService([anInstance('a', leaving.port, { state: own }), anInstance('b', staying.port)])
    const before = service('passing')
    const upstreams = someUpstreams(aTable(before))
    await opened(upstreams)
    const ask = (from = before) => {
      const exchange = anExchange(aRouted(from))
      return { sink: exchange.sink, result: forward(exchange, upstreams, deps) }
    }
    const four = [ask(), ask(), ask(), ask()]
    await waitFor(() => held.length === 2)
    held[0]?.end('idle from now on')
    await waitFor(() => upstreams.stats().some(({ pool }) => pool.free === 1 && pool.running === 1))
    expect(leaving.sockets.size).toBe(2)

    const after = service(state)
    upstreams.sync(aTable(after))
    await waitFor(() => leaving.sockets.size === 1)
    for (let i = 0; i < 4; i++) {
      const late = ask(after)
      await late.result
      expect(late.sink.body).toBe('staying')
    }
    held[1]?.end('finished')
    const bodies = await Promise.all(four.map(async ({ sink, result }) => result.then(() => sink.body)))
    expect(bodies.sort()).toEqual(['finished', 'idle from now on', 'staying', 'staying'])
    await waitFor(() => leaving.sockets.size === 0)

    upstreams.sync(aTable(before))
    const back = [ask(), ask()]
    await waitFor(() => held.length === 3)
    held[2]?.end('back')
    await Promise.all(back.map(({ result }) => result))
    expect(back.map(({ sink }) => sink.body).sort()).toEqual(['back', 'staying'])
  },
)

test('a draining instance is asked while nobody else is there, and no longer than that', async () => {
  const leaving = await opened(httpServer((_request, response) => response.end('leaving')))
  const fresh = await opened(httpServer((_request, response) => response.end('fresh')))
  const draining = anInstance('a', leaving.port, { state: 'draining' })
  const alone = { ...aService([draining]), eligible: [], reserve: [draining] }
  const upstreams = someUpstreams(aTable(alone))
  await opened(upstreams)
  const ask = async (from: Service) => {
    const exchange = anExchange(aRouted(from))
    await forward(exchange, upstreams, deps)
    return exchange.sink.body
  }
  expect(await ask(alone)).toBe('leaving')
  const both = aService([draining, anInstance('b', fresh.port)])
  const replaced = { ...both, eligible: both.instances.slice(1), reserve: [draining] }
  upstreams.sync(aTable(replaced))
  await waitFor(() => leaving.sockets.size === 0, { what: 'its idle socket to be closed' })
  for (let i = 0; i < 4; i++) expect(await ask(replaced)).toBe('fresh')
})
