import { expect, test } from 'vitest'
import { Refusals } from '../../../plugins/refusals.ts'
import type { OverloadView } from '../../../src/core/views.ts'
import { FakeClock } from '../../support/clock.ts'
import { aRecord } from '../../support/records.ts'

const OVERLOAD: OverloadView = {
  level: 1,
  pressure: 0.5,
  reason: 'event_loop',
  delayMs: 312.4,
  heap: 0.2,
  inFlight: 7,
  shed: 3,
}
const REFUSED = {
  status: 403,
  outcome: 'filter_refused',
  code: 'GW_AUTH_DENIED',
  refusedBy: 'staff',
  refusal: { filter: 'staff', type: 'acl' },
} as const

function create() {
  const clock = new FakeClock()
  return { clock, refusals: new Refusals({ now: () => clock.now(), overload: () => OVERLOAD }) }
}

test('requests that went through, and answers of filters that are no refusals, are not among them', () => {
  const { refusals } = create()
  refusals.record(aRecord())
  refusals.record(aRecord({ status: 404, code: 'GW_ROUTE_NOT_FOUND', route: undefined }))
  refusals.record(aRecord({ status: 504, code: 'GW_UPSTREAM_TIMEOUT', outcome: 'header_timeout' }))
  refusals.record(aRecord({ status: 204, refusedBy: 'cors', refusal: { filter: 'cors', type: 'cors' } }))
  expect(refusals.view(100)).toEqual({ refusals: [], counts: [] })
})

test('the reason is that of the filter, else what the code says', () => {
  const { refusals } = create()
  refusals.record(aRecord(REFUSED))
  refusals.record(aRecord({ ...REFUSED, refusal: { ...REFUSED.refusal, reason: 'rule 3' } }))
  refusals.record(aRecord({ ...REFUSED, code: undefined, status: 418 }))
  expect(refusals.view(3).refusals.map(({ reason }) => reason)).toEqual([
    'the filter answered 418',
    'rule 3',
    'A rule denies this request',
  ])
})

test('overload, breaker and limits are refusals, too', () => {
  const { refusals } = create()
  refusals.record(aRecord({ status: 503, code: 'GW_GATEWAY_OVERLOADED', outcome: 'overload' }))
  refusals.record(aRecord({ status: 503, code: 'GW_UPSTREAM_BREAKER_OPEN', outcome: 'breaker_open' }))
  refusals.record(aRecord({ status: 503, code: 'GW_UPSTREAM_OVERFLOW', outcome: 'overflow' }))
  refusals.record(aRecord({ status: 431, code: 'GW_REQUEST_HEADERS_TOO_LARGE', route: undefined }))
  expect(refusals.view(9).refusals.map(({ filter, reason, route }) => [filter, reason, route])).toEqual([
    ['limits', 'The request headers are too large', ''],
    ['service', 'shop has as many requests as it may', 'shop'],
    ['breaker', 'the breaker of shop is open', 'shop'],
    ['overload', 'the event loop is late by 312 ms', 'shop'],
  ])
})

test('the last 500 are kept, newest first; counts go on', () => {
  const { refusals } = create()
  for (let i = 0; i < 1300; i++) refusals.record(aRecord({ ...REFUSED, requestId: `r${i}` }))
  const view = refusals.view(10_000)
  expect(view.refusals).toHaveLength(500)
  expect(view.refusals[0]?.requestId).toBe('r1299')
  expect(view.refusals.at(-1)?.requestId).toBe('r800')
  expect(view.counts).toMatchObject([{ total: 1300, lastMinute: 1300 }])
})

test('a minute later only the total is left', () => {
  const { clock, refusals } = create()
  refusals.record(aRecord(REFUSED))
  clock.advance(40_000)
  refusals.record(aRecord(REFUSED))
  clock.advance(30_000)
  expect(refusals.view(1).counts).toMatchObject([{ total: 2, lastMinute: 1 }])
  clock.advance(60_000)
  expect(refusals.view(1).counts).toMatchObject([{ total: 2, lastMinute: 0 }])
})

test('counts are bounded, and those of routes that are gone are forgotten', () => {
  const { refusals } = create()
  for (let i = 0; i < 3000; i++) refusals.record(aRecord({ ...REFUSED, route: `r${i}` }))
  const { counts } = refusals.view(1)
  expect(counts).toHaveLength(2001)
  expect(counts[0]).toMatchObject({ route: '_other', total: 1000 })
  refusals.keepOnly({ routes: new Set(['r1']) })
  expect(refusals.view(1).counts.map(({ route }) => route)).toEqual(['_other', 'r1'])
})
