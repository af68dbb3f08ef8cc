import { expect, test } from 'vitest'
import { eventLine, timeText } from '../../../src/cli/event-words.ts'
import { missedBetween, wantedEvents } from '../../../src/cli/events.ts'
import { lineText } from '../../../src/cli/styled.ts'
import { NOON } from '../../support/monitor-views.ts'

const event = (type: string, data: Record<string, unknown>) => ({ id: 'x-1', at: NOON, type, data })
const words = (type: string, data: Record<string, unknown>) =>
  lineText(eventLine(event(type, data), NOON), false).replace(/^12:00:00 {2}/, '')

const SHOP = { service: 'shop', address: '10.0.0.2:8080', id: 'shop-2', version: '1.0.0' }

test.each([
  ['state', { state: 'ready' }, 'state     the gateway is ready'],
  [
    'registry',
    { registry: 'consul', state: 'stale', error: 'refused' },
    'registry  consul is stale: refused',
  ],
  ['registry', { registry: 'consul', state: 'live', error: 'refused' }, 'registry  consul is live'],
  [
    'table',
    { version: 3, cause: 'consul: shop', changes: Array.from({ length: 10 }, (_, i) => `+ route ${i}`) },
    'table     version 3 in force (consul: shop): + route 0, + route 1, + route 2, + route 3, + route 4, + route 5, + route 6, + route 7, and 2 more',
  ],
  ['rejected', { cause: 'files', message: 'a.yaml:1:2' }, 'rejected  files: a.yaml:1:2'],
  [
    'instance',
    { kind: 'changed', ...SHOP, from: 'passing', to: 'critical' },
    'instance  shop 10.0.0.2:8080 (shop-2, 1.0.0) passing → critical',
  ],
  [
    'instance',
    { kind: 'left', ...SHOP, reason: 'why' },
    'instance  shop 10.0.0.2:8080 (shop-2, 1.0.0) is gone: why',
  ],
  [
    'ejection',
    {
      kind: 'ejected',
      service: 'shop',
      instanceKey: 'c/d/n/shop-2',
      reason: '3 failed connects',
      forMs: 5000,
    },
    'ejection  shop c/d/n/shop-2 ejected for 5s: 3 failed connects',
  ],
  ['ejection', { kind: 'returned', service: 'shop', instanceKey: 'k' }, 'ejection  shop k is back'],
  [
    'flapping',
    { state: 'begin', service: 'shop', address: '10.0.0.2:8080', changes: 5 },
    'flapping  shop 10.0.0.2:8080 flaps: 5 changes',
  ],
  ['breaker', { kind: 'open', service: 'shop', reason: '60 % fail' }, 'breaker   shop open: 60 % fail'],
  [
    'canary',
    { canary: 'v2', status: 'aborted', percent: 0, before: { percent: 25 }, by: 'ramp', reason: 'errors' },
    'canary    v2 aborted at 25% → 0% by ramp: errors',
  ],
  [
    'configuration',
    { store: 'main', state: 'taken', revision: 18, by: 'ann', message: 'more shops' },
    'configuration took revision 18 by ann: more shops',
  ],
  ['overload', { state: 'begin', level: 1, reason: 'event_loop' }, 'overload  level 1: event_loop'],
  [
    'alert',
    { state: 'firing', severity: 'critical', rule: 'few', service: 'shop', summary: 'shop: 1 of 3 left' },
    'alert     firing critical few: shop: 1 of 3 left',
  ],
  [
    'filter',
    { filter: 'waf', event: 'waf_worker_back', ready: 2 },
    'filter    filter=waf event=waf_worker_back ready=2',
  ],
  ['later', { summary: 'a new\x1b[2J thing', n: 1, deep: {} }, 'later     a new [2J thing n=1'],
])('%s: %j', (type, data, text) => expect(words(type, data)).toBe(text))

test('colour follows what happened', () => {
  const colours = (data: object) => eventLine(event('instance', { ...SHOP, ...data }), NOON)[1]?.style
  expect(colours({ kind: 'changed', to: 'critical' })).toBe('red')
  expect(colours({ kind: 'changed', to: 'passing' })).toBe('green')
})

test('the day is told when it is another one', () => {
  expect(timeText(NOON, NOON)).toBe('12:00:00')
  expect(timeText(NOON, NOON + 86_400_000)).toBe('2026-01-02 12:00:00')
})

test('events are chosen by type and service', () => {
  const isWanted = wantedEvents({ type: 'instance, ejection', service: 'sh*' })
  expect(isWanted(event('instance', { service: 'shop' }))).toBe(true)
  expect(isWanted(event('ejection', { services: ['cart', 'shop'] }))).toBe(true)
  expect(isWanted(event('instance', { service: 'cart' }))).toBe(false)
  expect(isWanted(event('table', { service: 'shop' }))).toBe(false)
  expect(wantedEvents({})(event('state', {}))).toBe(true)
  expect(() => wantedEvents({ type: 'a,,b' })).toThrow('commas')
})

test('a gap in the row is noticed, a new process is none', () => {
  expect([
    missedBetween('a-4', 'a-5'),
    missedBetween('a-4', 'a-9'),
    missedBetween('a-4', 'b-9'),
    missedBetween(undefined, 'a-9'),
  ]).toEqual([0, 4, 0, 0])
})
