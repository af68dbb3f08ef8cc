import type { CanaryView, ReleaseView, TablesView } from '../../src/core/views.ts'

/** Answers about releases and tables; the last argument may be hostile and takes the place of a name. */

const MINUTE = 60_000

function release(now: number, over: Partial<ReleaseView>): ReleaseView {
  const plan = [
    { percent: 1, forMs: 10 * MINUTE, minRequests: 500, isHold: false },
    { percent: 5, forMs: 30 * MINUTE, minRequests: 2000, isHold: false },
    { percent: 25, forMs: 60 * MINUTE, minRequests: 5000, isHold: false },
    { percent: 50, forMs: 0, minRequests: 0, isHold: true },
    { percent: 100, forMs: 1440 * MINUTE, minRequests: 0, isHold: false },
  ]
  const none = { canary: { total: 0, bad: 0 }, stable: { total: 0, bad: 0 } }
  return {
    status: 'ramping',
    percent: 5,
    step: 2,
    steps: plan.length,
    plan,
    since: now - 18 * MINUTE,
    by: 'ramp',
    reason: '',
    counts: { canary: { total: 1240, bad: 5 }, stable: { total: 23_480, bad: 61 } },
    checks: [
      { name: 'error-ratio', suspicion: 0.12, failures: 0 },
      { name: 'latency-p95', suspicion: 0.63, failures: 0 },
      { name: 'prometheus', suspicion: 0, failures: 1 },
    ],
    history: [
      {
        at: now - 40 * MINUTE,
        status: 'waiting',
        percent: 0,
        by: 'ramp',
        reason: 'before its start',
        counts: none,
      },
      {
        at: now - 30 * MINUTE,
        status: 'ramping',
        percent: 1,
        by: 'ramp',
        reason: 'its start has come',
        counts: none,
      },
      {
        at: now - 18 * MINUTE,
        status: 'ramping',
        percent: 5,
        by: 'ramp',
        reason: 'nothing bad was found',
        counts: { canary: { total: 612, bad: 2 }, stable: { total: 60_210, bad: 140 } },
      },
    ],
    ...over,
  }
}

function canary(name: string, service: string, over: Partial<CanaryView>): CanaryView {
  const percent = over.release?.percent ?? 0
  return {
    name,
    kind: 'canary',
    source: '/etc/sluice/canary.d/shop.yaml:3:5',
    services: [service],
    routes: [],
    percent,
    state: 'led',
    isLive: true,
    releasedPins: false,
    match: ['testers: user (3 listed) -> canary'],
    keys: ['user', 'header x-device'],
    cookie: 'sluice-bucket',
    forward: 'x-sluice-canary',
    whenEmpty: 'stable',
    hasRamp: true,
    sides: [
      { service, name: 'canary', select: 'version 2.0.*', percent, instances: 2, available: 2 },
      {
        service,
        name: 'stable',
        select: 'everything else',
        percent: 100 - percent,
        instances: 6,
        available: 6,
      },
    ],
    ...over,
  }
}

export function canariesAnswer(
  now: number,
  name = 'catalog-v2',
  reason = 'waits for: 12 min more; 760 more requests of the canary',
) {
  const aborted = 'error-ratio: canary 34 of 210 (16.2 %), stable 61 of 23,480 (0.3 %)'
  const canaries: CanaryView[] = [
    canary(name, 'catalog', {
      release: release(now, { reason, by: name === 'catalog-v2' ? 'ramp' : name }),
      match: [`testers: user (3 listed), ${name} -> canary`],
    }),
    canary('checkout-v5', 'checkout', {
      release: release(now, {
        status: 'holding',
        percent: 50,
        step: 4,
        reason: 'nothing bad was found; a person has to promote',
        counts: { canary: { total: 18_200, bad: 12 }, stable: { total: 18_440, bad: 15 } },
        checks: [
          { name: 'error-ratio', suspicion: 0, failures: 0 },
          { name: 'contract', suspicion: 1, failures: 1, breaches: ['$.items[].price: number, now string'] },
        ],
      }),
    }),
    canary('search-next', 'search', {
      release: release(now, {
        status: 'aborted',
        percent: 0,
        step: 0,
        since: now - 4 * MINUTE,
        reason: aborted,
        counts: { canary: { total: 0, bad: 0 }, stable: { total: 0, bad: 0 } },
        checks: [{ name: 'error-ratio', suspicion: 0, failures: 0 }],
      }),
    }),
    canary('blue', 'cart', {
      kind: 'lane',
      services: ['cart', 'orders'],
      hasRamp: false,
      isLive: false,
      state: 'file',
      percent: 1,
      match: ['1: claim team is "blue" -> blue'],
      sides: [
        { service: 'cart', name: 'blue', select: 'meta lane blue', percent: 1, instances: 1, available: 1 },
        { service: 'orders', name: 'blue', select: 'meta lane blue', percent: 1, instances: 1, available: 0 },
      ],
    }),
  ]
  return { canaries, decides: true }
}

export function tablesAnswer(now: number, text = 'api'): TablesView {
  const version = (number: number, minutes: number, cause: string, changes: string[]) => ({
    version: number,
    id: `b7c2${number}9f0e51ad7733`,
    createdAt: now - minutes * MINUTE,
    cause,
    routes: 24,
    services: 12,
    instances: 96,
    changes,
    isCurrent: number === 42,
  })
  return {
    current: 42,
    versions: [
      version(42, 3, `consul: ${text}`, [
        '+ instance catalog 10.0.3.7:8080',
        '- instance catalog 10.0.3.2:8080',
      ]),
      version(41, 22, 'reload', [
        `+ route ${text}-v2`,
        `~ route ${text} (match, filters)`,
        '- route legacy',
        ...Array.from({ length: 20 }, (_, index) => `~ service orders-${index} (timeouts)`),
      ]),
      version(40, 190, 'canary catalog-v2: 1% -> 5%', ['~ canary catalog-v2 (percent)']),
      version(39, 1500, 'start', []),
    ],
    rejection: {
      at: now - 2 * MINUTE,
      cause: 'routes.d/shop.yaml',
      message: `routes.d/shop.yaml:12:7  error  key "pathPrefx" is not known (routes[3].match); did you mean pathPrefix?\n   12 |     match: { pathPrefx: /${text} }\n      |              ^`,
    },
    warnings: [`route "${text}-old" never matches: "${text}" takes all of its requests`],
    problems: [`consul: service "images": tag sluice.weight=${text}: not a number`],
  }
}
