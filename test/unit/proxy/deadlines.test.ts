import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Deadlines } from '../../../src/proxy/deadlines.ts'

const clock = { now: () => Date.now(), monotonic: () => Date.now() }
let deadlines: Deadlines
let expired: string[]

beforeEach(() => {
  vi.useFakeTimers()
  deadlines = new Deadlines(clock)
  expired = []
})
afterEach(() => {
  vi.useRealTimers()
})

const begin = (lengthMs: number, name: string) =>
  deadlines.begin(lengthMs, clock.monotonic(), () => expired.push(name))

test('each expires at its own time, whatever its length', () => {
  begin(100, 'a')
  begin(30, 'b')
  vi.advanceTimersByTime(20)
  begin(100, 'c')
  vi.advanceTimersByTime(9)
  expect(expired).toEqual([])
  vi.advanceTimersByTime(1)
  expect(expired).toEqual(['b'])
  vi.advanceTimersByTime(70)
  expect(expired).toEqual(['b', 'a'])
  vi.advanceTimersByTime(20)
  expect(expired).toEqual(['b', 'a', 'c'])
  expect(vi.getTimerCount()).toBe(0)
})

test('what has ended never expires, and those around it still do', () => {
  const all = ['a', 'b', 'c', 'd'].map((name) => begin(50, name))
  for (const i of [2, 0]) deadlines.end(all[i] as (typeof all)[0])
  vi.advanceTimersByTime(50)
  expect(expired).toEqual(['b', 'd'])
})

test('ended twice, or after it expired, it does not disturb those that began since', () => {
  const first = begin(50, 'a')
  vi.advanceTimersByTime(50)
  begin(50, 'b')
  deadlines.end(first)
  const third = begin(50, 'c')
  deadlines.end(third)
  deadlines.end(third)
  vi.advanceTimersByTime(50)
  expect(expired).toEqual(['a', 'b'])
})

test('many of one length share a timer', () => {
  for (let i = 0; i < 1000; i++) deadlines.end(begin(60_000, 'never'))
  begin(60_000, 'last')
  expect(vi.getTimerCount()).toBe(1)
})

test('one may begin while another expires', () => {
  deadlines.begin(10, clock.monotonic(), () => begin(10, 'inner'))
  vi.advanceTimersByTime(20)
  expect(expired).toEqual(['inner'])
})
