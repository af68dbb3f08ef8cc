import { expect, test } from 'vitest'
import { nextMoves, rollStrategy } from '../../../src/rollcheck/capacity.ts'

// instances, running, minimumHealthCapacity, maximumOverCapacity -> stopAtOnce, maxInstances
test.each([
  [3, 3, 1, 0.34, 0, 4],
  [3, 3, 1, 1, 0, 6],
  [3, 3, 1, 0, 0, 4], // no room at all: one more than wanted is allowed
  [3, 3, 0.5, 0, 1, 3], // ceil(1.5) = 2 must stay
  [3, 3, 0, 0, 3, 3],
  [10, 10, 0.9, 0.1, 1, 11],
  [10, 10, 0.7, 0.25, 3, 12], // floor(12.5)
  [2, 2, 1, 0.34, 0, 3], // floor(2.68) = 2: no room
  [5, 3, 1, 0, 0, 5], // fewer run than wanted: there is room
  [10, 10, 1, 0.1, 0, 11], // 10 × 1.1 is 11.000000000000002 in a machine
])('%i wanted, %i running, health %f, over %f: stop %i at once, at most %i', (...numbers) => {
  const [instances, running, minimumHealthCapacity, maximumOverCapacity, stopAtOnce, maxInstances] = numbers
  expect(rollStrategy({ instances, running, minimumHealthCapacity, maximumOverCapacity })).toEqual({
    stopAtOnce,
    maxInstances,
  })
})

/** Plays a roll to its end: what starts is ready at once, what is stopped has ended at once. */
function play(strategy: { stopAtOnce: number; maxInstances: number }, instances: number) {
  const state = { instances, oldAlive: 3, stopped: 0, oldLeft: 3, newStarted: 0, newReady: 0 }
  let [most, least] = [0, 99]
  for (let i = 0; i < 50 && (state.oldAlive > 0 || state.newReady < instances); i++) {
    const { start, stop } = nextMoves(strategy, state)
    state.newStarted += start
    most = Math.max(most, state.oldAlive + state.newStarted)
    state.stopped += stop
    state.oldLeft -= stop
    least = Math.min(least, state.oldLeft + state.newReady)
    state.oldAlive = state.oldLeft
    state.newReady = state.newStarted
  }
  return { most, least, state }
}

test('a roll over capacity never has fewer than wanted and never more than allowed', () => {
  const { most, least, state } = play({ stopAtOnce: 0, maxInstances: 4 }, 3)
  expect(state).toMatchObject({ oldAlive: 0, newReady: 3 })
  expect([most, least]).toEqual([4, 3])
})

test('a roll under capacity stops first and starts then', () => {
  const { most, least, state } = play({ stopAtOnce: 1, maxInstances: 3 }, 3)
  expect(state).toMatchObject({ oldAlive: 0, newReady: 3 })
  expect([most, least]).toEqual([3, 2])
})
