import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Balanced } from '../../../src/routing/balance.ts'
import { hashText } from '../../../src/routing/balance.ts'
import { pickInRotation, type Rotatable, type RotationRules, rotate } from '../../../src/routing/rotation.ts'
import { seeded } from '../../support/clock.ts'

type One = Balanced & Rotatable
const RULES: RotationRules = { panic: 0.5, zone: 'off', ownZone: undefined }
const NEAR: RotationRules = { panic: 0.5, zone: 'prefer', ownZone: 'a' }

function one(key: string, own: Partial<One> = {}): One {
  return {
    key,
    hash: hashText(key),
    weight: 1,
    inFlight: 0,
    slowStartAt: Number.NEGATIVE_INFINITY,
    isFull: false,
    isEjected: false,
    zone: undefined,
    ...own,
  }
}

const zoned = (zone: string, count: number, ejected = 0) =>
  Array.from({ length: count }, (_, i) => one(`${zone}-${i}`, { zone, isEjected: i < ejected }))
const keys = (list: readonly One[]) => list.map(({ key }) => key)

function picks(candidates: readonly One[], rules: RotationRules, own: object = {}): Map<string, number> {
  const rotation = rotate(candidates, rules)
  const random = seeded(7)
  const credits = new Map<string, number>()
  const counts = new Map<string, number>()
  for (let i = 0; i < 10_000; i++) {
    const request = {
      kind: 'least-request' as const,
      now: 0,
      random,
      slowStartMs: 0,
      tried: new Set<string>(),
      hash: hashText(`user-${i}`),
      credits,
      ...own,
    }
    const key = pickInRotation(rotation, request)?.key ?? 'none'
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

const shareOf = (counts: Map<string, number>, zone: string) =>
  [...counts].reduce((sum, [key, count]) => (key.startsWith(`${zone}-`) ? sum + count : sum), 0) / 10_000

test('ejected ones are left out while at least the share is in rotation', () => {
  const four = zoned('x', 4, 2)
  expect(rotate(four, RULES)).toMatchObject({ isPanic: false })
  expect([...picks(four, RULES).keys()].sort()).toEqual(['x-2', 'x-3'])
  for (const kind of ['round-robin', 'consistent-hash']) {
    expect([...picks(four, RULES, { kind }).keys()].sort()).toEqual(['x-2', 'x-3'])
  }
})

test('panic: below the share ejections are ignored; 0 = never', () => {
  const four = zoned('x', 4, 3)
  expect(rotate(four, RULES).isPanic).toBe(true)
  expect(picks(four, RULES).size).toBe(4)
  expect([...picks(four, { ...RULES, panic: 0 }).keys()]).toEqual(['x-3'])
  expect(rotate(zoned('x', 4, 1), { ...RULES, panic: 0.8 }).isPanic).toBe(true)
})

test('with all of them out they are asked all the same, panic or not', () => {
  expect(picks(zoned('x', 2, 2), { ...RULES, panic: 0 }).size).toBe(2)
})

test('who was tried or is full is passed over; an ejected one before none, and before a full one', () => {
  const two = [one('in'), one('out', { isEjected: true })]
  expect([...picks(two, RULES, { tried: new Set(['in']) }).keys()]).toEqual(['out'])
  expect([...picks(two, RULES, { tried: new Set(['in', 'out']) }).keys()]).toEqual(['none'])
  const full = [one('in', { isFull: true }), one('out', { isEjected: true })]
  expect([...picks(full, RULES).keys()]).toEqual(['out'])
  expect([...picks([one('in', { isFull: true })], RULES).keys()]).toEqual(['in'])
})

test('prefer: all to the own zone while at most 28 % of it are out, then more and more elsewhere', () => {
  const both = (ejected: number) => [...zoned('a', 10, ejected), ...zoned('b', 10)]
  const shares = [0, 2, 3, 5].map((ejected) => shareOf(picks(both(ejected), NEAR), 'a'))
  expect(shares.slice(0, 2)).toEqual([1, 1])
  expect(shares[2]).toBeCloseTo(0.98, 1)
  expect(shares[3]).toBeCloseTo(0.7, 1)
})

test('prefer: the other zone gets all when the own one has nobody, and is asked when the own one was tried or is full', () => {
  expect(shareOf(picks(zoned('b', 2), NEAR), 'b')).toBe(1)
  const pair = [...zoned('a', 1), ...zoned('b', 1)]
  expect(shareOf(picks(pair, NEAR), 'a')).toBe(1)
  expect(shareOf(picks(pair, NEAR, { tried: new Set(['a-0']) }), 'b')).toBe(1)
  expect(shareOf(picks([one('a-0', { zone: 'a', isFull: true }), ...zoned('b', 1)], NEAR), 'b')).toBe(1)
})

test('prefer with consistent hashing: a key stays on its side', () => {
  const rotation = rotate([...zoned('a', 4, 2), ...zoned('b', 4)], NEAR)
  const random = seeded(1)
  const pick = (key: string) =>
    pickInRotation(rotation, {
      kind: 'consistent-hash',
      now: 0,
      random,
      slowStartMs: 0,
      tried: new Set(),
      hash: hashText(key),
      credits: new Map(),
    })?.key
  const zones = new Set<string>()
  for (let i = 0; i < 200; i++) {
    const first = pick(`user-${i}`)
    zones.add(first?.[0] ?? '')
    for (let again = 0; again < 5; again++) expect(pick(`user-${i}`)).toBe(first)
  }
  expect([...zones].sort()).toEqual(['a', 'b'])
})

test('strict: never elsewhere, not even in panic', () => {
  const rules = { ...NEAR, zone: 'strict' } as const
  expect(shareOf(picks([...zoned('a', 3, 3), ...zoned('b', 9)], rules), 'a')).toBe(1)
  expect([...picks(zoned('b', 2), rules).keys()]).toEqual(['none'])
})

test('without a zone of its own the gateway looks at none', () => {
  const mixed = [...zoned('a', 1), ...zoned('b', 1)]
  expect(picks(mixed, { ...NEAR, ownZone: undefined }).size).toBe(2)
  expect(keys(rotate(mixed, RULES).near)).toEqual(['a-0', 'b-0'])
})

test('there is always somebody while there are candidates', () => {
  const instance = fc.record({
    isEjected: fc.boolean(),
    isFull: fc.boolean(),
    zone: fc.constantFrom('a', 'b', undefined),
  })
  fc.assert(
    fc.property(
      fc.array(instance, { minLength: 1, maxLength: 12 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.constantFrom('off' as const, 'prefer' as const),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      (list, panic, zone, roll) => {
        const all = list.map((own, i) => one(`i-${i}`, own))
        const rotation = rotate(all, { panic, zone, ownZone: 'a' })
        const picked = pickInRotation(rotation, {
          kind: 'least-request',
          now: 0,
          random: () => roll,
          slowStartMs: 0,
          tried: new Set(),
          hash: 0,
          credits: new Map(),
        })
        expect(picked).toBeDefined()
        const free = all.some(({ isFull }) => !isFull)
        if (free) expect(picked?.isFull).toBe(false)
        const isPerfect = all.some(({ isEjected, isFull }) => !isEjected && !isFull)
        if (isPerfect && !rotation.isPanic) expect(picked?.isEjected).toBe(false)
      },
    ),
  )
})

test('prefer: instances that the registry keeps out of the zone are missing there, too', () => {
  const candidates = [...zoned('a', 2), ...zoned('b', 4)]
  expect(rotate(candidates, NEAR).nearShare).toBe(1)
  expect(rotate(candidates, { ...NEAR, zoneTotal: 4 }).nearShare).toBeCloseTo(0.7)
  expect(rotate(zoned('a', 2), { ...NEAR, zoneTotal: 4 }).nearShare).toBe(1)
})
