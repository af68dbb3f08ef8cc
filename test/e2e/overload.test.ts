import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { followEvents } from '../support/events.ts'
import { startGateway } from '../support/gateway.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(overload: string) {
  const service = await httpServer((_request, response) => void response.end('ok'))
  cleanups.push(() => service.close())
  const upstreams = `upstreams: ["http://127.0.0.1:${service.port}"]`
  const gateway = await startGateway({
    yaml: `
overload: ${overload}
routes:
  - { name: all, match: { pathPrefix: / }, ${upstreams} }
  - { name: probe, match: { path: /health }, class: health, ${upstreams} }
`,
    env: { NODE_OPTIONS: `--import ${join(import.meta.dirname, '../support/busy-loop.ts')}`, BUSY_MS: '250' },
  })
  cleanups.push(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  const events = await followEvents(gateway.adminUrl)
  cleanups.push(() => events.close())
  const statusOf = async (path = '/', headers: Record<string, string> = {}) =>
    (await fetch(gateway.publicUrl + path, { headers })).status
  return { gateway, statusOf, overloads: () => events.seen.filter(({ type }) => type === 'overload') }
}

const metric = async (adminUrl: string, name: string) =>
  (await (await fetch(`${adminUrl}/metrics`)).text()).split('\n').find((line) => line.startsWith(name))

test('a gateway whose loop is late refuses strangers, then serves them again', async () => {
  const { gateway, statusOf, overloads } = await start('{ eventLoopDelay: { from: 100ms, full: 2s } }')
  expect(await statusOf()).toBe(200)
  gateway.signal('SIGUSR2')
  await waitFor(() => overloads().length > 0, { what: 'the overload to begin' })
  expect(overloads()[0]?.data).toMatchObject({ state: 'begin', level: 1, reason: 'event_loop' })
  const bot = { 'user-agent': 'x-bot/1' }
  await waitFor(async () => (await statusOf('/', bot)) === 503, { what: 'a bot to be refused' })
  // Everybody may still read how it is.
  expect(await statusOf('/', { authorization: 'Bearer t' })).toBe(200)
  expect(await statusOf('/health', bot)).toBe(200)
  const ready = await fetch(`${gateway.adminUrl}/health/ready`)
  expect([ready.status, JSON.stringify(await ready.json())]).toMatchObject([
    200,
    expect.stringContaining('the event loop is late'),
  ])
  // A busy machine gives it some time between two turns: it may be out of it for a moment.
  await waitFor(
    async () => (await metric(gateway.adminUrl, 'sluice_overload_level')) === 'sluice_overload_level 1',
    { what: 'the level to be told' },
  )
  expect(await metric(gateway.adminUrl, 'sluice_overload_shed_total{class="bots"')).toContain(
    'reason="event_loop"',
  )

  gateway.signal('SIGUSR2')
  await waitFor(() => overloads().at(-1)?.data['state'] === 'end', { timeoutMs: 30_000, what: 'the end' })
  expect(await statusOf('/', bot)).toBe(200)
  expect(await metric(gateway.adminUrl, 'sluice_overload_level')).toBe('sluice_overload_level 0')
  await waitFor(() => gateway.output().includes('overload is over'))
})

test('with the defaults the same lateness refuses nobody', async () => {
  const { gateway, statusOf, overloads } = await start('{}')
  gateway.signal('SIGUSR2')
  for (let i = 0; i < 12; i++) expect(await statusOf('/', { 'user-agent': 'x-bot/1' })).toBe(200)
  expect(overloads()).toEqual([])
})
