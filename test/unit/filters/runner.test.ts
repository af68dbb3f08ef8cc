import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineFilter, type FilterDefinition, type FilterHandlers } from '../../../src/filters/filter.ts'
import { createChains, EMPTY_CHAIN, runInbound, runOutbound } from '../../../src/filters/runner.ts'
import { aContext, aResponse, chainOf, notingDeps, use } from '../../support/filters.ts'
import { aRoute } from '../../support/routing.ts'

const order: string[] = []

function fake(name: string, handlers: (name: string) => FilterHandlers, own: object = {}): FilterDefinition {
  return defineFilter({
    name,
    summary: '',
    options: z.strictObject({}),
    create: () => handlers(name),
    ...own,
  })
}

const passing = (name: string) =>
  fake(name, () => ({
    inbound: () => {
      order.push(`in ${name}`)
      return undefined
    },
    outbound: () => {
      order.push(`out ${name}`)
      return undefined
    },
  }))
const refusing = fake('refuse', () => ({ inbound: () => ({ status: 403, code: 'GW_AUTH_IP' }) }))
const throwing = fake('throw', () => ({
  inbound: () => {
    throw new TypeError('boom at 10.0.0.1')
  },
}))
const rejecting = fake('reject', () => ({ inbound: () => Promise.reject(new TypeError('boom')) }))
const slow = fake('slow', () => ({ inbound: () => Promise.resolve(undefined) }))
const throwingOut = fake('throw-out', () => ({
  outbound: () => {
    throw new TypeError('boom')
  },
}))
const ALL = [
  passing('a'),
  passing('b'),
  refusing,
  throwing,
  rejecting,
  slow,
  throwingOut,
] as FilterDefinition[]

function chain(...names: (string | [string, 'open' | 'closed'])[]) {
  order.length = 0
  const deps = notingDeps()
  const filters = names.map((one) => (typeof one === 'string' ? use(one) : use(one[0], {}, one[1])))
  return { chain: chainOf(filters, deps, ALL), deps }
}

test('inbound runs in order, outbound in reverse, and all of it synchronously', () => {
  const { chain: both } = chain('a', 'b')
  const ctx = aContext()
  expect(runInbound(both, ctx)).toBeUndefined()
  expect(runOutbound(both, ctx, aResponse())).toBeUndefined()
  expect(order).toEqual(['in a', 'in b', 'out b', 'out a'])
})

test('a promise is waited for, and the rest follows in order', async () => {
  const { chain: mixed } = chain('a', 'slow', 'b')
  const ctx = aContext()
  const result = runInbound(mixed, ctx)
  expect(result).toBeInstanceOf(Promise)
  expect(order).toEqual(['in a'])
  expect(await result).toBeUndefined()
  expect(order).toEqual(['in a', 'in b'])
})

test('a reply ends the chain; outbound sees only what the request entered', () => {
  const { chain: refused, deps } = chain('a', 'refuse', 'b')
  const ctx = aContext()
  expect(runInbound(refused, ctx)).toEqual({ status: 403, code: 'GW_AUTH_IP' })
  expect(runOutbound(refused, ctx, aResponse())).toBeUndefined()
  expect(order).toEqual(['in a', 'out a'])
  expect(deps.verdicts).toEqual(['refuse refused'])
})

test.each(['throw', 'reject'])('a filter that %ss never lets a request through', async (name) => {
  const { chain: failing, deps } = chain(name, 'a')
  expect(await runInbound(failing, aContext())).toEqual({ status: 500, code: 'GW_FILTER_FAILED' })
  expect(order).toEqual([])
  expect(deps.verdicts).toEqual([`${name} error_closed`])
  expect(deps.warnings[0]).toContain('boom')
})

test.each(['throw', 'reject'])('unless its configuration says onError: open (%s)', async (name) => {
  const { chain: failing, deps } = chain([name, 'open'], 'a')
  expect(await runInbound(failing, aContext())).toBeUndefined()
  expect(order).toEqual(['in a'])
  expect(deps.verdicts).toEqual([`${name} error_open`])
})

test('a filter declared open is closed when the configuration says so', async () => {
  const open = fake('maybe', () => ({ inbound: () => Promise.reject(new TypeError('x')) }), {
    onError: 'open',
  })
  const run = (onError?: 'closed') =>
    runInbound(chainOf([use('maybe', {}, onError)], notingDeps(), [open]), aContext())
  expect(await run()).toBeUndefined()
  expect(await run('closed')).toMatchObject({ status: 500 })
})

test('an outbound filter that throws replaces the answer; nothing of the upstream gets out', async () => {
  const { chain: failing } = chain('a', 'throw-out')
  const ctx = aContext()
  expect(runInbound(failing, ctx)).toBeUndefined()
  const response = aResponse({ 'x-secret': '1', 'content-length': '999' })
  const replaced = await runOutbound(failing, ctx, response)
  expect(replaced).toMatchObject({ status: 500 })
  expect(response.headers.has('x-secret')).toBe(false)
  expect(JSON.parse(String(replaced?.body))).toMatchObject({ code: 'GW_FILTER_FAILED' })
  expect(order).toEqual(['in a', 'out a'])
})

test('one instance serves all places of equal options, over tables', () => {
  let made = 0
  const counted = fake('counted', () => {
    made++
    return {}
  })
  const chains = createChains([counted], notingDeps())
  const routes = ['x', 'y', 'z'].map((name) => aRoute(name, {}, { filters: [use('counted')] }))
  const built = routes.map((route) => chains.chainFor(route))
  expect(made).toBe(1)
  expect(built).toHaveLength(3)
})

test('wrong options are told with place and path, all at once', () => {
  const chains = createChains(ALL, notingDeps())
  const route = aRoute('r', {}, { filters: [use('a', { colour: 1 }), use('nobody'), use('b', { size: 2 })] })
  expect(() => chains.validate(route)).toThrowError(/a\.yaml:1:1: filter a[\s\S]*nobody[\s\S]*filter b/)
})

test('a route without filters costs nothing', () => {
  expect(chainOf([])).toBe(EMPTY_CHAIN)
  expect(runInbound(EMPTY_CHAIN, aContext())).toBeUndefined()
})
