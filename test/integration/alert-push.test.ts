import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import type { AlertView } from '../../src/core/monitor-view.ts'
import { AlertmanagerPush, toPostable } from '../../src/notify/alertmanager.ts'
import { type NotifyResult, Webhooks } from '../../src/notify/webhooks.ts'
import { startAlertmanager } from '../support/alertmanager.ts'
import { useCleanups } from '../support/cleanup.ts'
import { FakeClock } from '../support/clock.ts'
import { freePort } from '../support/ports.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, later } = useCleanups()

const alert = (fields: Partial<AlertView> = {}): AlertView => ({
  id: 'ServiceDown/shop',
  rule: 'ServiceDown',
  kind: 'minHealthy',
  severity: 'critical',
  service: 'shop',
  summary: 'shop: 0 of 2 instances in rotation',
  activeAt: Date.now() - 15_000,
  since: Date.now(),
  state: 'firing',
  labels: { cluster: 'eu-1', alertname: 'not this' },
  ...fields,
})

/** Takes POSTs; `answer` decides what becomes of each. */
async function receiver(
  answer: (response: ServerResponse, count: number) => void = (response) => response.end(),
) {
  const posts: { url: string; headers: IncomingMessage['headers']; body: string }[] = []
  const server = await opened(
    httpServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        posts.push({ url: request.url ?? '', headers: request.headers, body })
        answer(response, posts.length)
      })
    }),
  )
  return { posts, url: `http://127.0.0.1:${server.port}` }
}

function pushTo(urls: readonly string[], resendMs = 60_000) {
  const clock = new FakeClock()
  clock.at = Date.now()
  const results: NotifyResult[] = []
  const warnings: object[] = []
  const push = new AlertmanagerPush(
    { urls, resendMs },
    {
      clock,
      onResult: (result) => void results.push(result),
      log: { warn: (fields) => void warnings.push(fields) },
    },
  )
  later(() => push.close())
  return { push, clock, results, warnings }
}

test('a real Alertmanager shows what fires and drops what is resolved', async () => {
  const people = await receiver()
  const server = await opened(startAlertmanager(`${people.url}/hook`))
  // A slash at the end is as good as none.
  const { push, results, clock } = pushTo([`${server.url}/`])
  const flaps = alert({
    id: 'InstanceFlapping/k',
    rule: 'InstanceFlapping',
    kind: 'flapping',
    severity: 'warning',
    instance: 'consul/dc1/n1/shop-1',
    address: '10.0.0.1:80',
  })
  const stale = alert({
    id: 'RegistryStale/consul',
    rule: 'RegistryStale',
    kind: 'registryStale',
    service: '',
    registry: 'consul',
  })
  push.update([alert(), flaps, stale], true)
  await waitFor(async () => (await server.alerts()).length === 3)
  const seen = (await server.alerts()).sort((a, b) =>
    (a.labels['alertname'] ?? '') < (b.labels['alertname'] ?? '') ? -1 : 1,
  )
  expect(seen.map(({ labels }) => labels)).toEqual([
    {
      alertname: 'InstanceFlapping',
      kind: 'flapping',
      severity: 'warning',
      service: 'shop',
      instance: '10.0.0.1:80',
      key: 'consul/dc1/n1/shop-1',
      cluster: 'eu-1',
    },
    {
      alertname: 'RegistryStale',
      kind: 'registryStale',
      severity: 'critical',
      registry: 'consul',
      cluster: 'eu-1',
    },
    { alertname: 'ServiceDown', kind: 'minHealthy', severity: 'critical', service: 'shop', cluster: 'eu-1' },
  ])
  expect(seen[2]?.annotations['summary']).toBe('shop: 0 of 2 instances in rotation')
  // Without another word from us it ends by itself.
  const endsIn = Date.parse(seen[2]?.endsAt ?? '') - clock.at
  expect(endsIn).toBe(240_000)

  push.update([alert({ state: 'resolved', resolvedAt: Date.now() }), flaps, stale], true)
  await waitFor(async () => (await server.alerts()).length === 2)
  const isTold = (body: string) => body.includes('"status":"resolved"') && body.includes('ServiceDown')
  await waitFor(() => people.posts.some(({ body }) => isTold(body)))
  expect(results).toEqual(['ok', 'ok'])
})

test('what fires is sent again each minute, resolved alerts for a quarter of an hour', async () => {
  const { posts, url } = await receiver()
  const { push, clock, results } = pushTo([url])
  const start = clock.at
  let alerts = [alert()]
  const minute = async (hasNews = false) => {
    const { length } = results
    push.update(alerts, hasNews)
    await waitFor(() => results.length === length + 1)
    push.update(alerts, false)
    clock.advance(59_999)
    push.update(alerts, false)
    clock.advance(1)
  }
  await minute(true)
  await minute()
  alerts = [alert({ state: 'resolved', resolvedAt: start + 120_000 })]
  for (let i = 0; i < 15; i++) await minute(i === 0)
  push.update(alerts, false)
  expect(posts).toHaveLength(17)
  const ends = posts.map(({ body }) => (JSON.parse(body) as { endsAt: string }[])[0]?.endsAt)
  expect(ends.slice(0, 3)).toEqual(
    [240_000, 300_000, 120_000].map((ms) => new Date(start + ms).toISOString()),
  )
  expect(posts[0]?.url).toBe('/api/v2/alerts')
})

test('without alerts nothing is sent', async () => {
  const { posts, url } = await receiver()
  const { push, clock } = pushTo([url])
  for (let i = 0; i < 5; i++) {
    push.update([], i === 0)
    clock.advance(60_000)
  }
  push.update([alert()], true)
  await waitFor(() => posts.length > 0)
  expect(posts).toHaveLength(1)
})

test('one that fails is asked again after five seconds, told once in the log; the other one is not held up', async () => {
  const bad = await receiver((response, count) => response.writeHead(count < 3 ? 500 : 200).end())
  const good = await receiver()
  const { push, clock, results, warnings } = pushTo([`${bad.url}/prefix`, good.url])
  push.update([alert()], true)
  await waitFor(() => results.length === 2)
  // News do not make it come sooner: a receiver in trouble is not hurried.
  push.update([alert(), alert({ id: 'x', rule: 'X' })], true)
  await waitFor(() => results.length === 3)
  expect([bad.posts.length, good.posts.length]).toEqual([1, 2])
  clock.advance(5000)
  push.update([alert()], false)
  await waitFor(() => results.length === 4)
  clock.advance(5000)
  push.update([alert()], false)
  await waitFor(() => results.length === 5)
  expect([bad.posts.length, good.posts.length]).toEqual([3, 2])
  expect(results.filter((result) => result === 'failed')).toHaveLength(2)
  expect(warnings).toHaveLength(1)
  expect(bad.posts[0]?.url).toBe('/prefix/api/v2/alerts')
})

test('one that hangs holds up nobody, and is not asked twice at a time', async () => {
  const { posts, url } = await receiver(() => {})
  const { push, clock } = pushTo([url])
  for (let i = 0; i < 10; i++) {
    push.update([alert()], true)
    clock.advance(60_000)
  }
  await waitFor(() => posts.length > 0)
  // When this one is there, what was sent before it is, too.
  const abort = new AbortController()
  fetch(`${url}/marker`, { signal: abort.signal }).catch(() => {})
  await waitFor(() => posts.some((post) => post.url === '/marker'))
  abort.abort()
  expect(posts).toHaveLength(2)
  const begun = performance.now()
  await push.close()
  expect(performance.now() - begun).toBeLessThan(1000)
})

test('many alerts go in batches; user and password of the URL as a header', async () => {
  const { posts, url } = await receiver()
  const { push, results } = pushTo([url.replace('//', '//sluice:p%40ss@')])
  push.update(
    Array.from({ length: 450 }, (_, i) => alert({ id: `S/${i}`, service: `s-${i}` })),
    true,
  )
  await waitFor(() => results.length === 3)
  expect(posts.map(({ body }) => (JSON.parse(body) as object[]).length)).toEqual([200, 200, 50])
  expect(posts[0]?.headers.authorization).toBe(`Basic ${Buffer.from('sluice:p@ss').toString('base64')}`)
})

test('labels of rules do not hide what the alert is', () => {
  expect(toPostable(alert({ labels: { alertname: 'x', service: 'y', team: 'z' } }), 0, 1000).labels).toEqual({
    team: 'z',
    alertname: 'ServiceDown',
    kind: 'minHealthy',
    severity: 'critical',
    service: 'shop',
  })
})

test('webhooks: tried three times, counted, never more than 200 at a time, their address out of the log', async () => {
  const flaky = await receiver((response, count) => response.writeHead(count < 3 ? 500 : 204).end())
  const results: NotifyResult[] = []
  const warnings: { webhook?: string; err?: string }[] = []
  const webhooks = new Webhooks({
    onResult: (result) => void results.push(result),
    log: { warn: (fields) => void warnings.push(fields) },
  })
  webhooks.tell([`${flaky.url}/secret?token=1`], { text: 'hello' })
  await waitFor(() => results.length === 1)
  expect(flaky.posts.map(({ body }) => body)).toEqual(Array(3).fill('{"text":"hello"}'))
  const dead = `http://127.0.0.1:${await freePort()}/secret?token=1`
  webhooks.tell([dead], { text: 'hello' })
  await waitFor(() => results.length === 2)
  expect(results).toEqual(['ok', 'failed'])
  webhooks.tell(['secret, which is no URL'], { text: 'hello' })
  await waitFor(() => results.length === 3)
  expect(JSON.stringify(warnings)).not.toContain('secret')
  expect(warnings).toHaveLength(2)
  webhooks.tell(Array(250).fill(dead), { text: 'storm' })
  expect(results.filter((result) => result === 'dropped')).toHaveLength(50)
  await webhooks.close()
  expect(results).toHaveLength(253)
})
