import { expect, test } from 'vitest'
import { MirrorPause } from '../../../src/mirror/pause.ts'

/** Pauses of their full length. */
const aPause = () => new MirrorPause(() => 1)

function fail(pause: MirrorPause, now: number, times = 5): boolean[] {
  return Array.from({ length: times }, () => pause.end(pause.begin(), 'failed', now))
}

test('five failures in a row pause it; one answer in between begins the row anew', () => {
  const pause = aPause()
  expect(fail(pause, 0, 4)).toEqual([false, false, false, false])
  pause.end(pause.begin(), 'answered', 0)
  expect(fail(pause, 0, 4)).toContain(false)
  expect(pause.isOn(0)).toBe(false)
  expect(fail(pause, 0, 1)).toEqual([true])
  expect([pause.isOn(999), pause.leftMs(0), pause.isOn(1000)]).toEqual([true, 1000, false])
})

test('then one copy tries, alone; without an answer the next pause is twice as long, up to a minute', () => {
  const pause = aPause()
  fail(pause, 0)
  let now = 0
  const lengths: number[] = []
  for (let i = 0; i < 8; i++) {
    lengths.push(pause.leftMs(now))
    now += pause.leftMs(now)
    expect(pause.isOn(now)).toBe(false)
    const mark = pause.begin()
    expect(pause.isOn(now)).toBe(true)
    expect(pause.end(mark, 'failed', now)).toBe(false)
  }
  expect(lengths).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
})

test('an answer ends it, and the next pause is a short one again', () => {
  const pause = aPause()
  fail(pause, 0)
  pause.end(pause.begin(), 'failed', 1000)
  pause.end(pause.begin(), 'answered', 3000)
  expect([pause.isOn(3000), pause.leftMs(3000)]).toEqual([false, 0])
  expect(fail(pause, 3000).at(-1)).toBe(true)
  expect(pause.leftMs(3000)).toBe(1000)
})

test('copies that were under way when it began say nothing more', () => {
  const pause = aPause()
  const late = Array.from({ length: 10 }, () => pause.begin())
  fail(pause, 0)
  for (const mark of late) expect(pause.end(mark, 'failed', 500)).toBe(false)
  expect(pause.leftMs(0)).toBe(1000)
  pause.end(late[0] as number, 'answered', 500)
  expect(pause.isOn(500)).toBe(true)
})

test('a copy that was not sent after all leaves its turn to the next one', () => {
  const pause = aPause()
  fail(pause, 0)
  pause.end(pause.begin(), 'unknown', 1000)
  expect(pause.isOn(1000)).toBe(false)
  pause.end(pause.begin(), 'answered', 1000)
  expect(pause.leftMs(1000)).toBe(0)
})
