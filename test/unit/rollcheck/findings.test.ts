import { expect, test } from 'vitest'
import { takeEvents } from '../../../src/rollcheck/admin-client.ts'
import { commandWords, splitCommand } from '../../../src/rollcheck/commands.ts'
import { compareLedger, countIds } from '../../../src/rollcheck/ledger.ts'
import { createMix } from '../../../src/rollcheck/load.ts'
import type { LostRequest } from '../../../src/rollcheck/outcome.ts'
import { parsePlan } from '../../../src/rollcheck/plan-file.ts'
import { createReport, exitCodeOf } from '../../../src/rollcheck/report.ts'
import { formatReport } from '../../../src/rollcheck/report-text.ts'
import { restartWords } from '../../../src/rollcheck/roll-restart.ts'
import { meanwhile, Timeline } from '../../../src/rollcheck/timeline.ts'
import { stepsOfEvent } from '../../../src/rollcheck/watch.ts'

const PLAN = parsePlan(
  'plan.yaml',
  `version: 1
target: http://127.0.0.1:1
admin: [http://127.0.0.1:2]
roll: { service: shop, restart: x }
load: { requests: [{ path: /a, weight: 3 }, { path: /b, method: POST, weight: 1 }] }`,
  {},
)

test('the ledger shows what was executed twice, never, or in vain', () => {
  const write = (id: string, isAnswered: boolean) => ({ id, name: 'POST /b', at: 0, isAnswered })
  const writes = [write('a', true), write('b', true), write('c', true), write('d', false), write('e', false)]
  const found = compareLedger(writes, countIds(['a\nb\n', 'b second\nd\nother\n']))
  expect(found.duplicated).toMatchObject([{ id: 'b', times: 2 }])
  expect(found.lostWrites).toMatchObject([{ id: 'c' }])
  expect(found.executedButFailed).toMatchObject([{ id: 'd' }])
  expect(found.executed).toBe(3)
})

test('a started process and what the gateway sees at its port are one life', () => {
  const timeline = new Timeline()
  timeline.start('shop#1', { address: '127.0.0.1:4001', version: '1' }, 100)
  timeline.see({ id: 'shop-x', address: '10.0.0.9:4001' }, 'in rotation', 200)
  timeline.see({ id: 'shop-x', address: '10.0.0.9:4001' }, 'in rotation', 900)
  timeline.note('shop#1', 'told to stop', 1000)
  timeline.see({ id: 'shop-x', address: '10.0.0.9:4001' }, 'drain mark', 1010)
  timeline.see({ id: 'shop-x', address: '10.0.0.9:4001' }, 'drain mark', 1030)
  timeline.exit('shop#1', 0, 4000)
  timeline.see({ id: 'stranger', address: '10.0.0.9:9' }, 'in rotation', 5)
  expect(timeline.lives()).toMatchObject([
    {
      name: 'shop#1',
      id: 'shop-x',
      exit: 0,
      steps: { 'in rotation': 200, 'told to stop': 1000, 'drain mark': 1030, exited: 4000 },
    },
    { name: 'stranger' },
  ])
  const at = (from: number) => meanwhile(timeline.lives().slice(0, 1), from, from + 10)
  expect(at(1040)).toMatchObject([{ name: 'shop#1', step: 'drain mark', sinceMs: 20 }])
  expect(at(4100)).toMatchObject([{ step: 'exited', sinceMs: 110 }])
  expect(at(9000)).toEqual([])
})

test('instance events become steps; what is not known becomes none', () => {
  const base = { service: 'shop', id: 'a', address: '127.0.0.1:1', at: 10 }
  const steps = (data: object) => stepsOfEvent({ ...base, ...data })?.steps
  expect(steps({ kind: 'appeared', to: 'passing' })).toEqual([{ step: 'in rotation', at: 10 }])
  expect(steps({ kind: 'appeared', to: 'critical' })).toEqual([])
  expect(steps({ kind: 'changed', from: 'passing', to: 'draining' })).toEqual([
    { step: 'drain mark', at: 10 },
    { step: 'out of rotation', at: 10 },
  ])
  expect(steps({ kind: 'idle', lastRequestAt: 7 })).toEqual([
    { step: 'idle', at: 10 },
    { step: 'last accept', at: 7 },
  ])
  expect(steps({ kind: 'sung' })).toEqual([])
  expect(stepsOfEvent({ kind: 'left' })).toBeUndefined()
})

test('events are taken whole, however they arrive', () => {
  const seen: unknown[] = []
  const rest = takeEvents(
    'retry: 1\n\nid: 1\nevent: table\ndata: {"a":1}\n\n: beat\n\nevent: x\ndata: {',
    (event) => seen.push(event),
  )
  expect(seen).toEqual([{ type: 'table', data: { a: 1 } }])
  expect(takeEvents(`${rest}}\n\n`, (event) => seen.push(event))).toBe('')
  expect(seen[1]).toEqual({ type: 'x', data: {} })
})

test('commands are split like a shell does, and words are filled after that', () => {
  expect(splitCommand(`a 'b c' "d \\"e" f\\ g ''`)).toEqual(['a', 'b c', 'd "e', 'f g', ''])
  expect(commandWords('run --port {port} {other}', { port: '1 2' })).toEqual([
    'run',
    '--port',
    '1 2',
    '{other}',
  ])
  expect(commandWords('node x', {})[0]).toBe(process.execPath)
  expect(() => splitCommand('a "b')).toThrow('open "')
})

test('an id that means something to a shell is never put into a command', () => {
  expect(restartWords({ id: 'shop-1', address: '[::1]:80' }, 2)).toMatchObject({
    address: '::1',
    port: '80',
    n: 2,
  })
  expect(() => restartWords({ id: 'x; rm', address: '127.0.0.1:80' }, 1)).toThrow('cannot be put')
})

test('the mix keeps the weights at every moment', () => {
  const next = createMix(PLAN.load.requests)
  const names = Array.from({ length: 8 }, () => next().path)
  expect(names.filter((path) => path === '/b')).toHaveLength(2)
  expect(names.slice(0, 4).filter((path) => path === '/b')).toHaveLength(1)
})

function reportOf(own: { lost?: boolean; failure?: string; times?: Map<string, number> }) {
  const timeline = new Timeline()
  timeline.start('shop#1', { address: '127.0.0.1:4001' }, 0)
  timeline.note('shop#1', 'told to stop', 1900)
  timeline.find('shop#1', 'ended with 1 after SIGTERM, not with 0')
  const lost: LostRequest = {
    id: 'r-1',
    name: 'POST /b',
    kind: 'post',
    method: 'POST',
    at: 2000,
    until: 2020,
    loss: 'wrong-answer',
    status: 502,
    code: 'GW_UPSTREAM_RESET',
    requestId: 'q1',
    error: 'status 502',
  }
  return createReport({
    plan: PLAN,
    target: 'http://127.0.0.1:1',
    failure: own.failure,
    lives: timeline.lives(),
    ledger:
      own.times === undefined
        ? undefined
        : compareLedger([{ id: 'r-1', name: 'POST /b', at: 2000, isAnswered: true }], own.times),
    result: {
      ...{ startedAt: 1000, endedAt: 3000, sent: 2, ok: 2, unsent: 0, clientLagMs: 0, late: [], writes: [] },
      byName: [{ name: 'POST /b', sent: 2, ok: 2, lost: 0, late: 0, latencies: [1, 2] }],
      lost: own.lost === true ? [lost] : [],
    },
  })
}

test('the exit code: 0 nothing, 1 lost or duplicated, 2 the roll did not end', () => {
  expect(exitCodeOf(reportOf({ times: new Map([['r-1', 1]]) }))).toBe(0)
  expect(exitCodeOf(reportOf({ lost: true }))).toBe(1)
  expect(exitCodeOf(reportOf({ times: new Map([['r-1', 2]]) }))).toBe(1)
  expect(exitCodeOf(reportOf({ times: new Map() }))).toBe(1)
  expect(exitCodeOf(reportOf({ failure: 'not ready' }))).toBe(2)
  expect(exitCodeOf(reportOf({ failure: 'not ready', lost: true }))).toBe(1)
})

test('the report says of a lost request when, what was seen, and what happened then', () => {
  const text = formatReport(reportOf({ lost: true }))
  expect(text).toContain('1 × POST /b (post): wrong-answer GW_UPSTREAM_RESET')
  expect(text).toContain('+1.000 … +1.020  POST /b (r-1)')
  expect(text).toContain('seen: wrong-answer, 502, GW_UPSTREAM_RESET, status 502, request q1')
  expect(text).toContain('then: shop#1: told to stop since 0.120 s')
  expect(text).toContain('finding: shop#1 ended with 1 after SIGTERM')
})
