import { expect, test } from 'vitest'
import { z } from 'zod'
import { GatewayError } from '../../../src/core/errors.ts'
import { defineFilter, type FilterDeps, type FilterHandlers } from '../../../src/filters/filter.ts'
import { createChains } from '../../../src/filters/runner.ts'
import { notingDeps, use } from '../../support/filters.ts'
import { aRoute } from '../../support/routing.ts'

const AGES = 3_600_000

function kind(create: (options: { n: number }, deps: FilterDeps) => FilterHandlers) {
  return defineFilter({
    name: 'kind',
    summary: '',
    options: z.strictObject({ n: z.number().default(0) }),
    create,
  })
}

function chainsOf(definition: ReturnType<typeof kind>) {
  let now = 0
  const deps = { ...notingDeps(), clock: { now: () => now, monotonic: () => now } }
  const chains = createChains([definition], deps)
  const route = (n: number, name = 'kind') =>
    aRoute(`r${n}`, {}, { filters: [{ ...use('kind', { n }), name }] })
  return { chains, route, later: (ms: number) => (now += ms) }
}

test('a filter that no table uses is closed after a while, one in use never', () => {
  const closed: number[] = []
  const { chains, route, later } = chainsOf(kind(({ n }) => ({ close: () => void closed.push(n) })))
  const [kept, dropped] = [route(1), route(2)]
  for (const each of [kept, dropped]) chains.validate(each)
  later(1000)
  chains.sweep([kept])
  expect(closed).toEqual([])
  later(AGES)
  chains.sweep([kept])
  chains.sweep([kept])
  expect(closed).toEqual([2])
  chains.close()
  expect(closed).toEqual([2, 1])
})

test('a route that comes back gets filters that work', () => {
  let made = 0
  const { chains, route, later } = chainsOf(
    kind(() => ({ inbound: () => undefined, close: () => void made++ })),
  )
  const one = route(1)
  chains.validate(one)
  const before = chains.chainFor(one)
  later(AGES)
  chains.sweep([])
  chains.validate(one)
  expect(chains.chainFor(one)).not.toBe(before)
  expect(made).toBe(1)
})

test('two names are two instances', () => {
  const names: string[] = []
  const { chains, route } = chainsOf(
    kind((_, deps) => {
      names.push(deps.name)
      return {}
    }),
  )
  for (const name of ['kind', 'kind', 'other']) chains.validate(route(1, name))
  expect(names).toEqual(['kind', 'other'])
})

test('what filters share is made once and closed with the last of them', () => {
  const log: string[] = []
  const make = () => {
    log.push('made')
    return { close: () => void log.push('closed') }
  }
  const { chains, route, later } = chainsOf(
    kind((_, deps) => {
      deps.shared('it', make)
      return {}
    }),
  )
  const [first, second] = [route(1), route(2)]
  for (const each of [first, second]) chains.validate(each)
  later(AGES)
  chains.sweep([second])
  expect(log).toEqual(['made'])
  chains.close()
  expect(log).toEqual(['made', 'closed'])
})

test('a filter whose creation fails leaves nothing behind', () => {
  const log: string[] = []
  const { chains, route } = chainsOf(
    kind((_, deps) => {
      deps.shared('it', () => ({ close: () => void log.push('closed') }))
      throw new GatewayError('GW_CONFIG_INVALID', 'no such thing')
    }),
  )
  expect(() => chains.validate(route(1))).toThrowError('a.yaml:1:1: filter kind: no such thing')
  expect(log).toEqual(['closed'])
})

test('preparing is waited for once, its failure names the place and may be tried again', async () => {
  let tries = 0
  const prepare = async () => {
    if (++tries === 1) throw new GatewayError('GW_CONFIG_INVALID', 'rules.conf:7: nonsense')
  }
  const { chains, route } = chainsOf(kind(() => ({ prepare })))
  const one = route(1)
  await expect(chains.prepare(one)).rejects.toMatchObject({
    code: 'GW_CONFIG_INVALID',
    message: 'a.yaml:1:1: filter kind: rules.conf:7: nonsense',
  })
  await chains.prepare(one)
  await chains.prepare(one)
  expect(tries).toBe(2)
})

test('there is nothing to wait for where nothing needs preparing', () => {
  const { chains, route } = chainsOf(kind(() => ({})))
  expect(chains.prepare(route(1))).toBeUndefined()
})

test('headers that filters own are known while one of them is in use', () => {
  const { chains, route, later } = chainsOf(kind(({ n }) => ({ ownsHeaders: [`x-${n}`] })))
  const [first, second] = [route(1), route(2)]
  for (const each of [first, second]) chains.validate(each)
  expect([...chains.ownedHeaders]).toEqual(['x-1', 'x-2'])
  later(AGES)
  chains.sweep([second])
  expect([...chains.ownedHeaders]).toEqual(['x-2'])
})
