import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Calendar, type Period } from '../../../src/limits/calendar.ts'

const iso = (text: string) => Date.parse(text)
const hours = ({ start, end }: { start: number; end: number }) => (end - start) / 3_600_000

test.each([
  ['day', 'UTC', '2026-11-25T13:00:00Z', '2026-11-25T00:00:00Z', '2026-11-26T00:00:00Z'],
  ['day', 'Asia/Tokyo', '2026-11-25T15:00:00Z', '2026-11-25T15:00:00Z', '2026-11-26T15:00:00Z'],
  ['week', 'UTC', '2026-11-29T23:59:59.999Z', '2026-11-23T00:00:00Z', '2026-11-30T00:00:00Z'],
  ['week', 'America/New_York', '2026-11-30T04:00:00Z', '2026-11-23T05:00:00Z', '2026-11-30T05:00:00Z'],
  ['month', 'UTC', '2028-02-29T12:00:00Z', '2028-02-01T00:00:00Z', '2028-03-01T00:00:00Z'],
  ['month', 'Europe/Berlin', '2026-10-31T22:59:59Z', '2026-09-30T22:00:00Z', '2026-10-31T23:00:00Z'],
  ['month', 'Europe/Berlin', '2026-12-31T23:00:00Z', '2026-12-31T23:00:00Z', '2027-01-31T23:00:00Z'],
] as const)('%s in %s at %s', (period, zone, now, start, end) => {
  expect(new Calendar(period, zone).at(iso(now))).toMatchObject({ start: iso(start), end: iso(end) })
})

describe('clocks that are put forward and back', () => {
  test('days of 23 and 25 hours, and of 23.5', () => {
    const berlin = new Calendar('day', 'Europe/Berlin')
    expect(hours(berlin.at(iso('2026-03-29T10:00:00Z')))).toBe(23)
    expect(hours(berlin.at(iso('2026-10-25T10:00:00Z')))).toBe(25)
    expect(hours(berlin.at(iso('2026-10-26T10:00:00Z')))).toBe(24)
    expect(hours(new Calendar('day', 'Australia/Lord_Howe').at(iso('2026-10-04T03:00:00Z')))).toBe(23.5)
  })

  test('a day without a midnight begins when clocks show the first moment of it', () => {
    // Cairo puts clocks forward from 0:00 to 1:00.
    const { start, end } = new Calendar('day', 'Africa/Cairo').at(iso('2026-04-24T12:00:00Z'))
    expect([start, end]).toEqual([iso('2026-04-23T22:00:00Z'), iso('2026-04-24T21:00:00Z')])
  })

  test('a day that never was has no length', () => {
    // Samoa went from 29 to 31 December 2011.
    const apia = new Calendar('day', 'Pacific/Apia')
    const last = apia.at(iso('2011-12-30T09:00:00Z'))
    expect(hours(last)).toBe(24)
    expect(apia.at(last.end).start).toBe(last.end)
    expect(hours(apia.at(last.end))).toBe(24)
  })
})

test('property: periods follow each other without gap, and each begins as a calendar of that place shows it', () => {
  const zones = [
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'America/St_Johns',
    'Asia/Kathmandu',
    'Africa/Cairo',
    'Australia/Lord_Howe',
    'Pacific/Apia',
    'Pacific/Kiritimati',
    'America/Sao_Paulo',
    'Asia/Beirut',
  ]
  const minimum = { day: 22, week: 166, month: 670 }
  fc.assert(
    fc.property(
      fc.constantFrom<Period>('day', 'week', 'month'),
      fc.constantFrom(...zones),
      fc.integer({ min: iso('2012-01-15T00:00:00Z'), max: iso('2040-01-01T00:00:00Z') }),
      (period, zone, now) => {
        const calendar = new Calendar(period, zone)
        const bounds = calendar.at(now)
        const { previous, start, end, nextEnd } = bounds
        expect(start <= now && now < end).toBe(true)
        expect(hours(bounds)).toBeGreaterThanOrEqual(minimum[period])
        const fresh = () => new Calendar(period, zone)
        expect(fresh().at(start)).toEqual(bounds)
        expect(fresh().at(end - 1)).toEqual(bounds)
        expect(fresh().at(end)).toMatchObject({ previous: start, start: end, end: nextEnd })
        expect(fresh().at(start - 1)).toMatchObject({ start: previous, end: start })
        const dateOf = (at: number) => new Date(at).toLocaleDateString('en-CA', { timeZone: zone })
        expect(dateOf(start)).not.toBe(dateOf(start - 1))
        if (period === 'month') expect(dateOf(start)).toMatch(/-01$/)
        if (period === 'week') {
          expect(new Date(start).toLocaleDateString('en', { timeZone: zone, weekday: 'long' })).toBe('Monday')
        }
      },
    ),
    { numRuns: 200 },
  )
})

test('an unknown time zone is refused', () => {
  expect(() => new Calendar('day', 'Europe/Nowhere')).toThrow('no time zone "Europe/Nowhere"')
})
