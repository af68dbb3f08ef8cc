import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PRIORITY_CLASSES, type PriorityClass } from '../../../src/core/priority-class.ts'
import {
  ConcurrencyGate,
  type GateRule,
  type Schedule,
  type Ticket,
} from '../../../src/limits/concurrency-gate.ts'

/** Timers that fire when the test says so. */
function manualSchedule() {
  let now = 0
  const timers = new Set<{ at: number; fire: () => void }>()
  const schedule: Schedule = (ms, fire) => {
    const timer = { at: now + ms, fire }
    timers.add(timer)
    return () => void timers.delete(timer)
  }
  const pass = (ms: number) => {
    now += ms
    for (const timer of [...timers].sort((a, b) => a.at - b.at)) {
      if (timer.at > now || !timers.delete(timer)) continue
      timer.fire()
    }
  }
  return { schedule, pass, timers }
}

const SHARES: Record<PriorityClass, number> = { health: 1, authenticated: 1, anonymous: 0.9, bots: 0.7 }

function aRule(limit: number, queueLength = 0, queueTimeoutMs = 100): GateRule {
  return { cap: (name) => Math.floor(limit * SHARES[name]), queueLength, queueTimeoutMs }
}

const states = (tickets: readonly Ticket[]) => tickets.map(({ state, refusal }) => refusal ?? state)

test('lets in exactly as many as the limit says, not one more', () => {
  const gate = new ConcurrencyGate()
  const tickets = Array.from({ length: 12 }, () => gate.enter('authenticated', aRule(10)))
  expect(tickets.filter(({ state }) => state === 'in')).toHaveLength(10)
  expect(gate.inFlight).toBe(10)
  expect(tickets.at(-1)?.refusal).toBe('limit')
})

test('lower classes are let in up to their share of the limit', () => {
  const gate = new ConcurrencyGate()
  const rule = aRule(10)
  const enter = (name: PriorityClass, count: number) =>
    states(Array.from({ length: count }, () => gate.enter(name, rule)))
  expect(enter('bots', 8)).toEqual([...Array(7).fill('in'), 'limit'])
  expect(enter('anonymous', 3)).toEqual(['in', 'in', 'limit'])
  expect(enter('authenticated', 2)).toEqual(['in', 'limit'])
  expect(enter('health', 1)).toEqual(['limit'])
})

test('a place goes to the highest class that waits, within a class to the first', () => {
  const { schedule } = manualSchedule()
  const gate = new ConcurrencyGate(schedule)
  const rule = aRule(1, 10)
  // Of one place no class below the first two has a share.
  const all = { ...rule, cap: () => 1 }
  const first = gate.enter('bots', all)
  const waiting = (['bots', 'anonymous', 'authenticated', 'authenticated'] as const).map((name) =>
    gate.enter(name, all),
  )
  const order: number[] = []
  for (const [i, ticket] of waiting.entries()) ticket.onSettled = () => order.push(i)
  gate.leave(first)
  for (const i of [2, 3, 1, 0]) {
    expect(order.at(-1)).toBe(i)
    gate.leave(waiting[i] as Ticket)
  }
  expect([gate.inFlight, gate.queued]).toEqual([0, 0])
})

test('who comes later does not overtake who waits in the same class', () => {
  const { schedule } = manualSchedule()
  const gate = new ConcurrencyGate(schedule)
  let limit = 1
  const rule: GateRule = { cap: () => limit, queueLength: 5, queueTimeoutMs: 100 }
  gate.enter('anonymous', rule)
  const early = gate.enter('anonymous', rule)
  limit = 2
  const late = gate.enter('anonymous', rule)
  expect(states([early, late])).toEqual(['waiting', 'waiting'])
  gate.admitWaiting()
  expect(states([early, late])).toEqual(['in', 'waiting'])
})

test('a full queue gives the place of the newest of the lowest class to a higher one', () => {
  const { schedule } = manualSchedule()
  const gate = new ConcurrencyGate(schedule)
  const rule = { ...aRule(1, 3), cap: () => 1 }
  gate.enter('health', rule)
  const bots = [gate.enter('bots', rule), gate.enter('bots', rule)]
  const anonymous = gate.enter('anonymous', rule)
  const settled: Ticket[] = []
  for (const ticket of bots) ticket.onSettled = () => settled.push(ticket)
  const authenticated = gate.enter('authenticated', rule)
  expect(states([...bots, anonymous, authenticated])).toEqual(['waiting', 'displaced', 'waiting', 'waiting'])
  expect(settled).toEqual([bots[1]])
  expect(gate.enter('bots', rule).refusal).toBe('queue_full')
  expect(gate.queued).toBe(3)
})

test('who waits too long is refused, and no timer is left behind', () => {
  const { schedule, pass, timers } = manualSchedule()
  const gate = new ConcurrencyGate(schedule)
  const rule = aRule(1, 3, 100)
  const first = gate.enter('authenticated', rule)
  const waiting = gate.enter('authenticated', rule)
  pass(99)
  expect(waiting.state).toBe('waiting')
  pass(1)
  expect(states([waiting])).toEqual(['queue_timeout'])
  const next = gate.enter('authenticated', rule)
  gate.leave(first)
  expect(next.state).toBe('in')
  expect([timers.size, gate.queued, gate.inFlight]).toEqual([0, 0, 1])
})

test('a place is given back once, however often it is said', () => {
  const gate = new ConcurrencyGate()
  const [first] = [gate.enter('authenticated', aRule(2)), gate.enter('authenticated', aRule(2))]
  for (let i = 0; i < 3; i++) gate.leave(first)
  expect(gate.inFlight).toBe(1)
  const refused = new ConcurrencyGate().enter('bots', aRule(1))
  gate.leave(refused)
  expect(gate.inFlight).toBe(1)
})

test('one who leaves while it waits is gone; its place in the queue is free', () => {
  const { schedule, timers } = manualSchedule()
  const gate = new ConcurrencyGate(schedule)
  const rule = aRule(1, 1)
  const first = gate.enter('authenticated', rule)
  const gone = gate.enter('authenticated', rule)
  let isSettled = false
  gone.onSettled = () => {
    isSettled = true
  }
  gate.leave(gone)
  expect([gate.queued, timers.size]).toEqual([0, 0])
  const next = gate.enter('authenticated', rule)
  gate.leave(first)
  expect([next.state, gone.state, isSettled]).toEqual(['in', 'over', false])
})

test('one who leaves from the middle of the queue takes nobody else with it', () => {
  const { schedule } = manualSchedule()
  const gate = new ConcurrencyGate(schedule)
  const rule = aRule(1, 3)
  const first = gate.enter('authenticated', rule)
  const [second, third, fourth] = [1, 2, 3].map(() => gate.enter('authenticated', rule)) as [
    Ticket,
    Ticket,
    Ticket,
  ]
  gate.leave(third)
  gate.leave(first)
  expect(states([second, third, fourth])).toEqual(['in', 'over', 'waiting'])
  gate.leave(second)
  expect(states([fourth])).toEqual(['in'])
})

test('in any interleaving: never above the cap, counts are right, and all is free at the end', () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('enter' as const),
        name: fc.constantFrom(...PRIORITY_CLASSES),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('leave' as const), which: fc.nat(1000) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 80 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('limit' as const), to: fc.integer({ min: 1, max: 12 }) }),
    },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), fc.integer({ min: 0, max: 6 }), (steps, queueLength) => {
      const { schedule, pass, timers } = manualSchedule()
      const gate = new ConcurrencyGate(schedule)
      let limit = 5
      const rule: GateRule = {
        cap: (name) => Math.max(1, Math.floor(limit * SHARES[name])),
        queueLength,
        queueTimeoutMs: 100,
      }
      const tickets: Ticket[] = []
      const count = (state: Ticket['state']) => tickets.filter((ticket) => ticket.state === state).length
      for (const one of steps) {
        const before = gate.inFlight
        if (one.kind === 'enter') tickets.push(gate.enter(one.name, rule))
        else if (one.kind === 'leave') {
          // Also those that left already, were refused or wait.
          const ticket = tickets[one.which % Math.max(1, tickets.length)]
          if (ticket !== undefined) gate.leave(ticket)
        } else if (one.kind === 'pass') pass(one.ms)
        else {
          limit = one.to
          gate.admitWaiting()
        }
        expect(gate.inFlight).toBe(count('in'))
        expect(gate.queued).toBe(count('waiting'))
        expect(timers.size).toBe(gate.queued)
        expect(gate.queued).toBeLessThanOrEqual(queueLength)
        // A limit that fell throws nobody out, but lets nobody in.
        expect(gate.inFlight).toBeLessThanOrEqual(Math.max(before, limit))
      }
      for (const ticket of tickets) gate.leave(ticket)
      expect([gate.inFlight, gate.queued, timers.size]).toEqual([0, 0, 0])
    }),
  )
})
