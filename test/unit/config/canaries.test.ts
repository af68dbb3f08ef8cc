import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { configFolder, load, problemsOf } from '../../support/config.ts'

const rule = (own: string) => ({
  'canary.d/a.yaml': `canaries:\n  - name: v2\n    service: catalog\n    canary: { version: "2.*" }\n${own}`,
})
const problemOf = async (own: string) =>
  (await problemsOf(rule(own))).map(({ file, line, message, fix }) => `${file}:${line} ${message}; ${fix}`)

test('the shorthand for the usual case', async () => {
  const { dynamic, static: config } = await load({
    'sluice.yaml':
      'version: 1\ncanaries: [{ name: catalog-v2, service: catalog, canary: { version: 2.0.3 }, percent: 10 }]',
  })
  expect(dynamic.canaries).toMatchObject([
    {
      kind: 'canary',
      name: 'catalog-v2',
      routes: [],
      variants: [{ name: 'canary', select: { version: '2.0.3' }, percent: 1000 }],
      keys: [{ kind: 'claim', name: 'sub' }, { kind: 'ip' }],
      forward: 'x-canary',
      whenEmpty: 'stable',
    },
  ])
  expect(config).not.toHaveProperty('canaries')
})

test('everything there is', async () => {
  const { dynamic } = await load({
    'canary.d/b.yaml': `
version: 1
canaries:
  - name: catalog-v2
    service: catalog
    routes: ["*"]
    stable: { version: "1.*" }
    canary: { version: "2.0.3" }
    match:
      - { name: testers, user: { in: [u-1007, u-2291] }, side: canary }
      - { header: { X-Release: canary }, from: trusted, side: canary }
      - { cookie: { beta: "1" }, side: canary }
      - { ip: [10.20.0.0/16, "2001:db8::/32"], side: canary }
      - { header: { x-region: { in: [hangzhou] } }, user: { hash: { lt: 20 } }, side: canary }
      - { claim: { tier: platinum }, side: stable }
    percent: 0.25
    key: [claim.sub, header.X-User-Id, cookie.gw_cid, ip]
    cookie: { name: gw_cid, maxAge: 30d, secure: true, sameSite: lax }
    salt: catalog-2026-11
    forward: X-Canary
    whenCanaryEmpty: fail
    ramp:
      start: "2026-11-25T09:00:00+08:00"
      windows: ["mon-fri 09:00-17:00 Asia/Shanghai", "sat,sun 10:00-12:00"]
      steps:
        - { percent: 1, for: 10m, minRequests: 500 }
        - { percent: 50, hold: true }
        - { percent: 100, for: 24h }
    guard:
      checks:
        - { metric: error-ratio, max: 2%, compareTo: stable, maxIncrease: 1pp }
        - { metric: latency-p95, max: 800ms, compareTo: stable, maxRatio: 1.3 }
        - { metric: header-ratio, header: x-order-failed, max: 0.5% }
        - { metric: prometheus, query: up, max: 0.1, optional: true }
      keepPins: [testers]
      notify: [{ webhook: "\${ENV:HOOK:-}" }]
    mirror: { percent: 0, methods: [GET, HEAD], compare: false }
lanes:
  - name: blue
    select: { meta: { lane: blue } }
    services: { cart: { tag: blue } }
    percent: 5
    whenEmpty: fail
`,
  })
  const [lane, canary] = dynamic.canaries ?? []
  expect(lane).toMatchObject({
    kind: 'lane',
    name: 'blue',
    percent: 500,
    forward: 'x-lane',
    whenEmpty: 'fail',
  })
  expect(canary).toMatchObject({
    variants: [{ percent: 25 }],
    keys: [
      { kind: 'claim', name: 'sub' },
      { kind: 'header', name: 'x-user-id' },
      { kind: 'cookie', name: 'gw_cid' },
      { kind: 'ip' },
    ],
    cookie: { name: 'gw_cid', maxAgeMs: 2_592_000_000, isSecure: true, sameSite: 'lax' },
    forward: 'x-canary',
    ramp: {
      start: Date.parse('2026-11-25T01:00:00Z'),
      windows: [
        { days: [1, 2, 3, 4, 5], from: 540, to: 1020, zone: 'Asia/Shanghai' },
        { days: [6, 0], from: 600, to: 720, zone: 'UTC' },
      ],
      steps: [
        { percent: 100, forMs: 600_000, minRequests: 500, hold: false },
        { percent: 5000, hold: true },
        { percent: 10_000, forMs: 86_400_000 },
      ],
    },
    guard: {
      intervalMs: 30_000,
      falseAlarm: 0.01,
      checks: [
        { kind: 'share', name: 'error-ratio', max: 0.02, maxIncrease: 0.01 },
        { kind: 'latency', name: 'latency-p95', quantile: 0.95, maxMs: 800, maxRatio: 1.3 },
        { kind: 'share', name: 'header-ratio x-order-failed', header: 'x-order-failed', max: 0.005 },
        { kind: 'value', name: 'prometheus-4', query: 'up', max: 0.1, optional: true },
      ],
      webhooks: [],
    },
  })
})

test('a guard holds on broken contracts, alone if need be', async () => {
  const guardOf = async (own: string) => (await load(rule(own))).dynamic.canaries?.[0]
  expect(await guardOf('    guard: {}')).toMatchObject({ guard: { contract: 'hold', checks: [] } })
  expect(await guardOf('    guard: { contract: rollback }')).toMatchObject({
    guard: { contract: 'rollback' },
  })
})

test('a cookie that is given out is a key, before the address', async () => {
  const keysOf = async (own: string) =>
    (await load(rule(own))).dynamic.canaries?.[0]?.keys.map((key) => ('name' in key ? key.name : key.kind))
  expect(await keysOf('    cookie: { name: cid }')).toEqual(['sub', 'cid'])
  expect(await keysOf('    cookie: { name: cid }\n    key: [header.a, ip]')).toEqual(['a', 'cid', 'ip'])
})

test('users come from a file, which is watched', async () => {
  const { folder, remove } = configFolder({
    ...rule('    match: [{ user: { in: [u-0], file: users.txt }, side: canary }]'),
    'canary.d/users.txt': '# testers\nu-1\n\n  u-2  # the boss\r\n',
  })
  try {
    const first = await loadConfig({ path: folder })
    expect(first.dynamic.canaries?.[0]?.match[0]?.users).toEqual(['u-0', 'u-1', 'u-2'])
    expect(first.files).toContain(join(folder, 'canary.d/users.txt'))
    writeFileSync(join(folder, 'canary.d/users.txt'), 'u-1\n')
    const second = await loadConfig({ path: folder })
    expect(second.hash).not.toBe(first.hash)
    expect(second.staticHash).toBe(first.staticHash)
  } finally {
    remove()
  }
})

describe('mistakes', () => {
  test.each([
    ['    percnt: 5', 'unknown key "percnt"; did you mean "percent"?'],
    ['    percent: 101', 'write at most 100'],
    ['    percent: 0.125', '0.125 has more than two decimals; write it in percent'],
    ['    match: [{ side: canary }]', 'the entry has no condition and would pin everybody'],
    ['    match: [{ ip: [10.0.0.1], side: cnary }]', 'there is no side "cnary"; write one of canary, stable'],
    ['    match: [{ user: { file: nobody.txt }, side: canary }]', 'cannot be read'],
    ['    match: [{ header: { a: { regex: "(" } }, side: canary }]', 'is no RE2 regular expression'],
    ['    forward: Authorization', 'clients could not send this header any more'],
    ['    key: [sub]', 'write claim.NAME, header.NAME, cookie.NAME or ip'],
    ['    cookie: { name: "a b" }', 'write a cookie name'],
    ['    cookie: { name: a, secure: false, sameSite: none }', 'browsers drop a cookie'],
    ['    stable: {}', 'the selector selects nothing'],
    ['    variants: [{ name: red, select: { tag: a } }]', 'canary and variants exclude each other'],
    [
      '    ramp: { steps: [{ percent: 5, for: 1m }, { percent: 5, for: 1m }, { percent: 100 }] }',
      'step 2 (5%) is not above step 1 (5%)',
    ],
    ['    ramp: { steps: [{ percent: 5, for: 1m }] }', 'the ramp ends at 5% and nobody says what comes then'],
    ['    ramp: { steps: [{ percent: 5 }, { percent: 100 }] }', 'the step says neither how long it lasts'],
    [
      '    percent: 10\n    ramp: { steps: [{ percent: 5, hold: true }] }',
      'the rule starts above the first step',
    ],
    ['    ramp: { windows: [sometimes], steps: [{ percent: 100 }] }', '"sometimes" is no time window'],
    [
      '    ramp: { start: "2026-11-25", steps: [{ percent: 100 }] }',
      'is no point in time; write it with its offset',
    ],
    ['    guard: { checks: [{ metric: error-ratio }] }', 'the check has no limit; add max, or maxIncrease'],
    [
      '    guard: { checks: [{ metric: latency-p95, max: 1s, compareTo: stable }] }',
      'the check compares with stable and has no limit for that; add maxRatio',
    ],
    [
      '    guard: { checks: [{ metric: error-ratio, max: 2% }, { metric: error-ratio, max: 3% }] }',
      'check "error-ratio" stands twice',
    ],
    [
      '    guard: { checks: [{ metric: error-ratio, max: "2" }] }',
      '"2" is no ratio; write it with its unit: 2%',
    ],
    [
      '    guard: { keepPins: [x], checks: [{ metric: error-ratio, max: 2% }] }',
      'no match entry has the name "x"',
    ],
  ])('%s', async (own, expected) => {
    const problems = await problemOf(own)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(expected)
    expect(problems[0]).toMatch(/^canary\.d\/a\.yaml:[4-6] /)
  })

  test('a version that YAML takes for a number is quoted as it was written', async () => {
    const [problem] = await problemsOf({
      'canary.d/a.yaml': 'canaries: [{ name: a, service: s, canary: { version: 2.0 } }]',
    })
    expect(problem).toMatchObject({ fix: 'quote it: "2.0"', path: 'canaries[0].canary.version', line: 1 })
  })

  test('one name for two rules, over files and kinds', async () => {
    const [problem] = await problemsOf({
      'sluice.yaml': 'lanes: [{ name: v2, select: { tag: a } }]',
      ...rule(''),
    })
    expect(problem).toMatchObject({ file: 'canary.d/a.yaml', line: 2 })
    expect(problem?.message).toMatch(/^canary rule or lane "v2" exists already at .*sluice\.yaml:2:/)
  })

  test.each([
    ['lanes: [{ name: a }]', 'lane "a" selects nothing'],
    ['lanes: [{ name: stable, select: { tag: a } }]', '"stable" means: in no lane'],
    ['canaries: [{ name: a, service: s }]', 'rule "a" has no side beside stable'],
    [
      'canaries: [{ name: a, service: s, variants: [{ name: stable, select: { tag: a } }] }]',
      '"stable" is taken',
    ],
    [
      'canaries: [{ name: a, service: s, variants: [{ name: x, select: { tag: a }, percent: 60 }, { name: y, select: { tag: b }, percent: 60 }] }]',
      'the variants take 120% together',
    ],
    ['routes: []', 'unknown key "routes"'],
  ])('%s', async (yaml, message) => {
    expect((await problemsOf({ 'canary.d/a.yaml': yaml }))[0]?.message).toBe(message)
  })
})
