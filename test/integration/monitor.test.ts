import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { AlertView, HistoryEntry, HistoryView } from '../../src/core/monitor-view.ts'
import type { ServiceView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startConsul } from '../support/consul.ts'
import { followEvents } from '../support/events.ts'
import { type GatewayOptions, type GatewayProcess, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { later, opened } = useCleanups()
const ROUTES = { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' }
const EMBEDDED = 'registries: { local: { type: embedded } }'

async function gatewayWith(yaml: string, options: GatewayOptions = {}): Promise<GatewayProcess> {
  const gateway = await startGateway({ yaml, routes: ROUTES, ...options })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

function agentOf(gateway: GatewayProcess) {
  const put = async (path: string, body?: object) => {
    const init = { method: 'PUT', ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    expect((await fetch(`${gateway.adminUrl}/v1/agent/${path}`, init)).status).toBe(200)
  }
  return {
    register: async (id: string, port?: number) =>
      put('service/register', {
        ID: id,
        Name: 'shop',
        Port: port ?? (await freePort()),
        Meta: { version: '1.2.0' },
        Check: { CheckID: `beat-${id}`, TTL: '10m', Status: 'passing' },
      }),
    fail: (id: string, note = '') => put(`check/fail/beat-${id}?note=${encodeURIComponent(note)}`),
    pass: (id: string) => put(`check/pass/beat-${id}`),
    deregister: (id: string) => put(`service/deregister/${id}`),
  }
}

const historyOf = (gateway: GatewayProcess, query = '') => gateway.admin<HistoryView>(`/api/history${query}`)
const alertsOf = async (gateway: GatewayProcess) =>
  (await gateway.admin<{ alerts: AlertView[] }>('/api/alerts')).alerts
/** `appeared passing`, the oldest first. */
const stepsOf = async (gateway: GatewayProcess, query = '') =>
  (await historyOf(gateway, query)).entries.map(({ what, to }) => `${what} ${to}`).reverse()
const metricOf = async (gateway: GatewayProcess, name: string) => {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  return text.split('\n').filter((line) => line.startsWith(name))
}

test('the history of an instance, with reasons, over a crash of the gateway and a torn line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-monitor-'))
  later(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'history.jsonl')
  // The registry has to outlive the gateway.
  const consul = await startConsul()
  later(() => consul.stop())
  const yaml = `registries: { consul: { type: consul, url: "${consul.url}" } }
snapshot: { path: "${join(folder, 'snapshot.json')}" }`
  const register = (id: string, Port: number) =>
    consul.register({
      ID: id,
      Name: 'shop',
      Address: '127.0.0.1',
      Port,
      Check: { TTL: '10m', Status: 'passing' },
    })

  const first = await gatewayWith(yaml)
  const answers: ServerResponse[] = []
  const server = await opened(httpServer((_request, response) => void answers.push(response)))
  await register('a', server.port)
  await register('b', await freePort())
  await waitFor(async () => (await stepsOf(first)).length === 2)
  await consul.fail('service:a', 'no database')
  await waitFor(async () => (await stepsOf(first, '?instance=a')).length === 2)
  await consul.pass('service:a')
  await waitFor(async () => (await stepsOf(first, '?instance=a')).length === 3)
  const before = await historyOf(first, '?service=shop&instance=a')
  const key = 'consul/dc1/n1/a'
  expect(before.entries[1]).toEqual({
    at: expect.any(Number),
    service: 'shop',
    key,
    address: `127.0.0.1:${server.port}`,
    from: 'passing',
    to: 'critical',
    what: 'changed',
    reason: 'service:a: no database',
  })
  const { at } = before.entries[1] as HistoryEntry
  expect(await stepsOf(first, `?instance=${encodeURIComponent(key)}&since=${at}`)).toEqual([
    'changed passing',
  ])
  expect(await stepsOf(first, '?limit=1')).toEqual(['changed passing'])
  expect(await stepsOf(first, '?service=other')).toEqual([])
  expect((await historyOf(first)).registries).toMatchObject([{ registry: 'consul', to: 'live' }])
  expect((await fetch(`${first.adminUrl}/api/history?limit=x`)).status).toBe(400)

  await waitFor(() => readFileSync(file, 'utf8').trim().split('\n').length === 5)
  first.signal('SIGKILL')
  await first.exited()
  appendFileSync(file, '{"at":1,"service":"sh')
  await consul.deregister('b')
  await consul.fail('service:a', 'while nobody looked')

  const second = await gatewayWith(yaml)
  await waitFor(async () => (await historyOf(second)).entries.length === 6)
  const after = await historyOf(second)
  expect(after.entries.slice(0, 2).map(({ key: name, what, to, away }) => [name, what, to, away])).toEqual(
    expect.arrayContaining([
      ['consul/dc1/n1/b', 'left', 'gone', true],
      [key, 'changed', 'critical', true],
    ]),
  )
  expect(after.entries.filter((one) => one.key === key).slice(1)).toEqual(before.entries)
  expect(after.from).toBe(after.entries.at(-1)?.at)
  expect(await second.stop()).toBe(0)
  // Ended in order: all of it is on disk, each line whole but the torn one.
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  expect(lines.filter((line) => line.endsWith('}'))).toHaveLength(lines.length - 1)
  expect(lines.filter((line) => line.includes('"away":true'))).toHaveLength(2)
}, 60_000)

test('an ejection and the return stand in the history', async () => {
  const gateway = await gatewayWith(`${EMBEDDED}\ndefaults: { outlier: { connectTime: 500ms } }`)
  const agent = agentOf(gateway)
  const server = await opened(httpServer((_request, response) => response.end('fine')))
  await agent.register('good', server.port)
  await agent.register('gone')
  await waitFor(async () => (await stepsOf(gateway)).length === 2)
  const isOut = async () => (await stepsOf(gateway, '?instance=gone')).includes('ejected ejected')
  await waitFor(async () => {
    expect((await fetch(gateway.publicUrl)).status).toBe(200)
    return isOut()
  })
  await waitFor(async () => (await stepsOf(gateway, '?instance=gone')).includes('returned passing'))
  const { entries } = await historyOf(gateway, '?instance=gone')
  expect(entries.find(({ what }) => what === 'ejected')).toMatchObject({
    from: 'passing',
    version: '1.2.0',
    reason: expect.stringContaining('ejected for'),
  })
})

test('an instance that flaps is shown, told, raises an alert, and is quiet again', async () => {
  const gateway = await gatewayWith(`${EMBEDDED}
monitor:
  flapping: { changes: 3, within: 5s }
  alerts: { interval: 100ms }`)
  const events = await opened(followEvents(gateway.adminUrl))
  const agent = agentOf(gateway)
  await agent.register('a')
  await agent.register('b')
  await waitFor(async () => (await stepsOf(gateway)).length === 2)
  for (const kind of ['fail', 'pass', 'fail'] as const) {
    const { length } = await stepsOf(gateway, '?instance=a')
    await agent[kind]('a')
    await waitFor(async () => (await stepsOf(gateway, '?instance=a')).length === length + 1)
  }
  const { flapping } = await historyOf(gateway)
  expect(flapping).toMatchObject([{ service: 'shop', changes: 3, key: expect.stringMatching(/\/a$/) }])
  const [shop] = (await gateway.admin<{ services: ServiceView[] }>('/api/services')).services
  expect(shop?.instances.map((one) => one.flapping)).toEqual([true, undefined])
  expect(await metricOf(gateway, 'sluice_instances_flapping')).toEqual([
    'sluice_instances_flapping{service="shop"} 1',
  ])
  const ofType = (type: string) => events.seen.filter((event) => event.type === type).map(({ data }) => data)
  await waitFor(() => ofType('alert').length === 1)
  expect(ofType('flapping')).toMatchObject([{ state: 'begin', service: 'shop', changes: 3 }])
  expect(ofType('alert')).toMatchObject([
    { rule: 'InstanceFlapping', state: 'firing', instance: flapping[0]?.key },
  ])

  await waitFor(() => ofType('alert').length === 2)
  expect(ofType('flapping')[1]).toMatchObject({ state: 'end' })
  expect(ofType('alert')[1]).toMatchObject({ rule: 'InstanceFlapping', state: 'resolved' })
  expect((await historyOf(gateway)).flapping).toEqual([])
})

test('a rule raises an alert: view, event, metric, webhook, Alertmanager; and ends it', async () => {
  const posts: { url: string; body: string }[] = []
  const receiver = await opened(
    httpServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        posts.push({ url: request.url ?? '', body })
        response.end()
      })
    }),
  )
  const url = `http://127.0.0.1:${receiver.port}`
  const gateway = await gatewayWith(
    `${EMBEDDED}
monitor:
  alerts:
    interval: 100ms
    rules:
      - { name: ShopShort, kind: minHealthy, service: shop, min: 2, for: 500ms, labels: { team: shop } }
      - { name: Skew, kind: versionSkew }
    labels: { cluster: eu-1 }
    notify: [{ webhook: "\${ENV:HOOK}" }, { webhook: "" }]
    alertmanager: ["${url}/am"]`,
    { env: { HOOK: `${url}/hook` } },
  )
  const events = await opened(followEvents(gateway.adminUrl))
  const agent = agentOf(gateway)
  const firing = await waitFor(async () => (await alertsOf(gateway))[0])
  expect(firing, 'nobody is there at the start').toMatchObject({ rule: 'ShopShort', state: 'firing' })
  await agent.register('a')
  await agent.register('b')
  await waitFor(async () => (await alertsOf(gateway))[0]?.state === 'resolved')
  await waitFor(() => posts.length === 4)
  posts.length = 0

  await agent.fail('a')
  await waitFor(async () => (await alertsOf(gateway))[0]?.state === 'firing')
  const [alert] = await alertsOf(gateway)
  expect(alert).toEqual({
    id: 'ShopShort/shop',
    rule: 'ShopShort',
    kind: 'minHealthy',
    severity: 'critical',
    service: 'shop',
    summary: 'shop: 1 of 2 instances in rotation, 2 wanted',
    activeAt: expect.any(Number),
    since: expect.any(Number),
    state: 'firing',
    labels: { cluster: 'eu-1', team: 'shop' },
  })
  expect((alert?.since ?? 0) - (alert?.activeAt ?? 0)).toBeGreaterThanOrEqual(500)
  expect(await metricOf(gateway, 'sluice_alerts{')).toEqual([
    'sluice_alerts{rule="ShopShort",severity="critical"} 1',
    'sluice_alerts{rule="Skew",severity="warning"} 0',
  ])
  await waitFor(() => posts.length === 2)
  const bodyOf = (path: string) =>
    posts.filter((post) => post.url === path).map(({ body }) => JSON.parse(body) as Record<string, unknown>)
  expect(bodyOf('/hook')).toMatchObject([
    {
      text: 'firing (critical) ShopShort: shop: 1 of 2 instances in rotation, 2 wanted',
      alerts: [{ id: 'ShopShort/shop' }],
    },
  ])
  expect(bodyOf('/am/api/v2/alerts')).toMatchObject([
    [{ labels: { alertname: 'ShopShort', service: 'shop', team: 'shop', cluster: 'eu-1' } }],
  ])
  posts.length = 0
  await agent.pass('a')
  await waitFor(() => posts.length === 2)
  expect(bodyOf('/hook')).toMatchObject([{ alerts: [{ state: 'resolved', resolvedAt: expect.any(Number) }] }])
  const [[told]] = bodyOf('/am/api/v2/alerts') as unknown as [[{ endsAt: string }]]
  expect(Date.parse(told.endsAt)).toBeLessThanOrEqual(Date.now())
  expect(events.seen.filter(({ type }) => type === 'alert').map(({ data }) => data['state'])).toEqual([
    'firing',
    'resolved',
    'firing',
    'resolved',
  ])
  expect(await metricOf(gateway, 'sluice_notifications_total')).toEqual(
    expect.arrayContaining([
      'sluice_notifications_total{channel="webhook",result="ok"} 4',
      'sluice_notifications_total{channel="alertmanager",result="ok"} 4',
    ]),
  )
})

test('a registry that is away raises its own alert and no other one; health of its instances is unknown', async () => {
  const consul = await startConsul()
  later(() => consul.stop())
  const gateway = await gatewayWith(`registries: { consul: { type: consul, url: "${consul.url}" } }
monitor:
  alerts:
    interval: 100ms
    rules:
      - { name: Down, kind: minHealthy, for: 0 }
      - { name: Stale, kind: registryStale, for: 300ms }`)
  const health = async (path: string, query = '') => {
    const answer = await fetch(`${gateway.adminUrl}/api/health/${path}${query}`, {
      headers: { accept: 'text/plain' },
    })
    return [answer.status, (await answer.text()).trim()]
  }
  await consul.register({
    ID: 'a',
    Name: 'shop',
    Address: '127.0.0.1',
    Port: 9,
    Check: { TTL: '10m', Status: 'passing' },
  })
  await waitFor(async () => (await health('shop/a'))[1] === 'healthy')
  await waitFor(async () => (await alertsOf(gateway)).every(({ state }) => state === 'resolved'))
  await consul.fail('service:a')
  await waitFor(async () => (await health('shop/a'))[1] === 'unhealthy')
  expect(await health('shop')).toEqual([503, 'unhealthy'])
  await waitFor(async () =>
    (await alertsOf(gateway)).some(({ rule, state }) => rule === 'Down' && state === 'firing'),
  )
  await consul.pass('service:a')
  await waitFor(async () => (await health('shop/a'))[1] === 'healthy')
  await waitFor(async () => (await alertsOf(gateway)).every(({ state }) => state === 'resolved'))

  await consul.kill9()
  const stale = await waitFor(async () => (await alertsOf(gateway)).find(({ state }) => state === 'firing'))
  expect(stale).toMatchObject({ id: 'Stale/consul', kind: 'registryStale', registry: 'consul', service: '' })
  expect(await health('shop/a')).toEqual([200, 'unknown'])
  expect(await health('shop/a', '?strict=1')).toEqual([503, 'unknown'])
  expect(await health('shop'), 'it is asked on').toEqual([200, 'healthy'])
  const { reason } = await gateway.admin<{ reason: string }>('/api/health/shop')
  expect(reason).toMatch(/^1 of 1 can be used, as last known: (registry consul is stale|its read fails)$/)
  expect((await historyOf(gateway)).registries[0]).toMatchObject({
    registry: 'consul',
    from: 'live',
    to: 'stale',
  })
  expect((await alertsOf(gateway)).filter(({ state }) => state === 'firing')).toHaveLength(1)

  await consul.restart()
  await waitFor(async () =>
    (await alertsOf(gateway)).some(({ rule, state }) => rule === 'Stale' && state === 'resolved'),
  )
}, 60_000)

test('a monitor beside a gateway: a history of its own, and it alone tells of alerts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-monitor-'))
  later(() => rmSync(folder, { recursive: true, force: true }))
  const consul = await startConsul()
  later(() => consul.stop())
  const posts: string[] = []
  const receiver = await opened(
    httpServer((request, response) => {
      posts.push(request.headers['user-agent'] ?? '')
      request.resume()
      response.end()
    }),
  )
  const yaml = `registries: { consul: { type: consul, url: "${consul.url}" } }
monitor:
  history: { file: "${join(folder, 'history.jsonl')}" }
  alerts:
    interval: 100ms
    rules: [{ name: Short, kind: minHealthy, service: shop, min: 2, for: 0 }]
    tell: monitor
    notify: [{ webhook: "http://127.0.0.1:${receiver.port}/" }]`
  const gateway = await gatewayWith(yaml)
  const monitor = await gatewayWith(yaml, { verb: 'monitor' })
  await waitFor(async () => (await alertsOf(gateway))[0]?.state === 'firing')
  await waitFor(async () => (await alertsOf(monitor))[0]?.state === 'firing')
  await waitFor(() => posts.length === 1)
  await consul.register({ ID: 'a', Name: 'shop', Address: '127.0.0.1', Port: 9 })
  await consul.register({ ID: 'b', Name: 'shop', Address: '127.0.0.1', Port: 10 })
  await waitFor(async () => (await alertsOf(gateway))[0]?.state === 'resolved')
  await waitFor(() => posts.length === 2)
  for (const one of [gateway, monitor])
    expect(await stepsOf(one)).toEqual(['appeared passing', 'appeared passing'])
  expect(await metricOf(gateway, 'sluice_notifications_total{')).toEqual([])
  expect([await gateway.stop(), await monitor.stop()]).toEqual([0, 0])
  const keysOf = (name: string) =>
    readFileSync(join(folder, name), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as Partial<HistoryEntry>).key)
      .filter((key) => key !== undefined)
  for (const name of ['history.jsonl', 'history.jsonl.monitor']) {
    expect(keysOf(name), name).toEqual(['consul/dc1/n1/a', 'consul/dc1/n1/b'])
  }
}, 60_000)

test('a full disk and receivers that hang hold up neither requests nor the way out', async () => {
  const hanging = await opened(httpServer(() => {}))
  const gateway = await gatewayWith(`${EMBEDDED}
drain: { acceptGrace: 0, timeout: 1s }
monitor:
  history: { file: /dev/full }
  alerts:
    interval: 100ms
    rules: [{ name: Down, kind: minHealthy, min: 5, for: 0 }]
    notify: [{ webhook: "http://127.0.0.1:${hanging.port}/" }]
    alertmanager: ["http://127.0.0.1:${hanging.port}"]`)
  const agent = agentOf(gateway)
  const server = await opened(httpServer((_request, response) => response.end('fine')))
  await agent.register('a', server.port)
  await waitFor(() => hanging.sockets.size >= 2)
  await waitFor(async () =>
    (await metricOf(gateway, 'sluice_history_unwritten_total')).some((line) => !line.endsWith(' 0')),
  )
  for (let i = 0; i < 50; i++) expect((await fetch(gateway.publicUrl)).status).toBe(200)
  expect((await historyOf(gateway)).entries).toHaveLength(1)
  const begun = performance.now()
  expect(await gateway.stop()).toBe(0)
  expect(performance.now() - begun).toBeLessThan(15_000)
  expect(gateway.output().split('cannot be written')).toHaveLength(2)
})
