import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ContractSpec } from '../../../src/core/route.ts'
import { findBreaches } from '../../../src/mirror/contract.ts'
import { breachesOf, ContractBook } from '../../../src/mirror/contract-book.ts'
import { type Json, parseJson } from '../../../src/mirror/json.ts'
import { Shape } from '../../../src/mirror/shape.ts'

const BOUNDS = { maxDepth: 8, maxNodes: 500 }
const SPEC: ContractSpec = {
  sample: 1,
  minSamples: 20,
  requiredFrom: 0.99,
  maxBodyBytes: 65_536,
  maxDepth: 8,
  maxFields: 500,
}

const shapeOf = (answers: readonly Json[], bounds = BOUNDS) => {
  const shape = new Shape(bounds)
  for (const answer of answers) shape.add(answer)
  return shape
}

const times = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i))
const told = (earlier: readonly Json[], recent: readonly Json[]) =>
  findBreaches(shapeOf(earlier), shapeOf(recent), SPEC).map(
    ({ kind, path, before, after }) => `${kind} ${path} ${before} > ${after}`,
  )

describe('breaches', () => {
  test('answers that are like the earlier ones are none, whatever they are', () => {
    const answers = fc.array(fc.json({ maxDepth: 4 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(answers, (texts) => {
        const values = times(60, (i) => parseJson(texts[i % texts.length] as string) as Json)
        expect(told(values, values)).toEqual([])
      }),
    )
  })

  test('a field that is gone, one within a list, and one of another kind', () => {
    const earlier = times(50, (i) => ({
      id: i,
      name: 'a',
      items: [
        { sku: 'x', n: 1 },
        { sku: 'y', n: 2 },
      ],
    }))
    const recent = times(5, (i) => ({ id: `${i}`, items: [{ sku: 'x', n: 1 }, { n: 2 }] }))
    expect(told(earlier, recent)).toEqual([
      'retyped $.id number > string',
      'dropped $.name string > absent',
      'dropped $.items[*].sku string > absent',
    ])
  })

  test('a part that is gone is told once, not with everything in it', () => {
    const earlier = times(50, () => ({ user: { id: 1, address: { city: 'x' } } }))
    expect(
      told(
        earlier,
        times(5, () => ({})),
      ),
    ).toEqual(['dropped $.user object > absent'])
  })

  test('a new field is no breach, nor is one that was optional, nor one that was null now and then', () => {
    const earlier = times(50, (i) => ({ id: i, ...(i % 2 ? { note: 'x' } : {}), end: i % 5 ? 1 : null }))
    expect(
      told(
        earlier,
        times(50, (i) => ({ id: i, more: 1, end: i % 5 ? 1 : null })),
      ),
    ).toEqual([])
  })

  test('two answers may be an accident, three are not; little knowledge says nothing', () => {
    const earlier = times(50, () => ({ id: 1 }))
    expect(
      told(
        earlier,
        times(2, () => ({})),
      ),
    ).toEqual([])
    expect(
      told(
        earlier,
        times(3, () => ({})),
      ),
    ).toEqual(['dropped $.id number > absent'])
    expect(
      told(
        times(19, () => ({ id: 1 })),
        times(10, () => ({})),
      ),
    ).toEqual([])
  })

  test('a field that is missing as seldom as before is none', () => {
    const mostly = (n: number) => times(n, (i) => (i % 100 === 7 ? {} : { id: 1 }))
    expect(told(mostly(1000), mostly(1000))).toEqual([])
  })
})

describe('bounds of a shape', () => {
  test('places, depth, keys as data and long lists', () => {
    const wide = shapeOf([{ a: { b: { c: 1 } }, list: times(1000, (i) => (i < 20 ? i : { deep: i })) }])
    expect([...wide.places.keys()]).toEqual(['$', '$.a', '$.a.b', '$.a.b.c', '$.list', '$.list[*]'])
    const byId = shapeOf([{ users: Object.fromEntries(times(65, (i) => [`u${i}`, { name: 'x' }])) }])
    expect([...byId.places.keys()]).toEqual(['$', '$.users'])
    const flat = shapeOf([{ a: { b: 1 } }], { maxDepth: 1, maxNodes: 500 })
    expect([...flat.places.keys()]).toEqual(['$', '$.a'])
    const few = shapeOf([{ a: 1 }, { b: 1 }, { c: 1 }], { maxDepth: 8, maxNodes: 3 })
    expect([few.places.size, few.isCut]).toEqual([3, true])
  })
})

describe('the book', () => {
  const observe = (book: ContractBook, version: string | undefined, value: Json, spec = SPEC) =>
    book.observe({ route: 'shop', service: 'catalog', version, value, spec, at: 1000 })

  test('a new version is held against the old one; each breach is told once, and holds its ramp', () => {
    const book = new ContractBook()
    for (let i = 0; i < 30; i++) expect(observe(book, '1', { id: i, name: 'x' })).toEqual([])
    const told = times(10, (i) => observe(book, '2', { id: i })).flat()
    expect(told).toMatchObject([
      {
        kind: 'dropped',
        path: '$.name',
        version: '2',
        against: '1',
        route: 'shop',
        firstSeen: 1000,
        count: 3,
      },
    ])
    const target = (version: string) => ({ service: 'catalog', version })
    expect(breachesOf(book.breaches(), target('2'))).toHaveLength(1)
    expect(breachesOf(book.breaches(), target('1'))).toEqual([])
    expect(book.view()).toMatchObject([{ route: 'shop', versions: [{ answers: 30 }, { answers: 10 }] }])
  })

  test('an old version is not held against a new one: what is new is no debt of the old', () => {
    const book = new ContractBook()
    for (let i = 0; i < 30; i++) observe(book, '1', { id: i })
    for (let i = 0; i < 60; i++)
      observe(book, i % 2 === 0 ? '1' : '2', i % 2 === 0 ? { id: i } : { id: i, more: 1 })
    for (let i = 0; i < 10; i++) expect(observe(book, '1', { id: i })).toEqual([])
    expect(book.breaches()).toEqual([])
  })

  test('in a release the stable version is the old one, whichever was seen first', () => {
    const book = new ContractBook()
    const see = (version: string, isStable: boolean, value: Json) =>
      book.observe({ route: 'shop', service: 'catalog', version, isStable, value, spec: SPEC, at: 1000 })
    for (let i = 0; i < 30; i++) expect(see('2', false, { id: i, more: 1 })).toEqual([])
    for (let i = 0; i < 30; i++) expect(see('1', true, { id: i, name: 'x' })).toEqual([])
    expect(times(3, (i) => see('2', false, { id: i, more: 1 })).flat()).toMatchObject([
      { kind: 'dropped', path: '$.name', version: '2', against: '1' },
    ])
    expect(times(10, (i) => see('1', true, { id: i, name: 'x' })).flat()).toEqual([])
  })

  test('what was forgotten is right between these two versions, but for no other one', () => {
    const book = new ContractBook()
    const see = (version: string, value: Json) =>
      book.observe({
        route: 'shop',
        service: 'catalog',
        version,
        isStable: version === '1',
        value,
        spec: SPEC,
        at: 1,
      })
    const both = () => times(30, (i) => [...see('1', { id: i, name: 'x' }), ...see('2', { id: i })]).flat()
    expect(both()).toHaveLength(1)
    book.forget('shop')
    expect(both()).toEqual([])
    expect(times(10, (i) => see('3', { id: i })).flat()).toMatchObject([{ version: '3', path: '$.name' }])
    book.keepOnly(() => false)
    expect(both()).toHaveLength(1)
  })

  test('without versions the answers are held against earlier ones', () => {
    const book = new ContractBook()
    for (let i = 0; i < 30; i++) observe(book, undefined, { id: i })
    const told = times(10, () => observe(book, undefined, { id: 'x' })).flat()
    expect(told).toMatchObject([{ kind: 'retyped', path: '$.id', before: 'number', after: 'string' }])
    expect(told[0]).not.toHaveProperty('version')
  })

  test('a schema speaks from the first answers on', () => {
    const book = new ContractBook()
    const fields: ContractSpec['fields'] = [
      { path: '$', kinds: ['object'], isRequired: false },
      { path: '$.id', kinds: ['number'], isRequired: true },
      { path: '$.note', kinds: ['string', 'null'], isRequired: false },
    ]
    const spec = { ...SPEC, fields }
    const told = times(5, () => observe(book, '1', { note: 7 }, spec)).flat()
    expect(told).toMatchObject([
      { kind: 'dropped', path: '$.id', against: 'schema' },
      { kind: 'retyped', path: '$.note', before: 'null or string', after: 'number' },
    ])
  })

  test('what was forgotten is learnt again, and the least recent version goes first', () => {
    const book = new ContractBook()
    for (let i = 0; i < 30; i++) observe(book, '1', { id: i })
    for (let i = 0; i < 5; i++) observe(book, '2', {})
    expect(book.breaches()).toHaveLength(1)
    expect([book.forget('shop'), book.forget('shop')]).toEqual([true, false])
    for (let i = 0; i < 30; i++) expect(observe(book, '2', {})).toEqual([])
    for (let i = 0; i < 20; i++) observe(book, `v${i}`, {})
    expect(book.view()[0]?.versions).toHaveLength(8)
  })
})
