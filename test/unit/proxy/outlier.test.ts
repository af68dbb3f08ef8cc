import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DEFAULT_HEALTH } from '../../../src/core/health-policy.ts'
import {
  causeOf,
  createRecord,
  ejectionMs,
  isServerError,
  noteConnectFailure,
  noteFault,
  noteServerError,
  noteSuccess,
  type OutlierRecord,
  othersOf,
  rowText,
  standsOut,
  sweepOutliers,
} from '../../../src/proxy/outlier.ts'
import { seeded } from '../../support/clock.ts'

const POLICY = DEFAULT_HEALTH.outlier

function recordOf(...results: (number | 'fault' | 'connect')[]): OutlierRecord {
  const record = createRecord({ successes: 0, failures: 0 })
  for (const result of results) {
    if (result === 'fault') noteFault(record, 'socket hang up')
    else if (result === 'connect') noteConnectFailure(record, 'connect ECONNREFUSED')
    else if (result >= 500) noteServerError(record, result)
    else noteSuccess(record)
  }
  return record
}
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)

test.each([
  ['four 503', times(4, 503), undefined],
  ['five 503', times(5, 503), 'gateway-errors'],
  ['five 500', times(5, 500), 'server-errors'],
  ['a success between', [503, 503, 503, 200, 503, 503], undefined],
  ['502, 503, 504 mixed', [502, 503, 504, 502, 503], 'gateway-errors'],
  ['500 and 503 mixed', [500, 503, 500, 503, 500], 'server-errors'],
  ['three resets', times(3, 'fault' as const), 'local'],
  ['errors and resets mixed', [500, 'fault', 500, 'fault', 503], 'server-errors'],
  ['one refused connect', ['connect'], 'connect'],
  ['404 is an answer like any other', [503, 503, 503, 503, 404, 503], undefined],
] as const)('%s: %o', (_name, results, cause) => {
  expect(causeOf(recordOf(...results), POLICY)).toBe(cause)
})

test('5xx speak against an instance, but for those that speak of the request', () => {
  const statuses = [200, 304, 400, 404, 429, 499, 500, 501, 502, 503, 504, 505, 507, 599]
  expect(statuses.filter(isServerError)).toEqual([500, 502, 503, 504, 507, 599])
})

test('each kind can be turned off', () => {
  const off = { ...POLICY, connectFailures: 0, localFailures: 0, gatewayErrors: 0, serverErrors: 0 }
  for (const result of [503, 500, 'fault', 'connect'] as const) {
    expect(causeOf(recordOf(...times(50, result)), off)).toBeUndefined()
  }
})

test('the row in words', () => {
  const text = (...results: (number | 'fault' | 'connect')[]) => {
    const record = recordOf(...results)
    return rowText(record, causeOf(record, POLICY) ?? 'check')
  }
  expect(text(...times(5, 503))).toBe('5 of 5 answers were 503')
  expect(text(502, 503, 503, 503, 503)).toBe('5 of 5 answers were 502, 503 or 504')
  expect(text(500, 503, 500, 500, 500)).toBe('5 of 5 requests failed or were answered 5xx')
  expect(text('fault', 'fault', 'fault')).toBe('3 of 3 requests failed: socket hang up')
  expect(text('connect')).toBe('connect ECONNREFUSED')
})

const CLEAN = times(30, 200)
const BAD = times(30, 503)

test.each([
  ['clean others', 5, [CLEAN, CLEAN], true],
  ['clean others, a shorter row', 4, [CLEAN, CLEAN], false],
  ['clean others, many', 4, [CLEAN, CLEAN, CLEAN, CLEAN], true],
  ['one other', 6, [CLEAN], true],
  ['one other, a shorter row', 5, [CLEAN], false],
  ['little is known', 9, [times(9, 200)], false],
  ['a little more', 11, [times(11, 200)], true],
  ['nothing is known of the others', 99, [[], []], false],
  ['all fail', 500, [BAD, BAD], false],
  ['most others fail', 500, [BAD, BAD, CLEAN], false],
  ['one of two others fails', 40, [BAD, CLEAN], true],
  ['a twentieth of all fails', 5, [[...times(27, 200), 500, 500, 500], CLEAN], false],
] as const)('%s: a row of %i', (_name, row, others, expected) => {
  const records = others.map((results) => recordOf(...(results as number[])))
  const seen = othersOf(records, recordOf())
  expect(standsOut(row, { ...seen, successesSince: 100, failuresSince: 0 })).toBe(expected)
})

test('a row stands out only if the others did well while it grew', () => {
  const others = { failed: 0, known: 300, successesSince: 5, failuresSince: 5 }
  expect(standsOut(20, others)).toBe(true)
  expect(standsOut(20, { ...others, successesSince: 4, failuresSince: 0 })).toBe(false)
  expect(standsOut(20, { ...others, failuresSince: 6 })).toBe(false)
})

/** `count` instances get requests evenly at random; `fails` decides each. How many would be ejected within `requests`. */
function simulate(
  count: number,
  requests: number,
  seed: number,
  fails: (i: number, roll: number) => boolean,
) {
  const random = seeded(seed)
  const totals = { successes: 0, failures: 0 }
  const records = Array.from({ length: count }, () => createRecord(totals))
  const ejected = new Map<number, number>()
  for (let n = 0; n < requests; n++) {
    const i = Math.floor(random() * count)
    const record = records[i] as OutlierRecord
    if (!fails(i, random())) noteSuccess(record)
    else {
      noteServerError(record, 503)
      if (causeOf(record, POLICY) === undefined || ejected.has(i)) continue
      if (standsOut(record.errors, othersOf(records, record))) ejected.set(i, n)
    }
  }
  return ejected
}

test.each([1, 0.9, 0.5, 0.3, 0.1])(
  'a URL that fails everywhere, %d of the traffic, ejects nobody',
  (share) => {
    for (const count of [2, 3, 5, 10]) {
      const ejected = simulate(count, 20_000, count, (_i, roll) => roll < share)
      expect([count, ejected.size]).toEqual([count, 0])
    }
  },
)

test('an outage of what is behind all of them ejects nobody', () => {
  for (let seed = 0; seed < 200; seed++) {
    let asked = 0
    expect(simulate(3, 600, seed, () => ++asked > 300).size).toBe(0)
  }
})

test('one that always fails is found within a few of its requests, by itself', () => {
  for (const count of [2, 3, 4, 10]) {
    for (let seed = 0; seed < 50; seed++) {
      const ejected = simulate(count, 40 * count, seed, (i) => i === 0)
      expect([...ejected.keys()]).toEqual([0])
    }
  }
})

test('one that fails half of the time is found, too, among others with their usual noise', () => {
  const ejected = simulate(3, 3000, 4, (i, roll) => roll < (i === 0 ? 0.5 : 0.01))
  expect([...ejected.keys()]).toEqual([0])
})

test('time out: base times the number of ejections, capped, with jitter on top', () => {
  const ms = (cause: 'connect' | 'server-errors', count: number, roll = 0) =>
    ejectionMs(cause, count, POLICY, () => roll)
  expect([1, 2, 3, 10, 50].map((count) => ms('server-errors', count))).toEqual([
    30_000, 60_000, 90_000, 300_000, 300_000,
  ])
  expect([1, 2, 12, 50].map((count) => ms('connect', count))).toEqual([5000, 10_000, 60_000, 60_000])
  expect(ms('server-errors', 1, 0.5)).toBe(31_500)
})

const rated = (...counts: [requests: number, failures: number][]) =>
  counts.map(([requests, failures], name) => ({
    name,
    record: { ...createRecord({ successes: 0, failures: 0 }), requests, failures },
  }))
const found = (list: ReturnType<typeof rated>, own: Partial<typeof POLICY> = {}) =>
  sweepOutliers(list, { ...POLICY, ...own }).map(({ one, cause, reason }) => [one.name, cause, reason])

test('success rate: who lies apart from the mean, with enough instances and requests', () => {
  const good = times(5, [200, 2] as [number, number])
  expect(found(rated([200, 60], ...good))).toEqual([
    [0, 'success-rate', '70 % of its requests succeeded, 94.2 % is the mean of 6 instances'],
  ])
  expect(found(rated([99, 60], ...good)), 'too few requests of it').toEqual([])
  expect(found(rated([200, 60], ...good.slice(0, 3))), 'too few instances').toEqual([])
  expect(found(rated([200, 10], ...good)), 'apart, but by 4 points only').toEqual([])
  const off = { ...POLICY.successRate, stdevs: 0 }
  expect(found(rated([200, 60], ...good), { successRate: off })).toEqual([])
})

test('failure percentage: only when the others do better', () => {
  expect(found(rated([100, 90], [100, 1], [100, 0]))).toEqual([
    [0, 'failure-percent', '90 of 100 requests failed (90 %)'],
  ])
  expect(found(rated([100, 90], [100, 88], [100, 91]))).toEqual([])
  expect(found(rated([49, 49], [100, 0], [100, 0]))).toEqual([])
})

test('equal instances are never outliers of rates, however they do', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 20 }), fc.integer({ min: 0, max: 1000 }), (count, failures) => {
      expect(found(rated(...times(count, [1000, failures] as [number, number])))).toEqual([])
    }),
  )
})
