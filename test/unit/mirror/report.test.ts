import { expect, test } from 'vitest'
import { compareJson, compileRules } from '../../../src/mirror/compare.ts'
import type { Json } from '../../../src/mirror/json.ts'
import { MirrorReport } from '../../../src/mirror/report.ts'

const RULES = compileRules([], 0)
let at = 0

function add(report: MirrorReport, primary: Json, mirror: Json, again?: Json) {
  return report.add({
    at: ++at,
    request: 'GET /x',
    differences: compareJson(primary, mirror, RULES),
    noise: again === undefined ? undefined : compareJson(primary, again, RULES),
  })
}

test('what stable does to itself is no difference of the mirror', () => {
  const report = new MirrorReport()
  for (let i = 0; i < 10; i++) {
    const real = add(report, { id: i, price: 1 }, { id: i + 1000, price: 2 }, { id: i + 2000, price: 1 })
    expect(real.map(({ path }) => path)).toEqual(['$.price'])
  }
  const { paths, compared, noiseCompared, different } = report.view()
  expect([compared, noiseCompared, different]).toEqual([10, 10, 10])
  expect(paths.map(({ path, isNoise }) => [path, isNoise])).toEqual([
    ['$.price', false],
    ['$.id', true],
  ])
})

test('noise that was learnt is subtracted from comparisons without a second look at stable, too', () => {
  const report = new MirrorReport()
  add(report, { id: 1 }, { id: 2 }, { id: 3 })
  expect(add(report, { id: 4 }, { id: 5 })).toEqual([])
  expect(report.view()).toMatchObject({ different: 0, equal: 2, paths: [{ path: '$.id', isNoise: true }] })
})

test('a place that is seldom noisy and always different is a difference', () => {
  const report = new MirrorReport()
  for (let i = 0; i < 20; i++) add(report, { stock: 5 }, { stock: 6 }, { stock: i === 0 ? 4 : 5 })
  expect(report.view().paths).toMatchObject([{ path: '$.stock', isNoise: false, differs: 20 }])
})

test('memory is bounded: places, and examples of each', () => {
  const report = new MirrorReport()
  for (let i = 0; i < 300; i++) add(report, { [`k${i}`]: 1, same: 1 }, { [`k${i}`]: 2, same: 1 })
  const view = report.view()
  expect(view.paths).toHaveLength(200)
  expect(view.elsewhere).toBe(100)
  for (let i = 0; i < 10; i++) add(report, { k0: 'Ann' }, { k0: 'Bob' })
  const examples = report.view().paths.find(({ path }) => path === '$.k0')?.examples ?? []
  expect(examples).toHaveLength(3)
  expect(examples[1]).toMatchObject({ primary: '"aaa"', mirror: '"aaa"', request: 'GET /x', kind: 'value' })
})
