import { afterAll, beforeAll, expect, test } from 'vitest'
import { runProgram } from '../../src/cli/program.ts'
import type { TablesView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { followEvents } from '../support/events.ts'
import type { GatewayProcess } from '../support/gateway.ts'
import {
  decides,
  type ReleaseOptions,
  releaseGateway,
  send,
  startCatalog,
  untilAt,
  viewOf,
} from '../support/release-gateways.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { later, opened } = useCleanups()
let consul: TestConsul

beforeAll(async () => {
  consul = await startConsul()
})
afterAll(() => consul.stop())

async function gatewayOf(options: Omit<ReleaseOptions, 'consul'>): Promise<GatewayProcess> {
  const gateway = await releaseGateway({ consul, ...options })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

/** Its own service, so that tests do not meet. */
async function catalogOf(service: string) {
  return opened(await startCatalog(consul, service))
}

const RAMP = `
ramp:
  steps:
    - { percent: 10, for: 0s, minRequests: 100 }
    - { percent: 50, for: 1h, minRequests: 100 }
    - { percent: 100 }
guard: { minRequests: 20, checks: [{ metric: error-ratio, maxIncrease: 1pp }] }`

const versionOf = async (gateway: GatewayProcess, headers: Record<string, string>) =>
  (await fetch(gateway.publicUrl, { headers })).text()

interface Told {
  canary: string
  status: string
  percent: number
  text: string
}

/** What is POSTed to it; the first `failures` get 500. */
async function aWebhook(failures: number) {
  const told: Told[] = []
  let left = failures
  const server = await opened(
    await httpServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      if (left-- > 0) {
        response.writeHead(500).end()
        return
      }
      told.push(JSON.parse(Buffer.concat(chunks).toString()) as Told)
      response.end()
    }),
  )
  return { url: `http://127.0.0.1:${server.port}/hook`, told }
}

test('two gateways count together; a canary that fails is taken back by both, in one table, with its evidence', {
  timeout: 60_000,
}, async () => {
  const catalog = await catalogOf('rollback')
  const webhook = await aWebhook(2)
  const rule = RAMP.replace('guard: {', `guard: { notify: [{ webhook: "${webhook.url}" }],`)
  const gateways = [
    await gatewayOf({ service: 'rollback', rule }),
    await gatewayOf({ service: 'rollback', rule }),
  ] as const
  const [one, other] = gateways
  const follow = await opened(await followEvents(other.adminUrl))
  for (const each of gateways) await untilAt(each, { percent: 10 }, 20_000)
  expect((await Promise.all(gateways.map(decides))).filter(Boolean)).toHaveLength(1)

  // Neither has the 100 requests of the step.
  for (const each of gateways) await send(each, 'stable', 60)
  for (const each of gateways) {
    expect(new Set(await send(each, 'canary', 60))).toEqual(new Set(['2.0']))
  }
  for (const each of gateways) {
    const { history } = await untilAt(each, { percent: 50, status: 'ramping' })
    const counts = history.at(-1)?.counts
    expect(counts?.stable).toEqual({ total: 120, bad: 0 })
    expect(counts?.canary.total).toBeGreaterThanOrEqual(100)
  }

  catalog.canaryFails = true
  // Side by side: what is not of the same time is not compared.
  for (let i = 0; i < 10; i++) {
    for (const each of gateways) await send(each, 'canary', 1)
    for (const each of gateways) await send(each, 'stable', 2)
  }
  for (const each of gateways) {
    const release = await untilAt(each, { percent: 0, status: 'aborted' })
    expect(release.reason).toMatch(/^error-ratio: canary \d+ of \d+ \(\d[\d.]* %\), stable 0 of/)
    expect(release.history.at(-1)).toMatchObject({ status: 'aborted', by: 'ramp', reason: release.reason })
    await waitFor(async () => (await versionOf(each, { 'x-side': 'canary' })) === '1.0')
    const { versions } = await each.admin<TablesView>('/api/tables')
    const causes = versions.map(({ cause }) => cause).filter((cause) => cause.startsWith('canary'))
    // The newest first; a gateway that came late began with 10 %.
    expect(causes.slice(0, 2)).toEqual(['canary v2: 50% -> 0%, ramping -> aborted', 'canary v2: 10% -> 50%'])
    const metrics = await (await fetch(`${each.adminUrl}/metrics`)).text()
    expect(metrics).toContain('sluice_canary_state{canary="v2",state="aborted"} 1')
    expect(metrics).toContain('sluice_canary_percent{canary="v2"} 0')
  }
  await waitFor(() => webhook.told.length === 3)
  expect(webhook.told.map(({ canary, status, percent }) => [canary, status, percent])).toContainEqual([
    'v2',
    'aborted',
    0,
  ])
  const events = follow.seen.filter(({ type }) => type === 'canary').map(({ data }) => data)
  expect(events.at(-1)).toMatchObject({ canary: 'v2', status: 'aborted', percent: 0, by: 'ramp' })
  const told = 'canary v2: 50% -> 0%, ramping -> aborted'
  await waitFor(() => (one.output() + other.output()).includes(told))
})

test('the deciding gateway is killed in mid-ramp: the other one goes on; a new one is where the release is at once', {
  timeout: 90_000,
}, async () => {
  await catalogOf('killed')
  const gateways = [
    await gatewayOf({ service: 'killed', rule: RAMP }),
    await gatewayOf({ service: 'killed', rule: RAMP }),
  ] as const
  for (const each of gateways) await untilAt(each, { percent: 10 }, 20_000)
  const [first, second] = gateways
  const [leader, rest] = (await decides(first)) ? [first, second] : [second, first]
  await send(rest, 'canary', 10)
  leader.signal('SIGKILL')
  await waitFor(() => decides(rest), { timeoutMs: 40_000, what: 'the other one to decide' })
  expect((await viewOf(rest)).percent).toBe(10)
  await send(rest, 'stable', 100)
  await send(rest, 'canary', 100)
  await untilAt(rest, { percent: 50 })

  const next = await gatewayOf({ service: 'killed', rule: RAMP })
  const view = await viewOf(next)
  expect([view.percent, view.state, view.isLive]).toEqual([50, 'ramping', true])
  const { versions } = await next.admin<TablesView>('/api/tables')
  expect(versions.filter(({ cause }) => cause.startsWith('canary'))).toEqual([])
})

test('a header of the business, and a version that cannot be reached, count against the canary', {
  timeout: 60_000,
}, async () => {
  const catalog = await catalogOf('header')
  const gateway = await gatewayOf({
    service: 'header',
    settings: 'store: none',
    rule: `
ramp: { steps: [{ percent: 10, for: 1h }, { percent: 100 }] }
guard: { minRequests: 20, checks: [{ metric: header-ratio, header: X-Order-Failed, max: 1% }] }`,
  })
  await untilAt(gateway, { percent: 10 })
  catalog.canaryHeaders = { 'x-order-failed': '1' }
  await send(gateway, 'canary', 30)
  expect((await untilAt(gateway, { status: 'aborted' })).reason).toContain('header-ratio x-order-failed: ')
})

test('whose instances refuse connections is rolled back, although stable answers in its place', {
  timeout: 60_000,
}, async () => {
  await catalogOf('refused')
  const gone = await httpServer(() => {})
  await consul.register({
    Name: 'refused',
    ID: 'refused-2.0',
    Address: '127.0.0.1',
    Port: gone.port,
    Meta: { version: '2.0' },
  })
  await gone.close()
  const gateway = await gatewayOf({ service: 'refused', settings: 'store: none', rule: RAMP })
  await untilAt(gateway, { percent: 10 })
  // Side by side: what is not of the same time is not compared.
  for (let i = 0; i < 30; i++) {
    await send(gateway, 'stable', 2)
    expect(await send(gateway, 'canary', 1)).toEqual(['1.0'])
  }
  expect((await untilAt(gateway, { status: 'aborted' })).reason).toContain('error-ratio')
})

test('a number of Prometheus takes a release back; one that hangs does not hold the others', {
  timeout: 60_000,
}, async () => {
  await catalogOf('values')
  const asked: string[] = []
  const prometheus = await opened(
    await httpServer((request, response) => {
      const query = new URL(request.url ?? '', 'http://p').searchParams.get('query') ?? ''
      asked.push(query)
      if (query === 'hangs') return
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({
          status: 'success',
          data: { resultType: 'vector', result: [{ metric: {}, value: [1, '7.5'] }] },
        }),
      )
    }),
  )
  const gateway = await gatewayOf({
    service: 'values',
    settings: `store: none, prometheus: "http://127.0.0.1:${prometheus.port}"`,
    rule: `
ramp: { steps: [{ percent: 10, for: 1h }, { percent: 100 }] }
guard:
  interval: 100ms
  failures: 3
  checks:
    - { metric: prometheus, name: slow, query: hangs, max: 1 }
    - { metric: prometheus, name: lost-orders, query: "sum(lost)", max: 5 }`,
  })
  const { reason } = await untilAt(gateway, { status: 'aborted' })
  expect(reason).toBe('lost-orders: 7.5, 3 times in a row; allowed is at most 5')
  expect(asked.filter((query) => query === 'hangs')).toHaveLength(1)
})

/** What `sluice` prints. */
async function sluice(gateway: GatewayProcess, ...args: string[]): Promise<string> {
  const lines: string[] = []
  const note = (text: string) => void lines.push(text)
  const terminal = { env: {}, hasColor: false, out: note, err: note }
  await runProgram(['node', 'sluice', ...args, '--admin', gateway.adminUrl], terminal)
  return lines.join('\n')
}

test('a field that is gone holds the release, whichever gateway saw it, until a person lets it pass', {
  timeout: 60_000,
}, async () => {
  const catalog = await catalogOf('contract')
  catalog.body = (version) => (version === '1.0' ? { id: 1, price: 2 } : { id: 1 })
  const options = {
    service: 'contract',
    route: 'contract: { sample: 1, minSamples: 20 }',
    rule: `
ramp:
  steps: [{ percent: 10, for: 0s, minRequests: 100 }, { percent: 50, for: 1h }, { percent: 100 }]
guard: { minRequests: 5, checks: [{ metric: error-ratio, maxIncrease: 1pp }] }`,
  }
  const gateways = [await gatewayOf(options), await gatewayOf(options)] as const
  for (const each of gateways) await untilAt(each, { percent: 10 }, 20_000)
  const [first, second] = gateways
  const [leader, rest] = (await decides(first)) ? [first, second] : [second, first]
  const follow = await opened(await followEvents(leader.adminUrl))
  expect((await viewOf(leader)).release?.checks.at(-1)).toEqual({
    name: 'contract',
    suspicion: 0,
    failures: 0,
    breaches: [],
  })

  // The one that decides sees nothing of it; the other one meets the new version first.
  await send(rest, 'canary', 30)
  await send(rest, 'stable', 30)
  await send(rest, 'canary', 5)
  for (const each of gateways) {
    const held = await untilAt(each, { status: 'holding' })
    expect(held).toMatchObject({ percent: 10, reason: 'contract: shop: $.price is gone', by: 'ramp' })
    expect(held.checks.at(-1)).toMatchObject({ name: 'contract', breaches: ['shop: $.price is gone'] })
  }
  const events = follow.seen.filter(({ type }) => type === 'canary').map(({ data }) => data)
  expect(events.at(-1)).toMatchObject({ status: 'holding', reason: 'contract: shop: $.price is gone' })
  expect(await sluice(rest, 'canary', 'show', 'v2')).toContain('check     contract: shop: $.price is gone\n')

  await sluice(rest, 'canary', 'promote', 'v2', '--reason', 'nobody needs it')
  await untilAt(leader, { percent: 50, status: 'ramping' })
  await send(rest, 'canary', 30)
  const { reason } = await waitFor(async () => {
    const { release } = await viewOf(leader)
    return release !== undefined && release.counts.canary.total >= 30 ? release : undefined
  })
  expect(reason).toMatch(/^waits for: \d+ s of this step/)
  expect((await viewOf(leader)).release).toMatchObject({ status: 'ramping', percent: 50 })
})
