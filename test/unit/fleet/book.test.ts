import { expect, test } from 'vitest'
import { FleetBook } from '../../../src/fleet/book.ts'
import { parseReport, reportOf } from '../../../src/fleet/report.ts'
import { aReport } from '../../support/fleet.ts'
import { anInstanceView, aServiceView } from '../../support/views.ts'

function aBook() {
  const clock = { time: 1_000_000, now: () => clock.time, monotonic: () => clock.time }
  return { clock, book: new FleetBook(clock) }
}

test('a gateway is stale when it says nothing new for three intervals, by the clock of who looks', () => {
  const { clock, book } = aBook()
  book.take(aReport({ startedAt: 99_999_999_999 }))
  clock.time += 2500
  // The same again is no news: somebody else's store repeats what a dead gateway said.
  book.take(aReport())
  expect(book.view(undefined).gateways[0]).toMatchObject({ isStale: false, seenAt: 1_000_000 })
  clock.time += 600
  expect(book.view(undefined).gateways[0]?.isStale).toBe(true)
  expect(book.fresh()).toEqual([])
  book.take(aReport({ sequence: 2 }))
  expect(book.view(undefined).gateways[0]?.isStale).toBe(false)
})

test('who is no longer in the store is gone at once, and forgotten after five minutes', () => {
  const { clock, book } = aBook()
  book.takeAll([aReport(), aReport({ id: 'b', name: 'host-b 1' })])
  book.takeAll([aReport({ sequence: 2 })])
  expect(book.view(undefined).gateways.map(({ id, isStale }) => [id, isStale])).toEqual([
    ['a', false],
    ['b', true],
  ])
  clock.time += 300_001
  expect(book.view(undefined).gateways).toEqual([])
})

test('the own report is there once and first, and what each gateway sees stands side by side', () => {
  const { book } = aBook()
  const seen = { use: 'rotation', inFlight: 1 } as const
  book.takeAll([
    aReport({ id: 'b', name: 'b', instances: { k: { use: 'ejected', reason: '5 of 5', inFlight: 0 } } }),
    aReport({ id: 'me', name: 'z', sequence: 1 }),
  ])
  const view = book.view(aReport({ id: 'me', name: 'z', sequence: 2, instances: { k: seen } }))
  expect(view.gateways.map(({ id, isSelf }) => [id, isSelf])).toEqual([
    ['me', true],
    ['b', false],
  ])
  expect(view.instances['k']).toEqual([
    { gateway: 'me', ...seen },
    { gateway: 'b', use: 'ejected', reason: '5 of 5', inFlight: 0 },
  ])
})

test('a report has what the registry does not know, what is out of rotation first when it does not all fit', () => {
  const instances = [
    anInstanceView('idle'),
    anInstanceView('busy', { inFlight: 2 }),
    anInstanceView('sick', { state: 'critical', use: 'out', reason: 'the registry says critical' }),
    anInstanceView('ejected', { use: 'ejected', reason: 'x'.repeat(500) }),
    ...Array.from({ length: 5000 }, (_, i) => anInstanceView(`consul/dc1/node/many-${i}`, { inFlight: 1 })),
  ]
  const { instances: _, services: __, routes: ___, isCut: ____, ...head } = aReport()
  const measured = { rps: 1.23456, errorRatio: 0.111111, p50: 2.345, p99: null }
  const report = reportOf({
    ...head,
    topology: [aServiceView('shop', instances)],
    measured: {
      instances: { busy: measured },
      services: { shop: measured, silent: { ...measured, rps: 0 } },
      routes: { all: { rps: 1, errorRatio: 0, services: { shop: 1 } } },
    },
  })
  expect(Object.keys(report.instances).slice(0, 2)).toEqual(['ejected', 'busy'])
  expect(report.instances['ejected']?.reason).toHaveLength(200)
  expect(report.instances['busy']).toEqual({
    use: 'rotation',
    inFlight: 2,
    rps: 1.23,
    errorRatio: 0.1111,
    p99: null,
  })
  expect(Object.keys(report.instances).length).toBeGreaterThan(1000)
  expect(report.isCut).toBe(true)
  expect(report.services).toEqual({ shop: { rps: 1.23, errorRatio: 0.1111, p50: 2.3, p99: null } })
  expect(Buffer.byteLength(JSON.stringify(report))).toBeLessThan(512 * 1024)
  expect(parseReport(JSON.parse(JSON.stringify(report)))).toEqual(report)
})

test('what is no report is not taken for one', () => {
  for (const value of [
    undefined,
    null,
    [],
    'x',
    {},
    { ...aReport(), sequence: '1' },
    { ...aReport(), instances: { k: 1 } },
  ]) {
    expect(parseReport(value)).toBeUndefined()
  }
})
