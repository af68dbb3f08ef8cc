import { expect, test } from 'vitest'
import { systemClock } from '../../../src/core/duration.ts'
import { type DepartureTimes, depart, describeDrain, type Leaving } from '../../../src/register/departure.ts'
import { askHealth } from '../../../src/register/health.ts'

const TIMES: DepartureTimes = { propagationMs: 60, budgetMs: 400 }
const never = <T>() => new Promise<T>(() => {})

function leaving(overrides: Partial<Leaving> = {}): { leaving: Leaving; steps: string[] } {
  const steps: string[] = []
  const step = <T>(name: string, value: T) => {
    steps.push(name)
    return value
  }
  return {
    steps,
    leaving: {
      mark: async (reason) => step(`mark ${reason}`, true),
      askToLeave: () => step('ask', undefined),
      close: async () => step('close', undefined),
      cutOff: () => step('cut', 3),
      release: async () => step('release', true),
      ...overrides,
    },
  }
}

test('marks, waits for the news to spread, closes, and only then leaves the registry', async () => {
  const { leaving: all, steps } = leaving()
  const report = await depart('SIGTERM', all, TIMES, systemClock)
  expect(steps).toEqual(['ask', 'mark SIGTERM', 'close', 'release'])
  expect(report).toMatchObject({ reason: 'SIGTERM', isMarked: true, cutOff: 0, isReleased: true })
  expect(report.closingMs).toBeGreaterThanOrEqual(55)
  expect(describeDrain(report)).toMatch(/^marked after .*everything finished, out of the registry/)
})

test.each<[string, Partial<Leaving>, object]>([
  ['a registry that never answers', { mark: never }, { isMarked: false, isReleased: true }],
  ['a mark that fails', { mark: () => Promise.reject(new TypeError('x')) }, { isMarked: false }],
  ['clients that never leave', { close: never }, { cutOff: 3, isReleased: true }],
  ['a goodbye that is never answered', { release: never }, { isReleased: false }],
  ['all of them', { mark: never, close: never, release: never }, { isMarked: false, cutOff: 3 }],
])('%s do not break the budget', async (_what, overrides, expected) => {
  const { leaving: all } = leaving(overrides)
  const report = await depart('', all, TIMES, systemClock)
  expect(report).toMatchObject(expected)
  expect(report.totalMs).toBeLessThan(TIMES.budgetMs + 150)
})

test('a wait longer than the budget leaves time to finish', async () => {
  const { leaving: all } = leaving()
  const report = await depart('', all, { propagationMs: 60_000, budgetMs: 400 }, systemClock)
  expect(report.closingMs).toBeLessThan(300)
})

test('a health function that takes too long is critical, and hears of it', async () => {
  let wasTold = false
  const check = (signal: AbortSignal) =>
    new Promise<boolean>(() => signal.addEventListener('abort', () => (wasTold = true)))
  expect(await askHealth(check, 20)).toEqual({
    state: 'critical',
    output: 'the health function took longer than 20 ms',
  })
  expect(wasTold).toBe(true)
})

test.each([
  [undefined, 'passing'],
  [true, 'passing'],
  [false, 'critical'],
  ['warning', 'warning'],
  [{ state: 'warning' }, 'warning'],
] as const)('a health function that gives %j is %s', async (result, state) => {
  expect((await askHealth(() => result, 100)).state).toBe(state)
})
