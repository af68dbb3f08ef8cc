import { expect, test } from 'vitest'
import { ConfigError } from '../../../src/config/problems.ts'
import { parsePlan, planOfFlags } from '../../../src/rollcheck/plan-file.ts'

const HEAD = 'version: 1\ntarget: http://127.0.0.1:8080\nadmin: [http://127.0.0.1:8081]\n'
const parse = (text: string) => parsePlan('plan.yaml', text, {})

function problemsOf(text: string): string[] {
  try {
    parse(text)
    return []
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    return thrown.problems.map(({ line, column, message, fix }) => `${line}:${column} ${message}; ${fix}`)
  }
}

test('a small plan gets all defaults', () => {
  const { load, roll } = parse(`${HEAD}roll: { service: shop, start: node service.ts }`)
  expect(load).toMatchObject({ rate: 200, late: 1000, keepAlive: 1000 })
  expect(load.requests).toMatchObject([{ name: 'GET /', kind: 'get', method: 'GET', expectedMs: 0 }])
  expect(roll).toMatchObject({ instances: 3, signal: 'SIGTERM', versions: ['1', '2'], stopTimeout: 30_000 })
})

test('the kind follows from the method, and what a request takes by itself from its pieces', () => {
  const { load } = parse(`${HEAD}roll: { service: shop, restart: x }
load:
  requests:
    - { path: /a, method: POST }
    - { path: /b, method: PUT, chunks: 4, interval: 50ms }
    - { path: /c, kind: stream, chunks: 5, interval: 200ms }
    - { path: /d, kind: websocket, messages: 3, interval: 1s }`)
  expect(load.requests.map(({ kind, method, expectedMs }) => [kind, method, expectedMs])).toEqual([
    ['post', 'POST', 0],
    ['upload', 'PUT', 200],
    ['stream', 'GET', 1000],
    ['websocket', 'GET', 3000],
  ])
  expect(load.requests[1]?.bytes).toBe(65_536)
})

const WRONG: readonly (readonly [string, string])[] = [
  [`${HEAD}roll: { service: shop, restart: x }\nlaod: {}`, '5:1 unknown key "laod"; did you mean "load"?'],
  [`${HEAD}roll: { service: shop, restart: x, pauseBetween: 5 }`, '4:36 5 has no unit'],
  [`${HEAD}roll: { restart: x }`, '4:1 it is not said what is rolled'],
  [`${HEAD}roll: { service: shop, restart: x, start: y }`, '"restart" does not fit beside "start"'],
  [`${HEAD}roll: { service: shop }`, 'nothing says how it is rolled'],
  ['version: 1\nroll: { service: shop, restart: x }', 'key "target" is missing'],
  [
    `${HEAD}roll: { gateways: [{ url: "http://a", admin: "http://b", start: c }] }`,
    'the balancer is the target',
  ],
  [
    `${HEAD}roll: { service: s, restart: x }\nload: { requests: [{ path: /, body: x }] }`,
    '"body" does not fit here',
  ],
]
test.each(WRONG.map(([text, problem]) => [problem, text] as const))('refused: %s', (problem, text) => {
  expect(problemsOf(text).join('\n')).toContain(problem)
})

test('flags make a plan of GETs', () => {
  const plan = planOfFlags({
    url: 'http://127.0.0.1:8080/items/1?x=2',
    admin: ['http://127.0.0.1:8081'],
    service: 'shop',
    restart: 'docker restart {id}',
    rate: '50',
  })
  expect(plan.target).toBe('http://127.0.0.1:8080')
  expect(plan.load).toMatchObject({ rate: 50, requests: [{ path: '/items/1?x=2' }] })
})

test('flags that say too little are misuse, and say what is missing', () => {
  expect(() => planOfFlags({ admin: [] })).toThrow('--url and --service')
  const half = { url: 'http://a/', service: 'shop', admin: ['http://b'] }
  expect(() => planOfFlags(half)).toThrow('--restart')
  expect(() => planOfFlags({ ...half, restart: 'x', rate: 'much' })).toThrow('--rate')
})
