import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { Breaker, type BreakerChange } from '../../../src/proxy/breaker.ts'

const POLICY = { failurePercent: 50, minRequests: 10, windowMs: 10_000, openForMs: 5000, halfOpenProbes: 3 }
let changes: BreakerChange[]
let breaker: Breaker

beforeEach(() => {
  changes = []
  breaker = new Breaker(POLICY, (change) => changes.push(change))
})

/** `count` tries with the same end. */
function tries(count: number, hasFailed: boolean, now: number): void {
  for (let i = 0; i < count; i++) breaker.record(hasFailed, breaker.begin(), now)
}

function opened(): void {
  tries(10, true, 1000)
  expect(breaker.state).toBe('open')
}

test('opens when enough of enough tries fail, and says why', () => {
  tries(5, false, 1000)
  tries(4, true, 1000)
  expect(breaker.state, 'nine are too few').toBe('closed')
  tries(1, true, 1000)
  expect(changes).toEqual([
    {
      from: 'closed',
      to: 'open',
      reason: '5 of 10 tries failed (50 %) within 10 s; open for 5 s',
    },
  ])
  expect(breaker.blockedForMs(1000)).toBe(5000)
  expect(breaker.blockedForMs(5999)).toBe(1)
})

test('what happened before the window is forgotten', () => {
  tries(9, true, 1000)
  tries(5, true, 12_500)
  expect(breaker.state).toBe('closed')
  tries(5, true, 12_500)
  expect(breaker.state).toBe('open')
})

test('half-open: exactly as many at a time as may try; as many successes close it', () => {
  opened()
  expect(breaker.blockedForMs(6000)).toBe(0)
  expect(breaker.state).toBe('half-open')
  const marks = [breaker.begin(), breaker.begin(), breaker.begin()]
  expect(breaker.blockedForMs(6000), 'a fourth has to wait').toBeGreaterThan(0)
  breaker.record(false, marks[0] as number, 6100)
  breaker.end(marks[0] as number)
  expect(breaker.blockedForMs(6100), 'one place is free').toBe(0)
  breaker.record(false, marks[1] as number, 6100)
  expect(breaker.state).toBe('half-open')
  breaker.record(false, marks[2] as number, 6100)
  expect(breaker.state).toBe('closed')
  tries(9, true, 6200)
  expect(breaker.state, 'it counts from the beginning').toBe('closed')
})

test('half-open: one failure opens it for the whole time again', () => {
  opened()
  breaker.blockedForMs(6000)
  breaker.record(true, breaker.begin(), 6500)
  expect(breaker.state).toBe('open')
  expect(breaker.blockedForMs(6500)).toBe(5000)
})

test('what was begun before says nothing of now: neither good nor bad, and it frees no place', () => {
  const early = breaker.begin()
  opened()
  breaker.blockedForMs(6000)
  breaker.record(true, early, 6000)
  expect(breaker.state).toBe('half-open')
  const old = breaker.begin()
  breaker.record(true, breaker.begin(), 6000)
  breaker.blockedForMs(11_000)
  breaker.record(false, old, 11_000)
  const marks = [breaker.begin(), breaker.begin(), breaker.begin()]
  breaker.end(old)
  expect(breaker.blockedForMs(11_000)).toBeGreaterThan(0)
  breaker.end(marks[0] as number)
  expect(breaker.blockedForMs(11_000)).toBe(0)
})

test('a probe whose client left gives its place back and decides nothing', () => {
  opened()
  breaker.blockedForMs(6000)
  for (let i = 0; i < 10; i++) {
    expect(breaker.blockedForMs(6000)).toBe(0)
    breaker.end(breaker.begin())
  }
  expect(breaker.state).toBe('half-open')
})

test('never more probes at a time than allowed, whatever happens in which order', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('ask' as const) }),
    fc.record({ kind: fc.constant('end' as const), hasFailed: fc.option(fc.boolean()), which: fc.nat() }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(6000) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const one = new Breaker({ ...POLICY, minRequests: 2 }, () => {})
      let now = 1000
      const open: number[] = []
      for (const each of steps) {
        if (each.kind === 'wait') now += each.ms
        else if (each.kind === 'ask' && one.blockedForMs(now) === 0) open.push(one.begin())
        else if (each.kind === 'end' && open.length > 0) {
          const [mark = 0] = open.splice(each.which % open.length, 1)
          if (each.hasFailed !== null) one.record(each.hasFailed, mark, now)
          one.end(mark)
        }
        const latest = Math.max(0, ...open)
        if (one.state !== 'half-open' || latest === 0) continue
        expect(open.filter((mark) => mark === latest).length).toBeLessThanOrEqual(3)
      }
    }),
  )
})
