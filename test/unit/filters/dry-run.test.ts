import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { Principal } from '../../../src/core/principal.ts'
import {
  defineFilter,
  type Ending,
  type FilterContext,
  type FilterHandlers,
} from '../../../src/filters/filter.ts'
import { endChain, runInbound, runOutbound } from '../../../src/filters/runner.ts'
import { aContext, aResponse, chainOf, notingDeps, use } from '../../support/filters.ts'

const SOMEBODY: Principal = {
  id: 'ada',
  kind: 'jwt',
  filter: 'login',
  claims: {},
  roles: [],
  groups: [],
  scopes: [],
}
const ENDING: Ending = { outcome: 'ok', status: 200, totalMs: 1, upstreamMs: 1, attempts: 1 }

function dryChain(handlers: FilterHandlers[], own: { onError?: 'open' | 'closed' } = {}) {
  const deps = notingDeps()
  const definitions = handlers.map((one, index) =>
    defineFilter({ name: `f${index}`, summary: '', options: z.strictObject({}), create: () => one }),
  )
  const specs = definitions.map(({ name }) => ({ ...use(name), mode: 'dryRun' as const, ...own }))
  return { chain: chainOf(specs, deps, definitions), deps }
}

test('what it would refuse is counted and noted; the request goes on as it was', () => {
  const { chain, deps } = dryChain([
    {
      inbound(ctx) {
        ctx.headers.set('x-user', 'ada')
        ctx.attributes.set('mine', 1)
        ctx.principal = SOMEBODY
        ctx.maxBodyBytes = 1
        return { status: 403, code: 'GW_AUTH_IP' }
      },
    },
  ])
  const ctx = aContext()
  expect(runInbound(chain, ctx)).toBeUndefined()
  expect([ctx.headers.has('x-user'), ctx.principal, ctx.maxBodyBytes]).toEqual([false, undefined, undefined])
  expect(Object.fromEntries(ctx.attributes)).toEqual({ wouldRefuse: ['f0'] })
  expect(deps.verdicts).toEqual(['f0 would_refuse'])
})

test('a slow one holds nothing up, and its verdict still counts', async () => {
  let settle: (reply: { status: number }) => void = () => {}
  const { chain, deps } = dryChain([{ inbound: () => new Promise((resolve) => (settle = resolve)) }])
  const ctx = aContext()
  expect(runInbound(chain, ctx)).toBeUndefined()
  endChain(chain, ctx, ENDING)
  settle({ status: 429 })
  await Promise.resolve()
  await Promise.resolve()
  expect(deps.verdicts).toEqual(['f0 would_refuse'])
})

test('a later dry run sees whom an earlier one found', () => {
  let seen: Principal | undefined
  const { chain } = dryChain([
    {
      inbound(ctx) {
        ctx.principal = SOMEBODY
        return undefined
      },
    },
    {
      inbound(ctx) {
        seen = ctx.principal
        return undefined
      },
    },
  ])
  const ctx = aContext()
  void runInbound(chain, ctx)
  expect(seen).toBe(SOMEBODY)
  expect(ctx.principal).toBeUndefined()
})

test.each([
  ['closed', 'f0 would_refuse'],
  ['open', 'f0 error_open'],
] as const)('one that fails (%s) is counted as what it would have done', async (onError, verdict) => {
  const boom = () => {
    throw new TypeError('boom')
  }
  for (const inbound of [boom, () => Promise.reject(new TypeError('boom'))]) {
    const { chain, deps } = dryChain([{ inbound }], { onError })
    expect(runInbound(chain, aContext())).toBeUndefined()
    await Promise.resolve()
    await Promise.resolve()
    expect(deps.verdicts).toEqual([verdict])
  }
})

test('the answer stays as it was, too; streams made for it are ended', () => {
  const stream = new PassThrough()
  const { chain, deps } = dryChain([
    {
      outbound(_, response) {
        response.headers.set('x-late', '1')
        response.transforms.push(stream)
        return { status: 502 }
      },
    },
  ])
  const [ctx, response] = [aContext(), aResponse()]
  void runInbound(chain, ctx)
  expect(runOutbound(chain, ctx, response)).toBeUndefined()
  expect([response.headers.has('x-late'), response.transforms.length, stream.destroyed]).toEqual([
    false,
    0,
    true,
  ])
  expect(deps.verdicts).toEqual(['f0 would_refuse'])
})

test('it hears of the end with the copy that it worked on', () => {
  const ended: unknown[] = []
  const { chain } = dryChain([
    {
      inbound: (ctx: FilterContext) => void ctx.attributes.set('slot', 7) as undefined,
      done: (ctx, ending) => void ended.push([ctx.attributes.get('slot'), ending.outcome]),
    },
  ])
  const ctx = aContext()
  void runInbound(chain, ctx)
  endChain(chain, ctx, ENDING)
  endChain(chain, ctx, ENDING)
  expect(ended).toEqual([[7, 'ok']])
})
