import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startConsul } from '../support/consul.ts'
import { followEvents } from '../support/events.ts'
import { startGateway } from '../support/gateway.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { later, opened } = useCleanups()

test('the timeline of an instance that drains under load: mark, last request, idle, closed, left', async () => {
  const consul = await startConsul()
  later(() => consul.stop())
  const gateway = await startGateway({
    yaml: `registries: { consul: { type: consul, url: "${consul.url}" } }`,
    routes: { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' },
  })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  const answers: ServerResponse[] = []
  const server = await opened(httpServer((_request, response) => void answers.push(response)))
  const events = await opened(followEvents(gateway.adminUrl))
  const kinds = () => events.instances().map(({ kind }) => kind)
  await consul.register({
    ID: 'shop-1',
    Name: 'shop',
    Address: '127.0.0.1',
    Port: server.port,
    Meta: { version: '1.2.0' },
  })
  await waitFor(() => kinds().includes('appeared'))
  const asked = Date.now()
  const running = fetch(gateway.publicUrl)
  await waitFor(() => answers.length === 1)
  const sent = Date.now()
  await consul.put('/v1/agent/service/maintenance/shop-1?enable=true&reason=draining')
  await waitFor(() => kinds().includes('changed'))
  const { instances } = await gateway.admin<{ instances: { lastRequestAt: number; since: number }[] }>(
    '/api/services/shop',
  )
  expect(instances[0]?.since).toBeGreaterThanOrEqual(sent)
  expect(kinds()).not.toContain('idle')
  const answered = Date.now()
  answers[0]?.end('fine')
  expect(await (await running).text()).toBe('fine')
  await waitFor(() => kinds().includes('closed'))
  await consul.deregister('shop-1')
  await waitFor(() => kinds().includes('left'))

  expect(kinds()).toEqual(['appeared', 'changed', 'idle', 'closed', 'left'])
  const [appeared, changed, idle, closed, left] = events.instances()
  expect(appeared).toMatchObject({
    service: 'shop',
    id: 'shop-1',
    key: 'consul/dc1/n1/shop-1',
    address: `127.0.0.1:${server.port}`,
    version: '1.2.0',
    to: 'passing',
  })
  expect(changed).toMatchObject({ from: 'passing', to: 'draining' })
  expect(left).toMatchObject({ from: 'draining', id: 'shop-1' })
  expect(idle?.at).toBeGreaterThanOrEqual(answered)
  expect(idle?.lastRequestAt).toBeGreaterThanOrEqual(asked - 1)
  expect(idle?.lastRequestAt).toBeLessThanOrEqual(sent + 1)
  // Told in ms, from a clock that is finer: the last digit may differ.
  for (const at of [closed?.lastRequestAt, instances[0]?.lastRequestAt]) {
    expect(Math.abs((at ?? 0) - (idle?.lastRequestAt ?? 0))).toBeLessThanOrEqual(1)
  }
})
