import { expect, test } from 'vitest'
import { overload } from '../../../src/config/overload.ts'
import { problemsOf } from '../../support/config.ts'

test('is on by default, with thresholds far from a gateway at full load', () => {
  expect(overload.parse(undefined)).toMatchObject({
    enabled: true,
    eventLoopDelay: { from: 1000, full: 3000, utilization: 0.9 },
    heap: { from: 0.92, full: 0.99 },
    rss: { from: 0, full: 0 },
    maxRequests: 0,
    credentials: ['authorization', 'x-api-key'],
  })
})

test.each([
  ['eventLoopDelay: { from: 4s }', 'from is above full'],
  ['heap: { from: 1.5 }', ''],
  ['rss: { from: 10MiB, full: 5MiB }', 'from is above full'],
  ['bots: ["("]', 'RE2'],
  ['maxRequest: 5', 'maxRequest'],
])('refuses %s', async (line, message) => {
  const problems = await problemsOf({ 'sluice.yaml': `version: 1\noverload: { ${line} }\n` })
  expect(problems.map((problem) => problem.message).join()).toContain(message)
  expect(problems.some(({ severity }) => severity === 'error')).toBe(true)
})

test.each([
  ['health', 0],
  ['vip', 1],
])('a route of class %s', async (name, mistakes) => {
  const route = `{ name: a, class: ${name}, upstreams: ["http://127.0.0.1:1"] }`
  const problems = await problemsOf({ 'sluice.yaml': `version: 1\nroutes: [${route}]\n` })
  expect(problems.filter(({ severity }) => severity === 'error')).toHaveLength(mistakes)
})
