import { describe, expect, test } from 'vitest'
import type { RouteSpec } from '../../../src/core/route.ts'
import { type FilterReplay, previewTables } from '../../../src/preview/preview.ts'
import type { RecordedRequest } from '../../../src/preview/recorder.ts'
import { createSlicer } from '../../../src/routing/sliced.ts'
import type { Table } from '../../../src/routing/table.ts'
import { aRoute, path, tableOf } from '../../support/routing.ts'

const NO_FILTERS: FilterReplay = { refusedBy: () => undefined }

const request = (target: string, own: Partial<RecordedRequest> = {}): RecordedRequest => ({
  at: 1000,
  method: 'GET',
  scheme: 'http',
  authority: 'shop.example.com',
  target,
  headers: {},
  client: '192.0.2.0',
  clientKey: 'client-1',
  status: 200,
  ...own,
})

async function preview(
  before: readonly RouteSpec[],
  after: readonly RouteSpec[],
  requests: readonly RecordedRequest[],
  own: { filters?: { before: FilterReplay; after: FilterReplay }; maxExamples?: number } = {},
) {
  return previewTables({
    before: await tableOf(before),
    after: await tableOf(after),
    requests,
    maxExamples: own.maxExamples ?? 3,
    filters: own.filters ?? { before: NO_FILTERS, after: NO_FILTERS },
    slicer: createSlicer(),
  })
}

const counts = (result: Awaited<ReturnType<typeof preview>>) =>
  Object.fromEntries(Object.entries(result.changes).map(([name, { count }]) => [name, count]))

const ALL = aRoute('all')
const NOTHING = { route: 0, service: 0, side: 0, answer: 0, refused: 0, admitted: 0 }

describe('what changes', () => {
  test('the same table changes nothing', async () => {
    const result = await preview([ALL], [ALL], [request('/a'), request('/b')])
    expect(result).toMatchObject({ total: 2, changed: 0, changedPercent: 0, from: 1000, to: 1000 })
    expect(counts(result)).toEqual(NOTHING)
  })

  test('another route, another service, a 404, a 405 and a redirect, each with examples', async () => {
    const items = aRoute('items', { path: path('prefix /items') })
    const before = [ALL]
    const after = [
      items,
      aRoute('posts', { path: path('prefix /post'), methods: ['POST'] }),
      aRoute(
        'moved',
        { path: path('exact /old') },
        { action: { kind: 'redirect', status: 308, stripQuery: false } },
      ),
    ]
    const requests = [
      request('/items/1'),
      request('/gone'),
      request('/post'),
      request('/old'),
      request('/items/2'),
    ]
    const result = await preview(before, after, requests, { maxExamples: 1 })
    expect(counts(result)).toEqual({ ...NOTHING, route: 5, service: 5, answer: 3 })
    expect(result).toMatchObject({ total: 5, changed: 5, changedPercent: 100 })
    expect(result.changes.route.examples).toEqual([
      {
        at: 1000,
        request: 'GET http://shop.example.com/items/1',
        before: { route: 'all', service: 'all', answer: 'proxied' },
        after: { route: 'items', service: 'items', answer: 'proxied' },
      },
    ])
    const answers = (await preview(before, after, requests)).changes.answer.examples.map(
      ({ after: fate }) => fate.answer,
    )
    expect(answers).toEqual(['404 GW_ROUTE_NOT_FOUND', '405 GW_ROUTE_METHOD', '308 redirect'])
  })

  test('recorded headers decide, as they did', async () => {
    const beta = aRoute('beta', { headers: [{ name: 'x-beta', match: { kind: 'present' } }] })
    const result = await preview(
      [ALL],
      [ALL, beta],
      [request('/', { headers: { 'x-beta': '1' } }), request('/')],
    )
    expect(counts(result)).toMatchObject({ route: 1 })
  })

  test('a weighted service moves just the share that its weight moves', async () => {
    const split = (weight: number) =>
      aRoute(
        'all',
        {},
        {
          action: {
            kind: 'proxy',
            host: 'preserve',
            targets: [
              { service: 'new', weight },
              { service: 'old', weight: 100 - weight },
            ],
          },
        },
      )
    const requests = Array.from({ length: 1000 }, (_, i) => request(`/${i}`, { at: i }))
    const result = await preview([split(5)], [split(10)], requests)
    expect(result.changes.service.count).toBeGreaterThan(45)
    expect(result.changes.service.count).toBeLessThan(55)
    const again = await preview([split(5)], [split(10)], requests)
    expect(again.changes.service).toEqual(result.changes.service)
    expect(result.changes.service.examples[0]).toMatchObject({
      before: { service: 'old' },
      after: { service: 'new' },
    })
  })
})

describe('filters', () => {
  const denying = (name: string, isRefused: (target: string) => boolean): FilterReplay => ({
    refusedBy: (_spec, { path: target }) => (isRefused(target) ? name : undefined),
  })

  test('says what would be refused, and what no longer', async () => {
    const filters = {
      before: denying('deny', (target) => target === '/a'),
      after: denying('limit', (target) => target !== '/a'),
    }
    const result = await preview([ALL], [ALL], [request('/a'), request('/b'), request('/c')], { filters })
    expect(counts(result)).toEqual({ ...NOTHING, refused: 2, admitted: 1 })
    expect(result.refusals).toEqual([
      { filter: 'deny', before: 1, after: 0, beforePercent: 33.33, afterPercent: 0 },
      { filter: 'limit', before: 0, after: 2, beforePercent: 0, afterPercent: 66.67 },
    ])
  })

  test('filters are asked in order of time, so that limits can count', async () => {
    const seen: number[] = []
    const counting: FilterReplay = {
      refusedBy: (_spec, { at }) => {
        seen.push(at)
        return undefined
      },
    }
    await preview([ALL], [ALL], [request('/', { at: 3 }), request('/', { at: 1 }), request('/', { at: 2 })], {
      filters: { before: NO_FILTERS, after: counting },
    })
    expect(seen).toEqual([1, 2, 3])
  })
})

test('ten thousand requests over a large table do not hold the loop', async () => {
  const routes = Array.from({ length: 2000 }, (_, i) => aRoute(`r${i}`, { path: path(`prefix /p${i}`) }))
  const [before, after]: [Table, Table] = [await tableOf(routes), await tableOf(routes.slice(0, 1000))]
  const requests = Array.from({ length: 10_000 }, (_, i) => request(`/p${i % 2000}/x`, { at: i }))
  let turns = 0
  let isOver = false
  const count = () => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const result = await previewTables({
    before,
    after,
    requests,
    maxExamples: 3,
    filters: { before: NO_FILTERS, after: NO_FILTERS },
    slicer: createSlicer(1),
  })
  isOver = true
  expect(result.changed).toBe(5000)
  expect(turns).toBeGreaterThan(3)
})
