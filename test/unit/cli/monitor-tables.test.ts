import { expect, test } from 'vitest'
import { ageText, nameMatch, rateText, ratioText } from '../../../src/cli/figures.ts'
import { type InstancesWanted, instancesTable } from '../../../src/cli/instances.ts'
import type { MonitorAnswers } from '../../../src/cli/monitor-answers.ts'
import { bodyLines, exitCodeOf, gatewayNotes, headLine } from '../../../src/cli/monitor-table.ts'
import { servicesTable } from '../../../src/cli/services.ts'
import { type Line, lineText } from '../../../src/cli/styled.ts'
import type { InstanceView } from '../../../src/core/views.ts'
import { aShopInstance, aShopService, NOON, someAnswers } from '../../support/monitor-views.ts'

const plain = (lines: readonly Line[]) => lines.map((line) => lineText(line, false))
const ANY = nameMatch(undefined)
const services = (answers: MonitorAnswers, pattern?: string, problems = false) =>
  servicesTable(answers, { name: nameMatch(pattern), problems, routed: false })
const instances = (answers: MonitorAnswers, own: Partial<InstancesWanted> = {}) =>
  instancesTable(answers, { service: ANY, node: ANY, version: ANY, problems: false, ...own }, NOON)

const DEAD = aShopInstance(2, {
  state: 'critical',
  use: 'out',
  reason: 'the registry says critical',
  checks: [
    { id: 'disk', state: 'passing', output: 'fine' },
    { id: 'http', state: 'critical', output: 'dial tcp 10.0.0.2:8080:\n  connection refused' },
  ],
})

test('a healthy service in a line, with traffic when the gateway measures it', () => {
  const answers = someAnswers([aShopService([aShopInstance(3, { version: '2.0.0' }), aShopInstance(1)])])
  expect(plain(bodyLines(services(answers)))).toEqual([
    'SERVICE  HEALTH   IN ROTATION  VERSIONS            SOURCE       IN FLIGHT',
    'shop     healthy          2/2  1.0.0 ×1, 2.0.0 ×1  consul live          3',
  ])
  const traffic = { services: { shop: { rps: 12.34, errorRatio: 0.0123, p99: 23.4 } } }
  expect(plain(bodyLines(services({ ...answers, traffic })))[1]).toMatch(/ 3 +12 +1\.2% +23ms$/)
  expect(exitCodeOf(services(answers), true)).toBe(0)
})

test('one dead instance makes a service degraded, all of them unhealthy; both are exit 1', () => {
  const some = services(someAnswers([aShopService([aShopInstance(1), DEAD])]))
  expect(plain(bodyLines(some))[1]).toMatch(
    /^shop +degraded +1\/2 .* 1 of 2 unhealthy: 10\.0\.0\.2:8080 http: dial tcp 10\.0\.0\.2:8080: connection refused$/,
  )
  const none = services(someAnswers([aShopService([DEAD])]))
  expect(plain(bodyLines(none))[1]).toMatch(/unhealthy +0\/1 .* none of 1 instances can be used; 1 of 1/)
  expect([exitCodeOf(some, false), exitCodeOf(none, false)]).toEqual([1, 1])
})

test('what is not known is not unhealthy: exit 0, with --strict 1', () => {
  const held = aShopInstance(2, { use: 'reserve', reason: 'held: the answer was empty' })
  const cases = [
    [aShopService([DEAD], { source: 'stale', reason: 'consul does not answer' }), 'stale: consul does not'],
    [aShopService([], { source: 'absent' }), 'no registry has it'],
    [aShopService([aShopInstance(1), held]), '1 of 2: 10.0.0.2:8080 held: the answer was empty'],
  ] as const
  for (const [service, text] of cases) {
    const table = services(someAnswers([service]))
    const [, line] = plain(bodyLines(table))
    expect(line).toContain(`unknown: ${text}`)
    expect(line).not.toContain('unhealthy')
    expect([exitCodeOf(table, false), exitCodeOf(table, true)]).toEqual([0, 1])
  }
  const silent = someAnswers(
    [aShopService([aShopInstance(1)])],
    {},
    { state: 'stale', lastSuccess: NOON - 40_000 },
  )
  expect(plain(bodyLines(services(silent)))[1]).toMatch(
    /^shop +healthy .* consul stale .* unknown: registry consul is stale$/,
  )
  expect(plain(gatewayNotes(silent, NOON))).toEqual(['registry consul is stale, last answer 40s ago'])
  expect(plain(bodyLines(instances(silent)))[1]).toContain(' unknown ')
})

test('panic and an open breaker are problems, a release is none', () => {
  const table = services(
    someAnswers([
      aShopService([aShopInstance(1)], { name: 'a', isPanic: true }),
      aShopService([aShopInstance(1)], { name: 'b', breaker: 'open', breakerRefusals: 5 }),
      aShopService([aShopInstance(1), aShopInstance(2, { state: 'draining', use: 'out' })], { name: 'c' }),
    ]),
  )
  const [, a, b, c] = plain(bodyLines(table))
  expect(a).toContain('panic: too few')
  expect(b).toContain('breaker open, 5 refused')
  expect(c).toMatch(/^c +healthy .* 1 of 2 draining$/)
  expect(services(someAnswers(table.known.map(({ service }) => service)), undefined, true).rows).toHaveLength(
    2,
  )
})

test('a service that no route names is told from the others, and can be left out', () => {
  const answers = someAnswers([
    aShopService([], { name: 'a' }),
    aShopService([], { name: 'b', isInTable: false }),
  ])
  expect(plain(bodyLines(services(answers)))[2]).toMatch(/no route names it$/)
  const routed = servicesTable(answers, { name: ANY, problems: false, routed: true })
  expect(routed.rows.map(({ service }) => service.name)).toEqual(['a'])
})

test('an instance that flaps is a problem', () => {
  const answers = someAnswers([aShopService([{ ...aShopInstance(1), flapping: true } as InstanceView])])
  expect(plain(bodyLines(services(answers)))[1]).toMatch(
    /^shop +degraded .* 1 of 1 flapping: 10\.0\.0\.1:8080$/,
  )
  expect(plain(bodyLines(instances(answers, { problems: true })))[1]).toMatch(/ flaps$/)
})

test('names may have stars and commas; a name that is not there is exit 1, nothing of a state is not', () => {
  const answers = someAnswers(['cart', 'catalog', 'shop'].map((name) => aShopService([], { name })))
  const names = (pattern: string) => services(answers, pattern).rows.map(({ service }) => service.name)
  expect(['ca*', '*t*', 'shop,cart', 'c*a*g', 'cat', '*'].map(names)).toEqual([
    ['cart', 'catalog'],
    ['cart', 'catalog'],
    ['cart', 'shop'],
    ['catalog'],
    [],
    ['cart', 'catalog', 'shop'],
  ])
  expect(plain(bodyLines(services(answers, 'cat')))).toEqual(['no such service'])
  expect(exitCodeOf(services(answers, 'cat'), false)).toBe(1)
  const ejected = instances(answers, { service: nameMatch('shop'), states: ['ejected'] })
  expect([plain(bodyLines(ejected)), exitCodeOf(ejected, false)]).toEqual([['no instances'], 0])
})

test('instances with state, use, age, load and checks in one line', () => {
  const ejected = aShopInstance(1, {
    use: 'ejected',
    reason: '3 failed connects; back in 4 s',
    zone: 'eu-1',
  })
  const traffic = { instances: { [DEAD.key]: { rps: 0.25, errorRatio: 1, p99: null } } }
  const table = instances(someAnswers([aShopService([ejected, DEAD])], { traffic }))
  expect(plain(bodyLines(table))).toEqual([
    'ADDRESS        HEALTH     ID      VERSION  ZONE  NODE  STATE     USE      SINCE  IN FLIGHT  REQUESTS  RPS  ERRORS  REASON                                            CHECKS',
    '10.0.0.1:8080  unhealthy  shop-1  1.0.0    eu-1  n1    passing   ejected     1m          1        10               3 failed connects; back in 4 s',
    '10.0.0.2:8080  unhealthy  shop-2  1.0.0          n2    critical  out         1m          2        20  0.3    100%  http: dial tcp 10.0.0.2:8080: connection refused  http critical: dial tcp 10.0.0.2:8080: connection refused; disk passing: fine',
  ])
})

test('instances are chosen by state, use, node and version', () => {
  const answers = someAnswers([
    aShopService([aShopInstance(1), DEAD, aShopInstance(3, { version: '2.1.0' })]),
  ])
  const ids = (own: Partial<InstancesWanted>) => instances(answers, own).rows.map(({ one }) => one.id)
  expect(ids({ states: ['critical'] })).toEqual(['shop-2'])
  expect(ids({ states: ['rotation'] })).toEqual(['shop-1', 'shop-3'])
  expect(ids({ node: nameMatch('n3') })).toEqual(['shop-3'])
  expect(ids({ version: nameMatch('2.*') })).toEqual(['shop-3'])
  expect(ids({ problems: true })).toEqual(['shop-2'])
})

test('what other gateways see stands beside; an ejection there is a problem', () => {
  const one = aShopInstance(1)
  const gateway = (id: string, own = {}) => ({
    id,
    name: `gw-${id}`,
    role: 'gateway' as const,
    isSelf: false,
    isStale: false,
    isCut: false,
    ...own,
  })
  // c says nothing of it: it has it as the registry does. d is silent, e could not say all, m has no clients.
  const gateways = [
    gateway('a', { isSelf: true }),
    ...['b', 'c'].map((id) => gateway(id)),
    gateway('d', { isStale: true }),
    gateway('e', { isCut: true }),
    gateway('m', { role: 'monitor' }),
  ]
  const fleet = (use: 'rotation' | 'ejected') => ({
    gateways,
    instances: {
      [one.key]: [
        { gateway: 'a', use: 'rotation' as const, inFlight: 0 },
        { gateway: 'b', use, reason: '5 resets', inFlight: 0 },
        { gateway: 'd', use: 'ejected' as const, inFlight: 0 },
      ],
    },
  })
  const of = (use: 'rotation' | 'ejected', own = one) =>
    someAnswers([aShopService([own])], { fleet: fleet(use) })
  expect(plain(bodyLines(instances(of('rotation'))))[1]).toMatch(/ 2\/2$/)
  const table = instances(of('ejected'))
  expect(plain(bodyLines(table))[1]).toMatch(/ 1\/2 gw-b ejected +gateway gw-b has ejected it: 5 resets$/)
  expect(exitCodeOf(table, false)).toBe(1)
  const here = instances(of('ejected', { ...one, use: 'ejected', reason: 'resets' }))
  expect(plain(bodyLines(here))[1]).toContain(' 1/2 gw-c rotation ')
  expect(plain(gatewayNotes(of('rotation'), NOON))).toEqual(['not heard of: gateway gw-d'])
})

test('on a small screen the bad ones are seen, and how many are not', () => {
  const many = Array.from({ length: 9 }, (_, i) => aShopService([aShopInstance(1)], { name: `s${i}` }))
  const table = services(someAnswers([...many, aShopService([DEAD], { name: 'zoo' })]))
  const lines = plain(bodyLines(table, { width: 40, height: 5 }))
  expect(lines.map((line) => line.slice(0, 16))).toEqual([
    'SERVICE  HEALTH ',
    'zoo      unhealt',
    's0       healthy',
    's1       healthy',
    '… 7 more',
  ])
  expect(Math.max(...lines.map((line) => line.length))).toBe(40)
})

test('the heading says when the last answer is old, and why', () => {
  const { topology } = someAnswers([])
  const head = (silentMs: number, away?: string) =>
    lineText(
      headLine('services', topology, { admin: 'http://gw:8081', silentMs, ...(away ? { away } : {}) }, NOON),
      false,
    )
  expect(head(1000)).toBe('sluice services  http://gw:8081  ready, table 7  12:00:00')
  expect(head(12_300)).toBe('sluice services  http://gw:8081  stale, last answer 12 s ago')
  expect(head(900, 'refused')).toBe('sluice services  http://gw:8081  stale, last answer 1 s ago: refused')
})

test('what is wrong with the gateway and its records is told, the rest counted', () => {
  const answers = someAnswers([], { failures: ['/api/traffic: 500'] })
  const topology = { ...answers.topology, problems: ['a', 'b', 'c', 'd\x1b[2J', 'e'] }
  const draining = { ...topology, gateway: { ...topology.gateway, state: 'draining' as const } }
  expect(plain(gatewayNotes({ ...answers, topology: draining }, NOON))).toEqual([
    'the gateway is draining',
    'a',
    'b',
    'c',
    '2 more problems of records',
    'left out: /api/traffic: 500',
  ])
})

test('figures are short', () => {
  expect([0, 999, 59_999, 60_000, 7_200_000, 200_000_000].map(ageText)).toEqual([
    '0s',
    '0s',
    '59s',
    '1m',
    '2h',
    '2d',
  ])
  expect([undefined, 0, 0.26, 9.94, 1234.5].map(rateText)).toEqual(['', '0', '0.3', '9.9', '1235'])
  expect([undefined, 0, 0.0004, 0.0123, 1].map(ratioText)).toEqual(['', '0%', '<0.1%', '1.2%', '100%'])
})
