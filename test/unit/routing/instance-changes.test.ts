import { expect, test } from 'vitest'
import { instanceChanges } from '../../../src/routing/instance-changes.ts'
import { anInstance, aService, aTable } from '../../support/exchange.ts'

const told = (...args: Parameters<typeof instanceChanges>) =>
  instanceChanges(...args).map(({ kind, service, instance, from, to }) =>
    [kind, service, instance.id, from, to].join(' '),
  )

test('tells who came, who went and whose state changed', () => {
  const [a, b] = [anInstance('a', 1), anInstance('b', 2)]
  const before = aTable(aService([a, b]), aService([a], { name: 'other' }))
  const after = aTable(aService([anInstance('a', 1, { state: 'draining' }), anInstance('c', 3)]))
  expect(told(before, after)).toEqual([
    'changed shop a passing draining',
    'appeared shop c  passing',
    'left shop b passing ',
    'left other a passing ',
  ])
})

test('another weight or check is no step', () => {
  const before = aTable(aService([anInstance('a', 1)]))
  const after = aTable(aService([anInstance('a', 1, { weight: 7, checks: [] })]))
  expect(told(before, after)).toEqual([])
})

test('a new service tells all of its instances', () => {
  expect(told(aTable(), aTable(aService([anInstance('a', 1)])))).toEqual(['appeared shop a  passing'])
})
